//! How many retries all requests together may cause, so that an outage is not multiplied.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What one request adds, in thousandths of a retry: one retry for five requests.
const PER_REQUEST: u64 = 200;
/// What every millisecond adds, in thousandths: ten retries a second, whatever the load.
const PER_MS: u64 = 10;
/// The most saved up: ten seconds of the floor.
const MOST: u64 = 100_000;
/// What a retry costs.
const RETRY: u64 = 1000;
const SAVED_BITS: u32 = 20;

/// Finagle's retry budget: a fifth of the requests plus ten a second, saved for ten seconds.
#[derive(Debug)]
pub struct RetryBudget(AtomicU64);

impl RetryBudget {
    /// A full one.
    pub fn new(now_ms: u64) -> Self {
        Self(AtomicU64::new(now_ms << SAVED_BITS | MOST))
    }

    /// A request came in.
    pub fn deposit(&self, now_ms: u64) {
        let _ = self.0.fetch_update(Relaxed, Relaxed, |word| {
            let (at, saved) = refilled(word, now_ms);
            Some(at << SAVED_BITS | (saved + PER_REQUEST).min(MOST))
        });
    }

    /// Takes one retry; `false` when there is none to take.
    pub fn withdraw(&self, now_ms: u64) -> bool {
        let taken = self.0.fetch_update(Relaxed, Relaxed, |word| {
            let (at, saved) = refilled(word, now_ms);
            Some(at << SAVED_BITS | saved.checked_sub(RETRY)?)
        });
        taken.is_ok()
    }
}

fn refilled(word: u64, now_ms: u64) -> (u64, u64) {
    let (at, saved) = (word >> SAVED_BITS, word & ((1 << SAVED_BITS) - 1));
    let passed = now_ms.saturating_sub(at);
    (at.max(now_ms), saved.saturating_add(passed.saturating_mul(PER_MS)).min(MOST))
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: u64 = 1_787_400_000_000;

    fn spent() -> RetryBudget {
        let budget = RetryBudget::new(T);
        assert_eq!((0..200).filter(|_| budget.withdraw(T)).count(), 100);
        budget
    }

    #[test]
    fn five_requests_pay_for_one_retry() {
        let budget = spent();
        (0..4).for_each(|_| budget.deposit(T));
        assert!(!budget.withdraw(T));
        budget.deposit(T);
        assert!(budget.withdraw(T) && !budget.withdraw(T));
    }

    #[test]
    fn ten_retries_a_second_are_always_there() {
        let budget = spent();
        assert!(!budget.withdraw(T + 99));
        assert!(budget.withdraw(T + 100));
        assert_eq!((0..50).filter(|_| budget.withdraw(T + 1_100)).count(), 10);
    }

    #[test]
    fn no_more_is_saved_than_ten_seconds_worth() {
        let budget = RetryBudget::new(T);
        (0..10_000).for_each(|_| budget.deposit(T + 60_000));
        assert_eq!((0..1_000).filter(|_| budget.withdraw(T + 60_000)).count(), 100);
        assert!(!budget.withdraw(T), "a clock that steps back adds nothing");
    }
}
