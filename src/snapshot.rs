//! What one request decides from, swapped whole: the catalog and the live state of its endpoints.

use crate::catalog::{Catalog, OwnKeys, Provider, Secret};
use crate::protocol::facts::RequestFacts;
use crate::routing::condition::Condition;
use crate::routing::{self, Candidate, Classification, Inputs, NoRoute, Policy, Remembered, RoutePlan};
use crate::upstream::{EndpointState, InFlight, Pool};
use std::sync::Arc;

/// One catalog with its states. A request takes one and keeps it to its end.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The endpoints.
    pub catalog: Catalog,
    /// The state of each, at the same position.
    pub states: Vec<Arc<EndpointState>>,
    /// The id of each and its position, in order.
    positions: Vec<(u64, u32)>,
}

impl Snapshot {
    /// Joins a catalog to the states its endpoints had before.
    pub fn new(catalog: Catalog, pool: &Pool) -> Self {
        let states: Vec<_> = catalog.endpoints.iter().map(|endpoint| pool.state(endpoint)).collect();
        states.iter().zip(&catalog.endpoints).for_each(|(s, e)| s.listed(e.fingerprint()));
        let ids = catalog.endpoints.iter().map(|endpoint| endpoint.id());
        let mut positions: Vec<_> = ids.zip(0..).collect();
        positions.sort_unstable();
        Self { catalog, states, positions }
    }

    /// The position of the endpoint with this id.
    pub fn position(&self, id: u64) -> Option<u32> {
        let found = self.positions.binary_search_by_key(&id, |(known, _)| *known);
        found.ok().map(|at| self.positions[at].1)
    }

    /// How the endpoint at `position` of the catalog is doing.
    ///
    /// # Panics
    /// If the catalog has no such position.
    pub fn condition(&self, position: usize, tokens: u32, now_ms: u64) -> Condition {
        self.states[position].condition(tokens, now_ms)
    }

    /// Plans a request and takes a place at the best candidate, in one step: what was seen free is free, or
    /// the plan is made again without it.
    ///
    /// # Errors
    /// [`NoRoute`] as [`routing::plan`] gives it.
    pub fn choose(&self, ask: &Ask<'_>, now_ms: u64) -> Result<Begun, NoRoute> {
        let own_keys = &ask.facts.own_keys;
        let condition = |position: usize, tokens| match self.own_key(own_keys, position) {
            Some(_) => self.states[position].borrowed_condition(now_ms),
            None => self.condition(position, tokens, now_ms),
        };
        let at_best = |position: usize| match self.own_key(own_keys, position) {
            Some(_) => self.states[position].borrowed_at_best(now_ms),
            None => self.states[position].at_best(now_ms),
        };
        let inputs = Inputs {
            facts: ask.facts,
            classification: ask.classification,
            catalog: &self.catalog,
            condition: &condition,
            at_best: Some(&at_best),
            policy: ask.policy,
            seed: ask.seed,
            last_chance: ask.last_chance,
            remembered: ask.remembered,
        };
        let chosen = || Ok(Choice { plan: routing::plan(&inputs)?, next: 0, own_keys: own_keys.clone() });
        let mut choice = chosen()?;
        for _ in 0..MOST_RACES {
            if let Some((position, guard)) = choice.begin_next(self, now_ms, |_| false) {
                return Ok(Begun { choice, position, guard });
            }
            choice = chosen()?;
        }
        Err(NoRoute::Cooling { retry_after_ms: RACED_RETRY_MS })
    }

    /// The caller's own key for the endpoint at a position.
    fn own_key<'a>(&self, own_keys: &'a OwnKeys, position: usize) -> Option<&'a Secret> {
        if own_keys.is_empty() {
            return None;
        }
        own_keys.of(&self.catalog.endpoints[position].provider)
    }
}

/// A plan is made again at most so often because others were faster.
const MOST_RACES: u32 = 4;
/// When to ask again after that.
const RACED_RETRY_MS: u64 = 1_000;

/// Who asks for a route.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// What inspection found.
    pub facts: &'a RequestFacts,
    /// What the prompt looks like.
    pub classification: Classification,
    /// The operator's settings.
    pub policy: &'a Policy,
    /// Decides between equals.
    pub seed: u64,
    /// It cannot wait any longer.
    pub last_chance: bool,
    /// What answered its conversation last; none where it is held to nothing.
    pub remembered: Option<Remembered>,
}

/// A plan, and how far down it a request has come.
#[derive(Debug)]
pub struct Choice {
    /// Whom to ask, in order.
    pub plan: RoutePlan,
    next: usize,
    /// Those that were not refused.
    own_keys: OwnKeys,
}

/// A request with a place at an endpoint.
#[derive(Debug)]
pub struct Begun {
    /// Where to go if that fails.
    pub choice: Choice,
    /// The endpoint's position in the catalog.
    pub position: usize,
    /// The place.
    pub guard: InFlight,
}

impl Choice {
    /// Takes a place at the next candidate that has one and is not `pointless`: its position, and the guard.
    pub fn begin_next(
        &mut self,
        snapshot: &Snapshot,
        now_ms: u64,
        pointless: impl Fn(usize) -> bool,
    ) -> Option<(usize, InFlight)> {
        while let Some(Candidate { endpoint, resting, .. }) = self.plan.candidates.get(self.next) {
            let position = *endpoint as usize;
            self.next += 1;
            if pointless(position) {
                continue;
            }
            let (state, tokens) = (&snapshot.states[position], self.plan.tokens);
            let own_key = snapshot.own_key(&self.own_keys, position).cloned();
            let begun = match (own_key, *resting) {
                (Some(key), true) => state.begin_borrowed_regardless(key, now_ms),
                (Some(key), false) => state.begin_borrowed(key, now_ms),
                (None, true) => state.begin_regardless(tokens, now_ms),
                (None, false) => state.begin(tokens, now_ms),
            };
            if let Ok(mut guard) = begun {
                guard.asks_for(self.plan.classification.task.group());
                return Some((position, guard));
            }
        }
        None
    }

    /// The provider has refused the caller's own key: what is left of the plan goes there with ours.
    pub fn forget_own_key(&mut self, provider: &Provider) {
        self.own_keys.forget(provider);
    }

    /// The last candidate is tried once more.
    pub fn step_back(&mut self) {
        self.next = self.next.saturating_sub(1);
    }

    /// Whether no candidate is left.
    pub fn is_spent(&self) -> bool {
        self.next >= self.plan.candidates.len()
    }
}

#[cfg(test)]
mod tests;
