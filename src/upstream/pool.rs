//! The states of all endpoints by name, so that they outlive the catalogs that list them.

use super::budget::RetryBudget;
use super::health::EndpointState;
use super::key::{AccountState, KeyState};
use super::memory::{Kept, KeyName, Memory};
use super::quota::Observed;
use crate::catalog::{Endpoint, EndpointKey, Provider};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// States kept for endpoints no catalog lists any more: a model that comes back finds its history.
const MAX_UNLISTED: usize = 4096;

/// Every endpoint's state, by key, and what they may be asked again for in all. The states are looked up when a
/// snapshot is built, never by a request.
#[derive(Debug, Default)]
pub struct Pool {
    states: Mutex<Inner>,
    retries: RetryBudget,
}

#[derive(Debug, Default)]
struct Inner {
    /// By slug: the provider as it was, and its keys' states.
    providers: HashMap<String, (Arc<Provider>, Vec<Arc<KeyState>>)>,
    endpoints: HashMap<EndpointKey, Arc<EndpointState>>,
    memory: Memory,
}

impl Pool {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// The retries that all requests may make together.
    pub fn retries(&self) -> &RetryBudget {
        &self.retries
    }

    /// The state of `endpoint`, made at first sight. A provider whose keys were replaced starts
    /// afresh, and so do its endpoints.
    pub fn state(&self, endpoint: &Endpoint) -> Arc<EndpointState> {
        let mut inner = self.lock();
        let keys = inner.keys(&endpoint.provider);
        if let Some(state) = inner.endpoints.get(&endpoint.key)
            && state.is_called_with(&keys)
        {
            return Arc::clone(state);
        }
        inner.make_room();
        let state = Arc::new(EndpointState::new(endpoint, keys));
        inner.endpoints.insert(endpoint.key.clone(), Arc::clone(&state));
        state
    }

    /// Believes what a provider says is left of the account's limits.
    pub fn observe_account(&self, provider: &Arc<Provider>, said: &[Observed], now_ms: u64) {
        let keys = self.lock().keys(provider);
        // There is one account, whatever the keys.
        if let Some(key) = keys.first() {
            said.iter().for_each(|observed| key.account.quota.observe(observed, now_ms));
        }
    }

    /// Takes in what was used of limits before a restart, for endpoints that are there or will be.
    pub fn remember(&self, rows: Vec<Kept>) {
        self.lock().memory.load(rows);
    }

    /// Counts what is remembered of the endpoints that are there by now. To be called when there are new ones,
    /// before they are asked for anything.
    pub fn recall(&self, name: KeyName, now_ms: u64) {
        let Inner { endpoints, memory, .. } = &mut *self.lock();
        endpoints.values().for_each(|state| memory.recall(state, name, now_ms));
    }

    /// What is used of limits, to be written down.
    pub fn kept(&self, name: KeyName, now_ms: u64) -> Vec<Kept> {
        let inner = self.lock();
        inner.memory.kept(inner.endpoints.values().map(Arc::as_ref), name, now_ms)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A poisoned map is whole: nothing in here panics half-way through a change.
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn keys(&mut self, provider: &Arc<Provider>) -> Vec<Arc<KeyState>> {
        let same = |known: &Provider| {
            Arc::as_ptr(provider) == std::ptr::from_ref(known)
                || known.keys == provider.keys
                    && known.quotas == provider.quotas
                    && known.max_concurrency == provider.max_concurrency
                    && known.callers_keys == provider.callers_keys
        };
        if let Some((_, keys)) = self.providers.get(&provider.slug).filter(|(known, _)| same(known)) {
            return keys.clone();
        }
        let account = Arc::new(AccountState::new(provider));
        let key = |secret| Arc::new(KeyState::new(provider, secret, Arc::clone(&account)));
        let keys: Vec<_> = match provider.keys.as_slice() {
            [] => vec![key(None)],
            keys => keys.iter().cloned().map(Some).map(key).collect(),
        };
        self.providers.insert(provider.slug.clone(), (Arc::clone(provider), keys.clone()));
        keys
    }

    /// Forgets what nobody holds once there is too much of it.
    fn make_room(&mut self) {
        if self.endpoints.len() >= MAX_UNLISTED {
            self.endpoints.retain(|_, state| Arc::strong_count(state) > 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Limit, LimitScope, Model, Period, Secret, Unit};
    use crate::routing::condition::{Availability, Cause};
    use crate::routing::verdict::{Effect, Scope};
    use crate::upstream::Outcome;

    const T: u64 = 1_787_400_000_000;

    fn endpoint(provider: &str, key: &str, model: &str) -> Endpoint {
        let base = "http://127.0.0.1:1/v1".parse().expect("a URL");
        let keys = Secret::new(key).into_iter().collect();
        let provider = Provider { keys, ..Provider::new(provider, base) };
        let model = Model { id: model.to_owned(), ..Model::default() };
        Endpoint::new(Arc::new(provider), model, "m".to_owned())
    }

    fn fail(state: &EndpointState, effect: Effect) {
        state.observe(0, Outcome::Failed { effect, took_ms: 5 }, T);
    }

    fn cooled(state: &EndpointState) -> bool {
        state.condition(0, T).availability != Availability::Open
    }

    #[test]
    fn an_endpoint_keeps_its_state_across_catalogs() {
        let pool = Pool::new();
        let first = pool.state(&endpoint("a", "k", "m"));
        assert!(Arc::ptr_eq(&first, &pool.state(&endpoint("a", "k", "m"))));
        assert!(!Arc::ptr_eq(&first, &pool.state(&endpoint("a", "k", "n"))));
    }

    #[test]
    fn a_limit_of_the_model_cools_one_endpoint_and_one_of_the_key_cools_all() {
        let pool = Pool::new();
        let [m, n, other] =
            [("a", "m"), ("a", "n"), ("b", "m")].map(|(p, m)| pool.state(&endpoint(p, "k", m)));
        let cool = |scope| Effect::Cool {
            scope,
            for_ms: 1_000,
            cause: Cause::RateLimited,
            guessed: false,
            learned: None,
        };
        fail(&m, cool(Scope::Model));
        assert!(cooled(&m) && !cooled(&n));
        fail(&m, cool(Scope::Key));
        assert!(cooled(&n) && !cooled(&other));
    }

    #[test]
    fn what_is_left_of_the_account_is_left_of_every_endpoint() {
        let pool = Pool::new();
        let limit = Limit {
            scope: LimitScope::Account,
            per: Period::Day,
            requests: Some(50),
            tokens: None,
            window: None,
            pattern: None,
        };
        let mut provider = (*endpoint("a", "k", "m").provider).clone();
        provider.quotas.limits.push(limit);
        let provider = Arc::new(provider);
        let said = |limit, remaining| {
            let (unit, per, scope) = (Unit::Requests, Period::Day, LimitScope::Account);
            let (limit, remaining) = (Some(limit), Some(remaining));
            [Observed { unit, per, scope, limit, remaining, resets_in_ms: None }]
        };
        pool.observe_account(&provider, &said(50, 0), T);
        let state = pool.state(&Endpoint::new(Arc::clone(&provider), Model::default(), "m".to_owned()));
        assert!(cooled(&state), "the account was asked before any endpoint was known");
        pool.observe_account(&provider, &said(1_000, 950), T);
        assert!(!cooled(&state), "more was bought");
    }

    #[test]
    fn a_refused_key_disables_its_endpoints_until_it_is_replaced() {
        let pool = Pool::new();
        let old = pool.state(&endpoint("a", "old", "m"));
        fail(&old, Effect::DisableKey(Cause::BadKey));
        let sibling = pool.state(&endpoint("a", "old", "n"));
        assert_eq!(sibling.condition(0, T).availability, Availability::Disabled(Cause::BadKey));
        assert_eq!(sibling.keys().next().and_then(|key| key.disabled(T)), Some(Cause::BadKey));
        assert!(!cooled(&pool.state(&endpoint("a", "new", "m"))));
    }

    #[test]
    fn a_model_that_wants_money_is_out_and_the_key_only_when_all_do() {
        let pool = Pool::new();
        let models = ["m", "n", "o", "p", "q"].map(|id| pool.state(&endpoint("a", "k", id)));
        let unpaid = Effect::DisableKey(Cause::QuotaSpent);
        models[..2].iter().for_each(|state| fail(state, unpaid));
        assert!(cooled(&models[0]) && !cooled(&models[4]));
        models[4].observe(0, Outcome::Alive, T);
        models[2..4].iter().for_each(|state| fail(state, unpaid));
        assert!(!cooled(&models[4]), "it was free in between");
        models.iter().for_each(|state| [1, 2].into_iter().for_each(|row| state.listed(row)));
        fail(&models[0], unpaid);
        assert_eq!(models[4].condition(0, T).availability, Availability::Disabled(Cause::QuotaSpent));
    }

    #[test]
    fn an_unreachable_host_rests_every_model_there() {
        let pool = Pool::new();
        let [m, n] = ["m", "n"].map(|id| pool.state(&endpoint("a", "k", id)));
        fail(&m, Effect::Fail { scope: Scope::Provider, cause: Cause::Connect });
        assert_eq!(
            n.condition(0, T).availability,
            Availability::Cooling { for_ms: 1_000, cause: Cause::Connect }
        );
    }

    #[test]
    fn forgotten_endpoints_are_bounded() {
        let pool = Pool::new();
        let kept = pool.state(&endpoint("a", "k", "kept"));
        for i in 0..MAX_UNLISTED * 2 {
            pool.state(&endpoint("a", "k", &i.to_string()));
        }
        assert!(pool.states.lock().expect("unpoisoned").endpoints.len() <= MAX_UNLISTED);
        assert!(Arc::ptr_eq(&kept, &pool.state(&endpoint("a", "k", "kept"))));
    }
}
