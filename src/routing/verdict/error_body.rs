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
/// Most violated quotas kept; a model has fewer.
const MAX_VIOLATIONS: usize = 16;

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
    /// The quotas Google says were exceeded.
    pub violations: Vec<Violation>,
    /// `retryDelay`, `retry_after` and friends: seconds, or a duration such as `38.2s`.
    pub retry: String,
    /// `X-RateLimit-Reset` that OpenRouter repeats in `metadata.headers`, where a limit was its own.
    pub reset: String,
    /// `X-RateLimit-Limit` beside it.
    pub limit: String,
    /// A router passes on what a provider behind it said: the limit is not the router's.
    pub passed_on: bool,
    /// OpenRouter's moderation metadata is there.
    pub flagged: bool,
    /// An HTML page or Cloudflare's `error code: 1015`: an edge answered, not the API.
    pub from_edge: bool,
}

/// One quota that Google says was exceeded, in lower case.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Violation {
    /// As in `generaterequestsperdayperprojectpermodel-freetier`.
    pub quota: String,
    /// How much of it there is, in digits.
    pub value: String,
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
            let quota = scalar(&violation["quotaId"]);
            if !quota.is_empty() && self.violations.len() < MAX_VIOLATIONS {
                self.violations.push(Violation { quota, value: scalar(&violation["quotaValue"]) });
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
            if name.eq_ignore_ascii_case("x-ratelimit-limit") {
                set(&mut self.limit, value);
            }
        }
        let source = metadata["limit_source"].as_str().unwrap_or_default();
        self.passed_on |= metadata["provider_name"].is_string() || source.starts_with("upstream");
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
mod tests;
