//! The wire: what a request says, how it is rewritten, and how replies are read and re-told.
//!
//! Pure: bytes in, values and bytes out. Which model answers is `routing`'s business.

pub mod errors;
pub mod facts;
pub mod field;
pub mod inspect;
pub mod normalize;
pub mod rewrite;
mod rope;
pub mod schema;
pub mod sse;
pub mod usage;

/// Which of the two dialects a client speaks; chosen by path (`/v1` or `/api/v1`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI's, under `/v1`.
    OpenAi,
    /// OpenRouter's, under `/api/v1`.
    OpenRouter,
}
