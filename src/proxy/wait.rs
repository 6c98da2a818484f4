//! Finding a place for a request: at once where nobody waits for one, else by turns and within its patience.

use super::charge;
use super::gateway::Gateway;
use super::limit::{Quota, Visitor, address_of};
use super::no_route;
use super::turns::{Called, Placed, Waiter, choose, class, in_time};
use crate::config::Patience;
use crate::limits::Key;
use crate::protocol::errors::{ApiError, ErrorKind};
use crate::protocol::facts::RequestFacts;
use crate::queue::{Full, Newcomer, Ticket, cost};
use crate::routing::{self, Classification, NoRoute};
use bytes::Bytes;
use pingora::Error;
use pingora::proxy::Session;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

/// How a client says how long it would wait, milliseconds.
const HEADER: &str = "x-max-queue-ms";
/// Whoever will not wait while others do gets one turn among them, and does not pass them by.
const ONE_TURN_MS: u64 = 50;

/// Who looks for a place.
pub(super) struct Seeker<'a> {
    pub(super) gateway: &'a Gateway,
    /// Nobody in open mode.
    pub(super) visitor: Option<&'a Visitor>,
    /// How long it would wait.
    pub(super) patience: Duration,
}

/// A request with a place, and how long it waited for it, if it did.
pub(super) struct Granted {
    pub(super) placed: Placed,
    pub(super) queued: Option<Duration>,
}

/// Why there is no place for it.
pub(super) enum NoPlace {
    /// It is refused.
    Refused(Box<ApiError>, Option<Quota>),
    /// Its client has left.
    Left(Box<Error>),
}

/// How long a request would wait.
///
/// # Errors
/// 400 where its header is no number.
pub(super) fn patience(session: &Session, rules: &Patience) -> Result<Duration, Box<ApiError>> {
    let Some(header) = session.get_header(HEADER) else { return Ok(rules.usual) };
    match header.to_str().ok().and_then(|text| text.trim().parse().ok()) {
        Some(ms) => Ok(Duration::from_millis(ms).min(rules.most)),
        None => {
            let words = format!("{HEADER} must be a whole number of milliseconds");
            Err(Box::new(ApiError::new(ErrorKind::InvalidRequest, words).param(HEADER)))
        }
    }
}

impl Seeker<'_> {
    /// Finds a place.
    ///
    /// # Errors
    /// [`NoPlace`].
    pub(super) async fn place(
        &self,
        session: &mut Session,
        body: &Bytes,
        facts: Box<RequestFacts>,
    ) -> Result<Granted, NoPlace> {
        let classification = routing::classify(body, &facts.features);
        if !self.gateway.waiting.queue.is_empty() {
            return self.wait(session, facts, classification).await;
        }
        let waits = !self.patience.is_zero();
        match self.now(facts, classification, !waits) {
            Ok(placed) => Ok(Granted { placed, queued: None }),
            Err((NoRoute::Cooling { retry_after_ms }, facts)) if waits => {
                if in_time(retry_after_ms, millis(self.patience)) {
                    return self.wait(session, facts, classification).await;
                }
                self.last_chance(facts, classification, None)
            }
            Err((none, _)) => Err(refused(&none, None)),
        }
    }

    /// A place that is free now.
    fn now(
        &self,
        facts: Box<RequestFacts>,
        classification: Classification,
        last_chance: bool,
    ) -> Result<Placed, (NoRoute, Box<RequestFacts>)> {
        let snapshot = self.gateway.snapshot.load_full();
        let now_ms = self.gateway.clock.now_ms();
        match choose(self.gateway, &snapshot, &facts, classification, last_chance, now_ms) {
            Ok(begun) => Ok(Placed { facts, begun, snapshot }),
            Err(none) => Err((none, facts)),
        }
    }

    /// It cannot wait any longer: what is kept for others is used before it is refused.
    fn last_chance(
        &self,
        facts: Box<RequestFacts>,
        classification: Classification,
        queued: Option<Duration>,
    ) -> Result<Granted, NoPlace> {
        match self.now(facts, classification, true) {
            Ok(placed) => Ok(Granted { placed, queued }),
            Err((none, _)) => Err(refused(&none, queued)),
        }
    }

    async fn wait(
        &self,
        session: &mut Session,
        facts: Box<RequestFacts>,
        classification: Classification,
    ) -> Result<Granted, NoPlace> {
        if let Some(visitor) = self.visitor {
            // Who could not pay need not wait. Nothing is held meanwhile.
            let admissible = charge::check(self.gateway, visitor, &facts).await;
            admissible.map_err(|(error, quota)| NoPlace::Refused(error, quota))?;
        }
        let (called, mut call) = oneshot::channel();
        let mut place = match self.join(session, facts, classification, called) {
            Ok(place) => place,
            Err((full, facts)) => return Err(self.full(full, facts, classification)),
        };
        // Pipelined requests are no sign of a client that leaves.
        session.set_pipelining_enabled(true);
        let called = tokio::select! {
            called = &mut call => called.ok(),
            () = sleep_until(place.until) => place.leave(&mut call).await,
            error = gone(session) => return Err(NoPlace::Left(error)),
        };
        let found = match called {
            Some(Ok(placed)) => Ok(Granted { placed, queued: Some(place.since.elapsed()) }),
            Some(Err(facts)) => self.last_chance(facts, classification, Some(place.since.elapsed())),
            None => Err(refused(&NoRoute::Down, Some(place.since.elapsed()))),
        };
        place.outcome = if found.is_ok() { "served" } else { "expired" };
        found
    }

    fn join(
        &self,
        session: &Session,
        facts: Box<RequestFacts>,
        classification: Classification,
        called: oneshot::Sender<Called>,
    ) -> Result<Place<'_>, (Full, Box<RequestFacts>)> {
        let gateway = self.gateway;
        let since = Instant::now();
        let until = since + self.patience.max(Duration::from_millis(ONE_TURN_MS));
        let deadline_ms = gateway.clock.ms_at(until);
        let answer = classification.output_tokens;
        let newcomer = Newcomer {
            account: match self.visitor {
                Some(visitor) => Key::Account(visitor.caller.wallet.account()),
                None => Key::address(address_of(session, &gateway.config.trusted_proxies)),
            },
            class: class(&facts, classification),
            cost: cost(facts.requirements.prompt_tokens.saturating_add(answer)),
            deadline_ms,
        };
        let waiter = Waiter { facts, classification, deadline_ms, called: Some(called) };
        let joined = gateway.waiting.queue.join(newcomer, waiter);
        let ticket = joined.map_err(|(full, waiter)| (full, waiter.facts))?;
        gateway.metrics.queue.waiting.inc();
        gateway.waiting.kick();
        Ok(Place { gateway, ticket, since, until, outcome: "left" })
    }

    /// There is no room to wait. It does not even try: the more of them come, the more would pass by those
    /// that wait.
    fn full(&self, full: Full, facts: Box<RequestFacts>, classification: Classification) -> NoPlace {
        self.gateway.metrics.queue.outcomes.with_label_values(&["full"]).inc();
        let retry_after_ms = match self.now(facts, classification, false) {
            Err((NoRoute::Cooling { retry_after_ms }, _)) => retry_after_ms,
            // There is a place, which is for one of those that wait.
            Ok(_) => 0,
            Err((none, _)) => return refused(&none, None),
        };
        let mut error = no_route::api_error(&NoRoute::Cooling { retry_after_ms });
        error.message = format!("every capable model is busy, and {full}; try again later");
        NoPlace::Refused(Box::new(error), None)
    }
}

/// A place in the queue, until it is dropped.
struct Place<'a> {
    gateway: &'a Gateway,
    ticket: Ticket<Key>,
    since: Instant,
    until: Instant,
    /// What came of it.
    outcome: &'static str,
}

impl Place<'_> {
    /// Its time is over; unless it has been called by now.
    async fn leave(&self, call: &mut oneshot::Receiver<Called>) -> Option<Called> {
        match self.gateway.waiting.queue.leave(&self.ticket) {
            Some(waiter) => Some(Err(waiter.facts)),
            None => call.await.ok(),
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let waiting = &self.gateway.waiting;
        waiting.queue.leave(&self.ticket);
        // What it was given meanwhile, and does not take, is another's.
        waiting.kick();
        let metrics = &self.gateway.metrics.queue;
        metrics.waiting.dec();
        metrics.wait.observe(self.since.elapsed().as_secs_f64());
        metrics.outcomes.with_label_values(&[self.outcome]).inc();
    }
}

/// Waits until the client has left.
async fn gone(session: &mut Session) -> Box<Error> {
    match session.downstream_session.read_body_or_idle(true).await {
        Err(error) => error.into_down(),
        Ok(_) => std::future::pending().await,
    }
}

fn refused(none: &NoRoute, queued: Option<Duration>) -> NoPlace {
    let mut error = no_route::api_error(none);
    error.queued_ms = queued.map(millis);
    NoPlace::Refused(Box::new(error), None)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
