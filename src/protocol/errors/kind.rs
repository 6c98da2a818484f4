//! The table: every way to fail, with its status and its words in both dialects.

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The body is malformed, or a field of it is wrong.
    InvalidRequest,
    /// A tool that nobody at hand runs.
    UnsupportedTool,
    /// The messages are wrong: none, an unknown role or content part.
    InvalidPrompt,
    /// Prompt and answer exceed every candidate's context.
    ContextLengthExceeded,
    /// The API key is missing, unknown or revoked.
    InvalidApiKey,
    /// The balance does not cover the request.
    InsufficientCredits,
    /// The key's own spending cap is reached.
    BudgetExceeded,
    /// The key may not do this.
    PermissionDenied,
    /// The key may not be used from this origin.
    DomainNotAllowed,
    /// Moderation refused the prompt.
    Moderated,
    /// The model exists, but not for this caller: it is not free.
    ModelNotAvailable,
    /// No such path.
    NotFound,
    /// No such model.
    ModelNotFound,
    /// No model can do what is asked, within the caller's own filters.
    NoEndpoints,
    /// The path does not take this method.
    MethodNotAllowed,
    /// Reading the request, or the whole request, took too long.
    RequestTimeout,
    /// An idempotency key was used before for another request.
    Conflict,
    /// The body is above the limit.
    PayloadTooLarge,
    /// The body is not JSON by its content type.
    UnsupportedMediaType,
    /// The caller's limit per minute, or every candidate's, is reached.
    RateLimited,
    /// The caller's limit per day is reached: trying again soon is pointless.
    QuotaExceeded,
    /// A fault of our own.
    Internal,
    /// Every candidate failed with an error or an invalid answer.
    ProviderFailed,
    /// Candidates exist, and none is available now.
    Unavailable,
    /// Every candidate took too long.
    UpstreamTimeout,
}

/// A row of the table.
pub(super) struct Row {
    pub(super) status: u16,
    /// `type` in OpenAI's dialect.
    pub(super) kind: &'static str,
    /// `code` in OpenAI's dialect.
    pub(super) code: &'static str,
    /// `error_type` in both.
    pub(super) error_type: &'static str,
    pub(super) retry: Retry,
}

/// Whether clients may try again.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Retry {
    /// As they do by status: after 408, 409, 429 and from 500 on.
    ByStatus,
    /// They are told not to.
    Never,
}

const fn row(
    status: u16,
    kind: &'static str,
    code: &'static str,
    error_type: &'static str,
    retry: Retry,
) -> Row {
    Row { status, kind, code, error_type, retry }
}

impl ErrorKind {
    /// Every kind, in the order of the table.
    pub const ALL: [Self; 25] = [
        Self::InvalidRequest,
        Self::UnsupportedTool,
        Self::InvalidPrompt,
        Self::ContextLengthExceeded,
        Self::InvalidApiKey,
        Self::InsufficientCredits,
        Self::BudgetExceeded,
        Self::PermissionDenied,
        Self::DomainNotAllowed,
        Self::Moderated,
        Self::ModelNotAvailable,
        Self::NotFound,
        Self::ModelNotFound,
        Self::NoEndpoints,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::Conflict,
        Self::PayloadTooLarge,
        Self::UnsupportedMediaType,
        Self::RateLimited,
        Self::QuotaExceeded,
        Self::Internal,
        Self::ProviderFailed,
        Self::Unavailable,
        Self::UpstreamTimeout,
    ];

    pub(super) const fn row(self) -> Row {
        use Retry::{ByStatus, Never};
        const INVALID: &str = "invalid_request_error";
        match self {
            Self::InvalidRequest => row(400, INVALID, "invalid_request", "invalid_request", ByStatus),
            Self::UnsupportedTool => row(400, INVALID, "unsupported_tool", "invalid_request", ByStatus),
            Self::InvalidPrompt => row(400, INVALID, "invalid_request", "invalid_prompt", ByStatus),
            Self::ContextLengthExceeded => {
                row(400, INVALID, "context_length_exceeded", "context_length_exceeded", ByStatus)
            }
            Self::InvalidApiKey => row(401, INVALID, "invalid_api_key", "authentication", ByStatus),
            Self::InsufficientCredits => {
                row(402, "billing_error", "insufficient_credits", "payment_required", Never)
            }
            Self::BudgetExceeded => row(402, "billing_error", "budget_exceeded", "payment_required", Never),
            Self::PermissionDenied => {
                row(403, "permission_error", "permission_denied", "permission_denied", Never)
            }
            Self::DomainNotAllowed => {
                row(403, "permission_error", "domain_not_allowed", "permission_denied", Never)
            }
            Self::Moderated => row(403, "permission_error", "permission_denied", "content_filter", Never),
            Self::ModelNotAvailable => row(403, INVALID, "model_not_available", "permission_denied", Never),
            Self::NotFound => row(404, INVALID, "not_found", "not_found", ByStatus),
            Self::ModelNotFound => row(404, INVALID, "model_not_found", "not_found", ByStatus),
            Self::NoEndpoints => row(404, INVALID, "no_endpoints", "not_found", ByStatus),
            Self::MethodNotAllowed => row(405, INVALID, "method_not_allowed", "method_not_allowed", ByStatus),
            Self::RequestTimeout => row(408, "timeout_error", "request_timeout", "timeout", ByStatus),
            Self::Conflict => row(409, INVALID, "conflict", "conflict", Never),
            Self::PayloadTooLarge => row(413, INVALID, "payload_too_large", "payload_too_large", ByStatus),
            Self::UnsupportedMediaType => {
                row(415, INVALID, "unsupported_media_type", "unsupported_media_type", ByStatus)
            }
            Self::RateLimited => {
                row(429, "rate_limit_error", "rate_limit_exceeded", "rate_limit_exceeded", ByStatus)
            }
            Self::QuotaExceeded => {
                row(429, "rate_limit_error", "quota_exceeded", "rate_limit_exceeded", Never)
            }
            Self::Internal => row(500, "server_error", "internal_error", "server", ByStatus),
            Self::ProviderFailed => {
                row(502, "server_error", "provider_error", "provider_unavailable", ByStatus)
            }
            Self::Unavailable => row(503, "server_error", "provider_error", "provider_overloaded", ByStatus),
            Self::UpstreamTimeout => row(504, "server_error", "timeout", "timeout", ByStatus),
        }
    }

    /// The HTTP status.
    pub const fn status(self) -> u16 {
        self.row().status
    }

    /// OpenRouter's name for it, for metrics and logs too.
    pub const fn error_type(self) -> &'static str {
        self.row().error_type
    }
}
