//! The states of all endpoints by name, so that they outlive the catalogs that list them.

use super::breaker::{Breaker, Until};
use super::health::EndpointState;
use crate::catalog::{Endpoint, EndpointKey, Provider, Secret};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// States kept for endpoints no catalog lists any more: a model that comes back finds its history.
const MAX_UNLISTED: usize = 4096;

/// Every endpoint's state, by key. Asked when a snapshot is built, never by a request.
#[derive(Debug, Default)]
pub struct Pool(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    accounts: HashMap<String, (Option<Secret>, Arc<KeyState>)>,
    endpoints: HashMap<EndpointKey, Arc<EndpointState>>,
}

impl Pool {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// The state of `endpoint`, made at first sight. A provider whose key was replaced starts
    /// afresh, and so do its endpoints.
    pub fn state(&self, endpoint: &Endpoint) -> Arc<EndpointState> {
        // A poisoned map is whole: nothing in here panics half-way through a change.
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let account = inner.account(&endpoint.provider);
        if let Some(state) = inner.endpoints.get(&endpoint.key)
            && Arc::ptr_eq(state.account(), &account)
        {
            return Arc::clone(state);
        }
        inner.make_room();
        let state = Arc::new(EndpointState::new(endpoint.key.clone(), account));
        inner.endpoints.insert(endpoint.key.clone(), Arc::clone(&state));
        state
    }
}

impl Inner {
    fn account(&mut self, provider: &Provider) -> Arc<KeyState> {
        let known = self.accounts.get(&provider.slug).filter(|(key, _)| *key == provider.key);
        let account = match known {
            Some((_, account)) => Arc::clone(account),
            None => {
                let account = Arc::new(KeyState::default());
                self.accounts.insert(provider.slug.clone(), (provider.key.clone(), Arc::clone(&account)));
                account
            }
        };
        account.max_concurrency.store(provider.max_concurrency.unwrap_or(u32::MAX), Relaxed);
        account
    }

    /// Forgets what nobody holds once there is too much of it.
    fn make_room(&mut self) {
        if self.endpoints.len() >= MAX_UNLISTED {
            self.endpoints.retain(|_, state| Arc::strong_count(state) > 1);
        }
    }
}

/// What a provider's endpoints share because they are called with the same key: its limits, its
/// refusal, whether the host is there, and how many requests are under way.
#[derive(Debug, Default)]
pub struct KeyState {
    pub(super) disabled: Until,
    pub(super) told: Until,
    pub(super) breaker: Breaker,
    in_flight: AtomicU32,
    max_concurrency: AtomicU32,
}

impl KeyState {
    /// Requests under way with this key.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// Why the key is not used at all, if so.
    pub fn disabled(&self, now_ms: u64) -> Option<crate::routing::condition::Cause> {
        self.disabled.left(now_ms).map(|(_, cause)| cause)
    }

    pub(super) fn is_full(&self) -> bool {
        self.in_flight() >= self.max_concurrency.load(Relaxed)
    }

    /// Counts one more; `false` if that is one too many (it is counted all the same).
    pub(super) fn enter(&self) -> bool {
        self.in_flight.fetch_add(1, Relaxed) < self.max_concurrency.load(Relaxed)
    }

    pub(super) fn leave(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Auth, FieldProfile, Model};
    use crate::routing::condition::{Availability, Cause};
    use crate::routing::verdict::{Effect, Scope};
    use crate::upstream::Outcome;

    const T: u64 = 1_787_400_000_000;

    fn endpoint(provider: &str, key: &str, model: &str) -> Endpoint {
        let provider = Provider {
            slug: provider.to_owned(),
            name: provider.to_owned(),
            base: "http://127.0.0.1:1/v1".parse().expect("a URL"),
            auth: Auth::Bearer,
            key: Secret::new(key),
            profile: FieldProfile::default(),
            trains_on_prompts: false,
            h2c: false,
            headers: Vec::new(),
            max_concurrency: None,
            simulated: false,
        };
        let model = Model { id: model.to_owned(), ..Model::default() };
        Endpoint::new(Arc::new(provider), model, "m".to_owned())
    }

    fn fail(state: &EndpointState, effect: Effect) {
        state.observe(Outcome::Failed { effect, took_ms: 5 }, T);
    }

    fn cooled(state: &EndpointState) -> bool {
        state.condition(T).availability != Availability::Open
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
        let cool = |scope| Effect::Cool { scope, for_ms: 1_000, cause: Cause::RateLimited, guessed: false };
        fail(&m, cool(Scope::Model));
        assert!(cooled(&m) && !cooled(&n));
        fail(&m, cool(Scope::Key));
        assert!(cooled(&n) && !cooled(&other));
    }

    #[test]
    fn a_refused_key_disables_its_endpoints_until_it_is_replaced() {
        let pool = Pool::new();
        let old = pool.state(&endpoint("a", "old", "m"));
        fail(&old, Effect::DisableKey(Cause::BadKey));
        let sibling = pool.state(&endpoint("a", "old", "n"));
        assert_eq!(sibling.condition(T).availability, Availability::Disabled(Cause::BadKey));
        assert_eq!(sibling.account().disabled(T), Some(Cause::BadKey));
        assert!(!cooled(&pool.state(&endpoint("a", "new", "m"))));
    }

    #[test]
    fn an_unreachable_host_rests_every_model_there() {
        let pool = Pool::new();
        let [m, n] = ["m", "n"].map(|id| pool.state(&endpoint("a", "k", id)));
        fail(&m, Effect::Fail { scope: Scope::Provider, cause: Cause::Connect });
        assert_eq!(
            n.condition(T).availability,
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
        assert!(pool.0.lock().expect("unpoisoned").endpoints.len() <= MAX_UNLISTED);
        assert!(Arc::ptr_eq(&kept, &pool.state(&endpoint("a", "k", "kept"))));
    }
}
