//! What Freeway itself says to clients: response heads, errors in their dialect, and metadata.

use super::attempt::Attempt;
use super::context::{Answered, Context, Stage};
use super::exchange::{Exchange, Job};
use super::failover::{Failure, Reason, Tried};
use super::idempotency::Kept;
use super::limit::Quota;
use super::wrapper;
use crate::access_log::Ended;
use crate::catalog::Endpoint;
use crate::classifier::Classification;
use crate::money::MicroCredits;
use crate::protocol::Dialect;
use crate::protocol::errors::{ApiError, ErrorKind, PreviousError};
use crate::protocol::normalize::{Identity, Reply};
use crate::routing::verdict::Refusal;
use crate::routing::{Moved, Stick};
use bytes::Bytes;
use pingora::http::ResponseHeader;
use pingora::proxy::{FailToProxy, Session};
use pingora::{Error, ErrorSource, Result};
use serde_json::json;
use serde_json::value::RawValue;
use std::sync::Arc;

/// A sign of life for clients that wait; every SSE parser skips comments.
pub(super) const KEEPALIVE_COMMENT: &[u8] = b": FREEWAY PROCESSING\n\n";

/// Who answers when no endpoint does.
const OURSELVES: &str = "freeway";

/// How a reply of `endpoint` is signed.
pub(super) fn identity(id: &str, created: u64, endpoint: Option<&Endpoint>) -> Identity {
    Identity {
        id: id.to_owned(),
        created,
        model: endpoint.map_or_else(|| "auto".to_owned(), |e| e.model.id.clone()),
        provider: endpoint.map_or_else(|| OURSELVES.to_owned(), |e| e.provider.name.clone()),
    }
}

/// The head of a success: ours alone, nothing of the upstream's head is passed on. `length` is
/// known for bodies written in one piece, `credits` (charged and left) once the charge is posted.
pub(super) fn success_head(
    job: &Job,
    attempt: Option<&Attempt>,
    attempts: usize,
    credits: Option<(MicroCredits, MicroCredits)>,
    h2: bool,
    length: Option<usize>,
) -> Box<ResponseHeader> {
    let mut head = empty_head(200);
    set(&mut head, "content-type", content_type(job.shape.stream));
    set(&mut head, "cache-control", "no-cache");
    set(&mut head, "x-request-id", &job.id);
    set(&mut head, "x-generation-id", &job.id);
    if job.shape.stream {
        set(&mut head, "x-accel-buffering", "no");
    }
    if let Some(Attempt { endpoint, guard, .. }) = attempt {
        set(&mut head, "x-freeway-model", &endpoint.model.id);
        set(&mut head, "x-freeway-provider", &endpoint.provider.slug);
        if guard.is_borrowed() {
            set(&mut head, "x-freeway-byok", "true");
        }
        set(&mut head, "x-freeway-attempts", &attempts.to_string());
        if let Some(session) = session(job, endpoint, attempts > 1) {
            set(&mut head, "x-freeway-session", session.name());
        }
        let Classification { task, difficulty, .. } = job.choice.plan.classification;
        set(&mut head, "x-freeway-task", task.name());
        set(&mut head, "x-freeway-difficulty", &format!("{difficulty:.2}"));
    }
    if let Some(waited) = job.queued {
        set(&mut head, "x-freeway-queue-ms", &waited.as_millis().to_string());
    }
    for (name, value) in job.quota.iter().flat_map(Quota::headers) {
        set(&mut head, name, &value);
    }
    if let Some(fit) = job.fit.filter(|fit| fit.clamped) {
        set(&mut head, "x-max-tokens-clamped", &fit.max_output_tokens.to_string());
    }
    if let Some((charged, left)) = credits {
        set(&mut head, "x-credits-charged", &charged.to_string());
        set(&mut head, "x-credits-remaining", &left.to_string());
    }
    match length {
        Some(length) => set(&mut head, "content-length", &length.to_string()),
        None if !h2 => set(&mut head, "transfer-encoding", "chunked"),
        None => {}
    }
    Box::new(head)
}

/// Whether the conversation stayed with its model. The one it should stay with may have failed since then, or
/// have given its last place to another request.
pub(super) fn session(job: &Job, answered: &Endpoint, failed: bool) -> Option<Stick> {
    let plan = &job.choice.plan;
    let first = plan.candidates.first().map(|c| &job.snapshot.catalog.endpoints[c.endpoint as usize]);
    let elsewhere = first.is_some_and(|first| first.model.id != answered.model.id);
    match plan.session? {
        Stick::Kept if elsewhere && failed => Some(Stick::Moved(Moved::Health)),
        Stick::Kept if elsewhere => Some(Stick::Moved(Moved::Quota)),
        stick => Some(stick),
    }
}

/// What an answer is, streamed or whole.
pub(super) const fn content_type(streamed: bool) -> &'static str {
    if streamed { "text/event-stream; charset=utf-8" } else { "application/json" }
}

fn empty_head(status: u16) -> ResponseHeader {
    ResponseHeader::build_no_case(status, Some(12)).expect("statuses come from our own tables")
}

/// Sets a header. A value that is no header value (a model id with odd characters) is left out.
fn set(head: &mut ResponseHeader, name: &'static str, value: &str) {
    if let Ok(value) = http::HeaderValue::from_str(value) {
        // Fails only for invalid names, and these are ours.
        let _ = head.insert_header(name, value);
    }
}

/// Writes a JSON answer of our own and keeps the connection.
pub(super) async fn respond_json(
    session: &mut Session,
    status: u16,
    headers: &[(&'static str, String)],
    body: Vec<u8>,
) -> Result<()> {
    respond(session, status, content_type(false), headers, Bytes::from(body)).await
}

/// Gives an answer that was given before.
pub(super) async fn respond_again(
    session: &mut Session,
    id: &str,
    kept: &Kept,
    quota: Option<Quota>,
) -> Result<()> {
    let mut headers = vec![
        ("x-request-id", id.to_owned()),
        ("x-generation-id", kept.id.clone()),
        ("idempotent-replayed", "true".to_owned()),
    ];
    headers.extend(quota.iter().flat_map(Quota::headers));
    respond(session, 200, kept.content_type, &headers, kept.body.clone()).await
}

async fn respond(
    session: &mut Session,
    status: u16,
    content_type: &str,
    headers: &[(&'static str, String)],
    body: Bytes,
) -> Result<()> {
    let mut head = empty_head(status);
    set(&mut head, "content-type", content_type);
    set(&mut head, "cache-control", "no-cache");
    set(&mut head, "content-length", &body.len().to_string());
    for (name, value) in headers {
        set(&mut head, name, value);
    }
    let bodiless = session.req_header().method == http::Method::HEAD;
    session.write_response_header(Box::new(head), bodiless).await?;
    if bodiless { Ok(()) } else { session.write_response_body(Some(body), true).await }
}

/// Writes an error in the caller's dialect.
pub(super) async fn respond_error(
    session: &mut Session,
    dialect: Dialect,
    id: &str,
    error: &ApiError,
) -> Result<()> {
    respond_error_within(session, dialect, id, error, None).await
}

/// The same, with the limits its caller is under.
pub(super) async fn respond_error_within(
    session: &mut Session,
    dialect: Dialect,
    id: &str,
    error: &ApiError,
    quota: Option<Quota>,
) -> Result<()> {
    let mut headers = error.headers();
    headers.push(("x-request-id", id.to_owned()));
    headers.extend(quota.iter().flat_map(Quota::headers));
    respond_json(session, error.status(), &headers, error.body(dialect)).await
}

/// What a client hears whose answer broke off.
pub(super) fn mid_stream_error(failure: &Failure) -> ApiError {
    match failure.reason() {
        Reason::IdleTimeout | Reason::TotalTimeout => ApiError::new(
            ErrorKind::UpstreamTimeout,
            "the provider stopped sending before the answer was whole",
        ),
        _ => {
            ApiError::new(ErrorKind::ProviderFailed, "the provider disconnected before the answer was whole")
        }
    }
}

/// The last words to a client whose request failed, and the fate of its connection.
pub(super) async fn last_words(session: &mut Session, context: &mut Context, error: &Error) -> FailToProxy {
    let Some(shared) = context.exchange().cloned() else {
        // The request never got as far as an exchange: reading it failed, or writing our answer.
        let status = if error.esource == ErrorSource::Downstream { 0 } else { 500 };
        let (id, dialect, ended) = (String::new(), Dialect::OpenAi, Ended::Router);
        context.stage =
            Stage::Answered(Answered { id, dialect, chat: true, status, ended, payer: None, queued: None });
        return FailToProxy { error_code: status, can_reuse_downstream: false };
    };
    wrapper::remove(session, &shared);
    let gone = error.esource == ErrorSource::Downstream;
    let (finished, delivered, head_written) = {
        let exchange = shared.lock();
        (exchange.is_done(), exchange.settlement.delivered, exchange.head_written())
    };
    if gone {
        let text = shared.lock().uncounted_text();
        let counted = match text {
            Some(text) => super::settle::count(text).await,
            None => None,
        };
        shared.lock().client_left(counted);
        return FailToProxy { error_code: 0, can_reuse_downstream: false };
    }
    if delivered {
        // The client has all of its answer, only the upstream was left early. Pingora closes the client's
        // connection after any error, whatever is said here.
        return FailToProxy { error_code: 200, can_reuse_downstream: false };
    }
    let (api, shape, id, quota) = {
        let exchange = shared.lock();
        (final_error(&exchange), exchange.job.shape, exchange.job.id.clone(), exchange.job.quota)
    };
    let status = if head_written { 200 } else { api.status() };
    shared.lock().settlement.answered_with(status);
    shared.lock().settlement.came_to_nothing();
    // The client may be gone by now; there is nobody left to tell then.
    let _ = if finished {
        Ok(())
    } else if head_written {
        let mut bytes = Vec::new();
        let identity = shared.lock().identity(None);
        Reply::new(identity, shape).abort(&api, &mut bytes);
        session.write_response_body(Some(Bytes::from(bytes)), true).await
    } else {
        // Pingora closes the connection after a failed exchange; the client is told.
        session.set_keepalive(None);
        respond_error_within(session, shape.dialect, &id, &api, quota).await
    };
    FailToProxy { error_code: status, can_reuse_downstream: false }
}

/// The error of a request that no endpoint answered.
fn final_error(exchange: &Exchange) -> ApiError {
    let tried = &exchange.tried;
    let previous: Vec<PreviousError> = tried.iter().map(previous_error).collect();
    let refusal = Refusal::of_all(tried.iter().map(|t| t.refusal)).unwrap_or(Refusal::Unavailable);
    let mut error = refused(refusal).previous_errors(&previous);
    if matches!(refusal, Refusal::RateLimited | Refusal::Unavailable) {
        error = error.retry_after_s(exchange.retry_after_s());
    }
    error.queued_ms = exchange.job.queued.map(|waited| waited.as_millis() as u64);
    if exchange.job.metadata {
        let metadata = metadata(&exchange.job, tried, None);
        error.openrouter_metadata = serde_json::from_str(metadata.get()).ok();
    }
    error
}

fn refused(refusal: Refusal) -> ApiError {
    match refusal {
        Refusal::BadRequest => ApiError::new(
            ErrorKind::InvalidRequest,
            "two providers refused the request as invalid; check its messages and parameters",
        ),
        Refusal::ContextTooLong => ApiError::new(
            ErrorKind::ContextLengthExceeded,
            "the prompt and the answer asked for exceed the context of every model at hand",
        ),
        Refusal::Moderated => {
            ApiError::new(ErrorKind::Moderated, "the providers' content filters refused the prompt")
        }
        Refusal::Unsupported(capability) => {
            ApiError::new(ErrorKind::NoEndpoints, format!("no endpoint at hand supports {capability}"))
                .with("missing", vec![capability.name()])
        }
        Refusal::ProviderError => {
            ApiError::new(ErrorKind::ProviderFailed, "every provider that was asked failed")
        }
        Refusal::Timeout => {
            ApiError::new(ErrorKind::UpstreamTimeout, "no provider that was asked answered in time")
        }
        Refusal::Unavailable => {
            ApiError::new(ErrorKind::Unavailable, "no provider that could answer is available at the moment")
        }
        Refusal::RateLimited => ApiError::new(
            ErrorKind::RateLimited,
            "every provider that could answer is at its rate limit; try again later",
        ),
    }
}

fn previous_error(tried: &Tried) -> PreviousError {
    PreviousError {
        provider: tried.endpoint.provider.name.clone(),
        code: tried.reason.name(),
        status: tried.status,
    }
}

/// The `openrouter_metadata` object: what could have answered, what was tried, what did.
pub(super) fn metadata(job: &Job, tried: &[Tried], answered: Option<&Attempt>) -> Box<RawValue> {
    let selected = answered.map(|attempt| &attempt.endpoint);
    let row = |e: &Endpoint, chosen: bool| json!({ "provider": e.provider.name, "model": e.model.id, "selected": chosen });
    let endpoints = &job.snapshot.catalog.endpoints;
    let available: Vec<_> = job
        .choice
        .plan
        .candidates
        .iter()
        .map(|c| &endpoints[c.endpoint as usize])
        .map(|e| row(e, selected.is_some_and(|s| Arc::ptr_eq(s, e))))
        .collect();
    let mut attempts: Vec<_> = tried
        .iter()
        .map(|t| {
            json!({ "provider": t.endpoint.provider.name, "model": t.endpoint.model.id,
                         "status": t.status, "error": t.reason.name(), "ms": t.took.as_millis() as u64 })
        })
        .collect();
    if let Some(e) = selected {
        attempts.push(json!({ "provider": e.provider.name, "model": e.model.id, "status": 200 }));
    }
    let stick = selected.and_then(|endpoint| session(job, endpoint, !tried.is_empty()));
    let Classification { task, difficulty, .. } = job.choice.plan.classification;
    let by = selected.map_or("none", |e| e.provider.name.as_str());
    let value = json!({
        "requested": job.facts.model.as_deref().unwrap_or("auto"),
        "strategy": if job.choice.plan.pinned { "direct" } else { "auto" },
        "region": null,
        "summary": format!("available={}, selected={by}", available.len()),
        "attempt": attempts.len(),
        "is_byok": answered.is_some_and(|attempt| attempt.guard.is_borrowed()),
        "endpoints": { "total": endpoints.len(), "available": available },
        "attempts": attempts,
        "pipeline": [{ "type": "router", "name": "freeway",
                       "data": { "task_type": task.name(), "difficulty": difficulty,
                                 "expected_output_tokens": job.choice.plan.expected_output_tokens,
                                 "session": stick.map(Stick::name) } }],
    });
    RawValue::from_string(value.to_string()).expect("a JSON value prints as JSON")
}
