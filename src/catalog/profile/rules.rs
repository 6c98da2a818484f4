//! What is true of a provider's models where its list says nothing, or something else.

use crate::catalog::pattern::glob;
use crate::catalog::{CapabilitySet, ListDialect, Model, Strengths};
use serde::Deserialize;

/// What is true of every model of a provider, where its list says nothing else.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelDefaults {
    /// Capabilities added to what the list says.
    pub capabilities: CapabilitySet,
    /// Context window where the list names none.
    pub context_tokens: Option<u32>,
    /// Longest answer where the list names none.
    pub max_output_tokens: Option<u32>,
    /// The free tier allows no more context than this, whatever the model could.
    pub context_cap_tokens: Option<u32>,
    /// The free tier allows no longer answers than this.
    pub output_cap_tokens: Option<u32>,
    /// Output speed to expect before any was measured, tokens a second.
    pub tokens_per_s: Option<f32>,
}

/// What is true of the models whose id matches.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelRule {
    /// A pattern over ids; `*` is any run of characters.
    #[serde(rename = "match")]
    pub pattern: String,
    /// Leave them out of the pool, or do not after all.
    pub exclude: Option<bool>,
    /// Capabilities they have besides.
    #[serde(default)]
    pub capabilities: CapabilitySet,
    /// Capabilities they lack after all.
    #[serde(default)]
    pub lacks: CapabilitySet,
    /// Their context window.
    pub context_tokens: Option<u32>,
    /// Their longest answer.
    pub max_output_tokens: Option<u32>,
    /// Quality on hard prompts, 0 to 1; their strengths move with it.
    pub quality: Option<f32>,
    /// The same for groups of tasks, as in `{ code = 0.8 }`.
    #[serde(default)]
    pub strengths: Strengths,
    /// Expected output speed, tokens a second.
    pub tokens_per_s: Option<f32>,
    /// They always reason before they answer.
    pub reasoning_mandatory: Option<bool>,
    /// They are made for programming.
    pub for_code: Option<bool>,
}

/// What reading a list needs of a profile.
#[derive(Clone, Debug, Default)]
pub struct ListRules {
    /// Its shape.
    pub dialect: ListDialect,
    /// Only models whose every price is zero count as free; otherwise all do.
    pub by_price: bool,
    /// What is true of every model.
    pub defaults: ModelDefaults,
    /// What is true of some.
    pub models: Vec<ModelRule>,
}

impl ListRules {
    /// Whether the rules leave `id` out: the last that says something holds.
    pub(in crate::catalog) fn excludes(&self, id: &str) -> bool {
        let saying = self.models.iter().rev().filter(|rule| glob(&rule.pattern, id));
        saying.filter_map(|rule| rule.exclude).next().unwrap_or(false)
    }

    /// Fills in and corrects what the list said.
    pub(in crate::catalog) fn apply(&self, model: &mut Model) {
        let defaults = &self.defaults;
        model.context_tokens = model.context_tokens.or(defaults.context_tokens);
        model.max_output_tokens = model.max_output_tokens.or(defaults.max_output_tokens);
        model.tokens_per_s = model.tokens_per_s.or(defaults.tokens_per_s);
        for rule in self.models.iter().filter(|rule| glob(&rule.pattern, &model.id)) {
            model.capabilities = model.capabilities.union(rule.capabilities).difference(rule.lacks);
            model.context_tokens = rule.context_tokens.or(model.context_tokens);
            model.max_output_tokens = rule.max_output_tokens.or(model.max_output_tokens);
            model.tokens_per_s = rule.tokens_per_s.or(model.tokens_per_s);
            model.quality = rule.quality.unwrap_or(model.quality);
            model.strengths = rule.strengths.or(model.strengths);
            model.for_code = rule.for_code.unwrap_or(model.for_code);
            model.reasoning_mandatory = rule.reasoning_mandatory.unwrap_or(model.reasoning_mandatory);
        }
        model.context_tokens = capped(model.context_tokens, defaults.context_cap_tokens);
        model.max_output_tokens = capped(model.max_output_tokens, defaults.output_cap_tokens);
    }
}

/// The smaller of a limit and a cap, where absent means unlimited.
fn capped(limit: Option<u32>, cap: Option<u32>) -> Option<u32> {
    limit.into_iter().chain(cap).min()
}
