//! What every request of a process shares.

use super::buffers::Buffers;
use super::idempotency::Replays;
use super::limit::{MINUTE_KEYS, MINUTE_MS};
use super::peers::Peers;
use super::traffic::Traffic;
use super::turns::Waiting;
use crate::api::Api;
use crate::config::Config;
use crate::ledger::Ledger;
use crate::limits::SlidingLog;
use crate::metrics::Metrics;
use crate::sessions::Sessions;
use crate::snapshot::Snapshot;
use crate::upstream::Pool;
use arc_swap::ArcSwap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// The shared state behind a [`FreewayProxy`](super::FreewayProxy) and its background services.
pub struct Gateway {
    pub(crate) config: Config,
    pub(crate) snapshot: ArcSwap<Snapshot>,
    pub(crate) pool: Pool,
    pub(crate) peers: Peers,
    pub(crate) metrics: Metrics,
    /// Who pays; `None` in open mode.
    pub(crate) ledger: Option<Arc<Ledger>>,
    /// Calls about accounts.
    pub(crate) api: Api,
    pub(crate) clock: Clock,
    /// The first look at every provider's list is over.
    pub(crate) ready: AtomicBool,
    /// Requests that wait for a place.
    pub(crate) waiting: Waiting,
    /// What answered which conversation.
    pub(crate) sessions: Sessions,
    pub(super) traffic: Arc<Traffic>,
    /// Requests of the last minute.
    pub(super) limits: SlidingLog,
    /// Requests that may come again.
    pub(super) replays: Arc<Replays>,
    pub(super) buffers: Buffers,
    buffered: AtomicUsize,
}

impl Gateway {
    /// The state a process starts with: the models that need no list.
    pub fn new(
        config: Config,
        peers: Peers,
        metrics: Metrics,
        snapshot: Snapshot,
        pool: Pool,
        ledger: Option<Arc<Ledger>>,
    ) -> Self {
        let waiting = Waiting::new(config.queue.bounds);
        let sessions = Sessions::new(u64::try_from(config.session_idle.as_millis()).unwrap_or(u64::MAX));
        Self {
            config,
            snapshot: ArcSwap::from_pointee(snapshot),
            pool,
            peers,
            metrics,
            ledger,
            api: Api::default(),
            clock: Clock::start(),
            ready: AtomicBool::new(false),
            waiting,
            sessions,
            traffic: Arc::default(),
            limits: SlidingLog::new(MINUTE_MS, MINUTE_KEYS),
            replays: Arc::default(),
            buffers: Buffers::default(),
            buffered: AtomicUsize::new(0),
        }
    }

    /// The configuration it runs with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The requests under way.
    pub fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }

    /// Its clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Looks the providers' names up again.
    pub async fn look_up_names(&self) {
        self.peers.refresh().await;
    }

    /// Room for `bytes` more of request bodies, until the guard is dropped.
    pub(super) fn buffer(self: &Arc<Self>, bytes: usize) -> Option<Buffered> {
        let before = self.buffered.fetch_add(bytes, Ordering::Relaxed);
        let guard = Buffered { gateway: Arc::clone(self), bytes };
        (before + bytes <= self.config.limits.max_buffered_bytes).then_some(guard)
    }
}

/// Memory set aside for a request body.
pub(super) struct Buffered {
    gateway: Arc<Gateway>,
    bytes: usize,
}

impl Buffered {
    /// Makes the room at least `bytes`; `false` when there is not that much.
    pub(super) fn grow_to(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 {
            return true;
        }
        let before = self.gateway.buffered.fetch_add(more, Ordering::Relaxed);
        self.bytes += more;
        before + more <= self.gateway.config.limits.max_buffered_bytes
    }
}

impl Drop for Buffered {
    fn drop(&mut self) {
        self.gateway.buffered.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Unix time that never runs backwards: read once, carried on by the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
    started_unix_ms: u64,
}

impl Clock {
    fn start() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            started: Instant::now(),
            started_unix_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// Unix milliseconds at `at`.
    pub(crate) fn ms_at(&self, at: Instant) -> u64 {
        let passed = at.saturating_duration_since(self.started).as_millis();
        self.started_unix_ms.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX))
    }

    /// Unix milliseconds now.
    pub(crate) fn now_ms(&self) -> u64 {
        self.ms_at(Instant::now())
    }
}
