//! Calls with a caller's own key. Our limits and keys neither hold them back nor learn from them; the breakers
//! and what the model lacks are the same whoever calls.

use super::health::{EndpointState, Outcome};
use super::in_flight::InFlight;
use super::quota::Room;
use crate::catalog::Secret;
use crate::routing::condition::{AtBest, Availability, Cause, Condition};
use crate::routing::verdict::Effect;
use std::sync::Arc;

impl EndpointState {
    /// How it is doing for a request with a key of its own.
    pub fn borrowed_condition(&self, now_ms: u64) -> Condition {
        let Room { share, ahead, .. } = Room::OPEN;
        let availability = self.borrowed_availability(now_ms);
        let condition = self.condition(0, now_ms);
        Condition { availability, share_left: share, ahead, pressure: 0.0, ..condition }
    }

    /// The best that can turn out to be.
    pub fn borrowed_at_best(&self, now_ms: u64) -> AtBest {
        AtBest { pressure: 0.0, ..self.at_best(now_ms) }
    }

    /// Enters a request with a key of its own.
    ///
    /// # Errors
    /// Why not now: cooling, gone, or its half-open trial is taken.
    pub fn begin_borrowed(self: &Arc<Self>, key: Secret, now_ms: u64) -> Result<InFlight, Availability> {
        let availability = self.borrowed_availability(now_ms);
        if availability != Availability::Open {
            return Err(availability);
        }
        let mut guard = InFlight::borrowed(Arc::clone(self), key);
        self.enter_trials(&mut guard, now_ms)?;
        Ok(guard)
    }

    /// Like [`begin_borrowed`](Self::begin_borrowed), but takes no notice of the breaker.
    ///
    /// # Errors
    /// The model is gone.
    pub fn begin_borrowed_regardless(
        self: &Arc<Self>,
        key: Secret,
        now_ms: u64,
    ) -> Result<InFlight, Availability> {
        match self.is_gone(now_ms) {
            true => Err(Availability::Disabled(Cause::ModelGone)),
            false => Ok(InFlight::borrowed(Arc::clone(self), key)),
        }
    }

    /// Learns from an attempt with a caller's own key. What is refused to that key (its limits, the key itself, a
    /// model it may not use) says nothing about ours.
    pub(super) fn observe_borrowed(&self, outcome: Outcome, now_ms: u64) {
        use Effect::{Cool, DisableKey, DropModel, Fail, Flaw, LearnMissing};
        let (effect, took_ms) = match outcome {
            Outcome::Alive => return self.answers(now_ms),
            Outcome::Success { ttft_ms, tokens, duration_ms } => {
                self.recent.note(&outcome, now_ms);
                self.answers(now_ms);
                return self.succeeded(ttft_ms, tokens, duration_ms, now_ms);
            }
            Outcome::Failed { effect: Cool { .. } | DisableKey(_) | DropModel, .. } => return,
            Outcome::Failed { effect, took_ms } => (effect, took_ms),
        };
        self.recent.note(&outcome, now_ms);
        if let Fail { scope, cause } = effect {
            return self.failed(scope, cause, u64::from(took_ms), now_ms);
        }
        self.answers(now_ms);
        match effect {
            LearnMissing(lacks) => self.lacks.refused(lacks, now_ms),
            Flaw(lacks) => self.lacks.flawed(lacks, now_ms),
            _ => {}
        }
    }

    fn borrowed_availability(&self, now_ms: u64) -> Availability {
        match self.is_gone(now_ms) {
            true => Availability::Disabled(Cause::ModelGone),
            false => self.shut_for(&self.lanes[0], now_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Endpoint, Limit, LimitScope, Model, Period, Provider};
    use crate::routing::verdict::Scope;
    use crate::upstream::Pool;

    const T: u64 = 1_787_400_000_000;

    /// An endpoint that allows one request a minute.
    fn state() -> Arc<EndpointState> {
        let mut provider = Provider::new("a", "http://127.0.0.1:1/v1".parse().expect("a URL"));
        provider.keys = Secret::new("ours").into_iter().collect();
        let (scope, per) = (LimitScope::Model, Period::MINUTE);
        let limit = Limit { scope, per, requests: Some(1), tokens: None, window: None, pattern: None };
        provider.quotas.limits = vec![limit];
        let model = Model { id: "m".to_owned(), ..Model::default() };
        Pool::new().state(&Endpoint::new(Arc::new(provider), model, "m".to_owned()))
    }

    fn own() -> Secret {
        Secret::new("own").expect("a key")
    }

    /// What an attempt with a caller's key leaves of the endpoint, for ours and for the caller's.
    #[track_caller]
    fn check(effect: Effect, ours: Availability, borrowed: Availability) {
        let state = state();
        let mut guard = state.begin_borrowed(own(), T).expect("open");
        guard.sent();
        guard.refused();
        guard.observe(Outcome::Failed { effect, took_ms: 5 }, T);
        drop(guard);
        assert_eq!(state.condition(1, T).availability, ours, "{effect:?}");
        assert_eq!(state.borrowed_condition(T).availability, borrowed, "{effect:?}");
    }

    #[test]
    fn what_is_refused_to_a_callers_key_says_nothing_about_ours() {
        let open = Availability::Open;
        check(Effect::DisableKey(Cause::BadKey), open, open);
        check(Effect::DropModel, open, open);
        for scope in [Scope::Model, Scope::Key, Scope::Provider] {
            let (for_ms, cause) = (60_000, Cause::RateLimited);
            check(Effect::Cool { scope, for_ms, cause, guessed: false, learned: None }, open, open);
        }
    }

    #[test]
    fn a_failure_of_the_endpoint_counts_whoever_calls() {
        let state = state();
        let guard = state.begin_borrowed(own(), T).expect("open");
        let effect = Effect::Fail { scope: Scope::Model, cause: Cause::Timeout };
        guard.observe(Outcome::Failed { effect, took_ms: 5 }, T);
        drop(guard);
        assert_ne!(state.condition(1, T).availability, Availability::Open);
        assert!(state.begin_borrowed(own(), T).is_err());
        assert!(state.begin_borrowed_regardless(own(), T).is_ok());
    }

    #[test]
    fn our_limits_neither_hold_it_back_nor_count_it() {
        let state = state();
        for _ in 0..3 {
            let mut guard = state.begin_borrowed(own(), T).expect("open");
            guard.sent();
            assert_eq!((guard.secret(), guard.is_borrowed()), (Some(&own()), true));
            guard.answered(600, 400, T);
        }
        let mut ours = state.begin(10, T).expect("nothing of our minute is used");
        ours.sent();
        assert!(!ours.is_borrowed() && state.begin(10, T).is_err());
        assert!(state.begin_borrowed(own(), T).is_ok());
        assert_eq!(state.condition(0, T).in_flight, 1);
    }
}
