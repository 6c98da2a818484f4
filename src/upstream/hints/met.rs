//! Which limit was met: over which time, of what, how much there is, and what shares it.

use super::Said;
use super::amount::{after, whole};
use super::bucket::{Bucket, spent};
use crate::catalog::{self, LimitScope, Period, Unit};
use crate::routing::verdict::{ErrorBody, Scope, Violation, Window};
use Unit::{Requests, Tokens};

/// An unexplained 429 that asks for a wait within this, ms, is taken for a minute's limit: less is asked
/// for by queues, more by longer limits.
const LIKE_A_MINUTE_MS: std::ops::RangeInclusive<u64> = 2_000..=60_000;

/// The limit that was met.
pub(super) struct Met {
    pub(super) window: Window,
    pub(super) unit: Option<Unit>,
    pub(super) limit: Option<u64>,
    pub(super) scope: Scope,
}

/// What a request exceeds on its own.
pub(super) fn too_big(error: &ErrorBody) -> Met {
    let minute = by_words(&error.message) == Some(Window::Minute);
    let limit = after(&error.message, NUMBER_AFTER).map(|(limit, _)| limit).filter(|_| minute);
    Met { window: Window::TooBig, unit: Some(Tokens), limit, scope: Scope::Model }
}

impl Said<'_> {
    /// The limit that was met; `told` is the wait that was named, in milliseconds.
    pub(super) fn met(&self, told: Option<u64>) -> Met {
        let violation = self.error.violations.iter().max_by_key(|v| length(of_quota(v)));
        let named = self.window(violation);
        let alike = named == Window::Unknown && self.is_like_a_minute(told);
        let window = if alike { Window::Minute } else { named };
        let bucket = spent(self).find(|bucket| bucket.per.map(window_of) == Some(window));
        let unit = self.unit(window, violation, bucket.as_ref());
        // A number is of use where its window is named, and its unit is no other (neurons, say).
        let limit = unit.filter(|_| !alike).and_then(|_| self.limit(window, violation, bucket.as_ref()));
        Met { window, unit, limit, scope: self.scope(window, violation, bucket.as_ref()) }
    }

    fn window(&self, violation: Option<&Violation>) -> Window {
        let error = self.error;
        let kind = self.kind();
        if kind.contains("concurrent") || error.is(&["queue_exceeded", "engine_overloaded", "3021", "3040"]) {
            return Window::Concurrency;
        }
        if self.is_passed_on() {
            // Whose day or minute a router's provider means is anyone's guess, and not ours.
            return by_words(&error.message).filter(|w| *w == Window::Concurrency).unwrap_or(Window::Unknown);
        }
        if kind.contains("byday") || error.is(&["4006", "3036"]) {
            return Window::Day;
        }
        let named = violation.and_then(of_quota).or_else(|| by_words(&error.message));
        if let Some(window) = named {
            return window;
        }
        if kind.contains("byminute") || self.is_wall_clock_minute() {
            return Window::Minute;
        }
        let spent = spent(self).filter(|b| b.wait_ms.is_some()).filter_map(|b| b.per.map(window_of));
        if let Some(window) = spent.max_by_key(|window| length(Some(*window))) {
            return window;
        }
        if matches!(self.status, 503 | 529) { Window::Concurrency } else { Window::Unknown }
    }

    /// Whether a limit that was not named is a minute's, by the wait or because the profile knows no other.
    fn is_like_a_minute(&self, told: Option<u64>) -> bool {
        if self.status != 429 || self.error.from_edge || self.is_passed_on() {
            return false;
        }
        let limits = &self.quotas.limits;
        let knows_no_other = !limits.is_empty() && limits.iter().all(|limit| limit.per == Period::MINUTE);
        told.map_or(knows_no_other, |ms| LIKE_A_MINUTE_MS.contains(&ms))
    }

    fn unit(&self, window: Window, violation: Option<&Violation>, bucket: Option<&Bucket>) -> Option<Unit> {
        window.period()?;
        let (error, kind) = (self.error, self.kind());
        let kind = if kind.contains("token") {
            Some(Tokens)
        } else {
            (kind.contains("byday") || kind.contains("byminute")).then_some(Requests)
        };
        let of_type = |word: &str| match word {
            "tokens" | "token_quota_exceeded" => Some(Tokens),
            "requests" | "request_quota_exceeded" => Some(Requests),
            _ => None,
        };
        kind.or_else(|| violation.and_then(|v| unit_of(&v.quota)))
            .or_else(|| of_type(&error.kind))
            .or_else(|| of_type(&error.code))
            .or_else(|| unit_of(&error.message))
            .or_else(|| bucket.and_then(|bucket| bucket.unit))
            // Most limits of a minute are of requests.
            .or_else(|| (window == Window::Minute).then_some(Requests))
    }

    fn limit(&self, window: Window, violation: Option<&Violation>, bucket: Option<&Bucket>) -> Option<u64> {
        if let Some(violation) = violation {
            return whole(&violation.value).filter(|limit| *limit > 0);
        }
        // "Rate limit of 15 per 60s exceeded"
        if let Some((limit, end)) = after(&self.error.message, &["rate limit of "]) {
            let seconds = after(self.error.message.get(end..)?, &[" per "])?.0;
            return (u64::from(window.period()?.seconds()) == seconds).then_some(limit);
        }
        after(&self.error.message, NUMBER_AFTER)
            .map(|(limit, _)| limit)
            .or_else(|| whole(&self.error.limit))
            .or_else(|| bucket?.limit)
            .or_else(|| spent(self).find(|bucket| bucket.per.is_none())?.limit)
            .filter(|limit| *limit > 0)
    }

    fn scope(&self, window: Window, violation: Option<&Violation>, bucket: Option<&Bucket>) -> Scope {
        let error = self.error;
        let kind = self.kind();
        if error.from_edge {
            return Scope::Provider;
        }
        if self.is_passed_on() {
            return Scope::Model;
        }
        // A router's own limits, which it counts by account; so does whoever gives away neurons.
        // Where there is a run on one model, that alone is limited, and named.
        if error.says(&["limit_rpm/", "limit_rpd/"]) {
            return Scope::Model;
        }
        let own = !error.reset.is_empty() || !error.limit.is_empty();
        if own || error.says(&["free-models-per"]) || error.is(&["4006", "3036"]) {
            return Scope::Provider;
        }
        let or_key = |is_model| if is_model { Scope::Model } else { Scope::Key };
        if kind.starts_with("user") {
            return or_key(kind.contains("bymodel"));
        }
        if let Some(violation) = violation {
            return or_key(violation.quota.contains("permodel"));
        }
        if error.says(&["trial key"]) {
            return Scope::Key;
        }
        let declared = bucket.and_then(|bucket| bucket.scope).or_else(|| self.declared_scope(window));
        match declared {
            Some(LimitScope::Model) => Scope::Model,
            Some(LimitScope::Key) => Scope::Key,
            Some(LimitScope::Account) => Scope::Provider,
            None => or_key(!(error.message.starts_with("too many requests") && error.code.is_empty())),
        }
    }

    /// What shares the limits of that window by the profile, if it is the same for all of them.
    fn declared_scope(&self, window: Window) -> Option<LimitScope> {
        if window == Window::Concurrency {
            return None;
        }
        let per = window.period();
        let mut scopes = self.quotas.limits.iter().filter(|l| per.is_none_or(|per| l.per == per));
        let first = scopes.next()?.scope;
        scopes.all(|limit| limit.scope == first).then_some(first)
    }

    /// GitHub's word for the limit, as in `userbymodelbyminute`.
    fn kind(&self) -> String {
        let in_prose = || self.error.message.split_once(" exceeded for ")?.1.split(['.', ' ']).next();
        let kind = (self.headers)("x-ratelimit-type").or_else(in_prose);
        kind.unwrap_or_default().to_ascii_lowercase()
    }

    /// A provider behind a router said it, of a pool that others use, too.
    fn is_passed_on(&self) -> bool {
        self.error.passed_on || self.error.says(&["temporarily rate-limited upstream"])
    }

    /// Its minutes are the clock's, by its profile; or it is Mistral, which says so nowhere.
    pub(super) fn is_wall_clock_minute(&self) -> bool {
        let by_clock = |limit: &catalog::Limit| {
            limit.per == Period::MINUTE && limit.window() == catalog::Window::Calendar
        };
        self.error.code == "1300" || self.quotas.limits.iter().any(by_clock)
    }
}

/// What stands before the number of a limit. "Limited to" is Cohere's, the others are Groq's and Google's.
const NUMBER_AFTER: &[&str] = &["limit ", "limit: ", "limited to "];

/// The window of Google's quota id.
fn of_quota(violation: &Violation) -> Option<Window> {
    const WORDS: [(&str, Window); 3] =
        [("perday", Window::Day), ("perhour", Window::Hour), ("perminute", Window::Minute)];
    WORDS.iter().find(|(word, _)| violation.quota.contains(word)).map(|(_, window)| *window)
}

/// The window named first: what follows is often an offer ("add credits for 1000 requests per day").
fn by_words(message: &str) -> Option<Window> {
    const WORDS: &[(Window, &[&str])] = &[
        (Window::Minute, &["per-min", "per min", "/ min", "/min", "(rpm)", "(tpm)", "per 60s"]),
        (Window::Hour, &["per-hour", "per hour", "/ hour", "/hour", "(rph)", "(tph)", "hourly", "per 3600s"]),
        (Window::Day, &["per-day", "per day", "/ day", "/day", "(rpd)", "(tpd)", "daily", "per 86400s"]),
        (Window::Month, &["per-month", "per month", "/ month", "/month", "monthly"]),
        (Window::Concurrency, &["queue", "concurren", "overloaded", "capacity", "per 0s"]),
    ];
    first_of(message, WORDS)
}

/// What is counted, by what is named first; "tokens per minute" says more than "this request".
fn unit_of(text: &str) -> Option<Unit> {
    const PER: &[(Unit, &[&str])] = &[
        (Tokens, &["tokens per", "(tpm)", "(tph)", "(tpd)"]),
        (Requests, &["requests per", "(rpm)", "(rph)", "(rpd)", "free-models-per", "api call"]),
    ];
    const WORDS: &[(Unit, &[&str])] = &[(Tokens, &["token"]), (Requests, &["request"])];
    first_of(text, PER).or_else(|| first_of(text, WORDS))
}

fn first_of<T: Copy>(text: &str, words: &[(T, &[&str])]) -> Option<T> {
    let first = |words: &[&str]| words.iter().filter_map(|word| text.find(word)).min();
    words.iter().filter_map(|(what, words)| Some((first(words)?, *what))).min_by_key(|f| f.0).map(|f| f.1)
}

fn window_of(per: Period) -> Window {
    match per {
        Period::Month => Window::Month,
        Period::Day => Window::Day,
        Period::Seconds(..=60) => Window::Minute,
        Period::Seconds(..=3_600) => Window::Hour,
        Period::Seconds(_) => Window::Day,
    }
}

/// Orders windows by their length, seconds.
fn length(window: Option<Window>) -> u32 {
    window.and_then(Window::period).map_or(0, Period::seconds)
}
