//! How good a choice an endpoint is for a prompt, as one number and its parts: the chance that its answer is good,
//! discounted for the time it takes and for what its use takes from others.

use super::worth::{Hardness, Weights, price};
use super::{Classification, Condition, Policy, Task};
use crate::catalog::{Capability, CapabilitySet, Catalog, Row};
use crate::protocol::facts::{RequestFacts, Sort};
use serde::Serialize;

/// Time to the first token before any was measured.
const USUAL_TTFT_MS: f32 = 700.0;

/// Output speed before any was measured and where the catalog says nothing.
const USUAL_TOKENS_PER_S: f32 = 60.0;

/// An answer that takes this long is half as quick as can be.
const HALF_SPEED_S: f32 = 4.0;

/// Calls under way at which an endpoint without a limit of its own takes twice as long.
const USUAL_SLOTS: f32 = 16.0;

/// What a model that always reasons writes besides: for the plainest prompt, and how much more for one that no weak
/// model can answer.
const REASONING_TOKENS: [f32; 2] = [150.0, 1_500.0];

/// What dropping one soft parameter costs.
const PER_MISSING: f32 = 0.04;

/// What a request can need that many endpoints lack.
const ABILITIES: [Capability; 6] = [
    Capability::ImageInput,
    Capability::AudioInput,
    Capability::VideoInput,
    Capability::FileInput,
    Capability::Tools,
    Capability::StructuredOutputs,
];

/// A score and what it was made of. Everything is 0 to 1 unless said otherwise; larger is better.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Score {
    /// The product that candidates are ordered by.
    pub total: f32,
    /// How good the model is at this kind of task.
    pub quality: f32,
    /// The chance that its answer is good, of that of a strong model; a stronger one has more than 1.
    pub good: f32,
    /// How quickly it would answer: 1 at once, one half after four seconds.
    pub speed: f32,
    /// The time a whole answer should take, milliseconds.
    pub expected_ms: f32,
    /// Share of recent calls that succeeded, times how well answers to such tasks were what they should be.
    pub success: f32,
    /// How well it fits: soft parameters it lacks and a window that is nearly full cost something.
    pub fit: f32,
    /// What is left of its worth when the price of its quota is paid; it rises with the [`super::pressure`].
    pub room: f32,
    /// The operator's factor.
    pub boost: f32,
}

/// What is the same for every endpoint of one request.
pub(super) struct Scale {
    task: Task,
    hardness: Hardness,
    weights: Weights,
    soft: CapabilitySet,
    /// What an endpoint may be able to do besides what is needed, and the share of all that cannot: the rarest
    /// first.
    spare: Vec<(Capability, f32)>,
    sort: Option<Sort>,
    prompt_tokens: f32,
    output_tokens: f32,
    /// What a model that always reasons writes besides.
    reasoning_tokens: f32,
    wants_no_reasoning: bool,
}

impl Scale {
    pub(super) fn new(
        facts: &RequestFacts,
        classification: Classification,
        policy: &Policy,
        catalog: &Catalog,
        output_tokens: u32,
    ) -> Self {
        let sort = facts.preferences.sort;
        let weights = if sort == Some(Sort::Quality) { Weights::QUALITY } else { policy.weights(facts) };
        Self {
            task: classification.task,
            hardness: Hardness::new(classification.difficulty, weights),
            weights,
            soft: facts.requirements.soft,
            spare: spare(facts.requirements.hard, catalog),
            sort,
            prompt_tokens: facts.requirements.prompt_tokens as f32,
            output_tokens: output_tokens as f32,
            reasoning_tokens: REASONING_TOKENS[0] + REASONING_TOKENS[1] * classification.difficulty,
            wants_no_reasoning: facts.features.reasoning_effort == Some(0),
        }
    }

    /// The score of an endpoint in a condition; `boost` is the operator's factor. What is better in the condition
    /// never makes it less, not even by rounding.
    #[inline]
    pub(super) fn score(&self, row: &Row, boost: f32, condition: &Condition) -> Score {
        let ttft_s = positive(condition.ttft_ms).unwrap_or(USUAL_TTFT_MS) / 1000.0;
        let measured = positive(condition.tokens_per_s).or(positive(row.tokens_per_s));
        let tokens_per_s = measured.unwrap_or(USUAL_TOKENS_PER_S);
        let slots = if row.slots > 0 { row.slots as f32 } else { USUAL_SLOTS };
        let load = 1.0 + condition.in_flight as f32 / slots;
        let reasoning = if row.reasoning_mandatory { self.reasoning_tokens } else { 0.0 };
        let expected_s = load * (ttft_s + (self.output_tokens + reasoning) / tokens_per_s);

        let quality = row.strength(self.task);
        let good = self.hardness.chance_of_good(quality);
        let speed = speed(expected_s);
        let worth = match self.sort {
            Some(Sort::Throughput) => throughput(tokens_per_s) / load,
            Some(Sort::Latency) => 1.0 / (1.0 + ttft_s * load),
            None | Some(Sort::Price | Sort::Quality) => good * self.weights.of_time(speed),
        };
        // What failed is tried again where it would stand if it were well: that is one request at a time.
        let known = condition.success.is_finite() && !condition.in_doubt;
        let success = if known { condition.success.clamp(0.01, 1.0) } else { 1.0 };
        let success = success * condition.fitness.of(self.task);
        let fit = self.fit(row);
        let price = price(condition.pressure, row.shared_quality, || self.rarity(row));
        let room = 1.0 - self.weights.haste * price;
        let total = worth * success * fit * room * boost;
        Score { total, quality, good, speed, expected_ms: expected_s * 1000.0, success, fit, room, boost }
    }

    /// The share of all endpoints that cannot do what this one can besides what is needed.
    fn rarity(&self, row: &Row) -> f32 {
        let rarest = self.spare.iter().find(|(ability, _)| row.capabilities.contains(*ability));
        rarest.map_or(0.0, |(_, rarity)| *rarity)
    }

    fn fit(&self, row: &Row) -> f32 {
        let missing = self.soft.difference(row.capabilities).len() as f32;
        let unasked_reasoning = self.wants_no_reasoning && row.reasoning_mandatory;
        let reasons = if unasked_reasoning { 0.85 } else { 1.0 };
        let window = row.context_tokens as f32 - self.prompt_tokens;
        let longest = row.max_output_tokens as f32;
        // An answer that is probably cut short is worth little.
        let room = (window.min(longest) / self.output_tokens.max(1.0)).clamp(0.1, 1.0);
        (1.0 - PER_MISSING * missing).max(0.3) * reasons * room
    }
}

fn spare(needed: CapabilitySet, catalog: &Catalog) -> Vec<(Capability, f32)> {
    let unneeded = ABILITIES.into_iter().filter(|ability| !needed.contains(*ability));
    let mut spare: Vec<_> = unneeded.map(|ability| (ability, catalog.rarity(ability))).collect();
    spare.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    spare
}

/// How quick an answer is that takes so long, 1 at once to 0 never.
fn speed(expected_s: f32) -> f32 {
    HALF_SPEED_S / (HALF_SPEED_S + expected_s)
}

/// Output speed as a share of what could be wished for. Written so that rounding keeps its order.
fn throughput(tokens_per_s: f32) -> f32 {
    1.0 / (1.0 + 100.0 / tokens_per_s)
}

fn positive(measured: f32) -> Option<f32> {
    (measured.is_finite() && measured > 0.0).then_some(measured)
}
