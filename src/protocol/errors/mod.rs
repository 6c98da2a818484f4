//! Our errors in the caller's dialect: one table from what went wrong to status, words and headers.
//!
//! OpenAI's dialect names errors by string, OpenRouter's by number; `error_type` and `http_status` are
//! in both. Messages are our own words: nothing a provider wrote is ever shown.

mod kind;

pub use kind::ErrorKind;

use super::Dialect;
use kind::Retry;
use serde_json::{Map, Value, json};

/// What clients read of a fault of our own, whatever its cause.
const INTERNAL_MESSAGE: &str = "internal error; it is not caused by your request, and trying again may help";

/// An error on its way to a client.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiError {
    /// What went wrong.
    pub kind: ErrorKind,
    /// Our words for it, saying what to change. Never empty, never a provider's words. Not shown for
    /// [`ErrorKind::Internal`].
    pub message: String,
    /// The field of the request at fault, as in `messages.[3].role`.
    pub param: Option<String>,
    /// More facts: `missing`, `affordable_max_tokens`, `previous_errors`, …
    pub metadata: Map<String, Value>,
    /// OpenRouter's `availability` object, of 404, 429 and 503.
    pub availability: Option<Value>,
    /// OpenRouter's `openrouter_metadata`, for clients that asked for it; left out of 401 and 500.
    pub openrouter_metadata: Option<Value>,
    /// When to try again, in seconds from now.
    pub retry_after_s: Option<u32>,
    /// How long the request waited for a place before it was refused, milliseconds.
    pub queued_ms: Option<u64>,
    /// Overrules whether clients should try again.
    pub retryable: Option<bool>,
    /// The methods the path takes, for [`ErrorKind::MethodNotAllowed`].
    pub allow: Option<&'static str>,
}

/// One attempt that failed before, for `metadata.previous_errors`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviousError {
    /// The provider's name.
    pub provider: String,
    /// Our word for the failure, from a closed set.
    pub code: &'static str,
    /// The HTTP status, where there was one.
    pub status: Option<u16>,
}

impl ApiError {
    /// An error with the table's answers to everything but the words.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            param: None,
            metadata: Map::new(),
            availability: None,
            openrouter_metadata: None,
            retry_after_s: None,
            queued_ms: None,
            retryable: None,
            allow: None,
        }
    }

    /// The ledger cannot be asked: no fault of the key's.
    pub fn billing_unavailable() -> Self {
        Self::new(ErrorKind::Unavailable, "accounts cannot be reached at the moment; try again")
            .with("reason", "billing_unavailable")
            .retry_after_s(1)
    }

    /// Names the field at fault.
    #[must_use]
    pub fn param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// Adds a fact to the metadata.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.metadata.insert(key.to_owned(), value.into());
        self
    }

    /// Adds the attempts that failed before.
    #[must_use]
    pub fn previous_errors(self, errors: &[PreviousError]) -> Self {
        let list: Vec<Value> = errors
            .iter()
            .map(|e| json!({ "provider": e.provider, "code": e.code, "status": e.status }))
            .collect();
        if list.is_empty() { self } else { self.with("previous_errors", list) }
    }

    /// Says when to try again, in seconds; at least 1.
    #[must_use]
    pub fn retry_after_s(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds.max(1));
        self
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.kind.status()
    }

    /// The headers that belong to the error, besides the content type.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = Vec::new();
        if self.kind == ErrorKind::InvalidApiKey {
            headers.push(("www-authenticate", "Bearer".to_owned()));
        }
        if let Some(methods) = self.allow {
            headers.push(("allow", methods.to_owned()));
        }
        if let Some(seconds) = self.retry_after_s {
            headers.push(("retry-after", seconds.to_string()));
        }
        if let Some(waited) = self.queued_ms {
            headers.push(("x-freeway-queue-ms", waited.to_string()));
        }
        let never = (self.kind.row().retry == Retry::Never).then_some(false);
        if let Some(retry) = self.retryable.or(never) {
            headers.push(("x-should-retry", retry.to_string()));
        }
        headers
    }

    /// The body, always JSON.
    pub fn body(&self, dialect: Dialect) -> Vec<u8> {
        let row = self.kind.row();
        let mut error = match dialect {
            Dialect::OpenAi => json!({
                "message": self.shown_message(),
                "type": row.kind,
                "param": self.param,
                "code": row.code,
            }),
            Dialect::OpenRouter => json!({ "code": row.status, "message": self.shown_message() }),
        };
        error["error_type"] = row.error_type.into();
        error["http_status"] = row.status.into();
        let mut metadata = self.metadata.clone();
        if dialect == Dialect::OpenRouter {
            metadata.insert("error_type".to_owned(), row.error_type.into());
            if let Some(param) = &self.param {
                metadata.insert("param".to_owned(), param.as_str().into());
            }
        }
        if !metadata.is_empty() {
            error["metadata"] = metadata.into();
        }
        if let Some(availability) = &self.availability {
            error["availability"] = availability.clone();
        }
        let mut body = json!({ "error": error });
        if let Some(facts) = self.openrouter_metadata.as_ref().filter(|_| !matches!(row.status, 401 | 500)) {
            body["openrouter_metadata"] = facts.clone();
        }
        body.to_string().into_bytes()
    }

    /// The `error` object of a stream that broke off. Its code is a number in both dialects.
    pub fn in_band(&self) -> String {
        let mut metadata = self.metadata.clone();
        metadata.insert("error_type".to_owned(), self.kind.error_type().into());
        json!({ "code": self.status(), "message": self.shown_message(), "metadata": metadata }).to_string()
    }

    fn shown_message(&self) -> &str {
        if self.kind == ErrorKind::Internal { INTERNAL_MESSAGE } else { &self.message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(error: &ApiError, dialect: Dialect) -> Value {
        serde_json::from_slice(&error.body(dialect)).expect("bodies are JSON")
    }

    #[track_caller]
    fn check(kind: ErrorKind, status: u16, code: &str, should_retry: Option<&str>) {
        let error = ApiError::new(kind, "words");
        let openai = parsed(&error, Dialect::OpenAi);
        assert_eq!((error.status(), openai["error"]["code"].as_str()), (status, Some(code)));
        assert_eq!(parsed(&error, Dialect::OpenRouter)["error"]["code"], status);
        let headers = error.headers();
        let retry = headers.iter().find(|(name, _)| *name == "x-should-retry").map(|(_, v)| v.as_str());
        assert_eq!(retry, should_retry, "{kind:?}");
    }

    #[test]
    fn statuses_and_codes_are_those_clients_know() {
        check(ErrorKind::InvalidRequest, 400, "invalid_request", None);
        check(ErrorKind::ContextLengthExceeded, 400, "context_length_exceeded", None);
        check(ErrorKind::InvalidApiKey, 401, "invalid_api_key", None);
        check(ErrorKind::NoEndpoints, 404, "no_endpoints", None);
        check(ErrorKind::RateLimited, 429, "rate_limit_exceeded", None);
        check(ErrorKind::ProviderFailed, 502, "provider_error", None);
    }

    #[test]
    fn clients_are_told_not_to_retry_what_cannot_help() {
        check(ErrorKind::InsufficientCredits, 402, "insufficient_credits", Some("false"));
        check(ErrorKind::ModelNotAvailable, 403, "model_not_available", Some("false"));
        check(ErrorKind::Conflict, 409, "conflict", Some("false"));
        check(ErrorKind::QuotaExceeded, 429, "quota_exceeded", Some("false"));
    }

    #[test]
    fn every_kind_has_a_well_formed_body_in_both_dialects() {
        for kind in ErrorKind::ALL {
            let error = ApiError::new(kind, "words").param("model").with("missing", vec!["vision"]);
            let openai = parsed(&error, Dialect::OpenAi)["error"].clone();
            assert!(openai["message"].as_str().is_some_and(|m| !m.is_empty()), "{kind:?}");
            assert!(openai["type"].is_string() && openai["code"].is_string(), "{kind:?}");
            assert_eq!(
                (&openai["param"], &openai["metadata"]["missing"][0]),
                (&json!("model"), &json!("vision"))
            );
            let openrouter = parsed(&error, Dialect::OpenRouter)["error"].clone();
            assert!(openrouter["code"].is_u64() && openrouter["metadata"]["error_type"].is_string());
            assert_eq!(openrouter["http_status"], kind.status());
            assert!((400..=504).contains(&kind.status()));
        }
    }

    #[test]
    fn headers_say_how_to_do_better() {
        let headers = |error: ApiError| error.headers();
        assert_eq!(
            headers(ApiError::new(ErrorKind::InvalidApiKey, "no key")),
            [("www-authenticate", "Bearer".to_owned())]
        );
        assert_eq!(
            headers(ApiError::new(ErrorKind::RateLimited, "later").retry_after_s(0)),
            [("retry-after", "1".to_owned())]
        );
        let method = ApiError { allow: Some("POST"), ..ApiError::new(ErrorKind::MethodNotAllowed, "no") };
        assert_eq!(headers(method), [("allow", "POST".to_owned())]);
        let retry = ApiError { retryable: Some(true), ..ApiError::new(ErrorKind::QuotaExceeded, "no") };
        assert_eq!(headers(retry), [("x-should-retry", "true".to_owned())]);
    }

    #[test]
    fn a_fault_of_our_own_shows_no_details() {
        let mut error = ApiError::new(ErrorKind::Internal, "lock poisoned in pool.rs");
        error.openrouter_metadata = Some(json!({ "attempt": 1 }));
        let body = String::from_utf8(error.body(Dialect::OpenAi)).expect("UTF-8");
        assert!(!body.contains("pool.rs") && !body.contains("openrouter_metadata"), "{body}");
        assert!(!error.in_band().contains("pool.rs"));
    }

    #[test]
    fn availability_and_history_are_kept() {
        let mut error =
            ApiError::new(ErrorKind::Unavailable, "all models are busy").previous_errors(&[PreviousError {
                provider: "Groq".to_owned(),
                code: "rate_limited",
                status: Some(429),
            }]);
        error.availability = Some(json!({ "code": "temporarily_unavailable", "retryable": true }));
        error.openrouter_metadata = Some(json!({ "attempt": 1 }));
        let body = parsed(&error, Dialect::OpenRouter);
        assert_eq!(body["error"]["availability"]["code"], "temporarily_unavailable");
        assert_eq!(body["error"]["metadata"]["previous_errors"][0]["status"], 429);
        assert_eq!(body["openrouter_metadata"]["attempt"], 1);
    }
}
