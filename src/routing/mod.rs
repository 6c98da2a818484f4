//! Which endpoint should answer, in which order, and why.

mod condition;

pub use condition::{Availability, Cause, Condition};
