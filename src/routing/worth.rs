//! What quality, time and scarcity are worth in each other: all in chances of a good answer, all in one place.

/// Strength of the models that [`Classification::difficulty`](super::Classification::difficulty) tells apart, on
/// the scale of [`Model::strength`](crate::catalog::Model::strength): it is the chance that one of eight billion
/// parameters fails where one of seventy, or GPT-4, succeeds.
const WEAK: f32 = 0.40;
const STRONG: f32 = 0.70;

/// No prompt is so plain that a better model is no better.
const LEAST_DIFFICULTY: f32 = 0.02;

/// None is so hard that nothing else counts.
const MOST_DIFFICULTY: f32 = 0.8;

/// An answer that never comes has lost this share of its worth against one that comes at once, so the four seconds
/// that halve [`Score::speed`](super::Score::speed) cost a quarter. Then a prompt with a difficulty of 0.05 goes to a
/// weak model that takes one second rather than to a middling one that takes one and a half, and one of 0.4 to the
/// strongest though it takes nine.
const TIME: f32 = 0.5;

/// What the last of a limit costs, whatever it is of: who needs it next waits or is refused. With less, some
/// limits are used up while others like them are idle; `benches/pool` says how much.
const LAST: f32 = 0.30;

/// What it costs besides when a strong model has it. Hard requests with nobody strong left to ask lose a
/// difficulty of 0.4 or so, and one in six would have asked this one.
const OF_STRONG: f32 = 0.06;

/// What it costs besides when nobody else can do what this one can. One request in ten needs that, and would be
/// refused.
const OF_RARE: f32 = 0.10;

/// With less than this share of a limit left there is pressure on it.
const AMPLE: f32 = 0.25;

/// There is on a day that is less than this behind an even pace, as a share of the day.
const BEHIND: f32 = 0.50;

/// What quality, and what time and scarcity count, 0 to 1; one of them is 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Weights {
    pub(super) quality: f32,
    pub(super) haste: f32,
}

impl Weights {
    /// Nothing but quality counts.
    pub(super) const QUALITY: Self = Self { quality: 1.0, haste: 0.0 };

    /// By a knob of 0 to 1.
    pub(super) fn at(knob: f32) -> Self {
        let knob = knob.clamp(0.0, 1.0);
        Self { quality: (2.0 * knob).min(1.0), haste: (2.0 - 2.0 * knob).min(1.0) }
    }

    /// What is left of an answer's worth that comes with a speed of 0 to 1.
    pub(super) fn of_time(self, speed: f32) -> f32 {
        1.0 - self.haste * TIME * (1.0 - speed)
    }

    /// How much of the choice quality decides against time: the loss from a strong to a weak model, against that
    /// from the quickest to the slowest.
    pub(super) fn quality_share(self, difficulty: f32) -> f32 {
        let quality = self.quality * difficulty.clamp(LEAST_DIFFICULTY, MOST_DIFFICULTY);
        quality / (quality + self.haste * TIME)
    }
}

/// What a difficulty means for models.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hardness {
    /// The logarithm of the chance of a weak model, of that of a strong one.
    of_weak: f32,
}

impl Hardness {
    pub(super) fn new(difficulty: f32, weights: Weights) -> Self {
        let difficulty = difficulty.clamp(LEAST_DIFFICULTY, MOST_DIFFICULTY);
        Self { of_weak: (1.0 - weights.quality * difficulty).ln() }
    }

    /// The chance that a model of this strength answers well, of that of a strong one: 1 less the difficulty for a
    /// weak one, and so on for each such step down or up.
    pub(super) fn chance_of_good(self, strength: f32) -> f32 {
        (self.of_weak * (STRONG - strength) / (STRONG - WEAK)).exp()
    }
}

/// What the tightest limit lacks against an even pace: 0 where there is plenty, 1 where the last of it goes.
/// The share left and how far the day is ahead are as in [`Condition`](super::Condition).
pub fn pressure(share_left: f32, ahead: f32) -> f32 {
    let short = 1.0 - share_left / AMPLE;
    let early = 1.0 + ahead / BEHIND;
    short.max(early).clamp(0.0, 1.0)
}

/// What a request takes from others, as a share of its own worth: the pressure on the endpoint's limits, times what
/// their last is worth to them. `rarity` is the share of endpoints that cannot do what it can.
pub(super) fn price(pressure: f32, shared_quality: f32, rarity: impl FnOnce() -> f32) -> f32 {
    let pressure = pressure.clamp(0.0, 1.0);
    if pressure == 0.0 {
        return 0.0;
    }
    let strong = ((shared_quality - WEAK) / (STRONG - WEAK)).clamp(0.0, 1.5);
    pressure * (LAST + OF_STRONG * strong + OF_RARE * rarity())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weak_model_fails_where_difficulty_says_so_and_a_stronger_one_less() {
        let good = |strength| Hardness::new(0.3, Weights::at(0.5)).chance_of_good(strength);
        assert!((good(WEAK) - 0.7).abs() < 1e-6 && (good(STRONG) - 1.0).abs() < 1e-6);
        assert!(good(0.1) < good(0.4) && good(0.6) < good(0.7) && good(0.7) < good(0.9));
        assert!(good(0.0) > 0.0);
    }

    #[test]
    fn there_is_pressure_where_quota_runs_out_before_its_time() {
        assert_eq!(pressure(1.0, f32::NEG_INFINITY), 0.0);
        assert_eq!(pressure(0.5, -0.6), 0.0, "well behind an even pace");
        assert!(pressure(0.1, -0.6) > 0.5 && pressure(0.5, -0.1) > 0.5);
        assert_eq!(pressure(0.0, 0.3), 1.0);
    }

    #[test]
    fn what_is_worth_more_to_others_costs_more() {
        let price = |quality, rarity| price(1.0, quality, || rarity);
        assert_eq!(super::price(0.0, 0.9, || 0.8), 0.0);
        assert!((price(WEAK, 0.0) - LAST).abs() < 1e-6);
        assert!(price(0.4, 0.0) < price(0.9, 0.0) && price(0.4, 0.0) < price(0.4, 0.8));
    }
}
