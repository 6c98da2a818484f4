//! Sending a request to the chosen endpoint: where, under which name, with which credentials.

use super::attempt::Attempt;
use super::context::Context;
use super::failover::{self, Failure};
use crate::catalog::Auth;
use pingora::http::RequestHeader;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};
use std::sync::Arc;
use tokio::time::Instant;

/// How we introduce ourselves; the client's own `user-agent` stays here.
const USER_AGENT: &str = concat!("freeway/", env!("CARGO_PKG_VERSION"));

/// The next endpoint that can be called, as a peer.
///
/// # Errors
/// When no candidate, attempt or time is left.
pub(super) async fn next_peer(context: &Context) -> Result<Box<HttpPeer>> {
    let shared = context.exchange().ok_or_else(not_forwarding)?;
    let gateway = Arc::clone(&shared.lock().job.gateway);
    loop {
        let endpoint = shared.lock().begin_attempt(Instant::now())?;
        if let Some(peer) = gateway.peers.peer(&endpoint.provider.slug, &gateway.config.timeouts).await {
            return Ok(peer);
        }
        let retry = failover::conclude(&mut shared.lock(), Failure::Resolve, Instant::now());
        if !retry {
            return Err(Error::explain(failover::SPENT, "no candidate left"));
        }
    }
}

/// The head of the upstream request. It is made anew: nothing of the client's goes out but the
/// body that was rewritten for this endpoint.
pub(super) fn request_head(context: &Context, head: &mut RequestHeader) -> Result<()> {
    let mut exchange = context.exchange().ok_or_else(not_forwarding)?.lock();
    let streams = exchange.streams();
    let attempt = exchange.attempt.as_mut().ok_or_else(not_forwarding)?;
    attempt.guard.sent();
    let provider = &attempt.endpoint.provider;
    let path = format!("{}/chat/completions", provider.base.prefix);
    let mut fresh = RequestHeader::build_no_case("POST", path.as_bytes(), Some(8))?;
    fresh.insert_header("host", provider.base.host_header())?;
    fresh.insert_header("content-type", "application/json")?;
    fresh.insert_header("content-length", attempt.body_len())?;
    fresh.insert_header("accept", if streams { "text/event-stream" } else { "application/json" })?;
    // A compressed answer could be neither read nor metered event by event.
    fresh.insert_header("accept-encoding", "identity")?;
    fresh.insert_header("user-agent", USER_AGENT)?;
    for (name, value) in &provider.headers {
        fresh.insert_header(name.clone(), value.as_str())?;
    }
    authorize(attempt, &mut fresh)?;
    fresh.set_version(head.version);
    *head = fresh;
    Ok(())
}

fn authorize(attempt: &Attempt, head: &mut RequestHeader) -> Result<()> {
    let Some(key) = attempt.guard.secret() else { return Ok(()) };
    match &attempt.endpoint.provider.auth {
        Auth::Bearer => head.insert_header("authorization", format!("Bearer {}", key.reveal())),
        Auth::Header(name) => head.insert_header(name.clone(), key.reveal()),
        Auth::None => Ok(()),
    }
}

fn not_forwarding() -> Box<Error> {
    Error::explain(ErrorType::InternalError, "no exchange under way")
}
