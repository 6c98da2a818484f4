//! One endpoint's live state: availability, speed, and what it was learnt to lack.

use super::breaker::{Breaker, Trial};
use super::fitness::Learned;
use super::gone::Gone;
use super::in_flight::InFlight;
use super::key::KeyState;
use super::lacks::Lacks;
use super::lane::{Lane, longest};
use super::measure::{Mean, Seen, Worst};
use super::patience::{self, Usual};
use super::quota::{Reading, Room, Taken};
use super::recent::Recent;
use crate::catalog::{CapabilitySet, Endpoint, EndpointKey, LimitScope};
use crate::routing::condition::{AtBest, Availability, Cause, Condition};
use crate::routing::pressure;
use crate::routing::verdict::{Effect, Scope};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// A measurement older than this says nothing about now; the router's prior takes over, so that an
/// endpoint once slow is tried again.
const STALE_S: f32 = 15.0 * 60.0;
/// Old failures are forgiven at this pace (to 1/e).
const FORGIVE_S: f32 = 300.0;
/// A refused key is not tried again for a day, and not at all once replaced.
const KEY_DISABLED_MS: u64 = 24 * 3_600_000;
/// What may be in doubt about a call.
pub(super) const BREAKERS: usize = 4;
/// Shorter answers say nothing about speed.
const MIN_SPEED_TOKENS: u32 = 16;

/// The live state of one endpoint. Shared by every snapshot that has the endpoint.
#[derive(Debug)]
pub struct EndpointState {
    key: EndpointKey,
    /// One for each of the provider's keys.
    pub(super) lanes: Box<[Lane]>,
    pub(super) in_flight: AtomicU32,
    /// Whether anything answers.
    breaker: Breaker,
    /// Whether what answers makes sense. Only a whole answer shows that.
    sense: Breaker,
    /// Whether streams come to their end. Only one that does shows that.
    streams: Breaker,
    gone: Gone,
    pub(super) lacks: Lacks,
    ttft_ms: Worst,
    ms_per_token: Worst,
    success: Mean,
    pub(super) fitness: Learned,
    pressure: Seen,
    pub(super) recent: Recent,
}

/// How an attempt ended, or is getting on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// The first meaningful token came: it is alive, whatever follows. Optional, and worth
    /// reporting for streams, which may run for minutes.
    Alive,
    /// A whole answer.
    Success {
        /// From the call to the first token; `None` for a reply that came whole.
        ttft_ms: Option<u32>,
        /// Tokens of the answer.
        tokens: u32,
        /// From the call to the last token.
        duration_ms: u32,
    },
    /// No answer, or one that broke off.
    Failed {
        /// What the verdict says was learnt.
        effect: Effect,
        /// From the call to the failure.
        took_ms: u32,
    },
}

impl EndpointState {
    pub(super) fn new(endpoint: &Endpoint, keys: Vec<Arc<KeyState>>) -> Self {
        let lane = |key| Lane::new(&endpoint.provider, &endpoint.model.id, key);
        Self {
            key: endpoint.key.clone(),
            lanes: keys.into_iter().map(lane).collect(),
            in_flight: AtomicU32::new(0),
            breaker: Breaker::default(),
            sense: Breaker::default(),
            streams: Breaker::default(),
            gone: Gone::default(),
            lacks: Lacks::default(),
            ttft_ms: Worst::default(),
            ms_per_token: Worst::default(),
            success: Mean::default(),
            fitness: Learned::default(),
            pressure: Seen::of(&endpoint.key),
            recent: Recent::default(),
        }
    }

    /// The endpoint it is of.
    pub fn key(&self) -> &EndpointKey {
        &self.key
    }

    /// The keys it is called with, at least one (which may be none at all).
    pub fn keys(&self) -> impl Iterator<Item = &Arc<KeyState>> {
        self.lanes.iter().map(|lane| &lane.key)
    }

    pub(super) fn is_called_with(&self, keys: &[Arc<KeyState>]) -> bool {
        self.lanes.len() == keys.len() && self.keys().zip(keys).all(|(a, b)| Arc::ptr_eq(a, b))
    }

    /// How it is doing, for a request of so many tokens.
    pub fn condition(&self, tokens: u32, now_ms: u64) -> Condition {
        let fresh = |worst: &Worst| worst.get(now_ms).filter(|(_, age)| *age < STALE_S).map(|(v, _)| v);
        let (availability, room) = self.availability(tokens, now_ms);
        Condition {
            availability,
            ttft_ms: fresh(&self.ttft_ms).unwrap_or(0.0),
            tokens_per_s: fresh(&self.ms_per_token).map_or(0.0, |ms| 1000.0 / ms),
            success: self.success_share(now_ms),
            fitness: self.fitness.now(now_ms),
            in_doubt: self.breakers(&self.lanes[0]).iter().any(|breaker| breaker.in_doubt()),
            in_flight: self.in_flight.load(Relaxed),
            denied: self.missing(now_ms),
            share_left: room.share,
            ahead: room.ahead,
            pressure: self.pressure(now_ms),
            most_tokens: room.most_tokens,
        }
    }

    /// The best its condition can turn out to be: as quick as it usually is, whatever its last answers were like.
    pub fn at_best(&self, now_ms: u64) -> AtBest {
        let fresh = |worst: &Worst| worst.least(now_ms).filter(|(_, age)| *age < STALE_S).map(|(v, _)| v);
        AtBest {
            ttft_ms: fresh(&self.ttft_ms).unwrap_or(0.0),
            tokens_per_s: fresh(&self.ms_per_token).map_or(0.0, |ms| 1000.0 / ms),
            pressure: self.pressure(now_ms),
        }
    }

    /// The pressure on its limits, as it was seen lately.
    fn pressure(&self, now_ms: u64) -> f32 {
        self.pressure.get(now_ms).unwrap_or_else(|| self.note_pressure(now_ms))
    }

    fn note_pressure(&self, now_ms: u64) -> f32 {
        let (_, _, room) = self.best_lane(0, now_ms);
        self.pressure.note(pressure(room.share, room.ahead), now_ms)
    }

    fn success_share(&self, now_ms: u64) -> f32 {
        let Some((share, age)) = self.success.get(now_ms).filter(|(share, _)| *share < 0.999) else {
            return 1.0;
        };
        let forgiven = (1.0 - share) * (-age / FORGIVE_S).exp();
        (1.0 - forgiven).clamp(0.01, 1.0)
    }

    /// Capabilities its row promises and its replies denied, for an hour or longer each time.
    pub fn missing(&self, now_ms: u64) -> CapabilitySet {
        self.lacks.now(now_ms)
    }

    /// Enters a request of so many tokens, prompt and expected answer together: takes them, and a place, of
    /// every limit, in one step. The guard counts it until dropped.
    ///
    /// # Errors
    /// Why not now: cooling, disabled, out of quota, full, or its half-open trial is taken.
    pub fn begin(self: &Arc<Self>, tokens: u32, now_ms: u64) -> Result<InFlight, Availability> {
        let lane = &self.lanes[0];
        let shut = self.shut_for(lane, now_ms);
        if shut != Availability::Open {
            return Err(shut);
        }
        let mut guard = self.begin_regardless(tokens, now_ms)?;
        self.enter_trials(&mut guard, now_ms)?;
        Ok(guard)
    }

    /// Takes the half-open trials there are to take; what was taken is given back with the guard.
    pub(super) fn enter_trials(&self, guard: &mut InFlight, now_ms: u64) -> Result<(), Availability> {
        for (breaker, trial) in self.breakers(&self.lanes[0]).into_iter().zip(&mut guard.trials) {
            let cooling = |(for_ms, cause)| Availability::Cooling { for_ms, cause };
            *trial = breaker.enter(now_ms).map_err(cooling)?;
        }
        Ok(())
    }

    /// The provider does not serve the model any more.
    pub(super) fn is_gone(&self, now_ms: u64) -> bool {
        self.gone.is(now_ms)
    }

    /// What may be in doubt about a call: what answers, whether it makes sense, whether it comes to its end,
    /// and whether the host is there.
    fn breakers<'a>(&'a self, lane: &'a Lane) -> [&'a Breaker; BREAKERS] {
        [&self.breaker, &self.sense, &self.streams, &lane.key.account.breaker]
    }

    pub(super) fn shut_for(&self, lane: &Lane, now_ms: u64) -> Availability {
        longest(self.breakers(lane).map(|breaker| breaker.closed_for(now_ms)))
    }

    pub(super) fn release(&self, trials: &[Option<Trial>; BREAKERS]) {
        for (breaker, trial) in self.breakers(&self.lanes[0]).into_iter().zip(trials) {
            trial.iter().for_each(|trial| breaker.release(trial));
        }
    }

    /// Like [`begin`](Self::begin), but takes no notice of the breaker: ejection is a guess, and
    /// where every candidate is ejected the guess must not turn a request away. What a provider
    /// said itself (limits, a refused key, a vanished model) and our concurrency limit still hold.
    ///
    /// # Errors
    /// Why not now.
    pub fn begin_regardless(self: &Arc<Self>, tokens: u32, now_ms: u64) -> Result<InFlight, Availability> {
        let (lane, availability, _) = self.best_lane(tokens, now_ms);
        if self.gone.is(now_ms) {
            return Err(Availability::Disabled(Cause::ModelGone));
        }
        if availability != Availability::Open {
            return Err(availability);
        }
        let taken = Taken { at_ms: now_ms, requests: 1, tokens };
        let shut = |(for_ms, cause)| Availability::Cooling { for_ms, cause };
        self.lanes[lane].take(&taken).map_err(shut)?;
        self.note_pressure(now_ms);
        self.in_flight.fetch_add(1, Relaxed);
        Ok(InFlight::new(Arc::clone(self), lane, taken))
    }

    /// The provider lists the model, with a row of this fingerprint. What has been gone comes back when its row
    /// has changed, and otherwise after a pause that grows each time.
    pub fn listed(&self, row: u64) {
        self.gone.listed(row);
    }

    /// Every limit it is under, by the key's position.
    pub fn readings(&self, now_ms: u64) -> impl Iterator<Item = (usize, Reading)> {
        use LimitScope::{Account, Key, Model};
        let of = move |lane: &Lane| {
            let scopes = lane.quotas().into_iter().zip([Model, Key, Account]);
            scopes.flat_map(|(quota, scope)| quota.readings(scope, now_ms)).collect::<Vec<_>>()
        };
        self.lanes.iter().enumerate().flat_map(move |(at, lane)| of(lane).into_iter().map(move |r| (at, r)))
    }

    /// Counts what was used before a restart, with the key at a position.
    pub fn restore(&self, key: usize, reading: &Reading, now_ms: u64) {
        if let Some(lane) = self.lanes.get(key) {
            lane.quotas()[reading.scope as usize].restore(reading, now_ms);
        }
    }

    fn availability(&self, tokens: u32, now_ms: u64) -> (Availability, Room) {
        let (_, told, room) = self.best_lane(tokens, now_ms);
        if self.gone.is(now_ms) {
            return (Availability::Disabled(Cause::ModelGone), room);
        }
        if told != Availability::Open {
            return (told, room);
        }
        (self.shut_for(&self.lanes[0], now_ms), room)
    }

    /// The key to call it with: of those that may be used the one with most left, else the one that may be
    /// used first.
    fn best_lane(&self, tokens: u32, now_ms: u64) -> (usize, Availability, Room) {
        let wait = |availability| match availability {
            Availability::Open => 0,
            Availability::Cooling { for_ms, .. } => for_ms,
            Availability::Disabled(_) => u64::MAX,
        };
        let (first, room) = self.lanes[0].state(tokens, now_ms);
        let mut best = (0, first, room);
        for (at, lane) in self.lanes.iter().enumerate().skip(1) {
            let (availability, room) = lane.state(tokens, now_ms);
            let (waits, least) = (wait(availability), wait(best.1));
            if waits < least || waits == least && room.share > best.2.share {
                best = (at, availability, room);
            }
        }
        best
    }

    /// Learns from an attempt made with the key at a position.
    pub(super) fn observe(&self, lane: usize, outcome: Outcome, now_ms: u64) {
        let lane = &self.lanes[lane];
        self.recent.note(&outcome, now_ms);
        match outcome {
            Outcome::Alive => self.alive(lane, now_ms),
            Outcome::Success { ttft_ms, tokens, duration_ms } => {
                self.alive(lane, now_ms);
                self.succeeded(ttft_ms, tokens, duration_ms, now_ms);
            }
            Outcome::Failed { effect, took_ms } => self.apply(lane, effect, u64::from(took_ms), now_ms),
        }
    }

    fn alive(&self, lane: &Lane, now_ms: u64) {
        self.answers(now_ms);
        lane.key.was_free();
        lane.alive();
    }

    /// It answers, whatever it was called with.
    pub(super) fn answers(&self, now_ms: u64) {
        self.answered(&self.breaker, now_ms);
        self.answered(&self.lanes[0].key.account.breaker, now_ms);
    }

    /// A whole answer, as in [`Outcome::Success`].
    pub(super) fn succeeded(&self, ttft_ms: Option<u32>, tokens: u32, duration_ms: u32, now_ms: u64) {
        self.answered(&self.sense, now_ms);
        if ttft_ms.is_some() {
            self.answered(&self.streams, now_ms);
        }
        self.success.add_to(1.0, 1.0, now_ms);
        self.gone.answered();
        self.measure(ttft_ms, tokens, duration_ms, now_ms);
    }

    /// A failure of the endpoint or its host.
    pub(super) fn failed(&self, scope: Scope, cause: Cause, took_ms: u64, now_ms: u64) {
        self.success.add_to(1.0, 0.0, now_ms);
        let breaker = match cause {
            Cause::Misbehaving => &self.sense,
            Cause::Truncated => &self.streams,
            _ if scope == Scope::Model => &self.breaker,
            _ => &self.lanes[0].key.account.breaker,
        };
        breaker.failure(cause, took_ms, now_ms);
    }

    /// An outage that is over says nothing of what follows.
    fn answered(&self, breaker: &Breaker, now_ms: u64) {
        if breaker.success(now_ms) {
            self.success.forget();
        }
    }

    fn measure(&self, ttft_ms: Option<u32>, tokens: u32, duration_ms: u32, now_ms: u64) {
        if let Some(ttft) = ttft_ms {
            self.ttft_ms.add(ttft as f32, now_ms);
        }
        let generating_ms = duration_ms.saturating_sub(ttft_ms.unwrap_or(0));
        if tokens >= MIN_SPEED_TOKENS {
            // Answers that come in one burst would be infinitely fast.
            self.ms_per_token.add(generating_ms.max(1) as f32 / tokens as f32, now_ms);
        }
    }

    fn apply(&self, lane: &Lane, effect: Effect, took_ms: u64, now_ms: u64) {
        match effect {
            // It answered, only not this request: alive.
            Effect::None => self.alive(lane, now_ms),
            Effect::NeedsLargerContext { learned } => {
                self.alive(lane, now_ms);
                lane.learn(Scope::Model, learned, now_ms);
            }
            Effect::LearnMissing(lacks) => {
                self.alive(lane, now_ms);
                self.lacks.refused(lacks, now_ms);
            }
            Effect::Flaw(lacks) => {
                self.alive(lane, now_ms);
                self.lacks.flawed(lacks, now_ms);
            }
            Effect::Cool { scope, for_ms, cause, guessed, learned } => {
                lane.cool(scope, for_ms, cause, guessed, now_ms);
                lane.learn(scope, learned, now_ms);
            }
            Effect::Fail { scope, cause } => self.failed(scope, cause, took_ms, now_ms),
            Effect::DisableKey(Cause::QuotaSpent) => {
                self.gone.note(now_ms);
                if lane.key.was_unpaid() {
                    lane.key.disabled.extend(now_ms + KEY_DISABLED_MS, Cause::QuotaSpent);
                }
            }
            Effect::DisableKey(cause) => lane.key.disabled.extend(now_ms + KEY_DISABLED_MS, cause),
            Effect::DropModel => self.gone.note(now_ms),
        }
    }

    /// An answer has shown what these capabilities promise.
    pub(super) fn shown(&self, capabilities: CapabilitySet) {
        self.lacks.shown(capabilities);
    }

    /// How long to wait for it, where that is less than usual; see [`patience`].
    pub(super) fn patience_ms(&self, whole: Option<u32>, now_ms: u64) -> Option<u64> {
        let timed_out = self.breaker.timed_out()?;
        let usual =
            Usual { ttft_ms: self.ttft_ms.usual(now_ms), ms_per_token: self.ms_per_token.usual(now_ms) };
        Some(patience::patience_ms(&usual, timed_out, whole))
    }
}

#[cfg(test)]
mod tests;
