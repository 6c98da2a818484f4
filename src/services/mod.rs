//! One background loop a file.
pub mod simulate;
