//! Calls about accounts on the port of the clients: whose key it is, the body, and the answer of `api`.

use super::admit::{allow_upload, announced_length, discard_small_body, drain};
use super::gateway::Gateway;
use super::identify::identify;
use super::limit::address_of;
use super::reply;
use crate::api::{Applicant, Call, MAX_BODY_BYTES, Operation, Reply};
use crate::protocol::Dialect;
use crate::protocol::errors::{ApiError, ErrorKind};
use pingora::Result;
use pingora::proxy::Session;
use tokio::time::{Instant, timeout_at};

type Outcome<T> = std::result::Result<T, Box<ApiError>>;

/// Answers a call about accounts. Returns the status.
pub(super) async fn answer(
    gateway: &Gateway,
    session: &mut Session,
    dialect: Dialect,
    operation: Operation,
    id: &str,
) -> Result<u16> {
    match outcome(gateway, session, dialect, operation).await? {
        Ok(Reply { status, body }) => {
            // A new key is in no cache.
            let headers = [("x-request-id", id.to_owned()), ("cache-control", "no-store".to_owned())];
            reply::respond_json(session, status, &headers, body).await?;
            Ok(status)
        }
        Err(error) => {
            reply::respond_error(session, dialect, id, &error).await?;
            drain(session).await;
            Ok(error.status())
        }
    }
}

async fn outcome(
    gateway: &Gateway,
    session: &mut Session,
    dialect: Dialect,
    operation: Operation,
) -> Result<Outcome<Reply>> {
    let known = match &gateway.ledger {
        None => Err(Box::new(ApiError::new(ErrorKind::NotFound, "there are no accounts here: all is open"))),
        Some(ledger) if operation == Operation::SignUp => Ok((ledger, None)),
        // Before the body is read.
        Some(ledger) => {
            let identified = identify(gateway, session.req_header()).await;
            identified.map(|known| (ledger, known.map(|(_, caller)| caller)))
        }
    };
    let (ledger, caller) = match known {
        Ok(known) => known,
        Err(error) => {
            discard_small_body(gateway, session).await?;
            return Ok(Err(error));
        }
    };
    let body = if operation.has_body() {
        match read_body(gateway, session).await? {
            Ok(body) => body,
            Err(error) => return Ok(Err(error)),
        }
    } else {
        discard_small_body(gateway, session).await?;
        Vec::new()
    };
    let snapshot = gateway.snapshot.load_full();
    let head = session.req_header();
    let call = Call {
        dialect,
        query: head.uri.query().unwrap_or_default(),
        body: &body,
        now_ms: gateway.clock.now_ms(),
        catalog: &snapshot.catalog,
    };
    Ok(match caller {
        Some(caller) => gateway.api.answer(ledger, &caller, operation, call).await,
        None => {
            let idempotency_key = head.headers.get("idempotency-key").map(|key| key.as_bytes());
            let applicant =
                Applicant { address: address_of(session, &gateway.config.trusted_proxies), idempotency_key };
            gateway.api.sign_up(ledger, applicant, call).await
        }
    })
}

/// Reads the whole body, which is small, within its deadline.
async fn read_body(gateway: &Gateway, session: &mut Session) -> Result<Outcome<Vec<u8>>> {
    let too_large = || {
        let words = format!("the request's body exceeds the limit of {MAX_BODY_BYTES} bytes");
        Box::new(ApiError::new(ErrorKind::PayloadTooLarge, words))
    };
    if announced_length(session).is_some_and(|length| length > MAX_BODY_BYTES) {
        return Ok(Err(too_large()));
    }
    allow_upload(session).await?;
    let deadline = Instant::now() + gateway.config.timeouts.read_body;
    let mut body = Vec::new();
    loop {
        let Ok(chunk) = timeout_at(deadline, session.read_request_body()).await else {
            let words = "the request's body did not arrive in time";
            return Ok(Err(Box::new(ApiError::new(ErrorKind::RequestTimeout, words))));
        };
        let Some(chunk) = chunk? else { return Ok(Ok(body)) };
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            return Ok(Err(too_large()));
        }
        body.extend_from_slice(&chunk);
    }
}
