//! What to do with an attempt that did not bring an answer: try the next candidate, and tell the
//! live state what was learnt; or stop and tell the client.
//!
//! Pure. When to wait is read by `upstream::hints`; nothing here knows a provider by name.

mod error_body;
mod hint;
mod words;

pub use error_body::{ErrorBody, MAX_ERROR_BYTES, Violation};
pub use hint::{Hint, Learned, Scope, Window};

use super::condition::Cause;
use crate::catalog::{Capability, CapabilitySet};

/// A provider's error: an HTTP reply that is no 2xx, or an error inside one.
#[derive(Clone, Copy, Debug)]
pub struct UpstreamReply<'a> {
    /// The HTTP status.
    pub status: u16,
    /// What its body says.
    pub error: &'a ErrorBody,
    /// When the provider will take requests again, where it says so.
    pub hint: Option<Hint>,
}

impl<'a> UpstreamReply<'a> {
    /// An error event in a stream, or an error object in a 200: the status is what the error says
    /// of itself, or a guess from its words.
    pub fn in_band(error: &'a ErrorBody, hint: Option<Hint>) -> Self {
        Self { status: in_band_status(error), error, hint }
    }
}

/// The status an error inside a 200 would have had.
pub fn in_band_status(error: &ErrorBody) -> u16 {
    match error.status {
        Some(status) => status,
        None if words::rate_limited(error) => 429,
        None if words::overloaded(error) => 503,
        None if words::too_long(error) || words::moderated(error) || words::model_gone(error) => 400,
        None if words::key_refused(error) => 401,
        None => 502,
    }
}

/// What matters of the request and the attempts before this one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Situation {
    /// The capabilities and parameters the request uses. Only these can be learnt as missing, so
    /// that no quoted prompt can talk a model out of something.
    pub uses: CapabilitySet,
    /// Another provider has already called this request bad.
    pub called_bad_before: bool,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A 2xx: hand the body on.
    Deliver,
    /// Another candidate may answer.
    NextCandidate {
        /// What the live state should know.
        effect: Effect,
        /// What the client is told if no other candidate answers.
        otherwise: Refusal,
    },
    /// The request may be bad, or this provider picky: one candidate *of another provider* decides.
    TryOneOther {
        /// What the live state should know.
        effect: Effect,
    },
    /// No candidate will do better.
    GiveUp(Refusal),
}

/// What an attempt taught about an endpoint or its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing: the endpoint is well, the request was not for it.
    None,
    /// Not before `for_ms` have passed.
    Cool {
        /// What cools.
        scope: Scope,
        /// Milliseconds.
        for_ms: u64,
        /// Why.
        cause: Cause,
        /// The time is a guess: longer each time it proves too short.
        guessed: bool,
        /// The limit that was met.
        learned: Option<Learned>,
    },
    /// One failure; the breaker decides what follows.
    Fail {
        /// What failed.
        scope: Scope,
        /// How.
        cause: Cause,
    },
    /// The key is of no use until someone acts.
    DisableKey(Cause),
    /// The model is gone until the provider lists it again.
    DropModel,
    /// The model lacks something its row promises.
    LearnMissing(Capability),
    /// Its answer was not what its row promises; several such in a row are as good as a refusal.
    Flaw(Capability),
    /// Only a candidate with a larger window than this one is worth trying.
    NeedsLargerContext {
        /// The limit that the request exceeded on its own.
        learned: Option<Learned>,
    },
}

impl Effect {
    /// Its name in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Cool { .. } => "cool",
            Self::Fail { .. } => "fail",
            Self::DisableKey(_) => "disable_key",
            Self::DropModel => "drop_model",
            Self::LearnMissing(_) => "learn_missing",
            Self::Flaw(_) => "flaw",
            Self::NeedsLargerContext { .. } => "needs_larger_context",
        }
    }
}

/// Why the client gets an error, without any of the provider's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// 400: two providers called the request bad.
    BadRequest,
    /// 400 `context_length_exceeded`.
    ContextTooLong,
    /// 403: a provider's filter refused the prompt.
    Moderated,
    /// 404: no model at hand can do this.
    Unsupported(Capability),
    /// 502: answers were errors or nonsense.
    ProviderError,
    /// 504: nobody answered in time.
    Timeout,
    /// 503: nobody is there or has room.
    Unavailable,
    /// 429.
    RateLimited,
}

impl Refusal {
    /// What the client is told when every attempt ended in one of `refusals`: a cause that passes
    /// by itself wins over one of the request, since a retry may then succeed. `None` for none.
    pub fn of_all(refusals: impl IntoIterator<Item = Self>) -> Option<Self> {
        refusals.into_iter().max()
    }
}

/// A provider whose edge or wording we do not know refused us: long enough to stop asking, short
/// enough to survive a wrong guess.
const UNCLEAR_403_COOL_MS: u64 = 5 * 60_000;
/// A 5xx may ask for more than this; a maintenance page's "tomorrow" is not believed.
const MAX_5XX_COOL_MS: u64 = 5 * 60_000;
/// A 429 without any hint.
const DEFAULT_429_COOL_MS: u64 = 15_000;
/// A 429 that says the account's quota or credits are gone.
const SPENT_COOL_MS: u64 = 60 * 60_000;

/// Judges a provider's answer.
pub fn verdict(reply: &UpstreamReply<'_>, situation: &Situation) -> Verdict {
    let error = reply.error;
    if (200..300).contains(&reply.status) {
        return Verdict::Deliver;
    }
    if reply.hint.is_some_and(|h| h.window == Window::TooBig)
        || reply.status == 413
        || (words::too_long(error) && !matches!(reply.status, 401..=403 | 429))
    {
        let learned = reply.hint.and_then(Hint::learned);
        return next(Effect::NeedsLargerContext { learned }, Refusal::ContextTooLong);
    }
    match reply.status {
        401 => next(Effect::DisableKey(Cause::BadKey), Refusal::Unavailable),
        402 => next(Effect::DisableKey(Cause::QuotaSpent), Refusal::Unavailable),
        403 => forbidden(reply),
        429 => rate_limited(reply),
        404 | 410 if error.from_edge => failure(Scope::Model, Cause::Misbehaving),
        404 | 410 => match words::missing(error, situation.uses) {
            Some(lacks) => next(Effect::LearnMissing(lacks), Refusal::Unsupported(lacks)),
            None => next(Effect::DropModel, Refusal::Unavailable),
        },
        400 | 422 => bad_request(reply, situation),
        408 | 409 | 425 | 500.. => server_error(reply, situation),
        _ => failure(Scope::Model, Cause::Misbehaving),
    }
}

/// Judges an attempt that brought no reply, or nonsense: no connection, no first byte in time, a
/// stream that was empty, malformed or cut before its first token.
pub fn no_reply(cause: Cause) -> Verdict {
    // A host that cannot be reached serves none of its models.
    let scope = if cause == Cause::Connect { Scope::Provider } else { Scope::Model };
    failure(scope, cause)
}

fn next(effect: Effect, otherwise: Refusal) -> Verdict {
    Verdict::NextCandidate { effect, otherwise }
}

fn failure(scope: Scope, cause: Cause) -> Verdict {
    let otherwise = match cause {
        Cause::Timeout => Refusal::Timeout,
        Cause::Connect | Cause::Overloaded => Refusal::Unavailable,
        _ => Refusal::ProviderError,
    };
    next(Effect::Fail { scope, cause }, otherwise)
}

fn forbidden(reply: &UpstreamReply<'_>) -> Verdict {
    let error = reply.error;
    if words::moderated(error) {
        return next(Effect::None, Refusal::Moderated);
    }
    if words::model_gone(error) {
        return next(Effect::DropModel, Refusal::Unavailable);
    }
    if reply.hint.is_some() {
        return rate_limited(reply);
    }
    if error.from_edge {
        // An edge's page may be about this one prompt: no reason to give up the key.
        return failure(Scope::Model, Cause::Misbehaving);
    }
    if words::key_refused(error) {
        return next(Effect::DisableKey(Cause::BadKey), Refusal::Unavailable);
    }
    rest_key(UNCLEAR_403_COOL_MS, Cause::BadKey, Refusal::Unavailable)
}

fn rest_key(for_ms: u64, cause: Cause, otherwise: Refusal) -> Verdict {
    let effect = Effect::Cool { scope: Scope::Key, for_ms, cause, guessed: false, learned: None };
    next(effect, otherwise)
}

fn rate_limited(reply: &UpstreamReply<'_>) -> Verdict {
    if words::credits_spent(reply.error) {
        return rest_key(SPENT_COOL_MS, Cause::QuotaSpent, Refusal::RateLimited);
    }
    let hint = reply.hint.unwrap_or(Hint {
        wait_ms: DEFAULT_429_COOL_MS,
        guessed: true,
        scope: Scope::Model,
        window: Window::Unknown,
        unit: None,
        limit: None,
    });
    next(cool(hint), Refusal::RateLimited)
}

fn cool(hint: Hint) -> Effect {
    let cause = match hint.window {
        Window::Day | Window::Month => Cause::QuotaSpent,
        Window::Concurrency => Cause::Busy,
        Window::Minute | Window::Hour | Window::Unknown | Window::TooBig => Cause::RateLimited,
    };
    let Hint { wait_ms: for_ms, guessed, scope, .. } = hint;
    Effect::Cool { scope, for_ms, cause, guessed, learned: hint.learned() }
}

fn bad_request(reply: &UpstreamReply<'_>, situation: &Situation) -> Verdict {
    let error = reply.error;
    if words::key_refused(error) {
        return next(Effect::DisableKey(Cause::BadKey), Refusal::Unavailable);
    }
    if words::model_gone(error) {
        return next(Effect::DropModel, Refusal::Unavailable);
    }
    if let Some(lacks) = words::missing(error, situation.uses) {
        return next(Effect::LearnMissing(lacks), Refusal::Unsupported(lacks));
    }
    if words::moderated(error) {
        return next(Effect::None, Refusal::Moderated);
    }
    if reply.hint.is_some() {
        return rate_limited(reply);
    }
    if situation.called_bad_before {
        return Verdict::GiveUp(Refusal::BadRequest);
    }
    Verdict::TryOneOther { effect: Effect::None }
}

fn server_error(reply: &UpstreamReply<'_>, situation: &Situation) -> Verdict {
    if let Some(lacks) = words::missing(reply.error, situation.uses) {
        return next(Effect::LearnMissing(lacks), Refusal::Unsupported(lacks));
    }
    if let Some(hint) = reply.hint {
        let capped = Hint { wait_ms: hint.wait_ms.min(MAX_5XX_COOL_MS), ..hint };
        let refusal =
            if words::rate_limited(reply.error) { Refusal::RateLimited } else { Refusal::Unavailable };
        return next(cool(if refusal == Refusal::RateLimited { hint } else { capped }), refusal);
    }
    match reply.status {
        408 | 504 | 522 | 524 => failure(Scope::Model, Cause::Timeout),
        503 | 529 => failure(Scope::Model, Cause::Overloaded),
        _ => failure(Scope::Model, Cause::ServerError),
    }
}

#[cfg(test)]
mod tests;
