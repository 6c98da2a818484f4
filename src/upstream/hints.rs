//! Every provider's way to say "wait".
//!
//! Pure. Sources in order of trust: `retry-after-ms`, `retry-after`, the reset of an exhausted limit's
//! headers, the error body (Google's `RetryInfo`, `retry_after`, OpenRouter's copied headers), its prose,
//! and last a default by the kind of limit. Nothing here knows a provider by name.

mod amount;
mod bucket;
mod duration;
mod met;

pub(super) use amount::whole;
pub(super) use duration::parse_wait;

use super::quota::next_start;
use crate::catalog::{Period, Quotas};
use crate::routing::verdict::{ErrorBody, Hint, Scope, Window};
use duration::in_prose;
use met::Met;

/// Looks a response header up by its lower-case name.
pub type Headers<'a> = &'a dyn Fn(&str) -> Option<&'a str>;

/// Shorter waits are not worth telling apart from none.
const MIN_WAIT_MS: u64 = 500;
/// A day's or a month's limit is asked about once a day at least.
const MAX_WAIT_MS: u64 = 24 * 3_600_000;
/// What is no day's or month's limit keeps nobody out for longer, whatever a reply asks for.
const MAX_SHORT_WAIT_MS: u64 = 3_600_000;
/// A minute's limit that does not say when it clears.
const MINUTE_WAIT_MS: u64 = 60_000;
/// An hour's, which is asked about now and then.
const HOUR_WAIT_MS: u64 = 5 * 60_000;
/// Nothing is known; or a pool shared with others, to "retry shortly".
const UNKNOWN_WAIT_MS: u64 = 15_000;
/// A full queue or too many requests at once.
const QUEUE_WAIT_MS: u64 = 1_500;

/// A refusal, and what its provider's profile says of limits.
#[derive(Clone, Copy)]
struct Said<'a> {
    status: u16,
    headers: Headers<'a>,
    error: &'a ErrorBody,
    quotas: &'a Quotas,
    now_ms: u64,
}

/// What the reply of a provider with such `quotas` says about waiting; `None` when it says nothing of the
/// kind. For an error inside a 200 pass [`in_band_status`](crate::routing::verdict::in_band_status).
pub fn hint<'a>(
    status: u16,
    headers: Headers<'a>,
    error: &'a ErrorBody,
    quotas: &'a Quotas,
    now_ms: u64,
) -> Option<Hint> {
    let said = Said { status, headers, error, quotas, now_ms };
    if said.too_big() {
        let Met { unit, limit, .. } = met::too_big(error);
        let (scope, window) = (Scope::Model, Window::TooBig);
        return Some(Hint { wait_ms: 0, guessed: false, scope, window, unit, limit });
    }
    let told = said.wait();
    let limited = status == 429 || (said.names_limit() && !matches!(status, 401 | 402 | 404 | 410));
    let retryable = matches!(status, 408 | 409 | 425 | 500..=599);
    if !limited && !(retryable && (told.is_some() || said.is_busy())) {
        return None;
    }
    let Met { window, unit, limit, scope } = said.met(told);
    let (wait_ms, guessed) = match told.filter(|ms| said.is_credible(window, *ms)) {
        Some(ms) => (ms.min(said.most(window)), false),
        None => said.usual_wait(window),
    };
    Some(Hint { wait_ms: wait_ms.clamp(MIN_WAIT_MS, MAX_WAIT_MS), guessed, scope, window, unit, limit })
}

impl Said<'_> {
    /// The wait the reply names, in milliseconds.
    fn wait(&self) -> Option<u64> {
        let Self { headers, error, now_ms, .. } = *self;
        let header = |name| parse_wait(headers(name)?, now_ms);
        let after_ms = header("retry-after-ms").map(|ms| ms / 1000);
        after_ms
            .or_else(|| header("retry-after"))
            .or_else(|| header("x-ratelimit-timeremaining"))
            .or_else(|| bucket::spent(self).filter_map(|bucket| bucket.wait_ms).max())
            .or_else(|| parse_wait(&error.retry, now_ms))
            .or_else(|| parse_wait(&error.reset, now_ms))
            .or_else(|| in_prose(&error.message))
    }

    /// Whether the wait can be meant for that window. Google's `RetryInfo` speaks of the minute even where
    /// the day is spent, and nobody gets a day's allowance back at once.
    fn is_credible(&self, window: Window, wait_ms: u64) -> bool {
        match window {
            Window::Day | Window::Month => wait_ms > 0 && self.error.violations.is_empty(),
            _ => true,
        }
    }

    fn most(&self, window: Window) -> u64 {
        if matches!(window, Window::Day | Window::Month) { MAX_WAIT_MS } else { MAX_SHORT_WAIT_MS }
    }

    /// Milliseconds to wait where nobody says, and whether that is a guess.
    fn usual_wait(&self, window: Window) -> (u64, bool) {
        match window {
            Window::Concurrency => (QUEUE_WAIT_MS, true),
            Window::Minute if self.is_wall_clock_minute() => (MINUTE_WAIT_MS - self.now_ms % 60_000, false),
            Window::Minute => (MINUTE_WAIT_MS, false),
            Window::Hour => (HOUR_WAIT_MS, true),
            Window::Day => self.until_next(Period::Day),
            Window::Month => self.until_next(Period::Month),
            Window::Unknown | Window::TooBig => (UNKNOWN_WAIT_MS, true),
        }
    }

    /// Milliseconds to the provider's midnight, or to its first of the month.
    fn until_next(&self, per: Period) -> (u64, bool) {
        let next = next_start(self.now_ms, per, self.quotas.midnight.zone());
        next.map_or((UNKNOWN_WAIT_MS, true), |at| (at.saturating_sub(self.now_ms), false))
    }

    /// Groq answers a request that exceeds the minute's tokens on its own with 413, a rate-limit code
    /// and `retry-after`: waiting would go on for ever.
    fn too_big(&self) -> bool {
        let error = self.error;
        (self.status == 413 && error.is(&["rate_limit_exceeded"]))
            || (matches!(self.status, 400 | 413 | 429)
                && error.message.starts_with("request too large for model"))
    }

    fn names_limit(&self) -> bool {
        self.error.is(&[
            "rate_limit_exceeded",
            "rate_limit_error",
            "rate_limited",
            "ratelimitreached",
            "resource_exhausted",
            "request_quota_exceeded",
            "token_quota_exceeded",
            "queue_exceeded",
            "1300",
            "1015",
            "4006",
            "3036",
            "3040",
        ])
    }

    fn is_busy(&self) -> bool {
        self.error.is(&["unavailable_error", "overloaded_error", "engine_overloaded", "3021"])
            || self.error.says(&[
                "queue",
                "concurren",
                "overloaded",
                "loading model",
                "at capacity",
                "capacity exceeded",
                "server busy",
            ])
    }
}

#[cfg(test)]
mod tests;
