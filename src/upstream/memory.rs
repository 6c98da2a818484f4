//! What was used of limits before a restart, until the endpoints it is about are there again.

use super::health::EndpointState;
use super::quota::Reading;
use crate::catalog::{LimitScope, Secret};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Names a key without giving it away, the same way in every process.
pub type KeyName = fn(&Secret) -> String;

/// One limit as it is written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The endpoint it is of; for a limit of a key or an account, the provider.
    pub of: String,
    /// The name of the key; none for a limit of an account, or where the provider wants no key.
    pub key: Option<String>,
    /// How much of it is used.
    #[serde(flatten)]
    pub reading: Reading,
}

/// What is remembered and was not counted yet, by whose limits it is about.
#[derive(Debug, Default)]
pub(super) struct Memory(HashMap<Whose, Vec<Reading>>);

/// Scope, endpoint or provider, and key.
type Whose = (LimitScope, String, Option<String>);

impl Memory {
    /// Takes in what was written down.
    pub(super) fn load(&mut self, rows: Vec<Kept>) {
        for Kept { of, key, reading } in rows {
            self.0.entry((reading.scope, of, key)).or_default().push(reading);
        }
    }

    /// Counts what is remembered of the endpoint, its keys and its provider's account. Once: what is counted
    /// is forgotten here.
    pub(super) fn recall(&mut self, state: &EndpointState, name: KeyName, now_ms: u64) {
        if self.0.is_empty() {
            return;
        }
        for (position, key) in state.keys().enumerate() {
            let key = key.secret().map(name);
            for scope in SCOPES {
                let remembered = self.0.remove(&whose(state, scope, key.as_ref()));
                let readings = remembered.iter().flatten();
                readings.for_each(|reading| state.restore(position, reading, now_ms));
            }
        }
    }

    /// What is to be written down: what the endpoints have used, and what is remembered of others.
    pub(super) fn kept<'a>(
        &self,
        states: impl Iterator<Item = &'a EndpointState>,
        name: KeyName,
        now_ms: u64,
    ) -> Vec<Kept> {
        let matters = |reading: &Reading| reading.used > 0 && now_ms < reading.resets_ms || reading.learned;
        let mut all: HashMap<Whose, Vec<Reading>> = HashMap::new();
        for state in states {
            let names: Vec<_> = state.keys().map(|key| key.secret().map(name)).collect();
            let mut own: HashMap<Whose, Vec<Reading>> = HashMap::new();
            for (position, reading) in state.readings(now_ms).filter(|(_, reading)| matters(reading)) {
                let whose = whose(state, reading.scope, names[position].as_ref());
                let readings = own.entry(whose).or_default();
                // An account's limits are seen with each of its keys.
                if !readings.contains(&reading) {
                    readings.push(reading);
                }
            }
            // What endpoints share is seen with each of them.
            all.extend(own);
        }
        for (whose, readings) in &self.0 {
            let still = readings.iter().filter(|reading| matters(reading));
            all.entry(whose.clone()).or_insert_with(|| still.cloned().collect());
        }
        let rows = all.into_iter().flat_map(|((_, of, key), readings)| {
            readings.into_iter().map(move |reading| Kept { of: of.clone(), key: key.clone(), reading })
        });
        let mut rows: Vec<_> = rows.collect();
        rows.sort_by(|a, b| (&a.of, &a.key).cmp(&(&b.of, &b.key)));
        rows
    }
}

const SCOPES: [LimitScope; 3] = [LimitScope::Model, LimitScope::Key, LimitScope::Account];

fn whose(state: &EndpointState, scope: LimitScope, key: Option<&String>) -> Whose {
    let provider = || state.key().split('/').next().unwrap_or_default().to_owned();
    match scope {
        LimitScope::Model => (scope, state.key().to_string(), key.cloned()),
        LimitScope::Key => (scope, provider(), key.cloned()),
        LimitScope::Account => (scope, provider(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Endpoint, Limit, Model, Period, Provider};
    use crate::routing::condition::Availability;
    use crate::upstream::Pool;
    use std::sync::Arc;

    /// 2026-08-22 12:00 UTC.
    const T: u64 = 1_787_400_000_000;
    const HOUR: u64 = 3_600_000;

    fn name(secret: &Secret) -> String {
        format!("<{}>", secret.reveal())
    }

    /// An endpoint of a provider that allows five requests a day.
    fn endpoint(scope: LimitScope, key: &str, model: &str) -> Endpoint {
        let mut provider = Provider::new("a", "http://127.0.0.1:1/v1".parse().expect("a URL"));
        provider.keys = Secret::new(key).into_iter().collect();
        let (per, requests) = (Period::Day, Some(5));
        provider.quotas.limits =
            vec![Limit { scope, per, requests, tokens: None, window: None, pattern: None }];
        let model = Model { id: model.to_owned(), ..Model::default() };
        Endpoint::new(Arc::new(provider), model, "m".to_owned())
    }

    fn spend(state: &Arc<EndpointState>, times: u32) {
        (0..times).for_each(|_| state.begin(10, T).expect("room").sent());
    }

    /// How many of five requests a day are left in a new process, for an endpoint.
    fn left_after(rows: Vec<Kept>, endpoint: &Endpoint, now_ms: u64) -> usize {
        let pool = Pool::new();
        pool.remember(rows);
        let state = pool.state(endpoint);
        pool.recall(name, now_ms);
        let take = |_: &usize| state.begin(10, now_ms).map(|mut guard| guard.sent()).is_ok();
        (0..9).take_while(take).count()
    }

    fn rows(scope: LimitScope, times: u32) -> Vec<Kept> {
        let pool = Pool::new();
        spend(&pool.state(&endpoint(scope, "k", "m")), times);
        let rows = pool.kept(name, T);
        let text = serde_json::to_string(&rows).expect("rows");
        serde_json::from_str(&text).expect("the same rows")
    }

    #[test]
    fn what_was_spent_of_a_day_stays_spent_until_its_midnight() {
        for scope in SCOPES {
            let same = endpoint(scope, "k", "m");
            assert_eq!(left_after(rows(scope, 3), &same, T + HOUR), 2, "{scope:?}");
            assert_eq!(left_after(rows(scope, 3), &same, T + 12 * HOUR), 5, "{scope:?}: another day");
        }
    }

    #[test]
    fn it_counts_for_what_shares_it_and_for_nothing_else() {
        let check = |scope, key: &str, model: &str, left| {
            assert_eq!(left_after(rows(scope, 3), &endpoint(scope, key, model), T), left, "{scope:?}");
        };
        check(LimitScope::Model, "k", "other", 5);
        check(LimitScope::Model, "other", "m", 5);
        check(LimitScope::Key, "k", "other", 2);
        check(LimitScope::Key, "other", "m", 5);
        check(LimitScope::Account, "other", "other", 2);
    }

    #[test]
    fn what_nobody_has_asked_for_yet_is_written_down_again() {
        let pool = Pool::new();
        pool.remember(rows(LimitScope::Model, 4));
        pool.state(&endpoint(LimitScope::Model, "k", "other"));
        pool.recall(name, T);
        assert_eq!(left_after(pool.kept(name, T), &endpoint(LimitScope::Model, "k", "m"), T), 1);
        assert_eq!(pool.kept(name, T + 13 * HOUR), []);
    }

    #[test]
    fn a_limit_that_a_refusal_has_shown_is_remembered() {
        let mut rows = rows(LimitScope::Model, 3);
        assert!(rows.iter().all(|row| !row.reading.learned));
        let day = |row: &&mut Kept| row.reading.limit == Some(5);
        let day = rows.iter_mut().find(day).expect("the day's requests");
        (day.reading.limit, day.reading.learned) = (Some(4), true);
        assert_eq!(left_after(rows, &endpoint(LimitScope::Model, "k", "m"), T), 1);
    }

    #[test]
    fn keys_are_named_and_never_written_down() {
        let written = serde_json::to_string(&rows(LimitScope::Key, 1)).expect("rows");
        assert!(written.contains("\"<k>\"") && !written.contains("\"k\""), "{written}");
        let state = Pool::new().state(&endpoint(LimitScope::Key, "k", "m"));
        assert_eq!(state.condition(0, T).availability, Availability::Open);
    }
}
