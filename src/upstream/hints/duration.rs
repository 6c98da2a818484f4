//! Times and durations as providers write them.

use jiff::Timestamp;
use jiff::fmt::rfc2822;

/// Longer than this is no wait but a mistake, and ignored.
const MAX_CREDIBLE_MS: f64 = 31.0 * 86_400_000.0;

/// Milliseconds from now: seconds (`2`, `38.2`), a Go duration (`1m26.4s`, `825ms`), a Unix time in
/// seconds or milliseconds, an HTTP date or RFC 3339. Negative, absurd and unreadable values are
/// `None`; times gone by are 0.
pub(in crate::upstream) fn parse_wait(text: &str, now_ms: u64) -> Option<u64> {
    let text = text.trim();
    if let Ok(number) = text.parse::<f64>() {
        let ms = match number {
            n if n > 1e12 => (n - now_ms as f64).max(0.0),
            n if n > 1e9 => (n * 1000.0 - now_ms as f64).max(0.0),
            n => n * 1000.0,
        };
        return credible(ms);
    }
    if let Some((ms, "")) = duration(text) {
        return credible(ms);
    }
    if text.len() > 64 || !text.is_ascii() {
        return None;
    }
    let at = rfc2822::DateTimeParser::new()
        .parse_timestamp(text)
        .ok()
        .or_else(|| text.parse::<Timestamp>().ok())?;
    credible((at.as_millisecond() as f64 - now_ms as f64).max(0.0))
}

/// The wait a sentence names, in milliseconds: "try again in 7m12.5s", "please wait 30 seconds".
pub(super) fn in_prose(message: &str) -> Option<u64> {
    const MARKS: &[&str] =
        &["try again in ", "retry in ", "retry after ", "wait ", "available in ", "resets in "];
    MARKS.iter().find_map(|mark| {
        let at = message.find(mark)? + mark.len();
        let rest = message.get(at..)?;
        let (ms, _) = duration(rest.trim_start_matches("for ").trim_start_matches("about "))?;
        credible(ms)
    })
}

fn credible(ms: f64) -> Option<u64> {
    (ms.is_finite() && (0.0..=MAX_CREDIBLE_MS).contains(&ms)).then_some(ms.round() as u64)
}

/// A leading duration with units, in milliseconds, and what follows it.
fn duration(text: &str) -> Option<(f64, &str)> {
    let (mut total, mut rest, mut parts) = (0.0, text, 0);
    while let Some((ms, after)) = part(rest) {
        total += ms;
        rest = after;
        parts += 1;
        if parts == 4 {
            break;
        }
    }
    (parts > 0).then_some((total, rest))
}

/// One number and its unit: `7m`, `12.5 seconds`.
fn part(text: &str) -> Option<(f64, &str)> {
    const UNITS: &[(&str, f64)] = &[
        ("milliseconds", 1.0),
        ("ms", 1.0),
        ("seconds", 1000.0),
        ("second", 1000.0),
        ("sec", 1000.0),
        ("s", 1000.0),
        ("minutes", 60_000.0),
        ("minute", 60_000.0),
        ("min", 60_000.0),
        ("m", 60_000.0),
        ("hours", 3_600_000.0),
        ("hour", 3_600_000.0),
        ("h", 3_600_000.0),
        ("days", 86_400_000.0),
        ("day", 86_400_000.0),
        ("d", 86_400_000.0),
    ];
    let digits = text.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
    let number: f64 = text.get(..digits)?.parse().ok()?;
    let rest = text.get(digits..)?.trim_start_matches(' ');
    let (unit, ms) = UNITS.iter().find(|(unit, _)| rest.starts_with(unit))?;
    let after = rest.get(unit.len()..)?;
    // "5 models" is no five minutes.
    (!after.starts_with(|c: char| c.is_ascii_alphabetic())).then_some((number * ms, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-08-22 12:00:00 UTC.
    const NOW: u64 = 1_787_400_000_000;

    fn check(text: &str, expect: Option<u64>) {
        assert_eq!(parse_wait(text, NOW), expect, "{text}");
    }

    #[test]
    fn seconds_and_go_durations_are_read() {
        check("2", Some(2_000));
        check(" 38.25 ", Some(38_250));
        check("0", Some(0));
        check("1m26.4s", Some(86_400));
        check("825ms", Some(825));
        check("2h3m4s", Some(7_384_000));
        check("38.2s", Some(38_200));
    }

    #[test]
    fn points_in_time_are_read() {
        check("1787400030", Some(30_000));
        check("1787400030000", Some(30_000));
        check("Sat, 22 Aug 2026 12:00:30 GMT", Some(30_000));
        check("2026-08-22T12:00:30Z", Some(30_000));
        check("1787399999000", Some(0));
        check("Sat, 22 Aug 2020 12:00:00 GMT", Some(0));
    }

    #[test]
    fn nonsense_is_ignored() {
        for text in
            ["", "-1", "NaN", "inf", "-inf", "1e300", "soon", "s", "1x", "9999999999999999", "é", "1m ago"]
        {
            check(text, None);
        }
        check(&"9".repeat(400), None);
    }

    #[test]
    fn prose_names_its_wait() {
        let check = |text: &str, expect| assert_eq!(in_prose(text), expect, "{text}");
        check("please try again in 5.289s. need more", Some(5_289));
        check("try again in 7m12.345s.", Some(432_345));
        check("please wait 30 seconds before retrying", Some(30_000));
        check("please wait 0 seconds", Some(0));
        check("retry in 2 minutes", Some(120_000));
        check("please wait for 5 models", None);
        check("wait a minute", None);
        check("", None);
    }
}
