//! Which endpoint should answer, in which order, and why.

pub mod condition;
pub mod verdict;
