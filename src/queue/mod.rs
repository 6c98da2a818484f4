//! Who waits for a place at an endpoint, and whose turn it is.
//!
//! Requests that only limits stand in the way of wait here for moments, within bounds and until a deadline.
//! Accounts take turns (deficit round robin, Shreedhar and Varghese 1995): however much one of them asks, it
//! gets its share while others want theirs, and what those leave. Nothing here knows what is waited for: a
//! payload is asked whether it can be served now. No clocks and no wake-ups either; those are the caller's.
//!
//! A large request is asked before smaller ones whose turn is later, but what it cannot use is not kept from
//! them: places are never left empty for somebody who may not come to fit before the deadline.

mod ring;

use ring::Ring;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Tokens for which a request counts once more: a long prompt uses up what several short ones would.
const TOKENS_PER_COST: u32 = 8192;
/// What one request costs at most: a bound on the rounds a pass makes for it.
const MOST_COST: u32 = 32;

/// What a request of so many tokens, prompt and answer together, costs its account's share. It is counted as
/// at least 1 and at most 32.
pub const fn cost(tokens: u32) -> u32 {
    1 + tokens / TOKENS_PER_COST
}

/// How many may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// All together.
    pub waiting: usize,
    /// Of one account.
    pub per_account: usize,
}

impl Default for Bounds {
    /// More than 256 would not be served within the usual patience of seconds; and with 8 places an account
    /// misses no turn, while 32 accounts that want more still leave room for each other.
    fn default() -> Self {
        Self { waiting: 256, per_account: 8 }
    }
}

/// Who joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Newcomer<K> {
    /// Whose share it is served from.
    pub account: K,
    /// The same for all that need the same: when one of them cannot be served, neither can the others.
    pub class: u64,
    /// See [`cost`].
    pub cost: u32,
    /// When it has waited long enough, Unix ms. Within an account the earliest is served first.
    pub deadline_ms: u64,
}

/// A place in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket<K> {
    account: K,
    id: u64,
}

/// There is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// Too many wait.
    #[error("too many requests wait")]
    Altogether,
    /// Too many of this account do.
    #[error("too many requests of this account wait")]
    Account,
}

/// What became of one whose turn it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It was served, from its account's share.
    Served,
    /// It does not wait any more, and got nothing.
    Gone,
    /// It cannot be served now; it waits on.
    Blocked,
}

/// What came of a pass.
#[derive(Debug)]
pub struct Passed<T> {
    /// How many were served.
    pub served: usize,
    /// Those that had waited long enough before it, by deadline.
    pub expired: Vec<T>,
}

/// Those that wait, by account `K`, each with a payload.
#[derive(Debug)]
pub struct Queue<K, T> {
    bounds: Bounds,
    waiting: AtomicUsize,
    ring: Mutex<Ring<K, T>>,
}

impl<K: Copy + Eq, T> Queue<K, T> {
    /// An empty one.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, waiting: AtomicUsize::new(0), ring: Mutex::new(Ring::default()) }
    }

    /// Whether nobody waits: one load.
    pub fn is_empty(&self) -> bool {
        self.waiting() == 0
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// Takes a place behind the others of its account.
    ///
    /// # Errors
    /// [`Full`], with the payload.
    pub fn join(&self, newcomer: Newcomer<K>, payload: T) -> Result<Ticket<K>, (Full, T)> {
        let mut ring = self.lock();
        if ring.waiting() >= self.bounds.waiting {
            return Err((Full::Altogether, payload));
        }
        if ring.waiting_of(newcomer.account) >= self.bounds.per_account {
            return Err((Full::Account, payload));
        }
        let ticket = ring.join(newcomer, payload);
        self.counted(&ring);
        Ok(ticket)
    }

    /// Gives a place up: the payload, unless it was served or had expired.
    pub fn leave(&self, ticket: &Ticket<K>) -> Option<T> {
        let mut ring = self.lock();
        let payload = ring.leave(ticket);
        self.counted(&ring);
        payload
    }

    /// Asks those that wait, by turns, whether they can be served now (`ask` must not come back to this
    /// queue), after those whose deadline has come were taken out.
    pub fn turns(&self, now_ms: u64, mut ask: impl FnMut(&mut T) -> Turn) -> Passed<T> {
        if self.is_empty() {
            return Passed { served: 0, expired: Vec::new() };
        }
        let mut done = Vec::new();
        let mut ring = self.lock();
        let expired = ring.expired(now_ms);
        let served = ring.turns(&mut ask, &mut done);
        self.counted(&ring);
        drop(ring);
        // Payloads are dropped without the lock.
        drop(done);
        Passed { served, expired }
    }

    fn counted(&self, ring: &Ring<K, T>) {
        self.waiting.store(ring.waiting(), Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Ring<K, T>> {
        // A panic of `ask` leaves its waiter where it is: the ring is whole.
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
