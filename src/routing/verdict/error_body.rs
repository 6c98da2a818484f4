//! A provider's error, read from whatever shape it comes in: an object, an array (Gemini), a flat
//! object (Mistral), a list under `errors` (Cloudflare) or `detail` (FastAPI), a string, HTML, or
//! nothing.
//!
//! Only the fields that describe the error are kept. Fields that may echo the prompt, such as
//! OpenRouter's `flagged_input`, are never read. Nothing here is ever shown to a client.

use serde_json::Value;
use std::fmt;

/// Error bodies are read this far; real ones are below 4 KiB.
pub const MAX_ERROR_BYTES: usize = 16 * 1024;
/// Longest message kept. What matters is said at the beginning; later text may quote the prompt.
const MAX_MESSAGE: usize = 1024;
/// Longest code, type or parameter name kept.
const MAX_WORD: usize = 128;

/// What an error body says, in lower case. Empty strings stand for what it does not say.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ErrorBody {
    /// An HTTP status named in the body.
    pub status: Option<u16>,
    /// `code`, as a word or as digits, or Google's `reason`.
    pub code: String,
    /// `type`, or Google's `status`, as in `resource_exhausted`.
    pub kind: String,
    /// `message` and its many other spellings, then OpenRouter's `metadata.raw`.
    pub message: String,
    /// `param`, or the last step of FastAPI's `loc`.
    pub param: String,
    /// Google's quota ids, as in `generaterequestsperdayperprojectpermodel-freetier`.
    pub quota: String,
    /// `retryDelay`, `retry_after` and friends: seconds, or a duration such as `38.2s`.
    pub retry: String,
    /// `X-RateLimit-Reset` that OpenRouter repeats in `metadata.headers`.
    pub reset: String,
    /// OpenRouter's moderation metadata is there.
    pub flagged: bool,
    /// An HTML page or Cloudflare's `error code: 1015`: an edge answered, not the API.
    pub from_edge: bool,
}

impl ErrorBody {
    /// Reads any body; never fails. Costs at most one JSON parse of [`MAX_ERROR_BYTES`].
    pub fn parse(body: &[u8]) -> Self {
        let body = &body[..body.len().min(MAX_ERROR_BYTES)];
        let mut error = Self::default();
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => error.read(&value),
            Err(_) => error.read_text(&String::from_utf8_lossy(body)),
        }
        error
    }

    /// Whether `code` or `type` is one of `words`.
    pub fn is(&self, words: &[&str]) -> bool {
        words.iter().any(|w| self.code == *w || self.kind == *w)
    }

    /// Whether the message holds one of `phrases` (given in lower case).
    pub fn says(&self, phrases: &[&str]) -> bool {
        phrases.iter().any(|p| self.message.contains(p))
    }

    fn read(&mut self, value: &Value) {
        let mut at = value;
        while let Value::Array(list) = at {
            match list.first() {
                Some(first) => at = first,
                None => return,
            }
        }
        match at {
            Value::String(text) => add(&mut self.message, text),
            Value::Object(_) => {
                match at.get("error").or_else(|| at.pointer("/errors/0")) {
                    Some(Value::String(text)) => add(&mut self.message, text),
                    Some(inner @ Value::Object(_)) => self.read_fields(inner),
                    _ => {}
                }
                self.read_fields(at);
                // OpenRouter's word for why a model cannot be had stands beside `error`.
                if let Some(code) = at.pointer("/availability/code").and_then(Value::as_str) {
                    self.code = word(code);
                }
            }
            _ => {}
        }
    }

    fn read_fields(&mut self, o: &Value) {
        for name in ["code", "raw_status_code", "status", "http_status", "status_code"] {
            self.read_code(&o[name]);
        }
        for name in ["type", "error_type"] {
            set(&mut self.kind, &o[name]);
        }
        for name in ["message", "title", "msg"] {
            if let Some(text) = o[name].as_str() {
                add(&mut self.message, text);
            }
        }
        set(&mut self.param, &o["param"]);
        for name in ["retry_after", "retry_after_seconds", "retryDelay"] {
            set(&mut self.retry, &o[name]);
        }
        self.read_detail(&o["detail"]);
        for detail in o["details"].as_array().into_iter().flatten().take(16) {
            self.read_google(detail);
        }
        if o["metadata"].is_object() {
            self.read_metadata(&o["metadata"]);
        }
    }

    /// A number or digits is a status if in range and a code otherwise; a word is the code, or the
    /// type where a code is known.
    fn read_code(&mut self, value: &Value) {
        let text = scalar(value);
        if text.is_empty() {
            return;
        }
        match text.parse::<u16>() {
            Ok(status @ 400..=599) => self.status = self.status.or(Some(status)),
            Ok(_) if self.code.is_empty() => self.code = text,
            Err(_) if self.code.is_empty() && !text.contains(char::is_whitespace) => self.code = text,
            Err(_) if self.kind.is_empty() => self.kind = text,
            _ => {}
        }
    }

    /// FastAPI: a string, or `[{"type","loc","msg"}]`.
    fn read_detail(&mut self, detail: &Value) {
        match detail {
            Value::String(text) => add(&mut self.message, text),
            Value::Array(list) => {
                let Some(first) = list.first() else { return };
                set(&mut self.kind, &first["type"]);
                if let Some(text) = first["msg"].as_str() {
                    add(&mut self.message, text);
                }
                if let Some(last) = first["loc"].as_array().and_then(|loc| loc.last()) {
                    set(&mut self.param, last);
                }
            }
            _ => {}
        }
    }

    /// One of Google's `details`: `RetryInfo`, `QuotaFailure` or `ErrorInfo`.
    fn read_google(&mut self, detail: &Value) {
        set(&mut self.retry, &detail["retryDelay"]);
        if let Some(reason) = detail["reason"].as_str() {
            self.code = word(reason);
        }
        for violation in detail["violations"].as_array().into_iter().flatten().take(16) {
            let id = scalar(&violation["quotaId"]);
            if !id.is_empty() && self.quota.len() < MAX_MESSAGE {
                self.quota.push_str(&id);
                self.quota.push(' ');
            }
        }
    }

    /// OpenRouter: what the provider behind it said, moderation, and the limit headers once more.
    fn read_metadata(&mut self, metadata: &Value) {
        self.flagged |= metadata["reasons"].is_array() || !metadata["flagged_input"].is_null();
        set(&mut self.kind, &metadata["error_type"]);
        for name in ["retry_after", "retry_after_seconds"] {
            set(&mut self.retry, &metadata[name]);
        }
        for (name, value) in metadata["headers"].as_object().into_iter().flatten().take(32) {
            if name.eq_ignore_ascii_case("x-ratelimit-reset") {
                set(&mut self.reset, value);
            }
        }
        let Some(raw) = metadata["raw"].as_str() else { return };
        let raw = clip(raw, MAX_ERROR_BYTES);
        match serde_json::from_str::<Value>(raw) {
            Ok(Value::Object(mut inner)) => {
                // Wrapped once, by one router: a wrapper within is not followed.
                inner.remove("metadata");
                if let Some(Value::Object(error)) = inner.get_mut("error") {
                    error.remove("metadata");
                }
                self.read(&Value::Object(inner));
            }
            _ => add(&mut self.message, raw),
        }
    }

    fn read_text(&mut self, text: &str) {
        let head = clip(text, MAX_MESSAGE).trim_start().to_ascii_lowercase();
        let page = head.starts_with('<') || head.contains("<html");
        self.from_edge = page || head.starts_with("error code:");
        if self.from_edge && head.contains("1015") {
            self.code = "1015".to_owned();
        }
        if !self.from_edge {
            self.message = head;
        }
    }
}

impl fmt::Debug for ErrorBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Foreign text may quote the prompt: only its length is shown.
        write!(f, "ErrorBody {{ status: {:?}, message: {} bytes }}", self.status, self.message.len())
    }
}

/// The longest prefix of at most `max` bytes that ends between characters.
fn clip(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn word(text: &str) -> String {
    clip(text, MAX_WORD).to_ascii_lowercase()
}

/// A string, or a number as digits; anything else is empty.
fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => word(text),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    }
}

fn set(field: &mut String, value: &Value) {
    if field.is_empty() {
        *field = scalar(value);
    }
}

/// Adds a sentence unless it is there already.
fn add(message: &mut String, text: &str) {
    let room = MAX_MESSAGE.saturating_sub(message.len());
    let text = clip(text, room).to_ascii_lowercase();
    if text.is_empty() || message.contains(&text) {
        return;
    }
    if !message.is_empty() {
        message.push('\n');
    }
    message.push_str(&text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, status: Option<u16>, code: &str, kind: &str, message: &str) {
        let e = ErrorBody::parse(body.as_bytes());
        assert_eq!((e.status, &*e.code, &*e.kind, &*e.message), (status, code, kind, message), "{body}");
    }

    #[test]
    fn an_object_under_error_is_read() {
        check(
            r#"{"error":{"message":"No.","type":"tokens","code":"rate_limit_exceeded"}}"#,
            None,
            "rate_limit_exceeded",
            "tokens",
            "no.",
        );
        check(r#"{"error":{"message":"x","type":"t","code":400}}"#, Some(400), "", "t", "x");
    }

    #[test]
    fn an_array_a_flat_object_a_list_and_a_string_are_read() {
        check(
            r#"[{"error":{"code":429,"message":"Q","status":"RESOURCE_EXHAUSTED"}}]"#,
            Some(429),
            "resource_exhausted",
            "",
            "q",
        );
        check(
            r#"{"object":"error","message":"M","type":"rate_limited","code":"1300","raw_status_code":429}"#,
            Some(429),
            "1300",
            "rate_limited",
            "m",
        );
        check(
            r#"{"success":false,"errors":[{"code":4006,"message":"Used up"}]}"#,
            None,
            "4006",
            "",
            "used up",
        );
        check(r#"{"error":"Plain"}"#, None, "", "", "plain");
        check(r#""Plain""#, None, "", "", "plain");
        check(r#"{"status":429,"title":"Too Many Requests"}"#, Some(429), "", "", "too many requests");
        check(
            r#"{"detail":[{"type":"extra_forbidden","loc":["body","seed"],"msg":"Extra inputs"}]}"#,
            None,
            "",
            "extra_forbidden",
            "extra inputs",
        );
    }

    #[test]
    fn what_is_no_json_is_text_or_a_page() {
        check("", None, "", "", "");
        check("upstream connect error", None, "", "", "upstream connect error");
        check("<html><h1>502 Bad Gateway</h1>", None, "", "", "");
        check("error code: 1015", None, "1015", "", "");
        assert!(ErrorBody::parse(b"<!DOCTYPE html>").from_edge);
        for odd in ["[]", "[[[]]]", "{}", "null", "7", "{\"error\":[]}", "{\"error\":null}", "\u{0}"] {
            assert_eq!(ErrorBody::parse(odd.as_bytes()).status, None, "{odd}");
        }
    }

    #[test]
    fn the_error_a_router_wraps_is_read_too() {
        let body = r#"{"error":{"code":400,"message":"Provider returned error","metadata":
            {"raw":"{\"error\":{\"message\":\"Too long\",\"code\":\"context_length_exceeded\"}}"}}}"#;
        check(body, Some(400), "context_length_exceeded", "", "provider returned error\ntoo long");
    }

    #[test]
    fn nesting_and_length_are_bounded() {
        let deep = "[".repeat(MAX_ERROR_BYTES * 2);
        assert_eq!(ErrorBody::parse(deep.as_bytes()).code, "");
        let long = format!(r#"{{"error":{{"message":"{}"}}}}"#, "é".repeat(4000));
        assert!(ErrorBody::parse(long.as_bytes()).message.len() <= MAX_MESSAGE);
    }

    #[test]
    fn foreign_text_is_not_printed() {
        let error = ErrorBody::parse(br#"{"error":{"message":"secret prompt","code":"c0de"}}"#);
        let shown = format!("{error:?}");
        assert!(!shown.contains("secret") && !shown.contains("c0de"), "{shown}");
    }
}
