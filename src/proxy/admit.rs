//! The way in: from a request line to an exchange that can be forwarded, or to an answer of our own.

use super::context::{Answered, Context, Stage};
use super::exchange::{Job, Shared};
use super::gateway::{Buffered, Gateway};
use super::local::{self, Route};
use super::{no_route, reply, wrapper};
use crate::protocol::Dialect;
use crate::protocol::errors::{ApiError, ErrorKind};
use crate::protocol::facts::RequestFacts;
use crate::protocol::inspect::{Invalid, inspect};
use crate::protocol::normalize::ReplyShape;
use crate::routing::{self, Inputs};
use bytes::Bytes;
use pingora::Result;
use pingora::proxy::Session;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Larger bodies are inspected off the worker thread. Below, handing the body to another thread and
/// its cache costs more than the pass: `benches/inspect.rs` has 0.2 ms for an image of 2 MB and 2 ms
/// for text of this length.
const INSPECT_INLINE_BYTES: usize = 3 << 20;
/// Set aside for a body of unknown length before it is read.
const UNKNOWN_BODY_BYTES: usize = 64 * 1024;
/// After an early refusal the rest of an upload is read this long, so that the refusal arrives.
const DRAIN: Duration = Duration::from_secs(5);

/// Handles a request's head and body. `true`: it has been answered here.
pub(super) async fn admit(
    gateway: &Arc<Gateway>,
    session: &mut Session,
    context: &mut Context,
) -> Result<bool> {
    if gateway.traffic.is_leaving() {
        session.set_keepalive(None);
    }
    let route = local::route(session.req_header());
    let id = generation_id(gateway.clock.now_ms());
    let Route::Chat(dialect) = route else {
        if !matches!(route, Route::Account(..)) {
            discard_small_body(gateway, session).await?;
        }
        let (dialect, status) = local::answer(gateway, session, route, &id).await?;
        context.stage = Stage::Answered(Answered { id, dialect, chat: false, status });
        return Ok(true);
    };
    match prepare(gateway, session, dialect, &id, context.arrived).await? {
        Ok((job, buffered)) => {
            let shared = Shared::new(job);
            wrapper::install(session, &shared);
            context.stage = Stage::Forwarding { shared, _buffered: buffered };
            Ok(false)
        }
        Err(error) => {
            reply::respond_error(session, dialect, &id, &error).await?;
            drain(session).await;
            let status = error.status();
            context.stage = Stage::Answered(Answered { id, dialect, chat: true, status });
            Ok(true)
        }
    }
}

async fn prepare(
    gateway: &Arc<Gateway>,
    session: &mut Session,
    dialect: Dialect,
    id: &str,
    arrived: Instant,
) -> Result<Result<(Job, Buffered), Box<ApiError>>> {
    if let Err(error) = check_content_type(session) {
        discard_small_body(gateway, session).await?;
        return Ok(Err(error));
    }
    let (body, buffered) = match read_body(gateway, session).await? {
        Ok(read) => read,
        Err(error) => return Ok(Err(error)),
    };
    let body_read = Instant::now();
    let facts = match inspect_body(&body).await {
        Ok(facts) => facts,
        Err(invalid) => return Ok(Err(Box::new(invalid_request(invalid)))),
    };
    let snapshot = gateway.snapshot.load_full();
    let now_ms = gateway.clock.ms_at(body_read);
    let condition = |position: usize| snapshot.condition(position, now_ms);
    let config = &gateway.config;
    let inputs = Inputs {
        facts: &facts,
        classification: routing::classify(&body, &facts.features),
        catalog: &snapshot.catalog,
        condition: &condition,
        policy: &config.policy,
        seed: config.seed,
    };
    let plan = match routing::plan(&inputs) {
        Ok(plan) => plan,
        Err(no_route) => return Ok(Err(Box::new(no_route::api_error(&no_route)))),
    };
    let wants_metadata =
        |name: &str| session.get_header(name).is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"enabled"));
    let metadata =
        wants_metadata("x-openrouter-metadata") || wants_metadata("x-openrouter-experimental-metadata");
    let shape = ReplyShape { dialect, stream: facts.stream, include_usage: facts.include_usage };
    let job = Job {
        gateway: Arc::clone(gateway),
        snapshot,
        facts,
        body,
        plan,
        shape,
        id: id.to_owned(),
        created: now_ms / 1000,
        metadata,
        arrived,
        body_read,
    };
    Ok(Ok((job, buffered)))
}

fn check_content_type(session: &Session) -> Result<(), Box<ApiError>> {
    let Some(value) = session.get_header(http::header::CONTENT_TYPE) else { return Ok(()) };
    let essence = value.as_bytes().split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    let json = essence.eq_ignore_ascii_case(b"application/json")
        || essence.to_ascii_lowercase().ends_with(b"+json")
        || essence.is_empty();
    // curl's -d without a header says this of any body.
    let curl = essence.eq_ignore_ascii_case(b"application/x-www-form-urlencoded");
    if json || curl {
        return Ok(());
    }
    let words = "the content type must be application/json";
    Err(Box::new(ApiError::new(ErrorKind::UnsupportedMediaType, words)))
}

/// Reads the whole body, within its size and its deadline.
async fn read_body(
    gateway: &Arc<Gateway>,
    session: &mut Session,
) -> Result<Result<(Bytes, Buffered), Box<ApiError>>> {
    let limit = gateway.config.limits.max_body_bytes;
    let announced = announced_length(session);
    if announced.is_some_and(|length| length > limit) {
        return Ok(Err(Box::new(too_large(limit))));
    }
    let Some(mut buffered) = gateway.buffer(announced.unwrap_or(UNKNOWN_BODY_BYTES)) else {
        return Ok(Err(Box::new(no_room())));
    };
    allow_upload(session).await?;
    let deadline = Instant::now() + gateway.config.timeouts.read_body;
    let mut body = gateway.buffers.take(announced.unwrap_or_default());
    loop {
        let Ok(chunk) = timeout_at(deadline, session.read_request_body()).await else {
            let words = "the request's body did not arrive in time";
            return Ok(Err(Box::new(ApiError::new(ErrorKind::RequestTimeout, words))));
        };
        let Some(chunk) = chunk? else { break };
        if body.len() + chunk.len() > limit {
            return Ok(Err(Box::new(too_large(limit))));
        }
        if body.is_empty() && announced == Some(chunk.len()) && session.is_body_done() {
            return Ok(Ok((chunk, buffered)));
        }
        if !buffered.grow_to(body.len() + chunk.len()) {
            return Ok(Err(Box::new(no_room())));
        }
        body.extend(&chunk);
    }
    Ok(Ok((body.into_bytes(), buffered)))
}

/// Answers `Expect: 100-continue`. Pingora takes that interim answer for an early one and would close
/// the connection after the final one; the flag keeps it open.
pub(super) async fn allow_upload(session: &mut Session) -> Result<()> {
    let expects = session.get_header(http::header::EXPECT);
    if expects.is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        session.set_close_on_response_before_downstream_finish(false);
        session.write_continue_response().await?;
        session.set_close_on_response_before_downstream_finish(true);
    }
    Ok(())
}

/// Reads a small body nobody needs, so that the connection can be kept after an answer to its head.
pub(super) async fn discard_small_body(gateway: &Gateway, session: &mut Session) -> Result<()> {
    if announced_length(session).is_some_and(|length| length <= UNKNOWN_BODY_BYTES) {
        let deadline = Instant::now() + gateway.config.timeouts.read_body;
        while let Ok(read) = timeout_at(deadline, session.read_request_body()).await {
            if read?.is_none() {
                break;
            }
        }
    }
    Ok(())
}

pub(super) fn announced_length(session: &Session) -> Option<usize> {
    session.get_header(http::header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Reads what an HTTP/2 client still uploads: refused midway it would see a reset and no answer.
pub(super) async fn drain(session: &mut Session) {
    if session.is_http2() && !session.is_body_done() {
        session.set_total_drain_timeout(Some(DRAIN));
        let _ = session.drain_request_body().await;
    }
}

async fn inspect_body(body: &Bytes) -> Result<RequestFacts, Invalid> {
    if body.len() <= INSPECT_INLINE_BYTES {
        return inspect(body);
    }
    let shared = body.clone();
    match tokio::task::spawn_blocking(move || inspect(&shared)).await {
        Ok(facts) => facts,
        Err(_) => inspect(body),
    }
}

fn generation_id(now_ms: u64) -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut id = format!("gen-{}-", now_ms / 1000);
    id.extend((0..20).map(|_| char::from(ALPHABET[fastrand::usize(..ALPHABET.len())])));
    id
}

fn too_large(limit: usize) -> ApiError {
    ApiError::new(
        ErrorKind::PayloadTooLarge,
        format!("the request's body exceeds the limit of {limit} bytes"),
    )
}

fn no_room() -> ApiError {
    ApiError::new(ErrorKind::Unavailable, "too many large requests at once; try again in a moment")
        .retry_after_s(1)
}

fn invalid_request(invalid: Invalid) -> ApiError {
    let error = ApiError::new(ErrorKind::InvalidRequest, invalid.message);
    match invalid.param {
        Some(param) => error.param(param),
        None => error,
    }
}
