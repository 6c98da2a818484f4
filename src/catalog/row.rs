//! What every choice compares of an endpoint, side by side for all of them.

use super::{CapabilitySet, Endpoint, Requirements, Task};
use std::collections::HashMap;
use std::sync::Arc;

/// An endpoint in brief. A plan reads hundreds of these, one after the other, and looks at the endpoints
/// themselves, which lie anywhere in memory, only where a request says more than what it needs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// What the model can do.
    pub capabilities: CapabilitySet,
    /// Its window in tokens; [`u32::MAX`] when unknown.
    pub context_tokens: u32,
    /// Its longest answer in tokens; [`u32::MAX`] when unlimited or unknown.
    pub max_output_tokens: u32,
    /// Expected output speed before any was measured, tokens a second; 0 when unknown.
    pub tokens_per_s: f32,
    /// Calls the provider takes at once; 0 for no limit of ours.
    pub slots: u32,
    /// As [`Endpoint::shared_quality`].
    pub shared_quality: f32,
    /// Equal for endpoints of one provider, and only for those.
    pub provider: u32,
    /// It always reasons before it answers.
    pub reasoning_mandatory: bool,
    strengths: [f32; Task::ALL.len()],
}

impl Row {
    /// How good its answers are on hard prompts of this kind, 0 to 1.
    pub fn strength(&self, task: Task) -> f32 {
        self.strengths[task as usize]
    }

    /// Whether [`Model::satisfies`](super::Model::satisfies) has nothing against it.
    pub fn satisfies(&self, needs: &Requirements) -> bool {
        let total = needs.prompt_tokens.saturating_add(needs.max_output_tokens.unwrap_or(1));
        needs.hard.difference(self.capabilities).is_empty()
            && needs.max_output_tokens.is_none_or(|asked| asked <= self.max_output_tokens)
            && total <= self.context_tokens
    }
}

/// A row for each endpoint, in the same order.
pub(super) fn rows(endpoints: &[Arc<Endpoint>]) -> Box<[Row]> {
    let mut providers = HashMap::new();
    let row = |endpoint: &Arc<Endpoint>| {
        let next = providers.len() as u32;
        let provider = *providers.entry(Arc::as_ptr(&endpoint.provider)).or_insert(next);
        let model = &endpoint.model;
        Row {
            capabilities: model.capabilities,
            context_tokens: model.context_tokens.unwrap_or(u32::MAX),
            max_output_tokens: model.max_output_tokens.unwrap_or(u32::MAX),
            tokens_per_s: model.tokens_per_s.unwrap_or(0.0),
            slots: endpoint.provider.max_concurrency.map_or(0, |slots| slots.max(1)),
            shared_quality: endpoint.shared_quality,
            provider,
            reasoning_mandatory: model.reasoning_mandatory,
            strengths: Task::ALL.map(|task| model.strength(task)),
        }
    };
    endpoints.iter().map(row).collect()
}
