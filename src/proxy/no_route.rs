//! What a client hears whose request no endpoint can take.

use crate::catalog::Capability;
use crate::protocol::errors::{ApiError, ErrorKind};
use crate::routing::NoRoute;
use serde_json::{Value, json};

/// The longest limit there is, of a month, is over after this.
const MAX_RETRY_AFTER_S: u64 = 31 * 86_400;

/// The error for a request without a route. Its words are the router's; a model's name is the
/// caller's own and is quoted.
pub(super) fn api_error(no_route: &NoRoute) -> ApiError {
    let error = |kind| ApiError::new(kind, no_route.to_string());
    match no_route {
        NoRoute::UnknownModel(_) => {
            unavailable(error(ErrorKind::ModelNotFound).param("model"), "model_not_found", false)
        }
        NoRoute::NotFree(_) => error(ErrorKind::ModelNotAvailable).param("model"),
        NoRoute::NothingConfigured => {
            unavailable(error(ErrorKind::Unavailable).retry_after_s(1), "temporarily_unavailable", true)
        }
        NoRoute::Restricted | NoRoute::Forbidden | NoRoute::NoAllowedProviders => {
            unavailable(error(ErrorKind::NoEndpoints), "constraint_filtered", false)
        }
        NoRoute::Privacy => unavailable(error(ErrorKind::NoEndpoints), "privacy_restricted", false),
        // One answer in place of several, or tools that nobody runs: the request itself is at fault.
        NoRoute::Unsupported { missing } if missing[..] == [Capability::MultipleChoices] => {
            error(ErrorKind::InvalidRequest).param("n")
        }
        NoRoute::Unsupported { missing } if missing.contains(&Capability::ServerTools) => {
            error(ErrorKind::UnsupportedTool).param("tools")
        }
        NoRoute::Unsupported { missing } => {
            let names: Vec<_> = missing.iter().map(|c| c.name()).collect();
            unavailable(error(ErrorKind::NoEndpoints).with("missing", names), "no_endpoints", false)
        }
        NoRoute::OutputTooLong { .. } => error(ErrorKind::InvalidRequest).param("max_tokens"),
        NoRoute::ContextTooLong { .. } => error(ErrorKind::ContextLengthExceeded).param("messages"),
        NoRoute::Cooling { retry_after_ms } => {
            let seconds = retry_after_ms.div_ceil(1000).clamp(1, MAX_RETRY_AFTER_S) as u32;
            let error = error(ErrorKind::RateLimited).retry_after_s(seconds);
            unavailable(error, "capacity_exhausted", true)
        }
        NoRoute::Down => unavailable(error(ErrorKind::Unavailable), "temporarily_unavailable", true),
    }
}

fn unavailable(mut error: ApiError, code: &str, retryable: bool) -> ApiError {
    let mut availability: Value = json!({ "code": code, "retryable": retryable });
    if let Some(seconds) = error.retry_after_s {
        availability["retry_after"] = seconds.into();
    }
    error.availability = Some(availability);
    error
}
