//! Until when to leave something alone, and the circuit breaker over it.

use crate::routing::condition::Cause;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// A moment and its cause in one word, moved only forward while it lies ahead.
#[derive(Debug, Default)]
pub(super) struct Until(AtomicU64);

impl Until {
    /// Not before `at_ms`. An earlier moment does not replace a later one.
    pub(super) fn extend(&self, at_ms: u64, cause: Cause) {
        self.0.fetch_max(pack(at_ms, cause), Relaxed);
    }

    /// Not before `at_ms`, whatever was said before.
    fn set(&self, at_ms: u64, cause: Cause) {
        self.0.store(pack(at_ms, cause), Relaxed);
    }

    /// Milliseconds left and why; `None` when over.
    pub(super) fn left(&self, now_ms: u64) -> Option<(u64, Cause)> {
        let word = self.0.load(Relaxed);
        let for_ms = (word >> 8).checked_sub(now_ms).filter(|ms| *ms > 0)?;
        Some((for_ms, cause_of(word as u8)))
    }
}

/// Milliseconds take 41 bits; the cause rides in the lowest 8.
fn pack(at_ms: u64, cause: Cause) -> u64 {
    at_ms.min(u64::MAX >> 8) << 8 | cause as u64
}

fn cause_of(byte: u8) -> Cause {
    Cause::ALL.into_iter().find(|c| *c as u8 == byte).unwrap_or(Cause::Misbehaving)
}

/// Failures in a row that eject. Before, each rests it for as many seconds as there were.
const EJECT_AFTER: u32 = 3;
/// How long half-open trials keep others out, should their end never be reported.
const TRIAL_MS: u64 = 30_000;

/// How long an ejection lasts, the first one and those that follow without a success, milliseconds.
///
/// Something that cannot be reached may be there again at any moment, and has to be back within a minute of
/// that. A model that answers nonsense or breaks off is broken itself, and its trials cost callers an answer.
const fn ejections(cause: Cause) -> &'static [u64] {
    match cause {
        Cause::Misbehaving => &[30_000, 300_000, 1_200_000, 3_600_000],
        Cause::Truncated => &[300_000, 1_200_000, 3_600_000],
        _ => &[30_000, 45_000],
    }
}

/// A circuit breaker: closed; in doubt or open, resting for longer each time; half-open, one trial at a time
/// by real traffic, until a success closes it.
///
/// One or two failures rest the endpoint for one or two seconds; the third ejects it. An attempt
/// that timed out ejects at once, since the next would cost a caller the same long wait; so does a stream that
/// broke off where none has ever come to its end, since nobody can be asked in its place. Failures of attempts
/// that were under way together belong to the same outage and count once, and one that overlaps a
/// success is chance rather than an outage: an endpoint under load is not ejected for a rare error.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    rest: Until,
    strikes: AtomicU32,
    trial_until: AtomicU64,
    last_success_ms: AtomicU64,
    last_strike_ms: AtomicU64,
}

/// A half-open trial under way; what releases it.
#[derive(Debug)]
pub(super) struct Trial(u64);

impl Breaker {
    /// Milliseconds until it may be called and why not now.
    pub(super) fn closed_for(&self, now_ms: u64) -> Option<(u64, Cause)> {
        if !self.in_doubt() {
            return None;
        }
        let trial = self.trial_until.load(Relaxed);
        self.rest.left(now_ms).or_else(|| (trial > now_ms).then(|| (trial - now_ms, self.cause())))
    }

    /// Takes the half-open trial where there is one to take.
    ///
    /// # Errors
    /// Milliseconds and cause where it is taken already.
    pub(super) fn enter(&self, now_ms: u64) -> Result<Option<Trial>, (u64, Cause)> {
        if !self.in_doubt() {
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

    /// It answered: closed, even if only a last resort had asked.
    /// Returns whether it had been ejected.
    pub(super) fn success(&self, now_ms: u64) -> bool {
        self.last_success_ms.fetch_max(now_ms, Relaxed);
        self.strikes.swap(0, Relaxed) >= EJECT_AFTER
    }

    /// An attempt that began `took_ms` ago failed.
    pub(super) fn failure(&self, cause: Cause, took_ms: u64, now_ms: u64) {
        let began = now_ms.saturating_sub(took_ms);
        let overlaps = self.last_success_ms.load(Relaxed) > began;
        let same_outage = self.last_strike_ms.load(Relaxed) > began;
        let before = self.strikes.load(Relaxed);
        if overlaps || same_outage || before > 0 && self.rest.left(now_ms).is_some() {
            return;
        }
        self.last_strike_ms.fetch_max(now_ms, Relaxed);
        let unproven = self.last_success_ms.load(Relaxed) == 0;
        let at_once = cause == Cause::Timeout || cause == Cause::Truncated && unproven;
        let before = if at_once { before.max(EJECT_AFTER - 1) } else { before };
        let strikes = before.saturating_add(1);
        self.strikes.store(strikes, Relaxed);
        let rest_ms = match strikes.checked_sub(EJECT_AFTER) {
            Some(again) => {
                let lengths = ejections(cause);
                lengths[(again as usize).min(lengths.len() - 1)]
            }
            None => u64::from(strikes) * 1000,
        };
        self.rest.set(now_ms + rest_ms, cause);
    }

    /// How often its trials have timed out since it last answered, if that is why it is in doubt.
    pub(super) fn timed_out(&self) -> Option<u32> {
        let strikes = self.strikes.load(Relaxed);
        (strikes >= EJECT_AFTER && self.cause() == Cause::Timeout).then(|| strikes - EJECT_AFTER)
    }

    /// It failed, and has not succeeded since.
    pub(super) fn in_doubt(&self) -> bool {
        self.strikes.load(Relaxed) > 0
    }

    /// The cause of the last rest, over or not.
    fn cause(&self) -> Cause {
        self.rest.left(0).map_or(Cause::ServerError, |(_, cause)| cause)
    }
}

#[cfg(test)]
mod tests;
