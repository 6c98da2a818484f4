//! Pacing the day: strong endpoints whose day is limited are kept for the requests that need them.
//!
//! What may be used by now grows evenly from midnight to midnight. Easy requests use a strong endpoint only
//! while its day is behind that line; hard ones a little beyond it. Weak endpoints are nobody's reserve.

use super::Condition;
use crate::catalog::{Catalog, Endpoint};

/// A model this close to the best at hand is worth keeping.
const STRONG: f32 = 0.85;
/// How far ahead of an even pace the easiest request may bring a strong endpoint, as a share of its day.
const EASY: f32 = -0.03;
/// The same for the hardest.
const HARD: f32 = 0.03;
/// What a request is granted beyond that before it is refused.
const LAST_CHANCE: f32 = 0.03;

/// Whether the endpoint is kept from easy requests at the moment.
pub fn is_kept(endpoint: &Endpoint, condition: &Condition, catalog: &Catalog) -> bool {
    Keep::new(0.0, catalog, false).holds_back(endpoint, condition)
}

/// What a request may use of what is kept.
pub(super) struct Keep {
    most_ahead: f32,
    strong: f32,
}

impl Keep {
    /// For a request whose need for quality is `weight`, 0 to 1.
    pub(super) fn new(weight: f32, catalog: &Catalog, last_chance: bool) -> Self {
        let granted = if last_chance { LAST_CHANCE } else { 0.0 };
        // A request counts as hard from the middle on.
        let hard = (weight * 2.0).clamp(0.0, 1.0);
        Self { most_ahead: EASY + (HARD - EASY) * hard + granted, strong: catalog.best_quality * STRONG }
    }

    /// Whether the endpoint is kept from it.
    pub(super) fn holds_back(&self, endpoint: &Endpoint, condition: &Condition) -> bool {
        condition.ahead > self.most_ahead && endpoint.model.quality >= self.strong
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Model, Provider};
    use std::sync::Arc;

    fn endpoint(quality: f32) -> Endpoint {
        let provider = Provider::new("p", "http://127.0.0.1:1".parse().expect("a URL"));
        let model = Model { id: format!("m-{quality}"), quality, ..Model::default() };
        Endpoint::new(Arc::new(provider), model, "m".to_owned())
    }

    /// Whether an endpoint of `quality` beside one of 0.9 is kept from a request of `weight`.
    fn kept(quality: f32, ahead: f32, weight: f32, last_chance: bool) -> bool {
        let catalog = Catalog::new(vec![endpoint(0.9), endpoint(quality)]);
        let condition = Condition { ahead, ..Condition::default() };
        Keep::new(weight, &catalog, last_chance).holds_back(&endpoint(quality), &condition)
    }

    #[test]
    fn a_strong_endpoint_ahead_of_its_day_is_kept_from_easy_requests_first() {
        assert!(kept(0.85, 0.0, 0.0, false) && !kept(0.85, 0.0, 0.9, false));
        assert!(kept(0.85, 0.05, 0.9, false), "too far ahead even for hard ones");
    }

    #[test]
    fn what_is_behind_its_day_is_for_everybody() {
        assert!(!kept(0.85, -0.1, 0.0, false));
    }

    #[test]
    fn a_request_about_to_be_refused_is_granted_more() {
        assert!(kept(0.85, -0.01, 0.0, false) && !kept(0.85, -0.01, 0.0, true));
        assert!(kept(0.85, 0.2, 0.0, true));
    }

    #[test]
    fn weak_endpoints_and_those_without_a_day_are_never_kept() {
        assert!(!kept(0.4, 0.5, 0.0, false));
        assert!(!kept(0.85, f32::NEG_INFINITY, 0.0, false));
    }
}
