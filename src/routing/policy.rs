//! What the operator wants of routing.

use super::worth::Weights;
use super::{Exclusion, Task};
use crate::catalog::Endpoint;
use crate::protocol::facts::RequestFacts;

/// The operator's settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Quality against speed, 0 to 1: at 0 the fastest endpoint always wins, at 1 the strongest. Between,
    /// simple prompts go to the fastest and hard ones to the strongest; 0.5 is the middle.
    pub quality: f32,
    /// Strong models are kept for hard prompts even where that means to refuse easy ones: for many callers who
    /// want more than there is. Otherwise nothing is refused that could be answered.
    pub reserve: bool,
    /// The most candidates in a plan. More than are tried, so that some may turn out to be busy.
    pub max_candidates: usize,
    /// Endpoints to favour or to avoid.
    pub boosts: Vec<Boost>,
    /// Patterns of endpoints never to use.
    pub forbid: Vec<String>,
    /// Endpoints to ask before all others, the first of these first.
    pub pins: Vec<Pin>,
}

/// Endpoints that are preferred outright while they can answer, whatever their score and their day.
#[derive(Clone, Debug, PartialEq)]
pub struct Pin {
    /// A pattern over model ids and endpoint keys; `*` is any run of characters.
    pub pattern: String,
    /// Only for this kind of work; for all where there is none.
    pub task: Option<Task>,
}

/// A thumb on the scale.
#[derive(Clone, Debug, PartialEq)]
pub struct Boost {
    /// A pattern over model ids and endpoint keys; `*` is any run of characters.
    pub pattern: String,
    /// The score is multiplied by this: above 1 favours, below 1 avoids.
    pub by: f32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            quality: 0.5,
            reserve: false,
            max_candidates: 8,
            boosts: Vec::new(),
            forbid: Vec::new(),
            pins: Vec::new(),
        }
    }
}

impl Policy {
    /// How much quality decides for a prompt this hard, 0 to 1; the rest is time.
    pub fn quality_weight(&self, difficulty: f32, facts: &RequestFacts) -> f32 {
        self.weights(facts).quality_share(difficulty)
    }

    /// The caller's own setting goes before the operator's.
    pub(super) fn weights(&self, facts: &RequestFacts) -> Weights {
        Weights::at(facts.preferences.quality.unwrap_or(self.quality))
    }

    pub(super) fn admit(&self, endpoint: &Endpoint) -> Result<(), Exclusion> {
        match self.forbid.iter().any(|pattern| endpoint.matches(pattern)) {
            true => Err(Exclusion::Forbidden),
            false => Ok(()),
        }
    }

    /// The place of the first pin that means an endpoint; [`u32::MAX`] where none does.
    pub(super) fn pin(&self, endpoint: &Endpoint, task: Task) -> u32 {
        let means = |pin: &Pin| pin.task.is_none_or(|of| of == task) && endpoint.matches(&pin.pattern);
        self.pins.iter().position(means).map_or(u32::MAX, |place| place as u32)
    }

    /// Whether it names endpoints.
    pub(super) fn names_endpoints(&self) -> bool {
        !(self.forbid.is_empty() && self.pins.is_empty())
    }

    /// The factor of all that is said of an endpoint; 1 where nothing is.
    pub(super) fn boost(&self, endpoint: &Endpoint) -> f32 {
        self.boosts
            .iter()
            .filter(|boost| endpoint.matches(&boost.pattern))
            .map(|boost| boost.by.max(0.0))
            .product()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How much quality decides with the knob at `quality`, in percent.
    #[track_caller]
    fn check(quality: f32, difficulty: f32, percent: f32) {
        let policy = Policy { quality, ..Policy::default() };
        let got = policy.quality_weight(difficulty, &RequestFacts::default()) * 100.0;
        assert!((got - percent).abs() < 0.5, "knob {quality}, difficulty {difficulty}: {got}");
    }

    #[test]
    fn the_ends_of_the_knob_are_all_speed_and_all_quality() {
        for difficulty in [0.0, 0.1, 0.5, 1.0] {
            check(0.0, difficulty, 0.0);
            check(1.0, difficulty, 100.0);
        }
    }

    #[test]
    fn the_middle_follows_difficulty() {
        check(0.5, 0.05, 9.0);
        check(0.5, 0.2, 29.0);
        check(0.5, 0.5, 50.0);
    }

    #[test]
    fn a_setting_out_of_range_is_held_to_the_ends() {
        check(-3.0, 0.5, 0.0);
        check(7.0, 0.5, 100.0);
    }
}
