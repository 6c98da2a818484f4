//! How good a choice an endpoint is for a prompt, as one number and its parts.

use super::{Classification, Condition, Policy, Task};
use crate::catalog::{Capability, CapabilitySet, Endpoint};
use crate::protocol::facts::{RequestFacts, Sort};
use serde::Serialize;

/// Time to the first token before any was measured.
const USUAL_TTFT_MS: f32 = 700.0;

/// Output speed before any was measured and where the catalog says nothing.
const USUAL_TOKENS_PER_S: f32 = 60.0;

/// An answer that takes this long is worth half of one that takes no time.
const HALF_WORTH_S: f32 = 4.0;

/// Calls under way at which an endpoint without a limit of its own takes twice as long.
const USUAL_SLOTS: f32 = 16.0;

/// With less than this share of a limit left an endpoint gives way to others.
const AMPLE: f32 = 0.25;

/// What the last of a limit costs.
const SCARCE: f32 = 0.2;

/// What it costs, with the last of a limit, that an endpoint takes images, sound or files which the request
/// has none of: others may need it.
const OVERQUALIFIED: f32 = 0.15;

/// What dropping one soft parameter costs.
const PER_MISSING: f32 = 0.04;

/// What an endpoint may take besides text.
const MEDIA: CapabilitySet = CapabilitySet::EMPTY
    .with(Capability::ImageInput)
    .with(Capability::AudioInput)
    .with(Capability::VideoInput)
    .with(Capability::FileInput);

/// A score and what it was made of. Everything is 0 to 1 unless said otherwise; larger is better.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Score {
    /// The product that candidates are ordered by. A boost may lift it above 1.
    pub total: f32,
    /// How good the model is at this kind of task.
    pub quality: f32,
    /// How quickly it would answer.
    pub speed: f32,
    /// The time a whole answer should take, milliseconds.
    pub expected_ms: f32,
    /// Share of recent calls that succeeded, times how well answers to such tasks were what they should be.
    pub success: f32,
    /// How well it fits: soft parameters it lacks and a window that is nearly full cost something.
    pub fit: f32,
    /// How much room its limits leave.
    pub room: f32,
    /// The operator's factor.
    pub boost: f32,
}

/// What is the same for every endpoint of one request.
pub(super) struct Scale<'a> {
    policy: &'a Policy,
    task: Task,
    soft: CapabilitySet,
    hard: CapabilitySet,
    sort: Option<Sort>,
    prompt_tokens: f32,
    output_tokens: f32,
    /// What a model that always reasons writes besides.
    reasoning_tokens: f32,
    wants_no_reasoning: bool,
    quality_weight: f32,
}

impl<'a> Scale<'a> {
    pub(super) fn new(
        facts: &RequestFacts,
        classification: Classification,
        policy: &'a Policy,
        output_tokens: u32,
    ) -> Self {
        Self {
            policy,
            task: classification.task,
            soft: facts.requirements.soft,
            hard: facts.requirements.hard,
            sort: facts.preferences.sort,
            prompt_tokens: facts.requirements.prompt_tokens as f32,
            output_tokens: output_tokens as f32,
            reasoning_tokens: 150.0 + 800.0 * classification.difficulty,
            wants_no_reasoning: facts.features.reasoning_effort == Some(0),
            quality_weight: policy.quality_weight(classification.difficulty),
        }
    }

    /// How much quality weighs against speed, 0 to 1.
    pub(super) fn quality_weight(&self) -> f32 {
        self.quality_weight
    }

    pub(super) fn score(&self, endpoint: &Endpoint, condition: &Condition) -> Score {
        let ttft_s = positive(condition.ttft_ms).unwrap_or(USUAL_TTFT_MS) / 1000.0;
        let tokens_per_s =
            positive(condition.tokens_per_s).or(endpoint.model.tokens_per_s).unwrap_or(USUAL_TOKENS_PER_S);
        let slots = endpoint.provider.max_concurrency.map_or(USUAL_SLOTS, |slots| slots.max(1) as f32);
        let load = 1.0 + condition.in_flight as f32 / slots;
        let reasoning = if endpoint.model.reasoning_mandatory { self.reasoning_tokens } else { 0.0 };
        let expected_s = load * (ttft_s + (self.output_tokens + reasoning) / tokens_per_s);

        let speed = HALF_WORTH_S / (HALF_WORTH_S + expected_s);
        let quality = endpoint.model.strength(self.task);
        let blend = |weight: f32| weight * quality + (1.0 - weight) * speed;
        let worth = match self.sort {
            None | Some(Sort::Price) => blend(self.quality_weight),
            Some(Sort::Throughput) => tokens_per_s / (tokens_per_s + 100.0) / load,
            Some(Sort::Latency) => 1.0 / (1.0 + ttft_s * load),
            Some(Sort::Quality) => blend(1.0),
        };
        // What failed is tried again where it would stand if it were well: that is one request at a time.
        let known = condition.success.is_finite() && !condition.in_doubt;
        let success = if known { condition.success.clamp(0.01, 1.0) } else { 1.0 };
        let success = success * condition.fitness.of(self.task);
        let fit = self.fit(endpoint);
        let boost = if self.policy.boosts.is_empty() { 1.0 } else { self.policy.boost(endpoint) };
        let room = self.room(endpoint, condition);
        let total = worth * success * fit * room * boost;
        Score { total, quality, speed, expected_ms: expected_s * 1000.0, success, fit, room, boost }
    }

    /// An endpoint whose limits are nearly used up gives way, so that something is left for what only it can
    /// do.
    fn room(&self, endpoint: &Endpoint, condition: &Condition) -> f32 {
        let left = condition.share_left.clamp(0.0, 1.0);
        let scarce = SCARCE * (1.0 - (left / AMPLE).min(1.0));
        let spare = MEDIA.difference(self.hard);
        let overqualified = spare.difference(endpoint.model.capabilities) != spare;
        let wasted = if overqualified { OVERQUALIFIED * (1.0 - left) } else { 0.0 };
        (1.0 - scarce) * (1.0 - wasted)
    }

    fn fit(&self, endpoint: &Endpoint) -> f32 {
        let model = &endpoint.model;
        let missing = self.soft.difference(model.capabilities).len() as f32;
        let unasked_reasoning = self.wants_no_reasoning && model.reasoning_mandatory;
        let reasons = if unasked_reasoning { 0.85 } else { 1.0 };
        let window = model.context_tokens.map_or(f32::MAX, |window| window as f32 - self.prompt_tokens);
        let longest = model.max_output_tokens.map_or(f32::MAX, |longest| longest as f32);
        // An answer that is probably cut short is worth little.
        let room = (window.min(longest) / self.output_tokens.max(1.0)).clamp(0.1, 1.0);
        (1.0 - PER_MISSING * missing).max(0.3) * reasons * room
    }
}

fn positive(measured: f32) -> Option<f32> {
    (measured.is_finite() && measured > 0.0).then_some(measured)
}
