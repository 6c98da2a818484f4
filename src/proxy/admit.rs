//! The way in: from a request line to an exchange that can be forwarded, or to an answer of our own.

use super::context::{Answered, Context, Stage};
use super::exchange::Shared;
use super::gateway::{Buffered, Gateway};
use super::limit::Visitor;
use super::local::{self, Route};
use super::prepare::{Asked, Prepared, prepare};
use super::{identify, reply, wrapper};
use crate::access_log::{Ended, Payer};
use crate::protocol::Dialect;
use crate::protocol::errors::{ApiError, ErrorKind};
use bytes::Bytes;
use pingora::Result;
use pingora::proxy::Session;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

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
        let ended = Ended::Router;
        let queued = None;
        context.stage =
            Stage::Answered(Answered { id, dialect, chat: false, status, ended, payer: None, queued });
        return Ok(true);
    };
    chat(gateway, session, context, dialect, id).await
}

async fn chat(
    gateway: &Arc<Gateway>,
    session: &mut Session,
    context: &mut Context,
    dialect: Dialect,
    id: String,
) -> Result<bool> {
    let (visitor, prepared) = match visitor(gateway, session).await {
        Ok(visitor) => {
            let asked = Asked { dialect, id: &id, arrived: context.arrived, visitor: visitor.as_ref() };
            let prepared = prepare(gateway, session, &asked).await?;
            (visitor, prepared)
        }
        Err(error) => {
            discard_small_body(gateway, session).await?;
            (None, Prepared::Refused(error, None))
        }
    };
    let quota = || visitor.as_ref()?.quota(&gateway.limits, gateway.clock.now_ms());
    let mut queued = None;
    let (status, ended) = match prepared {
        Prepared::Forward(job, admitted, buffered) => {
            let shared = Shared::new(*job, admitted);
            wrapper::install(session, &shared);
            context.stage = Stage::Forwarding { shared, _buffered: buffered };
            return Ok(false);
        }
        Prepared::Again(kept) => {
            reply::respond_again(session, &id, &kept, quota()).await?;
            (200, Ended::Complete)
        }
        Prepared::Refused(error, told) => {
            reply::respond_error_within(session, dialect, &id, &error, told.or_else(quota)).await?;
            drain(session).await;
            queued = error.queued_ms.map(Duration::from_millis);
            (error.status(), Ended::Router)
        }
    };
    let payer = visitor.map(|v| Payer { account: v.caller.wallet.account(), key: v.caller.key });
    context.stage = Stage::Answered(Answered { id, dialect, chat: true, status, ended, payer, queued });
    Ok(true)
}

/// Who asks, and from where; nobody in open mode.
async fn visitor(gateway: &Gateway, session: &Session) -> Result<Option<Visitor>, Box<ApiError>> {
    let Some((ledger, caller)) = identify::identify(gateway, session.req_header()).await? else {
        return Ok(None);
    };
    Ok(Some(Visitor::new(ledger, caller, session, &gateway.config.trusted_proxies)))
}

/// The request's body, if there is one to be read.
pub(super) async fn body(
    gateway: &Arc<Gateway>,
    session: &mut Session,
) -> Result<Result<(Bytes, Buffered), Box<ApiError>>> {
    if let Err(error) = check_content_type(session) {
        discard_small_body(gateway, session).await?;
        return Ok(Err(error));
    }
    read_body(gateway, session).await
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
