//! What is left of a scope, remembered for a moment: a plan looks at hundreds of limits that did not change.

use super::Room;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Windows move on, so what was seen is looked at again after this. Every change forgets it at once.
const FRESH_MS: u32 = 10;

/// The last look at all limits of a scope, where there was room. It may miss what another thread has just taken:
/// a plan may be made from it, a place is only taken from the limits themselves.
#[derive(Debug, Default)]
pub(super) struct Glance {
    /// When, the low bits of Unix ms, and how far the day is ahead. 0: nothing is remembered.
    seen: AtomicU64,
    /// Requests and tokens left.
    left: AtomicU64,
    /// The share left of requests after one more, and of tokens before any.
    shares: AtomicU64,
    /// The share one token takes at most, and the largest request that ever fits.
    tokens: AtomicU64,
}

/// What a look finds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) ahead: f32,
    pub(super) left_requests: u32,
    pub(super) left_tokens: u32,
    pub(super) share_requests: f32,
    pub(super) share_tokens: f32,
    pub(super) share_a_token: f32,
    pub(super) most_tokens: u32,
}

impl Seen {
    /// Without any limit.
    pub(super) const OPEN: Self = Self {
        ahead: f32::NEG_INFINITY,
        left_requests: u32::MAX,
        left_tokens: u32::MAX,
        share_requests: 1.0,
        share_tokens: 1.0,
        share_a_token: 0.0,
        most_tokens: u32::MAX,
    };

    /// The room for a request of so many tokens, where it fits.
    pub(super) fn room(&self, tokens: u32) -> Option<Room> {
        if self.left_requests == 0 || self.left_tokens < tokens {
            return None;
        }
        let share_tokens = self.share_tokens - tokens as f32 * self.share_a_token;
        let share = self.share_requests.min(share_tokens).max(0.0);
        Some(Room { share, ahead: self.ahead, shut: None, most_tokens: self.most_tokens })
    }
}

impl Glance {
    /// What was seen a moment ago, if nothing has changed since.
    pub(super) fn get(&self, now_ms: u64) -> Option<Seen> {
        let seen = self.seen.load(Relaxed);
        if seen == 0 || (now_ms as u32).wrapping_sub(high(seen)) >= FRESH_MS {
            return None;
        }
        let [left, shares, tokens] = [&self.left, &self.shares, &self.tokens].map(|word| word.load(Relaxed));
        Some(Seen {
            ahead: f32::from_bits(seen as u32),
            left_requests: high(left),
            left_tokens: left as u32,
            share_requests: f32::from_bits(high(shares)),
            share_tokens: f32::from_bits(shares as u32),
            share_a_token: f32::from_bits(high(tokens)),
            most_tokens: tokens as u32,
        })
    }

    pub(super) fn put(&self, seen: &Seen, now_ms: u64) {
        self.left.store(pack(seen.left_requests, seen.left_tokens), Relaxed);
        self.shares.store(pack(seen.share_requests.to_bits(), seen.share_tokens.to_bits()), Relaxed);
        self.tokens.store(pack(seen.share_a_token.to_bits(), seen.most_tokens), Relaxed);
        self.seen.store(pack(now_ms as u32, seen.ahead.to_bits()), Relaxed);
    }

    /// Something has changed.
    pub(super) fn forget(&self) {
        self.seen.store(0, Relaxed);
    }
}

fn pack(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

fn high(word: u64) -> u32 {
    (word >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: u64 = 1_787_400_000_000;

    #[test]
    fn what_was_seen_is_remembered_for_a_moment_and_until_something_changes() {
        let glance = Glance::default();
        assert!(glance.get(T).is_none());
        let seen = Seen { left_requests: 3, left_tokens: 500, share_a_token: 0.001, ..Seen::OPEN };
        glance.put(&seen, T);
        let room = glance.get(T + 9).and_then(|seen| seen.room(400)).expect("remembered");
        assert!((room.share - 0.6).abs() < 1e-6 && room.shut.is_none());
        assert!(glance.get(T + 9).expect("remembered").room(501).is_none(), "too much for a glance");
        assert!(glance.get(T + 10).is_none());
        glance.put(&seen, T);
        glance.forget();
        assert!(glance.get(T).is_none());
    }
}
