//! What the operator wants of routing.

use super::Exclusion;
use crate::catalog::Endpoint;

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
        Self { quality: 0.5, reserve: false, max_candidates: 8, boosts: Vec::new(), forbid: Vec::new() }
    }
}

impl Policy {
    /// How much quality weighs against speed for a prompt this hard, 0 to 1.
    ///
    /// At the middle setting: nothing up to difficulty 0.2, then rising evenly to nine tenths at 0.8.
    pub fn quality_weight(&self, difficulty: f32) -> f32 {
        let even = ((difficulty - 0.2) / 0.6).clamp(0.0, 0.9);
        let knob = self.quality.clamp(0.0, 1.0);
        // 1 at the middle, 0 for all quality, infinite for all speed.
        even.powf((1.0 - knob) / knob)
    }

    pub(super) fn admit(&self, endpoint: &Endpoint) -> Result<(), Exclusion> {
        match self.forbid.iter().any(|pattern| endpoint.matches(pattern)) {
            true => Err(Exclusion::Forbidden),
            false => Ok(()),
        }
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

    fn check(quality: f32, difficulty: f32, expect: f32) {
        let got = Policy { quality, ..Policy::default() }.quality_weight(difficulty);
        assert!((got - expect).abs() < 1e-6, "knob {quality}, difficulty {difficulty}: {got}");
    }

    #[test]
    fn the_ends_of_the_knob_are_all_speed_and_all_quality() {
        for difficulty in [0.0, 0.1, 0.5, 1.0] {
            check(0.0, difficulty, 0.0);
            check(1.0, difficulty, 1.0);
        }
    }

    #[test]
    fn the_middle_follows_difficulty() {
        check(0.5, 0.0, 0.0);
        check(0.5, 0.2, 0.0);
        check(0.5, 0.5, 0.5);
        check(0.5, 1.0, 0.9);
    }

    #[test]
    fn a_setting_out_of_range_is_held_to_the_ends() {
        check(-3.0, 0.5, 0.0);
        check(7.0, 0.5, 1.0);
    }
}
