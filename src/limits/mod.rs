//! Limits by the minute: exact, in memory, the time an argument.
//!
//! "20 a minute" means that no 60 seconds, wherever they begin, hold more than 20 admitted requests. So the
//! time of each is kept; bursts that refill, fixed minutes and sliding counters were measured to let
//! through up to twice as many. Memory has a bound, whoever comes: see [`SlidingLog`]. Limits by the day
//! are durable and kept with the accounts.

mod client;
mod key;
mod log;
mod stamps;

pub use client::client_address;
pub use key::{Key, Prefix};
pub use log::SlidingLog;

/// How a key stands with its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Requests in a window, at most.
    pub limit: u32,
    /// Of them, how many would be admitted now.
    pub remaining: u32,
    /// From now until the oldest request leaves the window, ms; 0 when there is none in it.
    pub reset_ms: u64,
}

/// The limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Over {
    /// Requests in a window, at most.
    pub limit: u32,
    /// From now until the next one is admitted, ms.
    pub wait_ms: u64,
}
