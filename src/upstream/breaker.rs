//! Until when to leave something alone, and the circuit breaker over it.

use crate::routing::condition::Cause;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// A moment and its cause in one word, moved only forward while it lies ahead.
#[derive(Debug, Default)]
pub(super) struct Until(AtomicU64);

impl Until {
    /// Not before `at_ms`. An earlier moment does not replace a later one.
    pub(super) fn extend(&self, at_ms: u64, cause: Cause) {
        // Milliseconds take 41 bits; the cause rides in the lowest 8.
        self.0.fetch_max(at_ms.min(u64::MAX >> 8) << 8 | cause as u64, Relaxed);
    }

    /// Milliseconds left and why; `None` when over.
    pub(super) fn left(&self, now_ms: u64) -> Option<(u64, Cause)> {
        let word = self.0.load(Relaxed);
        let for_ms = (word >> 8).checked_sub(now_ms).filter(|ms| *ms > 0)?;
        Some((for_ms, cause_of(word as u8)))
    }
}

fn cause_of(byte: u8) -> Cause {
    use Cause::*;
    const ALL: [Cause; 10] = [
        RateLimited,
        QuotaSpent,
        Overloaded,
        ServerError,
        Timeout,
        Connect,
        BadKey,
        ModelGone,
        Misbehaving,
        Busy,
    ];
    ALL.into_iter().find(|c| *c as u8 == byte).unwrap_or(Misbehaving)
}

/// This many failures without a success between eject.
const EJECT_AFTER: u32 = 3;
/// The first ejection's length; it doubles with every further failure.
const EJECT_MS: u64 = 30_000;
/// The longest ejection.
const MAX_EJECT_MS: u64 = 300_000;
/// How long one half-open trial keeps others out, should its end never be reported.
const TRIAL_MS: u64 = 30_000;

/// A circuit breaker: closed; open, with a doubling cool-down; half-open, one trial at a time by
/// real traffic.
///
/// One or two failures rest the endpoint for one or two seconds; the third ejects it. An attempt
/// that timed out ejects at once, since the next would cost a caller the same long wait. Failures
/// reported while it rests belong to the same outage and count once, and one that overlaps a
/// success is chance rather than an outage: an endpoint under load is not ejected for a rare error.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    rest: Until,
    strikes: AtomicU32,
    trial_until: AtomicU64,
    last_success_ms: AtomicU64,
}

/// A half-open trial under way; what releases it.
#[derive(Debug)]
pub(super) struct Trial(u64);

impl Breaker {
    /// Milliseconds until it may be called and why not now.
    pub(super) fn closed_for(&self, now_ms: u64) -> Option<(u64, Cause)> {
        if let Some(rest) = self.rest.left(now_ms) {
            return Some(rest);
        }
        let trial = self.trial_until.load(Relaxed);
        (self.half_open() && trial > now_ms).then(|| (trial - now_ms, self.cause()))
    }

    /// Takes the half-open trial where there is one to take.
    ///
    /// # Errors
    /// Milliseconds and cause where it is taken already.
    pub(super) fn enter(&self, now_ms: u64) -> Result<Option<Trial>, (u64, Cause)> {
        if !self.half_open() {
            return Ok(None);
        }
        let seen = self.trial_until.load(Relaxed);
        let mine = now_ms + TRIAL_MS;
        if seen > now_ms || self.trial_until.compare_exchange(seen, mine, Relaxed, Relaxed).is_err() {
            return Err((seen.saturating_sub(now_ms).max(1), self.cause()));
        }
        Ok(Some(Trial(mine)))
    }

    /// Gives the trial back, whatever came of it. One that outlived its time has been replaced.
    pub(super) fn release(&self, trial: &Trial) {
        let _ = self.trial_until.compare_exchange(trial.0, 0, Relaxed, Relaxed);
    }

    /// It answered: closed.
    pub(super) fn success(&self, now_ms: u64) {
        self.last_success_ms.fetch_max(now_ms, Relaxed);
        self.strikes.store(0, Relaxed);
    }

    /// An attempt that began `took_ms` ago failed.
    pub(super) fn failure(&self, cause: Cause, took_ms: u64, now_ms: u64) {
        if self.rest.left(now_ms).is_some() {
            return;
        }
        let slow = cause == Cause::Timeout;
        let overlaps = self.last_success_ms.load(Relaxed) > now_ms.saturating_sub(took_ms);
        let strikes = self.strikes.load(Relaxed).saturating_add(1);
        let strikes = if slow && !overlaps { strikes.max(EJECT_AFTER) } else { strikes };
        self.strikes.store(strikes, Relaxed);
        let rest_ms = match strikes.checked_sub(EJECT_AFTER) {
            Some(more) => (EJECT_MS << more.min(8)).min(MAX_EJECT_MS),
            None if overlaps => return,
            None => u64::from(strikes) * 1000,
        };
        self.rest.extend(now_ms + rest_ms, cause);
    }

    fn half_open(&self) -> bool {
        self.strikes.load(Relaxed) >= EJECT_AFTER
    }

    /// The cause of the last rest, over or not.
    fn cause(&self) -> Cause {
        self.rest.left(0).map_or(Cause::ServerError, |(_, cause)| cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: u64 = 1_000_000;

    fn failing(times: u32) -> (Breaker, u64) {
        let (breaker, mut now) = (Breaker::default(), T);
        for _ in 0..times {
            breaker.failure(Cause::ServerError, 10, now);
            now += breaker.closed_for(now).map_or(0, |(ms, _)| ms);
        }
        (breaker, now)
    }

    #[test]
    fn cool_downs_grow_from_a_second_and_double_up_to_five_minutes() {
        let (breaker, mut now) = (Breaker::default(), T);
        let mut rests = Vec::new();
        for _ in 0..8 {
            breaker.failure(Cause::ServerError, 10, now);
            let (ms, cause) = breaker.closed_for(now).expect("resting");
            assert_eq!(cause, Cause::ServerError);
            rests.push(ms / 1000);
            now += ms;
        }
        assert_eq!(rests, [1, 2, 30, 60, 120, 240, 300, 300]);
    }

    #[test]
    fn half_open_admits_one_trial_at_a_time() {
        let (breaker, now) = failing(3);
        let trial = breaker.enter(now).expect("free").expect("half-open");
        assert!(breaker.enter(now).is_err());
        assert!(breaker.closed_for(now).is_some());
        breaker.release(&trial);
        assert!(breaker.enter(now).expect("free again").is_some());
    }

    #[test]
    fn a_success_closes_it() {
        let (breaker, now) = failing(5);
        breaker.success(now);
        assert!(breaker.enter(now).expect("closed").is_none());
        breaker.failure(Cause::ServerError, 0, now + 10);
        assert_eq!(breaker.closed_for(now + 10), Some((1_000, Cause::ServerError)));
    }

    #[test]
    fn a_trial_that_never_ends_is_replaced_and_cannot_release_its_successor() {
        let (breaker, now) = failing(3);
        let lost = breaker.enter(now).expect("free").expect("half-open");
        let later = now + TRIAL_MS;
        assert!(breaker.enter(later).expect("free").is_some());
        breaker.release(&lost);
        assert!(breaker.enter(later + 1).is_err());
    }

    #[test]
    fn one_timeout_ejects_unless_others_were_answered_meanwhile() {
        let dead = Breaker::default();
        dead.failure(Cause::Timeout, 10_000, T);
        assert_eq!(dead.closed_for(T), Some((30_000, Cause::Timeout)));
        let busy = Breaker::default();
        busy.success(T - 5_000);
        busy.failure(Cause::Timeout, 10_000, T);
        assert_eq!(busy.closed_for(T), None);
    }

    #[test]
    fn one_outage_counts_once_however_many_requests_it_hits() {
        let breaker = Breaker::default();
        (0..50).for_each(|i| breaker.failure(Cause::ServerError, 100, T + i));
        assert_eq!(breaker.closed_for(T), Some((1_000, Cause::ServerError)));
    }

    #[test]
    fn a_later_moment_wins_and_times_are_bounded() {
        let until = Until::default();
        until.extend(T + 100, Cause::QuotaSpent);
        until.extend(T + 50, Cause::Timeout);
        assert_eq!(until.left(T), Some((100, Cause::QuotaSpent)));
        assert_eq!(until.left(T + 100), None);
        until.extend(u64::MAX, Cause::BadKey);
        assert!(until.left(T).is_some());
    }

    #[test]
    fn every_cause_survives_packing() {
        for byte in 0..10 {
            assert_eq!(cause_of(byte) as u8, byte);
        }
    }
}
