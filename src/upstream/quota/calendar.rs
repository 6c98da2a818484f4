//! How much there was since midnight, or since the first of the month, where the provider is.

use crate::catalog::Period;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Bits of the amount; the rest says which day or month it is of.
const AMOUNT_BITS: u32 = 40;
const AMOUNT: u64 = (1 << AMOUNT_BITS) - 1;

/// A count that begins anew at midnight or on the first of a month.
#[derive(Debug)]
pub(super) struct Calendar {
    zone: TimeZone,
    per: Period,
    /// The end of the day or month the count is of, Unix ms.
    ends_ms: AtomicU64,
    count: AtomicU64,
}

impl Calendar {
    pub(super) fn new(per: Period, zone: TimeZone) -> Self {
        Self { zone, per, ends_ms: AtomicU64::new(0), count: AtomicU64::new(0) }
    }

    pub(super) fn used(&self, now_ms: u64) -> u64 {
        amount_of(self.count.load(Relaxed), self.ends_ms(now_ms))
    }

    pub(super) fn take(&self, amount: u32, limit: u64, now_ms: u64) -> bool {
        let ends = self.ends_ms(now_ms);
        let fits = |word| {
            let sum = amount_of(word, ends) + u64::from(amount);
            (sum <= limit).then(|| pack(ends, sum))
        };
        self.count.fetch_update(Relaxed, Relaxed, fits).is_ok()
    }

    pub(super) fn add(&self, amount: u64, now_ms: u64) {
        let ends = self.ends_ms(now_ms);
        let more = |word| Some(pack(ends, amount_of(word, ends).saturating_add(amount)));
        let _ = self.count.fetch_update(Relaxed, Relaxed, more);
    }

    /// Changes what was added at `at_ms`, if that was in the day or month the count is of.
    pub(super) fn correct(&self, at_ms: u64, from: u32, to: u32) {
        let ends = self.ends_ms.load(Relaxed);
        if at_ms < ends && at_ms + self.length_ms() >= ends {
            let change = |word| {
                let was = amount_of(word, ends);
                Some(pack(ends, was.saturating_sub(u64::from(from)).saturating_add(u64::from(to))))
            };
            let _ = self.count.fetch_update(Relaxed, Relaxed, change);
        }
    }

    /// The end of the day or month that `now_ms` is in.
    pub(super) fn ends_ms(&self, now_ms: u64) -> u64 {
        let ends = self.ends_ms.load(Relaxed);
        if now_ms < ends {
            return ends;
        }
        // Once a day: the zone's rules are looked at.
        let next = next_start(now_ms, self.per, &self.zone).unwrap_or(now_ms + self.length_ms());
        self.ends_ms.fetch_max(next, Relaxed).max(next)
    }

    /// How much of it has passed, 0 to 1.
    pub(super) fn elapsed(&self, now_ms: u64) -> f32 {
        let left = self.ends_ms(now_ms).saturating_sub(now_ms);
        (1.0 - left as f32 / self.length_ms() as f32).clamp(0.0, 1.0)
    }

    fn length_ms(&self) -> u64 {
        u64::from(self.per.seconds()) * 1000
    }
}

/// When the next day or month of the zone begins, Unix ms; shorter periods are cut from the hour on.
pub(crate) fn next_start(now_ms: u64, per: Period, zone: &TimeZone) -> Option<u64> {
    if let Period::Seconds(seconds) = per {
        let length_ms = u64::from(seconds) * 1000;
        return Some((now_ms / length_ms + 1) * length_ms);
    }
    let now = Timestamp::from_millisecond(i64::try_from(now_ms).ok()?).ok()?.to_zoned(zone.clone());
    let next: Zoned = match per {
        Period::Month => now.first_of_month().ok()?.checked_add(1.month()).ok()?.start_of_day().ok()?,
        _ => now.tomorrow().ok()?.start_of_day().ok()?,
    };
    u64::try_from(next.timestamp().as_millisecond()).ok()
}

fn amount_of(word: u64, ends_ms: u64) -> u64 {
    if word >> AMOUNT_BITS == tag(ends_ms) { word & AMOUNT } else { 0 }
}

fn pack(ends_ms: u64, amount: u64) -> u64 {
    tag(ends_ms) << AMOUNT_BITS | amount.min(AMOUNT)
}

/// What follows one another ends in different seconds; the same tag comes again after half a year.
fn tag(ends_ms: u64) -> u64 {
    (ends_ms / 1_000) & (u64::MAX >> AMOUNT_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZoneDatabase;

    /// 2026-08-22 12:00 UTC.
    const T: u64 = 1_787_400_000_000;
    const HOUR: u64 = 3_600_000;

    fn day(zone: &str) -> Calendar {
        Calendar::new(Period::Day, TimeZoneDatabase::bundled().get(zone).expect("a zone"))
    }

    #[test]
    fn a_day_ends_at_its_own_midnight() {
        let (utc, pacific) = (day("UTC"), day("America/Los_Angeles"));
        assert_eq!(utc.ends_ms(T), T + 12 * HOUR);
        assert_eq!(pacific.ends_ms(T), T + 19 * HOUR);
        for day in [utc, pacific] {
            assert!(day.take(2, 2, T) && !day.take(1, 2, T + HOUR));
            let midnight = day.ends_ms(T);
            assert!(!day.take(1, 2, midnight - 1) && day.take(1, 2, midnight));
            assert_eq!(day.used(midnight), 1);
        }
    }

    #[test]
    fn a_minute_of_the_clock_ends_with_it() {
        let minute = Calendar::new(Period::MINUTE, TimeZone::UTC);
        assert_eq!(minute.ends_ms(T + 59_999), T + 60_000);
        assert!(minute.take(1, 1, T + 59_999) && minute.take(1, 1, T + 60_000));
    }

    #[test]
    fn a_month_ends_on_the_first() {
        let month = Calendar::new(Period::Month, TimeZone::UTC);
        assert_eq!(month.ends_ms(T), T + (9 * 24 + 12) * HOUR);
    }

    #[test]
    fn the_day_passes_evenly() {
        let day = day("UTC");
        assert!((day.elapsed(T) - 0.5).abs() < 1e-4);
        assert!((day.elapsed(T + 6 * HOUR) - 0.75).abs() < 1e-4);
    }

    #[test]
    fn yesterdays_corrections_do_not_touch_today() {
        let day = day("UTC");
        day.add(100, T);
        day.correct(T, 100, 40);
        assert_eq!(day.used(T), 40);
        let tomorrow = day.ends_ms(T);
        day.add(7, tomorrow);
        day.correct(T, 40, 0);
        assert_eq!(day.used(tomorrow), 7);
    }
}
