//! Every provider's way to say "wait".
//!
//! Pure. Sources in order of trust: `retry-after-ms`, `retry-after`, the reset of an exhausted
//! `x-ratelimit` bucket, the error body (Google's `RetryInfo`, `retry_after`, OpenRouter's copied
//! headers), its prose, and last a default by the kind of limit.

mod duration;

use crate::routing::verdict::{ErrorBody, Hint, Scope, Window};
use duration::{in_prose, parse_wait};
use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};

/// Looks a response header up by its lower-case name.
pub type Headers<'a> = &'a dyn Fn(&str) -> Option<&'a str>;

/// Shorter waits are not worth telling apart from none.
const MIN_WAIT_MS: u64 = 500;
/// No limit known lasts longer; a month's is asked about once a day.
const MAX_WAIT_MS: u64 = 24 * 3_600_000;
/// A request or token limit that does not say when it clears: they are mostly by the minute.
const QUOTA_WAIT_MS: u64 = 60_000;
/// "Please retry shortly": a pool shared with others.
const SHORTLY_MS: u64 = 15_000;
/// A full queue or too many requests at once.
const QUEUE_WAIT_MS: u64 = 1_500;

/// What the reply says about waiting; `None` when it says nothing of the kind. For an error inside
/// a 200 pass [`in_band_status`](crate::routing::verdict::in_band_status).
pub fn hint(status: u16, headers: Headers<'_>, error: &ErrorBody, now_ms: u64) -> Option<Hint> {
    if too_big(status, error) {
        return Some(Hint { wait_ms: 0, scope: Scope::Model, window: Window::TooBig });
    }
    let told = told(headers, error, now_ms);
    let limited = status == 429 || (names_limit(error) && !matches!(status, 401 | 402 | 404 | 410));
    let retryable = matches!(status, 408 | 409 | 425 | 500..=599);
    let window = window(status, headers, error);
    if !limited && !(retryable && (told.is_some() || busy(error))) {
        return None;
    }
    let wait_ms = match (window, told) {
        (Window::Day, Some(ms)) if ms > 0 && !is_google(error) => ms,
        (Window::Day, _) => until_midnight(is_google(error), now_ms),
        (_, Some(ms)) => ms,
        (Window::Concurrency, None) => QUEUE_WAIT_MS,
        (Window::Minute, None) if is_wall_clock_minute(error) => 60_000 - now_ms % 60_000,
        (Window::Unknown, None) if error.says(&["retry shortly"]) => SHORTLY_MS,
        (_, None) => QUOTA_WAIT_MS,
    };
    Some(Hint { wait_ms: wait_ms.clamp(MIN_WAIT_MS, MAX_WAIT_MS), scope: scope(headers, error), window })
}

/// Groq answers a request that exceeds the minute's tokens on its own with 413, a rate-limit code
/// and `retry-after`: waiting would go on for ever.
fn too_big(status: u16, error: &ErrorBody) -> bool {
    (status == 413 && error.is(&["rate_limit_exceeded"]))
        || (matches!(status, 400 | 413 | 429) && error.message.starts_with("request too large for model"))
}

fn told(headers: Headers<'_>, error: &ErrorBody, now_ms: u64) -> Option<u64> {
    let after_ms = headers("retry-after-ms").and_then(|v| parse_wait(v, now_ms)).map(|ms| ms / 1000);
    after_ms
        .or_else(|| parse_wait(headers("retry-after")?, now_ms))
        .or_else(|| parse_wait(headers("x-ratelimit-timeremaining")?, now_ms))
        .or_else(|| exhausted(headers).filter_map(|b| parse_wait(headers(&b.reset)?, now_ms)).max())
        .or_else(|| parse_wait(&error.retry, now_ms))
        .or_else(|| parse_wait(&error.reset, now_ms))
        .or_else(|| in_prose(&error.message))
}

/// One of a provider's limits and its header names.
struct Bucket {
    suffix: &'static str,
    reset: String,
}

/// The buckets whose `remaining` is 0. Where only the bare `x-ratelimit-reset` is sent, that one.
fn exhausted<'a>(headers: Headers<'a>) -> impl Iterator<Item = Bucket> + use<'a> {
    const SUFFIXES: &[&str] = &[
        "",
        "-requests",
        "-tokens",
        "-requests-minute",
        "-tokens-minute",
        "-requests-hour",
        "-tokens-hour",
        "-requests-day",
        "-tokens-day",
    ];
    SUFFIXES.iter().filter_map(move |&suffix| {
        let left = headers(&format!("x-ratelimit-remaining{suffix}"));
        let spent = match left {
            Some(left) => left.trim().parse::<f64>().is_ok_and(|n| n <= 0.0),
            None => suffix.is_empty(),
        };
        spent.then(|| Bucket { suffix, reset: format!("x-ratelimit-reset{suffix}") })
    })
}

fn window(status: u16, headers: Headers<'_>, error: &ErrorBody) -> Window {
    let kind = headers("x-ratelimit-type").unwrap_or_default().to_ascii_lowercase();
    let says = |text: &str, word: &str| text.contains(word);
    if says(&kind, "concurrent") || error.is(&["queue_exceeded", "engine_overloaded", "3021", "3040"]) {
        return Window::Concurrency;
    }
    if says(&kind, "byday") || says(&error.quota, "perday") || error.is(&["4006", "3036"]) {
        return Window::Day;
    }
    if says(&kind, "byminute") || says(&error.quota, "perminute") || is_wall_clock_minute(error) {
        return Window::Minute;
    }
    if let Some(window) = by_words(&error.message) {
        return window;
    }
    let spent = || exhausted(headers).filter(|b| headers(&b.reset).is_some());
    // Groq's `-requests` bucket is the day's, its `-tokens` the minute's.
    if spent().any(|b| matches!(b.suffix, "-requests" | "-requests-day" | "-tokens-day")) {
        return Window::Day;
    }
    if spent().any(|b| matches!(b.suffix, "-tokens" | "-requests-minute" | "-tokens-minute")) {
        return Window::Minute;
    }
    if matches!(status, 503 | 529) { Window::Concurrency } else { Window::Unknown }
}

/// The window named first: what follows is often an offer ("add credits for 1000 requests per day").
fn by_words(message: &str) -> Option<Window> {
    const WORDS: &[(Window, &[&str])] = &[
        (Window::Minute, &["per-min", "per min", "/ min", "/min", "(rpm)", "(tpm)", "per 60s"]),
        (
            Window::Day,
            &["per-day", "per day", "/ day", "/day", "(rpd)", "(tpd)", "daily", "per month", "/ month"],
        ),
        (Window::Concurrency, &["queue", "concurren", "overloaded", "capacity"]),
    ];
    let first = |words: &[&str]| words.iter().filter_map(|w| message.find(w)).min();
    WORDS.iter().filter_map(|(window, words)| Some((first(words)?, *window))).min_by_key(|f| f.0).map(|f| f.1)
}

fn scope(headers: Headers<'_>, error: &ErrorBody) -> Scope {
    let kind = headers("x-ratelimit-type").unwrap_or_default();
    if error.from_edge {
        return Scope::Provider;
    }
    let key = error.says(&["free-models-per", "trial key"])
        || error.is(&["4006", "3036"])
        || error.message.starts_with("too many requests") && error.code.is_empty()
        || kind.starts_with("User") && !kind.contains("ByModel")
        || !error.quota.is_empty() && !error.quota.contains("permodel");
    if key { Scope::Key } else { Scope::Model }
}

fn names_limit(error: &ErrorBody) -> bool {
    error.is(&[
        "rate_limit_exceeded",
        "rate_limited",
        "ratelimitreached",
        "resource_exhausted",
        "queue_exceeded",
        "1300",
        "1015",
        "4006",
        "3036",
        "3040",
    ])
}

fn busy(error: &ErrorBody) -> bool {
    error.is(&["unavailable_error", "overloaded_error", "engine_overloaded", "3021"])
        || error.says(&["queue", "concurren", "overloaded", "loading model", "at capacity"])
}

fn is_google(error: &ErrorBody) -> bool {
    error.is(&["resource_exhausted"]) || !error.quota.is_empty()
}

/// Mistral's limits are per minute of the wall clock, and it says so nowhere.
fn is_wall_clock_minute(error: &ErrorBody) -> bool {
    error.code == "1300"
}

/// Milliseconds to the next midnight: Google's is in California, everyone else's UTC.
fn until_midnight(google: bool, now_ms: u64) -> u64 {
    let tz = if google {
        TimeZoneDatabase::bundled().get("America/Los_Angeles").unwrap_or(TimeZone::UTC)
    } else {
        TimeZone::UTC
    };
    let midnight = i64::try_from(now_ms)
        .ok()
        .and_then(|now| Timestamp::from_millisecond(now).ok())
        .and_then(|now| now.to_zoned(tz).tomorrow().ok())
        .and_then(|tomorrow| tomorrow.start_of_day().ok())
        .and_then(|start| u64::try_from(start.timestamp().as_millisecond()).ok());
    midnight.map_or(QUOTA_WAIT_MS, |at| at.saturating_sub(now_ms))
}

#[cfg(test)]
mod tests;
