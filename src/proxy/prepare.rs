//! From a request's head to a job that can be forwarded: read, inspected, planned and paid for.

use super::charge::{self, Admitted};
use super::exchange::Job;
use super::gateway::{Buffered, Gateway};
use super::idempotency::{Claim, Found, Kept, Once};
use super::limit::{Quota, Visitor};
use super::turns::Placed;
use super::wait::{Granted, NoPlace, Seeker};
use super::{admit, own_keys, quality, sessions, wait};
use crate::protocol::Dialect;
use crate::protocol::errors::{ApiError, ErrorKind};
use crate::protocol::facts::RequestFacts;
use crate::protocol::inspect::{Invalid, inspect};
use crate::protocol::normalize::ReplyShape;
use bytes::Bytes;
use pingora::proxy::Session;
use pingora::{Error, Result};
use std::sync::Arc;
use tokio::time::Instant;

/// Larger bodies are inspected off the worker thread. Below, handing the body to another thread and
/// its cache costs more than the pass: `benches/inspect.rs` has 0.2 ms for an image of 2 MB and 2 ms
/// for text of this length.
const INSPECT_INLINE_BYTES: usize = 3 << 20;

/// A chat request of which the head is known.
pub(super) struct Asked<'a> {
    pub(super) dialect: Dialect,
    pub(super) id: &'a str,
    pub(super) arrived: Instant,
    /// Nobody in open mode.
    pub(super) visitor: Option<&'a Visitor>,
}

/// What becomes of it.
pub(super) enum Prepared {
    /// It goes to an upstream.
    Forward(Box<Job>, Option<Admitted>, Buffered),
    /// It is answered as it was before.
    Again(Arc<Kept>),
    /// It is refused.
    Refused(Box<ApiError>, Option<Quota>),
}

/// Why a request is not forwarded.
enum NotForwarded {
    /// It is answered here.
    Told(Box<Prepared>),
    /// Its client has left.
    Lost(Box<Error>),
}

impl From<Prepared> for NotForwarded {
    fn from(prepared: Prepared) -> Self {
        Self::Told(Box::new(prepared))
    }
}

impl From<NoPlace> for NotForwarded {
    fn from(none: NoPlace) -> Self {
        match none {
            NoPlace::Refused(error, quota) => Prepared::Refused(error, quota).into(),
            NoPlace::Left(error) => Self::Lost(error),
        }
    }
}

/// Prepares a chat request. Failures are those of the connection.
pub(super) async fn prepare(
    gateway: &Arc<Gateway>,
    session: &mut Session,
    asked: &Asked<'_>,
) -> Result<Prepared> {
    let (body, buffered) = match admit::body(gateway, session).await? {
        Ok(read) => read,
        Err(error) => return Ok(Prepared::Refused(error, None)),
    };
    let body_read = Instant::now();
    match decide(gateway, session, asked, body, body_read).await {
        Ok((job, admitted)) => Ok(Prepared::Forward(job, admitted, buffered)),
        Err(NotForwarded::Told(prepared)) => Ok(*prepared),
        Err(NotForwarded::Lost(error)) => Err(error),
    }
}

async fn decide(
    gateway: &Arc<Gateway>,
    session: &mut Session,
    asked: &Asked<'_>,
    body: Bytes,
    body_read: Instant,
) -> Result<(Box<Job>, Option<Admitted>), NotForwarded> {
    let refused = |error| Prepared::Refused(error, None);
    let patience = wait::patience(session, &gateway.config.queue).map_err(refused)?;
    let headers = &session.req_header().headers;
    let own_keys = own_keys::read(headers, &gateway.config).map_err(refused)?;
    let quality = quality::read(headers).map_err(refused)?;
    let facts = inspect_body(&body).await.map_err(|invalid| refused(Box::new(invalid_request(invalid))))?;
    let conversation = sessions::of(gateway, session, asked.visitor, &facts, &body).map_err(refused)?;
    let mut facts = RequestFacts { own_keys, session: conversation, ..facts };
    facts.preferences.quality = quality;
    let claim = match asked.visitor {
        Some(visitor) => claim(gateway, session, visitor, &body).await?,
        None => None,
    };
    let seeker = Seeker { gateway, visitor: asked.visitor, patience };
    let Granted { placed, queued } = seeker.place(session, &body, Box::new(facts)).await?;
    let Placed { facts, begun, snapshot } = placed;
    let admitted = match asked.visitor {
        Some(visitor) => {
            let admitted = charge::admit(gateway, visitor, &facts, claim).await;
            Some(admitted.map_err(|(error, quota)| Prepared::Refused(error, quota))?)
        }
        None => None,
    };
    let shape =
        ReplyShape { dialect: asked.dialect, stream: facts.stream, include_usage: facts.include_usage };
    let job = Job {
        gateway: Arc::clone(gateway),
        snapshot,
        facts: *facts,
        body,
        choice: begun.choice,
        first: Some((begun.position, begun.guard)),
        shape,
        queued,
        id: asked.id.to_owned(),
        created: gateway.clock.ms_at(body_read) / 1000,
        metadata: wants_metadata(session),
        fit: admitted.as_ref().map(Admitted::fit),
        quota: admitted.as_ref().and_then(|admitted| admitted.quota),
        arrived: asked.arrived,
        body_read,
    };
    Ok((Box::new(job), admitted))
}

/// Claims the request's idempotency key, if it has one; otherwise says what came of the request that had it.
async fn claim(
    gateway: &Gateway,
    session: &Session,
    visitor: &Visitor,
    body: &Bytes,
) -> Result<Option<Claim>, Prepared> {
    let Some(header) = session.get_header("idempotency-key") else { return Ok(None) };
    let refused = |error| Prepared::Refused(error, None);
    let account = visitor.caller.wallet.account();
    let path = session.req_header().uri.path();
    let once = Once::read(account, path, header.as_bytes(), body).await.map_err(refused)?;
    let now_ms = gateway.clock.now_ms();
    let claim = match gateway.replays.find(once, now_ms) {
        Found::Nothing(claim) => claim,
        Found::Answer(kept) => return Err(Prepared::Again(kept)),
        Found::Refused(error) => return Err(refused(error)),
    };
    let key = once.ledger_key();
    let receipt = visitor.ledger.read(move |reader| reader.receipt(account, &key, now_ms)).await;
    match receipt {
        Ok(None) => Ok(Some(claim)),
        Ok(Some(receipt)) => Err(refused(once.receipt(&receipt))),
        Err(_) => Err(refused(Box::new(ApiError::billing_unavailable()))),
    }
}

fn wants_metadata(session: &Session) -> bool {
    let enabled =
        |name: &str| session.get_header(name).is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"enabled"));
    enabled("x-openrouter-metadata") || enabled("x-openrouter-experimental-metadata")
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

fn invalid_request(invalid: Invalid) -> ApiError {
    let error = ApiError::new(ErrorKind::InvalidRequest, invalid.message);
    match invalid.param {
        Some(param) => error.param(param),
        None => error,
    }
}
