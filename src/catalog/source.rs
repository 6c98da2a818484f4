//! Where the catalog's models come from: how each provider's list was last read, and what of it is not served.

use serde::Serialize;

/// The most rows that are remembered as not served; a thousand is the longest known list.
pub const MAX_LEFT_OUT: usize = 4_000;

/// A listed model that is not served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// The slug of the provider that lists it.
    pub provider: String,
    /// Its id; empty where the row has none that can be used.
    pub id: String,
    /// Why, in words.
    pub why: &'static str,
}

/// How a provider's list was last read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ListState {
    /// The provider's slug.
    pub provider: String,
    /// When it was last read, Unix ms; `None` if never.
    pub read_ms: Option<u64>,
    /// Models it has that are served, as of then.
    pub served: usize,
    /// Rows that are not served, as of then.
    pub left_out: usize,
    /// Looks that failed since.
    pub failures: u32,
    /// Why the last one did, and when (Unix ms). The last good list stays in use.
    pub failed: Option<(u64, String)>,
}
