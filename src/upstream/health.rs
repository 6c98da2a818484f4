//! One endpoint's live state: availability, speed, and what it was learnt to lack.

use super::breaker::{Breaker, Trial, Until};
use super::measure::Mean;
use super::pool::KeyState;
use crate::catalog::{Capability, CapabilitySet, EndpointKey};
use crate::routing::condition::{Availability, Cause, Condition};
use crate::routing::verdict::{Effect, Scope};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

/// A measurement older than this says nothing about now; the router's prior takes over, so that an
/// endpoint once slow is tried again.
const STALE_S: u32 = 15 * 60;
/// Old failures are forgiven at this pace (to 1/e).
const FORGIVE_S: f32 = 300.0;
/// A capability learnt as missing is believed for an hour, then tried again.
const MISSING_MS: u64 = 3_600_000;
/// A refused key is not tried again for a day, and not at all once replaced.
const KEY_DISABLED_MS: u64 = 24 * 3_600_000;
/// Guessed waits double up to here; never for a day on a guess.
const MAX_GUESS_MS: u64 = 300_000;
/// Shorter answers say nothing about speed.
const MIN_SPEED_TOKENS: u32 = 16;
/// What is reported as left while the provider's own concurrency limit is reached.
const FULL_FOR_MS: u64 = 1_000;

/// The live state of one endpoint. Shared by every snapshot that has the endpoint.
#[derive(Debug)]
pub struct EndpointState {
    key: EndpointKey,
    account: Arc<KeyState>,
    in_flight: AtomicU32,
    told: Until,
    guesses: AtomicU32,
    breaker: Breaker,
    gone: AtomicBool,
    missing: AtomicU64,
    missing_until: AtomicU64,
    ttft_ms: Mean,
    tokens_per_s: Mean,
    success: Mean,
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
    pub(super) fn new(key: EndpointKey, account: Arc<KeyState>) -> Self {
        Self {
            key,
            account,
            in_flight: AtomicU32::new(0),
            told: Until::default(),
            guesses: AtomicU32::new(0),
            breaker: Breaker::default(),
            gone: AtomicBool::new(false),
            missing: AtomicU64::new(0),
            missing_until: AtomicU64::new(0),
            ttft_ms: Mean::default(),
            tokens_per_s: Mean::default(),
            success: Mean::default(),
        }
    }

    /// The endpoint it is of.
    pub fn key(&self) -> &EndpointKey {
        &self.key
    }

    /// The provider and key it is called with.
    pub fn account(&self) -> &Arc<KeyState> {
        &self.account
    }

    /// How it is doing.
    pub fn condition(&self, now_ms: u64) -> Condition {
        let fresh = |mean: &Mean| mean.get(now_ms).filter(|(_, age)| *age < STALE_S).map_or(0.0, |(v, _)| v);
        let success = self.success.get(now_ms).map_or(1.0, |(share, age)| {
            let forgiven = (1.0 - share) * (-(age as f32) / FORGIVE_S).exp();
            (1.0 - forgiven).clamp(0.01, 1.0)
        });
        Condition {
            availability: self.availability(now_ms),
            ttft_ms: fresh(&self.ttft_ms),
            tokens_per_s: fresh(&self.tokens_per_s),
            success,
            in_flight: self.in_flight.load(Relaxed),
            denied: self.missing(now_ms),
        }
    }

    /// Capabilities its row promises and its replies denied, for an hour each time.
    pub fn missing(&self, now_ms: u64) -> CapabilitySet {
        if self.missing_until.load(Relaxed) <= now_ms {
            return CapabilitySet::EMPTY;
        }
        let bits = self.missing.load(Relaxed);
        Capability::ALL.iter().copied().filter(|c| bits & bit(*c) != 0).collect()
    }

    /// Enters a request. The guard counts it until dropped.
    ///
    /// # Errors
    /// Why not now: cooling, disabled, full, or its half-open trial is taken.
    pub fn begin(self: &Arc<Self>, now_ms: u64) -> Result<InFlight, Availability> {
        match self.availability(now_ms) {
            Availability::Open => self.enter(now_ms),
            shut => Err(shut),
        }
    }

    /// Like [`begin`](Self::begin), but takes no notice of the breaker: ejection is a guess, and
    /// where every candidate is ejected the guess must not turn a request away. What a provider
    /// said itself (limits, a refused key, a vanished model) and our concurrency limit still hold.
    ///
    /// # Errors
    /// Why not now.
    pub fn begin_regardless(self: &Arc<Self>, now_ms: u64) -> Result<InFlight, Availability> {
        match self.told_off(now_ms) {
            Availability::Open => self.count(None, None),
            shut => Err(shut),
        }
    }

    /// Learns from an attempt.
    pub fn observe(&self, outcome: Outcome, now_ms: u64) {
        match outcome {
            Outcome::Alive => self.alive(now_ms),
            Outcome::Success { ttft_ms, tokens, duration_ms } => {
                self.alive(now_ms);
                self.success.add(1.0, now_ms);
                self.measure(ttft_ms, tokens, duration_ms, now_ms);
            }
            Outcome::Failed { effect, took_ms } => self.apply(effect, u64::from(took_ms), now_ms),
        }
    }

    /// The provider lists the model again.
    pub fn relisted(&self) {
        self.gone.store(false, Relaxed);
    }

    fn availability(&self, now_ms: u64) -> Availability {
        let told = self.told_off(now_ms);
        if told != Availability::Open {
            return told;
        }
        let ejected = [self.breaker.closed_for(now_ms), self.account.breaker.closed_for(now_ms)];
        longest(ejected)
    }

    /// What holds even as a last resort.
    fn told_off(&self, now_ms: u64) -> Availability {
        if self.gone.load(Relaxed) {
            return Availability::Disabled(Cause::ModelGone);
        }
        if let Some((_, cause)) = self.account.disabled.left(now_ms) {
            return Availability::Disabled(cause);
        }
        let full = self.account.is_full().then_some((FULL_FOR_MS, Cause::Overloaded));
        longest([self.told.left(now_ms), self.account.told.left(now_ms), full])
    }

    fn enter(self: &Arc<Self>, now_ms: u64) -> Result<InFlight, Availability> {
        let cooling = |(for_ms, cause)| Availability::Cooling { for_ms, cause };
        let own = self.breaker.enter(now_ms).map_err(cooling)?;
        match self.account.breaker.enter(now_ms) {
            Ok(shared) => self.count(own, shared),
            Err(busy) => {
                own.iter().for_each(|trial| self.breaker.release(trial));
                Err(cooling(busy))
            }
        }
    }

    fn count(self: &Arc<Self>, own: Option<Trial>, shared: Option<Trial>) -> Result<InFlight, Availability> {
        self.in_flight.fetch_add(1, Relaxed);
        let has_room = self.account.enter();
        let guard = InFlight { state: Arc::clone(self), own, shared };
        if has_room {
            return Ok(guard);
        }
        Err(Availability::Cooling { for_ms: FULL_FOR_MS, cause: Cause::Overloaded })
    }

    fn alive(&self, now_ms: u64) {
        self.breaker.success(now_ms);
        self.account.breaker.success(now_ms);
        self.guesses.store(0, Relaxed);
    }

    fn measure(&self, ttft_ms: Option<u32>, tokens: u32, duration_ms: u32, now_ms: u64) {
        if let Some(ttft) = ttft_ms {
            self.ttft_ms.add(ttft as f32, now_ms);
        }
        let generating_ms = duration_ms.saturating_sub(ttft_ms.unwrap_or(0));
        if tokens >= MIN_SPEED_TOKENS {
            // Answers that come in one burst would be infinitely fast.
            self.tokens_per_s.add(tokens as f32 * 1000.0 / generating_ms.max(1) as f32, now_ms);
        }
    }

    fn apply(&self, effect: Effect, took_ms: u64, now_ms: u64) {
        match effect {
            // It answered, only not this request: alive.
            Effect::None | Effect::NeedsLargerContext => self.alive(now_ms),
            Effect::LearnMissing(lacks) => {
                self.alive(now_ms);
                self.learn_missing(lacks, now_ms);
            }
            Effect::Cool { scope, for_ms, cause, guessed } => {
                let for_ms = if guessed { self.guess(for_ms) } else { for_ms };
                self.told(scope).extend(now_ms.saturating_add(for_ms), cause);
            }
            Effect::Fail { scope, cause } => {
                self.success.add(0.0, now_ms);
                let breaker = if scope == Scope::Model { &self.breaker } else { &self.account.breaker };
                breaker.failure(cause, took_ms, now_ms);
            }
            Effect::DisableKey(cause) => self.account.disabled.extend(now_ms + KEY_DISABLED_MS, cause),
            Effect::DropModel => self.gone.store(true, Relaxed),
        }
    }

    fn told(&self, scope: Scope) -> &Until {
        if scope == Scope::Model { &self.told } else { &self.account.told }
    }

    fn guess(&self, for_ms: u64) -> u64 {
        let guesses = self.guesses.fetch_add(1, Relaxed).min(8);
        for_ms.saturating_mul(1 << guesses).min(MAX_GUESS_MS.max(for_ms))
    }

    fn learn_missing(&self, lacks: Capability, now_ms: u64) {
        if self.missing_until.fetch_max(now_ms + MISSING_MS, Relaxed) <= now_ms {
            self.missing.store(0, Relaxed);
        }
        self.missing.fetch_or(bit(lacks), Relaxed);
    }
}

fn bit(c: Capability) -> u64 {
    1 << c as u8
}

fn longest<const N: usize>(waits: [Option<(u64, Cause)>; N]) -> Availability {
    match waits.into_iter().flatten().max_by_key(|(ms, _)| *ms) {
        Some((for_ms, cause)) => Availability::Cooling { for_ms, cause },
        None => Availability::Open,
    }
}

/// A request under way at an endpoint; dropping it ends that.
#[derive(Debug)]
pub struct InFlight {
    state: Arc<EndpointState>,
    own: Option<Trial>,
    shared: Option<Trial>,
}

impl InFlight {
    /// The endpoint's state.
    pub fn state(&self) -> &Arc<EndpointState> {
        &self.state
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.state.in_flight.fetch_sub(1, Relaxed);
        self.state.account.leave();
        self.own.iter().for_each(|trial| self.state.breaker.release(trial));
        self.shared.iter().for_each(|trial| self.state.account.breaker.release(trial));
    }
}

#[cfg(test)]
mod tests;
