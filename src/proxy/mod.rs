//! The proxy: Pingora's hooks, each in its file, and the state a request moves through.
//!
//! `admit` (in) → `forward` (out to a candidate) → `attempt`, `exchange` and `wrapper` (the answer)
//! → `failover` (next candidate?) → `reply` (our own words) → `settle` (charge, metrics, access line).
//! Only this room names Pingora's proxy types.

mod account_calls;
mod admit;
mod attempt;
mod buffers;
mod cap;
mod charge;
mod context;
mod exchange;
mod failover;
mod flawed;
mod forward;
mod gateway;
mod idempotency;
mod identify;
mod limit;
mod local;
mod models;
mod no_route;
mod own_keys;
mod peers;
mod prepare;
mod quality;
mod reply;
mod sessions;
mod settle;
mod traffic;
mod turns;
mod wait;
mod wrapper;

pub use context::Context;
pub use gateway::{Clock, Gateway};
pub use peers::Peers;
pub use traffic::Traffic;

use async_trait::async_trait;
use context::Stage;
use pingora::http::RequestHeader;
use pingora::modules::http::HttpModules;
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, Result};
use std::sync::Arc;

/// The router as a Pingora proxy application. Mount it in [`server`](crate::server) or in a Pingora
/// server of your own.
#[derive(Clone)]
pub struct FreewayProxy(Arc<Gateway>);

impl FreewayProxy {
    /// A proxy over shared state.
    pub fn new(gateway: Arc<Gateway>) -> Self {
        Self(gateway)
    }
}

#[async_trait]
impl ProxyHttp for FreewayProxy {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        Context::new(self.0.traffic.enter())
    }

    /// None: compression and retries do not go together, and API answers are not compressed.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn request_filter(&self, session: &mut Session, context: &mut Context) -> Result<bool> {
        admit::admit(&self.0, session, context).await
    }

    async fn upstream_peer(&self, _session: &mut Session, context: &mut Context) -> Result<Box<HttpPeer>> {
        forward::next_peer(context).await
    }

    async fn upstream_request_filter(
        &self,
        _session: &mut Session,
        head: &mut RequestHeader,
        context: &mut Context,
    ) -> Result<()> {
        forward::request_head(context, head)
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        context: &mut Context,
        error: Box<Error>,
    ) -> Box<Error> {
        match context.exchange() {
            Some(shared) => failover::on_connect_error(&mut shared.lock(), error),
            None => error,
        }
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        _session: &mut Session,
        mut error: Box<Error>,
        context: &mut Context,
        client_reused: bool,
    ) -> Box<Error> {
        match context.exchange() {
            Some(shared) => failover::on_proxy_error(&mut shared.lock(), error, client_reused),
            None => {
                error.set_retry(false);
                error
            }
        }
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        context: &mut Context,
    ) -> FailToProxy {
        reply::last_words(session, context, error).await
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, context: &mut Context) {
        if let Some(shared) = context.exchange() {
            wrapper::remove(session, shared);
        }
        if let Some(error) = error.filter(|e| e.esource == ErrorSource::Internal) {
            tracing::debug!(%error, "internal");
        }
        settle::conclude(&self.0, std::mem::replace(&mut context.stage, Stage::Arrived), context.arrived);
    }

    /// The access line says it.
    fn suppress_error_log(&self, _session: &Session, _context: &Context, _error: &Error) -> bool {
        true
    }

    /// The attempt metrics and the access line say it.
    fn suppress_proxy_warn_log(
        &self,
        _session: &Session,
        _context: &Context,
        _error: &Error,
        _log: ProxyWarnLogContext,
    ) -> bool {
        true
    }
}
