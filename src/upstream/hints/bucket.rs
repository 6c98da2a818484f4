//! Limits of which the headers of a refusal say that nothing is left.

use super::amount::whole;
use super::duration::parse_wait;
use super::{Headers, Said};
use crate::catalog::{LimitHeader, LimitScope, Period, Unit};
use Unit::{Requests, Tokens};

/// A limit with nothing left.
pub(super) struct Bucket {
    pub(super) unit: Option<Unit>,
    pub(super) per: Option<Period>,
    /// What shares it, where the profile says so.
    pub(super) scope: Option<LimitScope>,
    pub(super) limit: Option<u64>,
    /// Milliseconds until it is back, where said.
    pub(super) wait_ms: Option<u64>,
}

/// The usual endings of `x-ratelimit-remaining…`, for providers whose profile names no headers. Without a
/// period in its name the bucket of requests is the day's and that of tokens the minute's, as at Groq.
const USUAL: [(&str, Option<Unit>, Option<Period>); 10] = [
    ("", None, None),
    ("-requests", Some(Requests), Some(Period::Day)),
    ("-tokens", Some(Tokens), Some(Period::MINUTE)),
    ("-requests-minute", Some(Requests), Some(Period::MINUTE)),
    ("-req-minute", Some(Requests), Some(Period::MINUTE)),
    ("-tokens-minute", Some(Tokens), Some(Period::MINUTE)),
    ("-requests-hour", Some(Requests), Some(Period::HOUR)),
    ("-tokens-hour", Some(Tokens), Some(Period::HOUR)),
    ("-requests-day", Some(Requests), Some(Period::Day)),
    ("-tokens-day", Some(Tokens), Some(Period::Day)),
];

/// The limits that are spent: those the profile names headers for, else those with usual names.
pub(super) fn spent<'a>(said: &Said<'a>) -> impl Iterator<Item = Bucket> + use<'a> {
    let Said { headers, quotas, now_ms, .. } = *said;
    let declared = quotas.headers.iter().filter_map(move |at| declared(at, headers, now_ms));
    let usual = USUAL.iter().filter_map(move |&(ending, unit, per)| {
        let bucket = usual(ending, headers, now_ms)?;
        Some(Bucket { unit, per, ..bucket })
    });
    let usual = quotas.headers.is_empty().then_some(usual);
    declared.chain(usual.into_iter().flatten())
}

fn declared(at: &LimitHeader, headers: Headers<'_>, now_ms: u64) -> Option<Bucket> {
    let get = |name: &Option<String>| headers(name.as_deref()?);
    (whole(get(&at.remaining)?)? == 0).then(|| Bucket {
        unit: Some(at.unit),
        per: Some(at.per),
        scope: Some(at.scope),
        limit: get(&at.limit).and_then(whole),
        wait_ms: get(&at.reset).and_then(|text| parse_wait(text, now_ms)),
    })
}

/// Where only the bare `x-ratelimit-reset` is sent, it is of what was refused.
fn usual(ending: &str, headers: Headers<'_>, now_ms: u64) -> Option<Bucket> {
    let get = |what: &str| headers(&format!("x-ratelimit-{what}{ending}"));
    let spent = match get("remaining") {
        Some(left) => left.trim().parse::<f64>().is_ok_and(|left| left <= 0.0),
        None => ending.is_empty() && get("reset").is_some(),
    };
    spent.then(|| Bucket {
        unit: None,
        per: None,
        scope: None,
        limit: get("limit").and_then(whole),
        wait_ms: get("reset").and_then(|text| parse_wait(text, now_ms)),
    })
}
