//! The words providers use for the same few complaints.
//!
//! Codes and types come from closed lists and are trusted. Messages may quote the prompt, so only
//! phrases nobody writes by chance count, and [`missing`] is bounded by what the request uses.

use super::ErrorBody;
use crate::catalog::{Capability, CapabilitySet};

/// The prompt, or prompt and answer together, exceed the window.
pub(super) fn too_long(e: &ErrorBody) -> bool {
    e.is(&[
        "context_length_exceeded",
        "exceed_context_size_error",
        "tokens_limit_reached",
        "context_window_exceeded",
        "3051",
        "5021",
    ]) || e.says(&[
        "maximum context length",
        "context length exceeded",
        "exceeds the available context",
        "exceeds the context window",
        "exceeded this model context window",
        "exceeds the maximum number of tokens",
        "reduce the length of the messages",
        "reduce the length of the input",
        "prompt is too long",
        "input is too long",
        "too many tokens: ",
        "`inputs` tokens + `max_new_tokens` must be",
        "exceeds model's maximum context",
        "request too large for model",
    ])
}

/// A filter refused the prompt.
pub(super) fn moderated(e: &ErrorBody) -> bool {
    e.flagged
        || e.is(&[
            "content_filter",
            "content_policy_violation",
            "moderation_blocked",
            "responsibleaipolicyviolation",
            "prohibited_content",
            "moderation",
        ])
        || e.says(&[
            "content management policy",
            "input was flagged",
            "requires moderation on",
            "flagged by moderation",
            "violates our content policy",
        ])
}

/// The model is not served, not any more, or not to us.
pub(super) fn model_gone(e: &ErrorBody) -> bool {
    e.is(&[
        "model_not_found",
        "unknown_model",
        "invalid_model",
        "model_decommissioned",
        "model_deprecated",
        "model_not_available",
        "model_not_supported",
        "model_unavailable_upstream",
        "free_variant_ended",
        "no_access",
        "5007",
    ]) || e.says(&[
        "is not a valid model id",
        "no such model",
        "has been decommissioned",
        "not supported by any provider you have enabled",
        "unavailable for free",
    ]) || (e.message.starts_with("the model ") || e.message.starts_with("model "))
        && e.says(&["does not exist", "not found"])
}

/// The key itself was refused.
pub(super) fn key_refused(e: &ErrorBody) -> bool {
    e.is(&[
        "invalid_api_key",
        "api_key_invalid",
        "wrong_api_key",
        "authentication_error",
        "authentication",
        "unauthenticated",
        "unauthorized",
        "permission_denied",
        "permission_error",
        "consumer_suspended",
        "service_disabled",
        "account_deactivated",
    ]) || [
        "api key not valid",
        "invalid api key",
        "incorrect api key",
        "user not found",
        "no auth credentials",
    ]
    .iter()
    .any(|p| e.message.starts_with(p))
        || e.says(&[
            "user location is not supported for the api use",
            "your account has been",
            "key is disabled",
        ])
}

/// Credits are gone, which no waiting brings back. Gemini's "exceeded your current quota" is an
/// ordinary minute's limit, so the sentence alone does not count.
pub(super) fn credits_spent(e: &ErrorBody) -> bool {
    e.is(&["insufficient_quota", "insufficient_credits", "payment_required"])
}

/// A limit of requests or tokens.
pub(super) fn rate_limited(e: &ErrorBody) -> bool {
    e.status == Some(429)
        || e.is(&[
            "rate_limit_exceeded",
            "rate_limit_error",
            "rate_limited",
            "ratelimitreached",
            "resource_exhausted",
            "request_quota_exceeded",
            "token_quota_exceeded",
            "queue_exceeded",
            "too_many_requests",
            "1300",
            "1015",
            "4006",
            "3036",
        ])
        || e.says(&["rate limit exceeded", "rate limit reached", "rate-limited", "too many requests"])
}

/// Nobody there has room, for seconds rather than minutes.
pub(super) fn overloaded(e: &ErrorBody) -> bool {
    e.is(&[
        "overloaded_error",
        "engine_overloaded",
        "provider_overloaded",
        "unavailable_error",
        "unavailable",
    ]) || e.says(&["overloaded", "capacity", "loading model", "temporarily unavailable"])
}

/// Ways to say no to a feature.
const NEGATIONS: &[&str] = &[
    "not support",
    "n't support",
    "unsupported",
    "no endpoints found that support",
    "not enabled",
    "not allowed",
    "not permitted",
    "does not accept",
    "not a multimodal model",
    "at most 0 ",
    "must be a string",
    "requires --",
    "requires jinja",
    "unrecognized request argument",
    "unexpected keyword",
    "unknown field",
    "unknown name",
    "mmproj",
    "n must be",
];

/// What features are called in error messages. More specific names stand first.
const FEATURES: &[(Capability, &[&str])] = &[
    (
        Capability::ImageInput,
        &["image", "vision", "multimodal", "multi-modal", "mmproj", "content must be a string"],
    ),
    (Capability::AudioInput, &["audio"]),
    (Capability::VideoInput, &["video"]),
    (Capability::FileInput, &["file", "pdf", "document"]),
    (Capability::Tools, &["auto\" tool choice requires", "tools param requires"]),
    (Capability::ToolChoice, &["tool_choice", "tool choice"]),
    (Capability::ParallelToolCalls, &["parallel_tool_calls", "parallel tool"]),
    (Capability::Tools, &["tool", "function"]),
    (Capability::StructuredOutputs, &["json_schema", "json schema", "structured output", "response_schema"]),
    (Capability::ResponseFormat, &["response_format", "json_object", "json mode", "json_schema"]),
    (Capability::ReasoningEffort, &["reasoning_effort"]),
    (Capability::Reasoning, &["reasoning", "thinking"]),
    (Capability::MultipleChoices, &["'n'", "`n`", "n must be", "multiple choices"]),
    (Capability::TopLogprobs, &["top_logprobs"]),
    (Capability::Stop, &["'stop'", "`stop`"]),
];

/// The feature of the request that was said to be unsupported.
pub(super) fn missing(e: &ErrorBody, uses: CapabilitySet) -> Option<Capability> {
    // `param` and a FastAPI "extra field" name the field outright.
    let refused =
        e.is(&["unsupported_parameter", "extra_forbidden", "unsupported_value", "wrong_api_format"])
            || e.says(NEGATIONS);
    if !refused {
        return None;
    }
    let named = Capability::from_parameter(&e.param).filter(|c| uses.contains(*c));
    named
        .or_else(|| FEATURES.iter().find(|(c, names)| uses.contains(*c) && e.says(names)).map(|(c, _)| *c))
        .or_else(|| uses.iter().find(|c| c.name().len() > 4 && e.message.contains(c.name())))
}
