//! Who came when, in bounded memory.

use super::key::Key;
use super::stamps::Stamps;
use super::{Over, Standing};
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Requests that come at once seldom want the same part.
const SHARDS: usize = 64;
/// With fewer keys than this in a part, parts fill too unevenly.
const LEAST_PER_SHARD: usize = 64;
/// Keys that have left the window are looked for once a window; where there is no room, this many times.
const SWEEPS_WHEN_FULL: u64 = 64;

/// Counts requests of keys in a window that slides: exactly, while there is room for each key.
///
/// At most `capacity` keys are counted by themselves; those that send nothing for a window make room. When
/// all are busy, new keys share buckets, a /16 or /32 each, under the same limit: a flood of addresses
/// presses on its own neighbourhood, and whoever was known before keeps a count of its own. A key that
/// gets its own count later begins with what its bucket had, so that its limit holds throughout.
#[derive(Debug)]
pub struct SlidingLog {
    window_ms: u64,
    capacity_of_shard: usize,
    hasher: RandomState,
    known: Box<[Mutex<Shard<Key>>]>,
    shared: Box<[Mutex<Shard<u32>>]>,
}

#[derive(Debug)]
struct Shard<K> {
    keys: HashMap<K, Stamps>,
    /// When keys that have left were last looked for.
    swept_ms: u64,
}

impl SlidingLog {
    /// Counts at most `capacity` keys by themselves.
    ///
    /// # Panics
    /// When the window is empty or as long as 24 days.
    pub fn new(window_ms: u64, capacity: usize) -> Self {
        assert!((1..1 << 31).contains(&window_ms), "a window is shorter than 24 days");
        let shards = (capacity / LEAST_PER_SHARD).clamp(1, SHARDS);
        Self {
            window_ms,
            capacity_of_shard: capacity / shards,
            hasher: RandomState::new(),
            known: (0..shards).map(|_| Mutex::default()).collect(),
            shared: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }

    /// Takes a place in the window.
    ///
    /// # Errors
    /// [`Over`] when `limit` places are taken; nothing is counted then.
    pub fn admit(&self, key: Key, limit: u32, now_ms: u64) -> Result<Standing, Over> {
        self.with(key, now_ms, |stamps| stamps.admit(limit, now_ms, self.window_ms))
    }

    /// Counts without refusing: of one tier what the other admits. Keeps the last `limit` requests.
    pub fn note(&self, key: Key, limit: u32, now_ms: u64) {
        self.with(key, now_ms, |stamps| stamps.note(limit, now_ms, self.window_ms));
    }

    /// How the key stands; counts nothing.
    pub fn standing(&self, key: Key, limit: u32, now_ms: u64) -> Standing {
        let shard = lock(self.known_shard(key));
        if let Some(stamps) = shard.keys.get(&key) {
            return stamps.standing(limit, now_ms, self.window_ms);
        }
        drop(shard);
        let bucket = key.bucket();
        let shared = lock(self.shared_shard(bucket));
        let nothing = Stamps::default();
        shared.keys.get(&bucket).unwrap_or(&nothing).standing(limit, now_ms, self.window_ms)
    }

    /// Keys counted by themselves, and buckets that others share.
    pub fn keys(&self) -> (usize, usize) {
        let known = self.known.iter().map(|shard| lock(shard).keys.len()).sum();
        let shared = self.shared.iter().map(|shard| lock(shard).keys.len()).sum();
        (known, shared)
    }

    /// Counts at the key, or where it has to share.
    fn with<T>(&self, key: Key, now_ms: u64, count: impl FnOnce(&mut Stamps) -> T) -> T {
        let mut shard = lock(self.known_shard(key));
        if let Some(stamps) = shard.keys.get_mut(&key) {
            return count(stamps);
        }
        let is_full = shard.sweep(now_ms, self.window_ms, self.capacity_of_shard);
        // The one order in which two locks are held: known, then shared.
        let bucket = key.bucket();
        let mut shared = lock(self.shared_shard(bucket));
        if is_full {
            drop(shard);
            shared.sweep(now_ms, self.window_ms, usize::MAX);
            return count(shared.keys.entry(bucket).or_default());
        }
        let before = shared.keys.get(&bucket).filter(|stamps| !stamps.is_idle(now_ms, self.window_ms));
        let stamps = before.cloned().unwrap_or_default();
        drop(shared);
        count(shard.keys.entry(key).or_insert(stamps))
    }

    fn known_shard(&self, key: Key) -> &Mutex<Shard<Key>> {
        &self.known[self.hasher.hash_one(key) as usize % self.known.len()]
    }

    fn shared_shard(&self, bucket: u32) -> &Mutex<Shard<u32>> {
        &self.shared[bucket as usize % self.shared.len()]
    }
}

impl<K> Default for Shard<K> {
    fn default() -> Self {
        Self { keys: HashMap::new(), swept_ms: 0 }
    }
}

impl<K: Eq + Hash> Shard<K> {
    /// Forgets keys that have left the window, now and then. Whether there is no room for another.
    fn sweep(&mut self, now_ms: u64, window_ms: u64, capacity: usize) -> bool {
        let is_full = self.keys.len() >= capacity;
        let pause_ms = if is_full { window_ms / SWEEPS_WHEN_FULL } else { window_ms };
        if self.swept_ms + pause_ms <= now_ms {
            self.swept_ms = now_ms;
            self.keys.retain(|_, stamps| !stamps.is_idle(now_ms, window_ms));
            self.keys.shrink_to(2 * self.keys.len());
        }
        self.keys.len() >= capacity
    }
}

/// Held for a few instructions, and now and then for a sweep of its part.
fn lock<T>(shard: &Mutex<T>) -> MutexGuard<'_, T> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
