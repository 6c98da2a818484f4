//! Whether a failed attempt is followed by another, and what is learnt from it.
//!
//! The only file that marks an error retryable. It does so only while nothing of an answer has gone
//! out and a candidate, an attempt and time are left, and there have not been too many retries.

use super::attempt::Attempt;
use super::exchange::Exchange;
use super::gateway::Gateway;
use crate::catalog::{Capability, Endpoint, Quotas};
use crate::protocol::normalize::{Fault, UpstreamError};
use crate::routing::condition::Cause;
use crate::routing::verdict::{
    Effect, ErrorBody, Refusal, Scope, Situation, UpstreamReply, Verdict, in_band_status, no_reply, verdict,
};
use crate::upstream::{Outcome, hints};
use http::HeaderMap;
use pingora::{Error, ErrorSource, ErrorType, RetryType};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// No candidate, attempt or time is left.
pub(super) const SPENT: ErrorType = ErrorType::new("NoCandidateLeft");
/// The attempt's answer was judged a failure.
pub(super) const FAILED: ErrorType = ErrorType::new("AttemptFailed");
/// One of our clocks ran out.
pub(super) const CLOCK: ErrorType = ErrorType::new("ClockRanOut");
/// The answer has its length; whatever else the upstream has is not wanted.
pub(super) const CUT: ErrorType = ErrorType::new("AnswerCut");

/// Why an attempt failed.
pub(super) enum Failure {
    /// The provider's name does not resolve.
    Resolve,
    /// No connection.
    Connect,
    /// No TLS session.
    Tls,
    /// A status that is no success.
    Refused { status: u16, headers: HeaderMap, body: Vec<u8> },
    /// No meaningful token in time.
    FirstTokenTimeout,
    /// Silence within an answer.
    IdleTimeout,
    /// The whole request took too long.
    TotalTimeout,
    /// The connection broke.
    Broken,
    /// A success that is none.
    Fault(Fault),
    /// A whole answer that is of no use, for lack of this. It would do, if there were nobody else to ask.
    Flawed(Capability),
}

/// How an attempt ended: metric label, log field, and `previous_errors` entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Resolve,
    Connect,
    Tls,
    RateLimited,
    KeyRefused,
    ModelGone,
    BadRequest,
    ServerError,
    FirstTokenTimeout,
    IdleTimeout,
    TotalTimeout,
    Broken,
    ErrorEvent,
    Malformed,
    Empty,
    Truncated,
    Flawed,
}

impl Reason {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::RateLimited => "rate_limited",
            Self::KeyRefused => "key_refused",
            Self::ModelGone => "model_gone",
            Self::BadRequest => "bad_request",
            Self::ServerError => "server_error",
            Self::FirstTokenTimeout => "first_token_timeout",
            Self::IdleTimeout => "idle_timeout",
            Self::TotalTimeout => "total_timeout",
            Self::Broken => "broken",
            Self::ErrorEvent => "error_event",
            Self::Malformed => "malformed",
            Self::Empty => "empty",
            Self::Truncated => "truncated",
            Self::Flawed => "flawed",
        }
    }
}

/// An attempt that failed.
pub(super) struct Tried {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) reason: Reason,
    /// The upstream's status, where it gave one.
    pub(super) status: Option<u16>,
    /// What the client hears if nothing better comes.
    pub(super) refusal: Refusal,
    pub(super) took: Duration,
}

impl Failure {
    pub(super) fn reason(&self) -> Reason {
        match self {
            Self::Resolve => Reason::Resolve,
            Self::Connect => Reason::Connect,
            Self::Tls => Reason::Tls,
            Self::Refused { status, .. } => reason_of(*status),
            Self::FirstTokenTimeout => Reason::FirstTokenTimeout,
            Self::IdleTimeout => Reason::IdleTimeout,
            Self::TotalTimeout => Reason::TotalTimeout,
            Self::Broken => Reason::Broken,
            Self::Fault(Fault::ErrorEvent(_) | Fault::FinishedWithError) => Reason::ErrorEvent,
            Self::Fault(Fault::Malformed | Fault::TooLong) => Reason::Malformed,
            Self::Fault(Fault::Empty) => Reason::Empty,
            Self::Fault(Fault::Truncated) => Reason::Truncated,
            Self::Flawed(_) => Reason::Flawed,
        }
    }

    fn cause(&self) -> Cause {
        match self.reason() {
            Reason::Resolve | Reason::Connect | Reason::Tls => Cause::Connect,
            Reason::FirstTokenTimeout | Reason::IdleTimeout | Reason::TotalTimeout => Cause::Timeout,
            // A host that hangs up is no better than one that says 502.
            Reason::Broken => Cause::ServerError,
            Reason::Truncated => Cause::Truncated,
            _ => Cause::Misbehaving,
        }
    }

    fn judge(&self, situation: &Situation, quotas: &Quotas, now_ms: u64) -> Verdict {
        match self {
            Self::Refused { status, headers, body } => {
                let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
                let error = ErrorBody::parse(body);
                let hint = hints::hint(*status, &header, &error, quotas, now_ms);
                verdict(&UpstreamReply { status: *status, error: &error, hint }, situation)
            }
            Self::Fault(Fault::ErrorEvent(event)) => in_band(event, situation, quotas, now_ms),
            Self::Flawed(lacks) => {
                Verdict::NextCandidate { effect: Effect::Flaw(*lacks), otherwise: Refusal::ProviderError }
            }
            other => no_reply(other.cause()),
        }
    }
}

fn in_band(event: &UpstreamError, situation: &Situation, quotas: &Quotas, now_ms: u64) -> Verdict {
    let error = ErrorBody::parse(event.body());
    let hint = hints::hint(in_band_status(&error), &|_| None, &error, quotas, now_ms);
    verdict(&UpstreamReply::in_band(&error, hint), situation)
}

fn reason_of(status: u16) -> Reason {
    match status {
        401..=403 => Reason::KeyRefused,
        404 | 410 => Reason::ModelGone,
        429 => Reason::RateLimited,
        408 | 409 | 425 | 500.. => Reason::ServerError,
        _ => Reason::BadRequest,
    }
}

/// A connection could not be made.
pub(super) fn on_connect_error(exchange: &mut Exchange, mut error: Box<Error>) -> Box<Error> {
    let tls = matches!(
        error.etype(),
        ErrorType::TLSHandshakeFailure
            | ErrorType::TLSHandshakeTimedout
            | ErrorType::InvalidCert
            | ErrorType::HandshakeError
            | ErrorType::TLSWantX509Lookup
    );
    let failure = if tls { Failure::Tls } else { Failure::Connect };
    let retry = conclude(exchange, failure, Instant::now());
    error.set_retry(retry);
    error
}

/// The exchange with an upstream ended in an error: ours (a verdict, a clock), the upstream's, or
/// the client's.
pub(super) fn on_proxy_error(exchange: &mut Exchange, mut error: Box<Error>, reused: bool) -> Box<Error> {
    let now = Instant::now();
    let stale = reused && matches!(error.retry, RetryType::ReusedOnly) && exchange.failure.is_none();
    let retry = match exchange.failure.take() {
        // What becomes of connections after a whole answer is nobody's failure.
        _ if exchange.settlement.delivered => false,
        Some(failure) => {
            error.esource = ErrorSource::Upstream;
            conclude(exchange, failure, now)
        }
        None if error.esource == ErrorSource::Downstream => false,
        None if stale && !exchange.committed() => {
            // The pool held a connection its provider had closed: no fault of the endpoint.
            exchange.repeat_candidate();
            true
        }
        None => conclude(exchange, Failure::Broken, now),
    };
    error.set_retry(retry);
    error
}

/// Ends the attempt under way, lets the pool learn from it, and says whether another may follow.
pub(super) fn conclude(exchange: &mut Exchange, failure: Failure, now: Instant) -> bool {
    let Some(mut attempt) = exchange.attempt.take() else { return false };
    let now_ms = exchange.job.gateway.clock.ms_at(now);
    let bad_before = exchange.tried.iter().any(|t| t.refusal == Refusal::BadRequest);
    let requirements = &exchange.job.facts.requirements;
    let situation =
        Situation { uses: requirements.hard.union(requirements.soft), called_bad_before: bad_before };
    let judged = match failure {
        // The deadline is the request's: the endpoint may have had no more than a moment.
        Failure::TotalTimeout => Verdict::GiveUp(Refusal::Timeout),
        ref failure => failure.judge(&situation, &attempt.endpoint.provider.quotas, now_ms),
    };
    let (effect, refusal, go_on) = match judged {
        Verdict::NextCandidate { effect, otherwise } => (effect, otherwise, true),
        Verdict::TryOneOther { effect } => (effect, Refusal::BadRequest, true),
        Verdict::GiveUp(refusal) => (Effect::None, refusal, false),
        Verdict::Deliver => (Effect::None, Refusal::ProviderError, true),
    };
    let effect = match effect {
        // Whatever ended it, its client has half an answer.
        Effect::Fail { .. } if attempt.first_token.is_some() => {
            Effect::Fail { scope: Scope::Model, cause: Cause::Truncated }
        }
        effect => effect,
    };
    // What was one too many is learned while it is still counted.
    if !matches!(failure, Failure::TotalTimeout) {
        observe(&attempt, effect, now, now_ms);
    }
    if matches!(failure, Failure::Refused { .. }) {
        attempt.guard.refused();
    }
    if attempt.guard.is_borrowed() && is_about_the_key(effect) {
        exchange.job.choice.forget_own_key(&attempt.endpoint.provider);
    }
    let reason = failure.reason();
    let endpoint = Arc::clone(&attempt.endpoint);
    let gateway = Arc::clone(&exchange.job.gateway);
    gateway.metrics.attempts.with_label_values(&[&*endpoint.key, reason.name()]).inc();
    let (tried, committed) = (exchange.tried.len() + 1, exchange.committed());
    exchange.settlement.failed(&exchange.job, &attempt, reason, committed);
    exchange.tried.push(Tried {
        status: if let Failure::Refused { status, .. } = failure { Some(status) } else { None },
        took: now - attempt.started,
        endpoint,
        reason,
        refusal,
    });
    let fallback_allowed = !exchange.job.facts.preferences.no_fallbacks;
    let left = !exchange.spent(gateway.config.max_attempts, now);
    let wanted = go_on && !committed && fallback_allowed && left;
    // A flawed answer is given up only for a place elsewhere that has been taken.
    let granted = matches!(failure, Failure::Flawed(_));
    let retry = wanted && (granted || may_retry(&gateway, attempt.guard.is_trial(), now_ms));
    if retry && let Some(last) = exchange.tried.last() {
        gateway.metrics.failovers.with_label_values(&[&*last.endpoint.key, reason.name()]).inc();
    }
    tracing::debug!(endpoint = %attempt.endpoint.key, reason = reason.name(), tried, retry, "attempt failed");
    retry
}

/// Whether the provider's other models would refuse the key, too.
fn is_about_the_key(effect: Effect) -> bool {
    matches!(effect, Effect::DisableKey(_) | Effect::Cool { scope: Scope::Key | Scope::Provider, .. })
}

/// Whether there may be one more retry among all requests. Nobody's request fails because it tried out for the
/// others whether an endpoint is well again; such trials are few.
pub(super) fn may_retry(gateway: &Gateway, trial: bool, now_ms: u64) -> bool {
    let budget = gateway.pool.retries();
    if trial {
        budget.spend(now_ms);
        return true;
    }
    let granted = budget.take(now_ms);
    if !granted {
        gateway.metrics.retries_refused.inc();
    }
    granted
}

fn observe(attempt: &Attempt, effect: Effect, now: Instant, now_ms: u64) {
    let took_ms = u32::try_from((now - attempt.started).as_millis()).unwrap_or(u32::MAX);
    attempt.guard.observe(Outcome::Failed { effect, took_ms }, now_ms);
}
