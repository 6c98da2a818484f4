//! How the classifier's weights are made: rows in, weights and their report out.
//!
//! Pure and deterministic: the same rows in the same order give the same bytes. `freeway train` reads the
//! files. Rows are in the shape of [`Row`]; `conf/classifier/CARD.md` says where to find them.

mod fit;
mod measure;
mod ridge;
mod rows;
mod validate;

pub use fit::{Trained, train};
pub use rows::{BadRow, Row};
pub use validate::{Report, validate};

#[cfg(test)]
mod tests;
