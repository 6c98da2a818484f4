//! A request under way at an endpoint.

use super::breaker::Trial;
use super::health::{BREAKERS, EndpointState, Outcome};
use super::lane::Lane;
use super::quota::{Observed, Taken};
use crate::catalog::{CapabilitySet, LimitScope, Secret, TaskGroup};
use crate::routing::verdict::Scope;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// A request under way at an endpoint; dropping it ends that. What it took of the limits is given back unless
/// it was [sent](Self::sent).
#[derive(Debug)]
pub struct InFlight {
    state: Arc<EndpointState>,
    key: Key,
    sent: bool,
    /// What its answer teaches about.
    task: Option<TaskGroup>,
    /// It has taught that.
    taught: AtomicBool,
    /// What it tries out.
    pub(super) trials: [Option<Trial>; BREAKERS],
}

/// What it is called with.
#[derive(Debug)]
enum Key {
    /// One of ours, by the position of its lane, and what was taken of its limits.
    Ours { lane: usize, taken: Taken },
    /// The caller's own. No limit of ours is about it.
    Borrowed(Secret),
}

impl InFlight {
    /// With one of our keys; it has been counted.
    pub(super) fn new(state: Arc<EndpointState>, lane: usize, taken: Taken) -> Self {
        Self::at(state, Key::Ours { lane, taken })
    }

    fn at(state: Arc<EndpointState>, key: Key) -> Self {
        let (task, taught, trials) = (None, AtomicBool::new(false), Default::default());
        Self { state, key, sent: false, task, taught, trials }
    }

    /// What it asks for: how well that is answered is learned, too.
    pub fn asks_for(&mut self, task: TaskGroup) {
        self.task = Some(task);
    }

    /// With a caller's own key.
    pub(super) fn borrowed(state: Arc<EndpointState>, key: Secret) -> Self {
        state.in_flight.fetch_add(1, Relaxed);
        Self::at(state, Key::Borrowed(key))
    }

    /// The endpoint's state.
    pub fn state(&self) -> &Arc<EndpointState> {
        &self.state
    }

    /// The key to present; `None` where the provider wants none.
    pub fn secret(&self) -> Option<&Secret> {
        match &self.key {
            Key::Ours { lane, .. } => self.state.lanes[*lane].key.secret(),
            Key::Borrowed(key) => Some(key),
        }
    }

    /// Whether that is the caller's own.
    pub fn is_borrowed(&self) -> bool {
        matches!(self.key, Key::Borrowed(_))
    }

    /// It is about to go out: from now on the provider may have counted it.
    pub fn sent(&mut self) {
        self.sent = true;
    }

    /// Its prompt had so many tokens, and its answer, which ends at `now_ms`. Some providers count an answer when
    /// it begins and some when they know its length; ours counts from its end, which is right for both.
    pub fn answered(&mut self, prompt: u32, answer: u32, now_ms: u64) {
        self.correct(1, prompt);
        self.lane().into_iter().flat_map(Lane::quotas).for_each(|quota| quota.add_tokens(answer, now_ms));
    }

    /// It was refused or failed before anything was generated.
    pub fn refused(&mut self) {
        let requests = self.lane().map_or(0, |lane| u32::from(lane.key.account.failures_count));
        self.correct(requests, 0);
    }

    /// Learns from the attempt.
    pub fn observe(&self, outcome: Outcome, now_ms: u64) {
        // A flawed answer may be delivered all the same, for want of a better one.
        if let Some(task) = self.task.filter(|_| !self.taught.load(Relaxed)) {
            self.taught.store(self.state.fitness.observe(task, &outcome, now_ms), Relaxed);
        }
        match self.key {
            Key::Ours { lane, .. } => self.state.observe(lane, outcome, now_ms),
            Key::Borrowed(_) => self.state.observe_borrowed(outcome, now_ms),
        }
    }

    /// Its answer has shown what these capabilities promise.
    pub fn shown(&self, capabilities: CapabilitySet) {
        self.state.shown(capabilities);
    }

    /// It finds out for everybody whether the endpoint is well again after failures.
    pub fn is_trial(&self) -> bool {
        self.trials.iter().any(Option::is_some)
    }

    /// How long to wait for an endpoint that has timed out and not answered since, milliseconds: for its first
    /// token, or for a `whole` answer of about so many tokens. `None` where it may have its usual time.
    pub fn patience_ms(&self, whole: Option<u32>, now_ms: u64) -> Option<u64> {
        self.state.patience_ms(whole, now_ms)
    }

    /// Learns what the provider says is left of its limits.
    pub fn limits(&self, observed: impl IntoIterator<Item = Observed>, now_ms: u64) {
        let Some(lane) = self.lane() else { return };
        for observed in observed {
            let scope = match observed.scope {
                LimitScope::Model => Scope::Model,
                LimitScope::Key => Scope::Key,
                LimitScope::Account => Scope::Provider,
            };
            lane.quota_of(scope).observe(&observed, now_ms);
        }
    }

    /// Where it is counted, with a key of ours.
    fn lane(&self) -> Option<&Lane> {
        match self.key {
            Key::Ours { lane, .. } => Some(&self.state.lanes[lane]),
            Key::Borrowed(_) => None,
        }
    }

    fn correct(&mut self, requests: u32, tokens: u32) {
        let Key::Ours { lane, taken } = &mut self.key else { return };
        let before = std::mem::replace(taken, Taken { requests, tokens, ..*taken });
        let quotas = self.state.lanes[*lane].quotas();
        quotas.iter().for_each(|quota| quota.correct(&before, requests, tokens));
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if !self.sent {
            self.correct(0, 0);
        }
        self.state.in_flight.fetch_sub(1, Relaxed);
        self.lane().iter().for_each(|lane| lane.key.leave());
        self.state.release(&self.trials);
    }
}
