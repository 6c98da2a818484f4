//! The requests of one key that are still in the window.

use super::{Over, Standing};
use std::collections::VecDeque;

/// Times of admitted requests, oldest first. No more are kept than the limit asks for, and room is made as
/// they come.
///
/// A time is kept as the low half of its milliseconds. The newest is known in full, none is older than it
/// by a window, and windows are shorter than 24 days: so each is known.
#[derive(Clone, Debug, Default)]
pub(super) struct Stamps {
    newest_ms: u64,
    low: VecDeque<u32>,
}

impl Stamps {
    /// Takes a place, unless `limit` are taken.
    pub(super) fn admit(&mut self, limit: u32, now_ms: u64, window_ms: u64) -> Result<Standing, Over> {
        self.forget(now_ms, window_ms);
        let taken = self.low.len();
        if taken < limit as usize {
            self.push(now_ms);
            return Ok(self.standing(limit, now_ms, window_ms));
        }
        // The one whose leaving brings the count below the limit; without a limit to reach, a whole window.
        let wait_ms = match limit {
            0 => window_ms,
            limit => (self.at(taken - limit as usize) + window_ms).saturating_sub(now_ms),
        };
        Err(Over { limit, wait_ms })
    }

    /// Counts one in any case: the oldest makes room.
    pub(super) fn note(&mut self, limit: u32, now_ms: u64, window_ms: u64) {
        self.forget(now_ms, window_ms);
        while self.low.len() >= limit as usize && self.low.pop_front().is_some() {}
        if limit > 0 {
            self.push(now_ms);
        }
    }

    /// Says how many there are.
    pub(super) fn standing(&self, limit: u32, now_ms: u64, window_ms: u64) -> Standing {
        let gone = self.gone(now_ms, window_ms);
        let taken = u32::try_from(self.low.len() - gone).unwrap_or(u32::MAX);
        let reset_ms = if taken == 0 { 0 } else { (self.at(gone) + window_ms).saturating_sub(now_ms) };
        Standing { limit, remaining: limit.saturating_sub(taken), reset_ms }
    }

    /// Whether all have left the window.
    pub(super) fn is_idle(&self, now_ms: u64, window_ms: u64) -> bool {
        self.low.is_empty() || self.newest_ms + window_ms <= now_ms
    }

    /// Drops those that have left the window.
    fn forget(&mut self, now_ms: u64, window_ms: u64) {
        self.low.drain(..self.gone(now_ms, window_ms));
    }

    /// How many have left the window: each does exactly one window after it came.
    fn gone(&self, now_ms: u64, window_ms: u64) -> usize {
        if self.is_idle(now_ms, window_ms) {
            return self.low.len();
        }
        (0..self.low.len()).take_while(|&at| self.at(at) + window_ms <= now_ms).count()
    }

    /// A request that lost the race for the lock may bring a time just passed: it counts as the newest.
    fn push(&mut self, now_ms: u64) {
        if self.low.is_empty() {
            self.newest_ms = now_ms;
        }
        self.newest_ms = self.newest_ms.max(now_ms);
        self.low.push_back(self.newest_ms as u32);
    }

    fn at(&self, position: usize) -> u64 {
        let age = (self.newest_ms as u32).wrapping_sub(self.low[position]);
        self.newest_ms - u64::from(age)
    }
}
