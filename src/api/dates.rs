//! Days and moments of UTC, from and to Unix time.

pub(super) use crate::ledger::DAY_MS;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

/// Seconds in a day.
pub(super) const DAY_S: u64 = 86_400;

/// `2026-02-03T04:05:06.789Z`.
pub(super) fn rfc3339(ms: u64) -> String {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX).to_string()
}

/// Unix ms of an RFC 3339 moment.
pub(super) fn moment_ms(text: &str) -> Option<u64> {
    let moment: Timestamp = text.parse().ok()?;
    u64::try_from(moment.as_millisecond()).ok()
}

/// `2026-02-03`.
pub(super) fn date(day: u32) -> String {
    calendar(day).to_string()
}

/// The day of `2026-02-03`, since 1970.
pub(super) fn day_of_date(text: &str) -> Option<u32> {
    let date: Date = text.parse().ok().filter(|date: &Date| date.to_string() == text)?;
    u32::try_from(date.duration_since(EPOCH).as_hours() / 24).ok()
}

/// Unix ms of the beginning of the day, of its week (which begins on Monday) and of its month.
pub(super) fn periods_ms(day: u32) -> [u64; 3] {
    let date = calendar(day);
    let week = day.saturating_sub(u32::try_from(date.weekday().to_monday_zero_offset()).unwrap_or(0));
    let month = day.saturating_sub(u32::try_from(date.day() - 1).unwrap_or(0));
    [day, week, month].map(|day| u64::from(day) * DAY_MS)
}

const EPOCH: Date = Date::constant(1970, 1, 1);

fn calendar(day: u32) -> Date {
    EPOCH.checked_add(SignedDuration::from_hours(24 * i64::from(day))).unwrap_or(Date::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-02-03, a Tuesday.
    const DAY: u32 = 20_487;

    #[test]
    fn moments_are_written_and_read() {
        let ms = u64::from(DAY) * DAY_MS + 1_500;
        assert_eq!(rfc3339(ms), "2026-02-03T00:00:01.5Z");
        assert_eq!(moment_ms("2026-02-03T01:00:01.500+01:00"), Some(ms));
        assert_eq!(moment_ms("1969-12-31T23:59:59Z"), None);
        assert_eq!(moment_ms("tomorrow"), None);
    }

    #[test]
    fn dates_are_written_and_read() {
        assert_eq!((date(DAY), date(0)), ("2026-02-03".to_owned(), "1970-01-01".to_owned()));
        assert_eq!(day_of_date("2026-02-03"), Some(DAY));
        for text in ["", "2026-2-3", "2026-02-30", "1969-12-31", "20260203", "2026-02-03T00:00"] {
            assert_eq!(day_of_date(text), None, "{text}");
        }
    }

    #[test]
    fn weeks_begin_on_monday_and_months_on_the_first() {
        let days = periods_ms(DAY).map(|ms| date((ms / DAY_MS) as u32));
        assert_eq!(days, ["2026-02-03", "2026-02-02", "2026-02-01"]);
    }
}
