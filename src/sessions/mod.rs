//! Which endpoint answered a conversation last.
//!
//! A table of fixed size, of atomics alone: whoever plans a request reads it without waiting, and every whole
//! answer writes one row. It is a memory and no truth: what has no room is forgotten, and a row that is read
//! while it is written is as good as none. Nothing of a conversation is in it, only hashes.

use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Conversations that may share a place: the one that has been silent for longest gives way.
const WAYS: usize = 4;
/// Places, a power of two. With four rows of 24 bytes each: 131,072 conversations in 3 MB, which is what 200
/// new ones a second leave in ten minutes.
const PLACES: usize = 1 << 15;
/// The most conversations that are written down: the latest.
pub const MOST_KEPT: usize = 20_000;

/// Conversations and the endpoints that answered them last.
#[derive(Debug)]
pub struct Sessions {
    rows: Box<[Row]>,
    idle_ms: u64,
}

/// One conversation as it is written down: its key, the endpoint's id, and when it was answered, Unix ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept(pub u64, pub u64, pub u64);

/// A row of the table. `check` is the key mixed with the other two, so that a row half of which is another's
/// belongs to no key.
#[derive(Debug, Default)]
struct Row {
    check: AtomicU64,
    endpoint: AtomicU64,
    /// Unix ms; 0 for an empty row.
    answered_ms: AtomicU64,
}

impl Row {
    fn read(&self) -> Option<Kept> {
        let (endpoint, answered_ms) = (self.endpoint.load(Relaxed), self.answered_ms.load(Relaxed));
        let key = self.check.load(Relaxed) ^ mixed(endpoint, answered_ms);
        (answered_ms > 0).then_some(Kept(key, endpoint, answered_ms))
    }

    fn write(&self, Kept(key, endpoint, answered_ms): Kept) {
        self.check.store(key ^ mixed(endpoint, answered_ms), Relaxed);
        self.endpoint.store(endpoint, Relaxed);
        self.answered_ms.store(answered_ms, Relaxed);
    }
}

const fn mixed(endpoint: u64, answered_ms: u64) -> u64 {
    endpoint ^ answered_ms.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

impl Sessions {
    /// A table that forgets what has been silent for longer than `idle_ms`.
    pub fn new(idle_ms: u64) -> Self {
        Self { rows: (0..PLACES * WAYS).map(|_| Row::default()).collect(), idle_ms }
    }

    /// The id of the endpoint that answered the conversation last, if it still goes on.
    pub fn recall(&self, key: u64, now_ms: u64) -> Option<u64> {
        let rows = self.place(key).iter().filter_map(Row::read);
        let mut own = rows.filter(|kept| kept.0 == key && self.goes_on(kept, now_ms));
        own.next().map(|Kept(_, endpoint, _)| endpoint)
    }

    /// The endpoint has answered the conversation.
    pub fn remember(&self, key: u64, endpoint: u64, now_ms: u64) {
        let place = self.place(key);
        let age = |row: &Row| row.read().map_or(0, |kept| if kept.0 == key { 0 } else { kept.2 });
        let own = place.iter().find(|row| row.read().is_some_and(|kept| kept.0 == key));
        if let Some(row) = own.or_else(|| place.iter().min_by_key(|row| age(row))) {
            row.write(Kept(key, endpoint, now_ms.max(1)));
        }
    }

    /// What goes on, to be written down: the latest first, at most [`MOST_KEPT`].
    pub fn kept(&self, now_ms: u64) -> Vec<Kept> {
        let mut rows: Vec<_> = self.rows.iter().filter_map(Row::read).collect();
        rows.retain(|kept| self.goes_on(kept, now_ms));
        rows.sort_unstable_by_key(|kept| (std::cmp::Reverse(kept.2), kept.0));
        rows.truncate(MOST_KEPT);
        rows
    }

    /// Takes in what was written down, where nothing later is known.
    pub fn restore(&self, rows: &[Kept], now_ms: u64) {
        for kept in rows.iter().take(MOST_KEPT) {
            let answered_ms = kept.2.min(now_ms);
            let known = self.place(kept.0).iter().filter_map(Row::read).find(|known| known.0 == kept.0);
            if self.goes_on(kept, now_ms) && known.is_none_or(|known| known.2 < answered_ms) {
                self.remember(kept.0, kept.1, answered_ms);
            }
        }
    }

    fn goes_on(&self, kept: &Kept, now_ms: u64) -> bool {
        now_ms.saturating_sub(kept.2) < self.idle_ms
    }

    fn place(&self, key: u64) -> &[Row] {
        let place = key as usize % PLACES;
        &self.rows[place * WAYS..][..WAYS]
    }
}

#[cfg(test)]
mod tests;
