//! A request's context: how far it has come.

use super::exchange::Shared;
use super::gateway::Buffered;
use super::traffic::Visit;
use crate::access_log::{Ended, Payer};
use crate::protocol::Dialect;
use std::time::Duration;
use tokio::time::Instant;

/// The context of one request, as Pingora's hooks pass it on.
pub struct Context {
    pub(super) arrived: Instant,
    pub(super) stage: Stage,
    /// Dropped last: then the request has ended.
    _visit: Visit,
}

/// How far a request has come. Each stage owns what is known by then.
pub(super) enum Stage {
    /// Nothing is known yet.
    Arrived,
    /// It was answered here, without an upstream.
    Answered(Answered),
    /// It goes, or went, to an upstream.
    Forwarding { shared: Shared, _buffered: Buffered },
}

/// An answer of our own.
pub(super) struct Answered {
    pub(super) id: String,
    pub(super) dialect: Dialect,
    /// It was a chat request, and not one for models or health.
    pub(super) chat: bool,
    /// 0 when the client was gone.
    pub(super) status: u16,
    /// We did, unless the answer was one given before.
    pub(super) ended: Ended,
    /// Who asked, where that is known.
    pub(super) payer: Option<Payer>,
    /// How long it waited for a place before it was refused.
    pub(super) queued: Option<Duration>,
}

impl Context {
    pub(super) fn new(visit: Visit) -> Self {
        Self { arrived: Instant::now(), stage: Stage::Arrived, _visit: visit }
    }

    /// The exchange, once the request is being forwarded.
    pub(super) fn exchange(&self) -> Option<&Shared> {
        match &self.stage {
            Stage::Forwarding { shared, .. } => Some(shared),
            _ => None,
        }
    }
}
