//! One limit: what it counts, how much of it is used, and how much there is.

use super::calendar::Calendar;
use super::sliding::Sliding;
use crate::catalog::{Period, Unit, Window};
use crate::routing::condition::Cause;
use jiff::tz::TimeZone;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// No limit is known.
const NONE: u64 = u64::MAX;

/// Counts one unit over one period, and holds it to a limit where one is known.
#[derive(Debug)]
pub(super) struct Meter {
    pub(super) unit: Unit,
    pub(super) per: Period,
    window: Counting,
    /// What the profile says.
    written: u64,
    /// What the profile or a reply says.
    limit: AtomicU64,
    /// What a refusal has shown to be too much, although the limit allows it.
    cut: AtomicU64,
    cut_at_ms: AtomicU64,
}

#[derive(Debug)]
enum Counting {
    Sliding(Sliding),
    Calendar(Calendar),
}

impl Meter {
    pub(super) fn new(unit: Unit, per: Period, window: Window, zone: &TimeZone) -> Self {
        let window = match window {
            Window::Sliding => Counting::Sliding(Sliding::new(per.seconds())),
            Window::Calendar => Counting::Calendar(Calendar::new(per, zone.clone())),
        };
        let [limit, cut, cut_at_ms] = [NONE, NONE, 0].map(AtomicU64::new);
        Self { unit, per, window, written: NONE, limit, cut, cut_at_ms }
    }

    /// How much there is at `now_ms`; `None` when nobody knows.
    ///
    /// What a refusal cut off grows back, a twentieth of what was left with each period, and at least one.
    pub(super) fn limit(&self, now_ms: u64) -> Option<u64> {
        let (limit, cut) = (self.limit.load(Relaxed), self.cut.load(Relaxed));
        if cut == NONE {
            return (limit != NONE).then_some(limit);
        }
        let passed_ms = now_ms.saturating_sub(self.cut_at_ms.load(Relaxed));
        let periods = passed_ms / (u64::from(self.per.seconds()) * 1000);
        Some(limit.min(cut.saturating_add(periods.saturating_mul((cut / 20).max(1)))))
    }

    /// The profile says how much there is.
    pub(super) fn write(&mut self, limit: u64) {
        self.written = limit;
        self.set_limit(Some(limit));
    }

    /// Whether replies have taught another limit than the profile's.
    pub(super) fn has_learned(&self, now_ms: u64) -> bool {
        self.limit(now_ms).unwrap_or(NONE) != self.written
    }

    /// A limit learned before a restart. It grows back like one a refusal has shown: who wrote it is not known
    /// any more, and it may be old.
    pub(super) fn recall(&self, limit: u64, now_ms: u64) {
        if limit < self.limit(now_ms).unwrap_or(NONE) {
            self.cut_at_ms.store(now_ms, Relaxed);
            self.cut.store(limit, Relaxed);
        }
    }

    /// The provider says how much there is.
    pub(super) fn set_limit(&self, limit: Option<u64>) {
        self.limit.store(limit.unwrap_or(NONE), Relaxed);
    }

    /// The limit as it was said, whatever refusals have shown.
    pub(super) fn said(&self) -> Option<u64> {
        Some(self.limit.load(Relaxed)).filter(|limit| *limit != NONE)
    }

    /// A refusal shows that the last of what is used was too much. Where that was all there is nothing to
    /// learn: whoever used up the rest was not seen.
    pub(super) fn refused(&self, now_ms: u64) {
        let used = self.used(now_ms);
        let most = match self.unit {
            Unit::Requests => used.saturating_sub(1),
            Unit::Tokens => used / 10 * 9,
        };
        if most == 0 {
            return;
        }
        // One burst of refusals is one lesson.
        let known = self.limit(now_ms).unwrap_or(NONE);
        if most < known {
            self.cut.store(most, Relaxed);
            self.cut_at_ms.store(now_ms, Relaxed);
        }
    }

    pub(super) fn used(&self, now_ms: u64) -> u64 {
        match &self.window {
            Counting::Sliding(window) => window.used(now_ms),
            Counting::Calendar(window) => window.used(now_ms),
        }
    }

    /// Counts `amount` more if there is as much.
    pub(super) fn take(&self, amount: u32, now_ms: u64) -> bool {
        let limit = self.limit(now_ms).unwrap_or(NONE);
        match &self.window {
            Counting::Sliding(window) => window.take(amount, limit, now_ms),
            Counting::Calendar(window) => window.take(amount, limit, now_ms),
        }
    }

    /// Makes `from`, counted at `at_ms`, `to`.
    pub(super) fn correct(&self, at_ms: u64, from: u32, to: u32) {
        match &self.window {
            Counting::Sliding(window) => window.correct(at_ms, from, to),
            Counting::Calendar(window) => window.correct(at_ms, from, to),
        }
    }

    /// The provider says more is used than we know of. That there is less used is never believed: what we
    /// sent may not have arrived.
    pub(super) fn at_least(&self, used: u64, now_ms: u64) {
        self.add(used.saturating_sub(self.used(now_ms)), now_ms);
    }

    /// Counts `amount` more, whether there is as much or not.
    pub(super) fn add(&self, amount: u64, now_ms: u64) {
        match &self.window {
            Counting::Sliding(window) => window.add(u32::try_from(amount).unwrap_or(u32::MAX), now_ms),
            Counting::Calendar(window) => window.add(amount, now_ms),
        }
    }

    /// The same, of something that is all back in so many milliseconds, where that is known and sooner than
    /// the window is long.
    pub(super) fn at_least_for(&self, used: u64, resets_in_ms: Option<u64>, now_ms: u64) {
        let (Counting::Sliding(window), Some(left)) = (&self.window, resets_in_ms.filter(|ms| *ms > 0))
        else {
            return self.at_least(used, now_ms);
        };
        // Counted as if it had been used as long ago as it takes to be forgotten in time.
        let ago = (u64::from(self.per.seconds()) * 1000).saturating_sub(left);
        let missing = used.saturating_sub(self.used(now_ms));
        window.add_at(u32::try_from(missing).unwrap_or(u32::MAX), now_ms.saturating_sub(ago), now_ms);
    }

    /// Milliseconds until there is room for `amount` more; `None` when that is more than there ever is.
    pub(super) fn room_in(&self, amount: u32, now_ms: u64) -> Option<u64> {
        let Some(limit) = self.limit(now_ms) else { return Some(0) };
        match &self.window {
            Counting::Sliding(window) => window.room_in(amount, limit, now_ms),
            Counting::Calendar(_) if u64::from(amount) > limit => None,
            Counting::Calendar(window) if window.used(now_ms) + u64::from(amount) <= limit => Some(0),
            Counting::Calendar(window) => Some(window.ends_ms(now_ms).saturating_sub(now_ms)),
        }
    }

    /// When all of it is back, Unix ms; of a sliding window, when nothing more is added.
    pub(super) fn ends_ms(&self, now_ms: u64) -> u64 {
        match &self.window {
            Counting::Sliding(window) => window.empty_ms(now_ms),
            Counting::Calendar(window) => window.ends_ms(now_ms),
        }
    }

    /// The share that may be used by now at an even pace: what has passed of the period. A sliding window
    /// never begins anew; a tenth of it is kept.
    pub(super) fn even(&self, now_ms: u64) -> f32 {
        match &self.window {
            Counting::Sliding(_) => 0.9,
            Counting::Calendar(window) => window.elapsed(now_ms),
        }
    }

    /// What it means to have none of it left.
    pub(super) const fn cause(&self) -> Cause {
        if self.per.seconds() > 3_600 { Cause::QuotaSpent } else { Cause::RateLimited }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: u64 = 1_787_400_000_000;

    fn meter(limit: Option<u64>) -> Meter {
        let meter = Meter::new(Unit::Requests, Period::MINUTE, Window::Sliding, &TimeZone::UTC);
        meter.set_limit(limit);
        meter
    }

    #[test]
    fn without_a_limit_everything_is_counted_and_nothing_refused() {
        let meter = meter(None);
        assert!((0..1_000).all(|_| meter.take(1, T)));
        assert_eq!((meter.used(T), meter.limit(T), meter.room_in(1, T)), (1_000, None, Some(0)));
    }

    #[test]
    fn a_refusal_teaches_a_limit_that_grows_back() {
        let meter = meter(None);
        (0..11).for_each(|_| assert!(meter.take(1, T)));
        meter.refused(T);
        assert_eq!(meter.limit(T), Some(10));
        assert!(!meter.take(1, T));
        assert_eq!(meter.limit(T + 180_000), Some(13));
    }

    #[test]
    fn what_was_cut_off_grows_back_to_what_was_said_and_no_further() {
        let meter = meter(Some(30));
        (0..6).for_each(|_| assert!(meter.take(1, T)));
        meter.refused(T);
        meter.refused(T + 10);
        assert_eq!(meter.limit(T), Some(5));
        assert_eq!(meter.limit(T + 24 * 3_600_000), Some(30));
    }

    #[test]
    fn what_is_back_soon_is_forgotten_soon() {
        let meter = meter(Some(30));
        meter.at_least_for(30, Some(5_000), T);
        assert!(!meter.take(1, T) && !meter.take(1, T + 4_900));
        assert!(meter.take(1, T + 6_000));
        meter.at_least_for(30, Some(600_000), T + 6_000);
        assert!(!meter.take(1, T + 65_000) && meter.take(1, T + 67_000));
    }

    #[test]
    fn the_provider_is_believed_when_it_says_that_more_is_used() {
        let meter = meter(Some(30));
        meter.at_least(28, T);
        meter.at_least(3, T);
        assert_eq!(meter.used(T), 28);
        assert!(meter.take(2, T) && !meter.take(1, T));
    }
}
