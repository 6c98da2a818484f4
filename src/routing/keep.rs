//! Pacing the day: strong endpoints whose day is limited are kept for the requests that need them.
//!
//! What may be used by now grows evenly from midnight to midnight. Whatever is ahead of that line is asked after
//! what is not. Easy requests use a strong endpoint only while its day is well behind the line and its minute
//! is half free; hard ones may go a little beyond the line. Weak endpoints are nobody's reserve. The
//! figures were found with `benches/pool`.

use super::Condition;
use crate::catalog::{Catalog, Endpoint};

/// A model this close to the best at hand is worth keeping.
const STRONG: f32 = 0.85;
/// Requests of which quality decides less than this are easy: a difficulty of up to an eighth.
const EASY_BELOW: f32 = 0.2;
/// Those of which it decides as much are hard, from a difficulty of a quarter on.
const HARD_FROM: f32 = 0.33;
/// From here on others are asked first: how far the day is ahead of an even pace, as a share of it.
const PACE: f32 = -0.02;
/// How far ahead the easiest and the hardest request may bring a strong endpoint.
const MOST_AHEAD: [f32; 2] = [-0.03, 0.01];
/// The same for an easy and a hard request that would be refused otherwise.
const LAST_CHANCE: [f32; 2] = [-0.03, 0.03];
/// Of a strong endpoint's minute this share is left to harder requests.
const MINUTE: f32 = 0.5;

/// Whether the endpoint is kept from easy requests at the moment.
pub fn is_kept(endpoint: &Endpoint, condition: &Condition, catalog: &Catalog) -> bool {
    matches!(Keep::new(0.0, catalog).hold(endpoint.shared_quality, condition), Hold::Kept | Hold::Reserved)
}

/// What a request may use of what is kept.
pub(super) struct Keep {
    easy: bool,
    most_ahead: f32,
    last_chance: f32,
    strong: f32,
}

/// What speaks against an endpoint that could answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// Nothing.
    Free,
    /// It is ahead of its day: others first.
    Ahead,
    /// It is kept for harder requests.
    Kept,
    /// It is kept even from a request that cannot wait.
    Reserved,
}

impl Keep {
    /// For a request of which quality decides a share of `weight`, 0 to 1.
    pub(super) fn new(weight: f32, catalog: &Catalog) -> Self {
        let easy = weight < EASY_BELOW;
        let hard = ((weight - EASY_BELOW) / (HARD_FROM - EASY_BELOW)).clamp(0.0, 1.0);
        Self {
            easy,
            most_ahead: MOST_AHEAD[0] + (MOST_AHEAD[1] - MOST_AHEAD[0]) * hard,
            last_chance: LAST_CHANCE[usize::from(!easy)],
            strong: catalog.best_quality * STRONG,
        }
    }

    /// How an endpoint is held whose use takes from others of at most `shared_quality`.
    pub(super) fn hold(&self, shared_quality: f32, condition: &Condition) -> Hold {
        let Condition { ahead, share_left, .. } = *condition;
        let short = self.easy && share_left < MINUTE;
        let kept = shared_quality >= self.strong && (ahead > self.most_ahead || short);
        match kept {
            true if ahead > self.last_chance => Hold::Reserved,
            true => Hold::Kept,
            false if ahead > PACE => Hold::Ahead,
            false => Hold::Free,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Limit, LimitScope, Model, Period, Provider, Quotas};
    use std::sync::Arc;

    const EASY: f32 = 0.0;
    const HARD: f32 = 0.9;

    /// Endpoints of one provider, whose key or models are limited.
    fn catalog(scope: LimitScope, qualities: &[f32]) -> Catalog {
        let limit =
            Limit { scope, per: Period::Day, requests: Some(50), tokens: None, window: None, pattern: None };
        let quotas = Quotas { limits: vec![limit], ..Quotas::default() };
        let base = "http://127.0.0.1:1".parse().expect("a URL");
        let provider = Arc::new(Provider { quotas, ..Provider::new("p", base) });
        let endpoint = |quality: &f32| {
            let model = Model { id: format!("m-{quality}"), quality: *quality, ..Model::default() };
            Endpoint::new(Arc::clone(&provider), model, "m".to_owned())
        };
        Catalog::new(qualities.iter().map(endpoint).collect())
    }

    /// How an endpoint of `quality` beside one of 0.9 is held.
    #[track_caller]
    fn check(scope: LimitScope, quality: f32, condition: Condition, weight: f32, expect: Hold) {
        let catalog = catalog(scope, &[quality, 0.9]);
        let hold = Keep::new(weight, &catalog).hold(catalog.endpoints[0].shared_quality, &condition);
        assert_eq!(hold, expect, "{quality}, {condition:?}, {weight}");
    }

    fn ahead(ahead: f32) -> Condition {
        Condition { ahead, ..Condition::default() }
    }

    #[test]
    fn a_strong_endpoint_ahead_of_its_day_is_kept_from_easy_requests_first() {
        check(LimitScope::Model, 0.85, ahead(-0.1), EASY, Hold::Free);
        check(LimitScope::Model, 0.85, ahead(0.0), EASY, Hold::Reserved);
        check(LimitScope::Model, 0.85, ahead(0.0), HARD, Hold::Ahead);
        check(LimitScope::Model, 0.85, ahead(0.02), HARD, Hold::Kept);
        check(LimitScope::Model, 0.85, ahead(0.2), HARD, Hold::Reserved);
    }

    #[test]
    fn half_of_its_minute_is_for_hard_requests() {
        let short = Condition { share_left: 0.4, ..ahead(-0.5) };
        check(LimitScope::Model, 0.85, short, EASY, Hold::Kept);
        check(LimitScope::Model, 0.85, short, HARD, Hold::Free);
    }

    #[test]
    fn a_weak_model_is_kept_where_it_uses_up_what_strong_ones_share() {
        check(LimitScope::Model, 0.4, ahead(0.5), EASY, Hold::Ahead);
        check(LimitScope::Account, 0.4, ahead(0.5), EASY, Hold::Reserved);
    }

    #[test]
    fn without_a_limited_day_nothing_is_ahead() {
        check(LimitScope::Model, 0.85, ahead(f32::NEG_INFINITY), EASY, Hold::Free);
    }
}
