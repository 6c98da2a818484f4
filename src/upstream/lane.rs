//! One way to an endpoint: the model with one of the provider's keys, and what is left of its limits.

use super::breaker::Until;
use super::key::KeyState;
use super::quota::{Quota, Room, Taken};
use crate::catalog::{LimitScope, Provider};
use crate::routing::condition::{Availability, Cause};
use crate::routing::verdict::{Learned, Scope};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Guessed waits double up to here; never for a day on a guess.
const MAX_GUESS_MS: u64 = 300_000;
/// What is reported as left while the provider's own concurrency limit is reached.
const FULL_FOR_MS: u64 = 1_000;

/// A model with a key.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) key: Arc<KeyState>,
    pub(super) quota: Quota,
    told: Until,
    guesses: AtomicU32,
}

impl Lane {
    pub(super) fn new(provider: &Provider, model: &str, key: Arc<KeyState>) -> Self {
        Self {
            key,
            quota: Quota::new(&provider.quotas, LimitScope::Model, Some(model)),
            told: Until::default(),
            guesses: AtomicU32::new(0),
        }
    }

    /// Whether it may be used, and what is left for a request of so many tokens.
    pub(super) fn state(&self, tokens: u32, now_ms: u64) -> (Availability, Room) {
        if let Some((_, cause)) = self.key.disabled.left(now_ms) {
            return (Availability::Disabled(cause), Room::OPEN);
        }
        let room = self.quota.room(tokens, now_ms).and(self.key.quota.room(tokens, now_ms));
        let room = room.and(self.key.account.quota.room(tokens, now_ms));
        let full = self.key.is_full().then_some((FULL_FOR_MS, Cause::Busy));
        let told = [&self.told, &self.key.told, &self.key.account.told].map(|until| until.left(now_ms));
        (longest(told.into_iter().chain([full, room.shut])), room)
    }

    /// Takes what a request needs of every limit, or nothing.
    ///
    /// # Errors
    /// Milliseconds until there is room, and what there is none of.
    pub(super) fn take(&self, taken: &Taken) -> Result<(), (u64, Cause)> {
        if !self.key.enter() {
            return Err((FULL_FOR_MS, Cause::Busy));
        }
        for (position, quota) in self.quotas().into_iter().enumerate() {
            if let Err(shut) = quota.take(taken) {
                self.quotas()[..position].iter().for_each(|quota| quota.correct(taken, 0, 0));
                self.key.leave();
                return Err(shut);
            }
        }
        Ok(())
    }

    /// The limits a request falls under, the narrowest first.
    pub(super) fn quotas(&self) -> [&Quota; 3] {
        [&self.quota, &self.key.quota, &self.key.account.quota]
    }

    /// The limits of one scope, in a provider's words.
    pub(super) fn quota_of(&self, scope: Scope) -> &Quota {
        match scope {
            Scope::Model => &self.quota,
            Scope::Key if !self.key.account.is_shared => &self.key.quota,
            Scope::Key | Scope::Provider => &self.key.account.quota,
        }
    }

    /// Not before `for_ms` have passed; a guess doubles each time it proves too short.
    pub(super) fn cool(&self, scope: Scope, for_ms: u64, cause: Cause, guessed: bool, now_ms: u64) {
        let told = match scope {
            Scope::Model => &self.told,
            Scope::Key if !self.key.account.is_shared => &self.key.told,
            Scope::Key | Scope::Provider => &self.key.account.told,
        };
        // What is refused while it waits already was sent before: one burst is one lesson.
        if guessed && told.left(now_ms).is_some() {
            return;
        }
        let for_ms = if guessed { self.guess(for_ms) } else { for_ms };
        told.extend(now_ms.saturating_add(for_ms), cause);
    }

    /// A refusal has shown a limit.
    pub(super) fn learn(&self, scope: Scope, learned: Option<Learned>, now_ms: u64) {
        if let Some(Learned { unit, per, limit }) = learned {
            self.quota_of(scope).refused(unit, per, limit, now_ms);
        }
    }

    /// It answered.
    pub(super) fn alive(&self) {
        self.guesses.store(0, Relaxed);
    }

    fn guess(&self, for_ms: u64) -> u64 {
        let guesses = self.guesses.fetch_add(1, Relaxed).min(8);
        for_ms.saturating_mul(1 << guesses).min(MAX_GUESS_MS.max(for_ms))
    }
}

/// The longest of some waits.
pub(super) fn longest(waits: impl IntoIterator<Item = Option<(u64, Cause)>>) -> Availability {
    match waits.into_iter().flatten().max_by_key(|(ms, _)| *ms) {
        Some((for_ms, cause)) => Availability::Cooling { for_ms, cause },
        None => Availability::Open,
    }
}
