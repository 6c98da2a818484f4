//! Pacing the day: strong endpoints whose day is limited are kept for the requests that need them.
//!
//! What may be used by now grows evenly from midnight to midnight. Whatever is ahead of that line is asked after
//! what is not. Easy requests use a strong endpoint only while its day is well behind the line and its minute
//! is not nearly full; hard ones may go a little beyond the line. Weak endpoints are nobody's reserve.

use super::Condition;
use crate::catalog::{Catalog, Endpoint};

/// A model this close to the best at hand is worth keeping.
const STRONG: f32 = 0.85;
/// From here on others are asked first: how far the day is ahead of an even pace, as a share of it.
const PACE: f32 = -0.02;
/// How far ahead the easiest request may bring a strong endpoint.
const EASY: f32 = -0.03;
/// The same for the hardest.
const HARD: f32 = 0.03;
/// The same for the easiest request that would be refused otherwise; the hardest is granted all there is.
const LAST_CHANCE: f32 = -0.03;
/// Of a strong endpoint's minute this share is left to harder requests.
const MINUTE: f32 = 0.3;

fn env(name: &str, usual: f32) -> f32 {
    static A: std::sync::OnceLock<std::collections::HashMap<String, f32>> = std::sync::OnceLock::new();
    let all = A.get_or_init(|| std::env::vars().filter_map(|(k, v)| Some((k, v.parse().ok()?))).collect());
    all.get(name).copied().unwrap_or(usual)
}

/// Whether the endpoint is kept from easy requests at the moment.
pub fn is_kept(endpoint: &Endpoint, condition: &Condition, catalog: &Catalog) -> bool {
    matches!(Keep::new(0.0, catalog).hold(endpoint, condition), Hold::Kept | Hold::Reserved)
}

/// What a request may use of what is kept.
pub(super) struct Keep {
    most_ahead: f32,
    strong: f32,
    easy: bool,
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
    /// For a request whose need for quality is `weight`, 0 to 1.
    pub(super) fn new(weight: f32, catalog: &Catalog) -> Self {
        // A request counts as hard from the middle on.
        let hard = (weight * 2.0).clamp(0.0, 1.0);
        let (e, h) = (env("EASY", EASY), env("HARD", HARD));
        Self {
            most_ahead: e + (h - e) * hard,
            strong: catalog.best_quality * env("STRONG", STRONG),
            easy: weight < 0.3,
        }
    }

    /// How an endpoint is held.
    pub(super) fn hold(&self, endpoint: &Endpoint, condition: &Condition) -> Hold {
        let strong = endpoint.shared_quality >= self.strong;
        let short = self.easy && condition.ahead > -1.0 && condition.share_left < env("MINUTE", MINUTE);
        if strong && (condition.ahead > self.most_ahead || short) {
            return if self.easy && condition.ahead > env("GRANT", LAST_CHANCE)
                || condition.ahead > env("HGRANT", 9.0)
            {
                Hold::Reserved
            } else {
                Hold::Kept
            };
        }
        if condition.ahead > env("PACE", PACE) { Hold::Ahead } else { Hold::Free }
    }
}
