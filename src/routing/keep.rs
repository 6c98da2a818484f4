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
