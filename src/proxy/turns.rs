//! Those that wait for a place, and the pass that gives it to them by turns.

use super::gateway::Gateway;
use crate::limits::Key;
use crate::protocol::facts::{Preferences, RequestFacts};
use crate::queue::{Bounds, Queue, Turn};
use crate::routing::{Classification, NoRoute, Remembered};
use crate::snapshot::{Ask, Begun, Snapshot};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

/// A place that should come free within this may come free at any moment: how long a request under way
/// still takes is a guess.
const ANY_MOMENT_MS: u64 = 1_000;

/// Requests that wait for a place, by whoever pays for them, else by address.
pub(crate) struct Waiting {
    pub(super) queue: Queue<Key, Waiter>,
    kicked: Notify,
}

/// One of them.
pub(super) struct Waiter {
    pub(super) facts: Box<RequestFacts>,
    pub(super) classification: Classification,
    /// When it has waited long enough, Unix ms.
    pub(super) deadline_ms: u64,
    /// Where it is called; none once it was.
    pub(super) called: Option<oneshot::Sender<Called>>,
}

/// What ends its waiting: a place, or word that none will come in time, with what it had brought.
pub(super) type Called = Result<Placed, Box<RequestFacts>>;

/// A request and its place.
pub(super) struct Placed {
    pub(super) facts: Box<RequestFacts>,
    pub(super) begun: Begun,
    /// What the place was chosen from.
    pub(super) snapshot: Arc<Snapshot>,
}

impl Waiting {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { queue: Queue::new(bounds), kicked: Notify::new() }
    }

    /// Something may have become free, or somebody has come. One load where nobody waits.
    pub(super) fn kick(&self) {
        if !self.queue.is_empty() {
            self.kicked.notify_one();
        }
    }

    /// Waits until there is reason to pass turns.
    pub(crate) async fn kicked(&self) {
        self.kicked.notified().await;
    }

    /// Gives what is free to those that wait, by turns: how long until more may come free; `None` when
    /// nobody waits any more.
    pub(crate) fn pass(&self, gateway: &Gateway) -> Option<Duration> {
        let snapshot = gateway.snapshot.load_full();
        let now_ms = gateway.clock.now_ms();
        let mut soonest_ms = u64::MAX;
        let passed = self.queue.turns(now_ms, |waiter| match waiter.place(gateway, &snapshot, now_ms) {
            Ok(turn) => turn,
            Err(free_in_ms) => {
                soonest_ms = soonest_ms.min(free_in_ms);
                Turn::Blocked
            }
        });
        for mut waiter in passed.expired {
            waiter.call(Err);
        }
        (!self.queue.is_empty()).then_some(Duration::from_millis(soonest_ms))
    }
}

/// Whether it makes sense to wait `left_ms` for what comes free in `free_in_ms`.
pub(super) fn in_time(free_in_ms: u64, left_ms: u64) -> bool {
    free_in_ms <= left_ms.max(ANY_MOMENT_MS)
}

impl Waiter {
    /// Gives it a place, if there is one.
    ///
    /// # Errors
    /// Milliseconds until one may come free, if it waits on.
    fn place(&mut self, gateway: &Gateway, snapshot: &Arc<Snapshot>, now_ms: u64) -> Result<Turn, u64> {
        if self.called.as_ref().is_none_or(oneshot::Sender::is_closed) {
            return Ok(Turn::Gone);
        }
        match choose(gateway, snapshot, &self.facts, self.classification, false, now_ms) {
            Ok(begun) => {
                let snapshot = Arc::clone(snapshot);
                let taken = self.call(|facts| Ok(Placed { facts, begun, snapshot }));
                Ok(if taken { Turn::Served } else { Turn::Gone })
            }
            Err(NoRoute::Cooling { retry_after_ms })
                if in_time(retry_after_ms, self.deadline_ms.saturating_sub(now_ms)) =>
            {
                Err(retry_after_ms)
            }
            Err(_) => {
                self.call(Err);
                Ok(Turn::Gone)
            }
        }
    }

    /// Whether it heard. A place nobody takes is given back.
    fn call(&mut self, with: impl FnOnce(Box<RequestFacts>) -> Called) -> bool {
        let Some(called) = self.called.take() else { return false };
        called.send(with(std::mem::take(&mut self.facts))).is_ok()
    }
}

/// Plans a request and takes a place at the best endpoint.
///
/// # Errors
/// Why there is none.
pub(super) fn choose(
    gateway: &Gateway,
    snapshot: &Snapshot,
    facts: &RequestFacts,
    classification: Classification,
    last_chance: bool,
    now_ms: u64,
) -> Result<Begun, NoRoute> {
    let policy = &gateway.config.policy;
    // Processes that have not heard of a conversation agree at least among equals.
    let seed = gateway.config.seed ^ facts.session.map_or(0, |session| session.key);
    let remembered = remembered(gateway, snapshot, facts, now_ms);
    snapshot.choose(&Ask { facts, classification, policy, seed, last_chance, remembered }, now_ms)
}

/// What answered the request's conversation last; none where it is held to nothing.
fn remembered(
    gateway: &Gateway,
    snapshot: &Snapshot,
    facts: &RequestFacts,
    now_ms: u64,
) -> Option<Remembered> {
    let session = facts.session.filter(|session| session.holds)?;
    Some(match gateway.sessions.recall(session.key, now_ms) {
        Some(id) => snapshot.position(id).map_or(Remembered::Gone, Remembered::At),
        None => Remembered::Nothing,
    })
}

/// The same for requests that need the same and are about as long: where one finds no place, the others need
/// not look.
pub(super) fn class(facts: &RequestFacts, classification: Classification) -> u64 {
    let RequestFacts { model, choices, requirements, preferences, own_keys, .. } = facts;
    // The session is no wish, and what only orders candidates leaves none out. How much quality counts says what is
    // kept from a request.
    let Preferences {
        models,
        order,
        only,
        ignore,
        no_fallbacks,
        require_parameters,
        deny_data_collection,
        quantizations,
        ..
    } = preferences;
    let Preferences { allowed_models, excluded_models, context_compression, quality, .. } = preferences;
    let answer = classification.output_tokens.min(8192);
    let mut class = DefaultHasher::new();
    (model, choices, models, order, only, ignore).hash(&mut class);
    own_keys.slugs().for_each(|slug| slug.hash(&mut class));
    (no_fallbacks, require_parameters, deny_data_collection, context_compression).hash(&mut class);
    (allowed_models, excluded_models, quantizations).hash(&mut class);
    (requirements.hard, requirements.soft).hash(&mut class);
    (step(requirements.prompt_tokens), step(requirements.max_output_tokens.unwrap_or(u32::MAX)))
        .hash(&mut class);
    (step(answer), (classification.difficulty * 16.0) as u8, quality.map(f32::to_bits)).hash(&mut class);
    class.finish()
}

/// Four steps to a doubling: who is passed over for a longer request's sake is at most a fifth shorter.
fn step(tokens: u32) -> u32 {
    (f64::from(tokens.max(1)).log2() * 4.0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::Task;

    #[track_caller]
    fn check(change: impl FnOnce(&mut RequestFacts), alike: bool) {
        let mut facts = RequestFacts { choices: 1, ..RequestFacts::default() };
        facts.requirements.prompt_tokens = 1_000;
        let classification = Classification { task: Task::Qa, difficulty: 0.3, output_tokens: 250 };
        let before = class(&facts, classification);
        change(&mut facts);
        assert_eq!(class(&facts, classification) == before, alike);
    }

    #[test]
    fn requests_that_need_the_same_are_alike() {
        check(|_| (), true);
        check(|facts| facts.stream = true, true);
        check(|facts| facts.preferences.session = Some("s".to_owned()), true);
        check(|facts| facts.requirements.prompt_tokens = 1_010, true);
    }

    #[test]
    fn requests_that_need_something_else_are_not() {
        check(|facts| facts.requirements.prompt_tokens = 2_000, false);
        check(|facts| facts.requirements.hard.insert(crate::catalog::Capability::Tools), false);
        check(|facts| facts.model = Some("a/b".to_owned()), false);
        check(|facts| facts.preferences.deny_data_collection = true, false);
        check(|facts| facts.preferences.quality = Some(1.0), false);
        check(|facts| facts.preferences.only.push("groq".to_owned()), false);
        let own_key = crate::catalog::Secret::new("k").expect("a key");
        check(|facts| assert!(facts.own_keys.add("groq", own_key)), false);
    }
}
