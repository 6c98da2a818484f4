//! A request's context: how far it has come.

use super::exchange::Shared;
use super::gateway::Buffered;
use crate::protocol::Dialect;
use tokio::time::Instant;

/// The context of one request, as Pingora's hooks pass it on.
pub struct Context {
    pub(super) arrived: Instant,
    pub(super) stage: Stage,
}

/// How far a request has come. Each stage owns what is known by then.
pub(super) enum Stage {
    /// Nothing is known yet.
    Arrived,
    /// It was answered here, without an upstream. `chat` says in which dialect, for chat requests.
    Answered { chat: Option<Dialect>, status: u16 },
    /// It goes, or went, to an upstream.
    Forwarding { shared: Shared, _buffered: Buffered },
}

impl Context {
    pub(super) fn new() -> Self {
        Self { arrived: Instant::now(), stage: Stage::Arrived }
    }

    /// The exchange, once the request is being forwarded.
    pub(super) fn exchange(&self) -> Option<&Shared> {
        match &self.stage {
            Stage::Forwarding { shared, .. } => Some(shared),
            _ => None,
        }
    }
}
