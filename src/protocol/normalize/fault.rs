//! Answers that are failures although their status was 200.

use super::object::{Object, text};
use std::fmt;

/// Error bodies are kept up to this length: enough for every provider's, and for their retry hints.
const KEPT_BODY: usize = 8 << 10;

/// Why an answer cannot be delivered, or not to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is, or contains, an error.
    #[error("the provider answered with an error")]
    ErrorEvent(UpstreamError),
    /// It is no chat completion.
    #[error("the provider's answer cannot be read")]
    Malformed,
    /// An event or the whole answer exceeds its limit.
    #[error("the provider's answer is too long")]
    TooLong,
    /// It ended without a token and without a finish reason.
    #[error("the provider's answer is empty")]
    Empty,
    /// It broke off.
    #[error("the provider's answer broke off")]
    Truncated,
    /// Its finish reason is an error.
    #[error("the provider ended its answer with an error")]
    FinishedWithError,
}

/// An error a provider sent with status 200, for the verdict on the attempt and its retry hints.
/// Its text is never shown to clients, nor by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct UpstreamError {
    /// The HTTP status the error stands for, 400 to 599, where it says or clearly implies one.
    pub status: Option<u16>,
    body: Box<[u8]>,
}

impl UpstreamError {
    /// Reads an error body or event: OpenAI's object, a flat one, a list of them, or plain text.
    pub fn parse(body: &[u8]) -> Self {
        let kept = body.get(..KEPT_BODY).unwrap_or(body);
        let status = std::str::from_utf8(body).ok().and_then(status);
        Self { status, body: kept.into() }
    }

    /// The error as it came, as if it were the body of an error response; at most 8 KiB of it.
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

impl fmt::Debug for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamError").field("status", &self.status).finish_non_exhaustive()
    }
}

fn status(body: &str) -> Option<u16> {
    let body = body.trim();
    let first = match body.strip_prefix('[') {
        Some(list) => list.strip_suffix(']')?,
        None => body,
    };
    let outer = Object::parse(first)?;
    let inner = outer.get("error").and_then(Object::parse).unwrap_or_default();
    let objects = [&inner, &outer];
    objects.iter().find_map(|o| spelt_out(o)).or_else(|| objects.iter().find_map(|o| implied(o)))
}

fn spelt_out(object: &Object<'_>) -> Option<u16> {
    ["code", "status", "http_status", "status_code", "raw_status_code"].iter().find_map(|key| {
        let value = object.get(key)?;
        let status: u16 = text(value).as_deref().unwrap_or(value).parse().ok()?;
        (400..600).contains(&status).then_some(status)
    })
}

fn implied(object: &Object<'_>) -> Option<u16> {
    const WORDS: [(&str, u16); 9] = [
        ("rate_limit", 429),
        ("ratelimit", 429),
        ("resource_exhausted", 429),
        ("quota", 429),
        ("overloaded", 503),
        ("unavailable", 503),
        ("context_length", 400),
        ("invalid_request", 400),
        ("timeout", 504),
    ];
    ["code", "type", "status"].iter().find_map(|key| {
        let value = text(object.get(key)?)?.to_ascii_lowercase();
        WORDS.iter().find(|(word, _)| value.contains(word)).map(|(_, status)| *status)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, expect: Option<u16>) {
        assert_eq!(UpstreamError::parse(body.as_bytes()).status, expect, "{body}");
    }

    #[test]
    fn the_status_is_found_where_providers_put_it() {
        check(r#"{"error":{"code":429,"message":"slow down"}}"#, Some(429));
        check(r#"{"error":{"code":"502","message":"x"}}"#, Some(502));
        check(r#"[{"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}}]"#, Some(429));
        check(r#"{"object":"error","code":"1300","raw_status_code":429}"#, Some(429));
        check(r#"{"status":429,"title":"Too Many Requests"}"#, Some(429));
    }

    #[test]
    fn a_word_implies_a_status() {
        check(r#"{"error":{"type":"tokens","code":"rate_limit_exceeded"}}"#, Some(429));
        check(r#"{"error":{"type":"overloaded_error"}}"#, Some(503));
    }

    #[test]
    fn what_says_no_status_has_none() {
        for body in [r#"{"error":{"code":4006}}"#, r#"{"error":"no"}"#, "oops", "", "[", "[1,2]", "\u{1}"] {
            check(body, None);
        }
        assert_eq!(UpstreamError::parse(b"\xff").status, None);
    }

    #[test]
    fn debug_shows_no_foreign_text() {
        let fault = Fault::ErrorEvent(UpstreamError::parse(br#"{"error":{"message":"secret","code":500}}"#));
        let shown = format!("{fault:?} {fault}");
        assert!(!shown.contains("secret"), "{shown}");
        assert!(shown.contains("500"), "{shown}");
    }

    #[test]
    fn a_long_body_is_cut() {
        assert_eq!(UpstreamError::parse(&[b'x'; KEPT_BODY + 1]).body().len(), KEPT_BODY);
    }
}
