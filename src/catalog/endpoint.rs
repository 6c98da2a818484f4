//! Provider, model and endpoint: who serves, what is served, and the pair of both.

use super::quantization::quantization;
use super::{BaseUrl, Capability, CapabilitySet, Quotas, Strengths, Task, Terms};
use serde::Deserialize;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// Identifies an endpoint across catalog refreshes and restarts: `provider/model`, as in
/// `groq/llama-3.3-70b-versatile` or `openrouter/google/gemma-4-31b-it:free`.
pub type EndpointKey = Arc<str>;

/// This model at this provider: the unit that is chosen, called and watched.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Its stable name.
    pub key: EndpointKey,
    /// Who serves it.
    pub provider: Arc<Provider>,
    /// What is served.
    pub model: Model,
    /// The model's name in this provider's requests; may differ from [`Model::id`].
    pub upstream_model: String,
    /// The best quality among the endpoints that share its limits, 0 to 1: what its use takes from others.
    /// [`super::Catalog::new`] fills it in.
    pub shared_quality: f32,
}

impl Endpoint {
    /// Joins a model to its provider; the key follows from both.
    pub fn new(provider: Arc<Provider>, model: Model, upstream_model: String) -> Self {
        let key = format!("{}/{}", provider.slug, model.id).into();
        Self { key, provider, model, upstream_model, shared_quality: 0.0 }
    }

    /// What its row says, in a number: another one when the row has changed.
    pub fn fingerprint(&self) -> u64 {
        let model = &self.model;
        let mut hasher = DefaultHasher::new();
        let limits = (model.context_tokens, model.max_output_tokens, model.created);
        (&self.upstream_model, &model.name, &model.aliases, model.capabilities, limits).hash(&mut hasher);
        hasher.finish()
    }

    /// A number for its key (FNV-1a), the same in every process and every version of the program.
    pub fn id(&self) -> u64 {
        self.key.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
    }

    /// In how many bits it is served, as in `fp8`; `None` when its name does not say.
    pub fn quantization(&self) -> Option<&'static str> {
        quantization(&self.upstream_model)
    }

    /// Whether `id` names it: the model's id, one of its aliases, or the endpoint's own key.
    pub fn is_named(&self, id: &str) -> bool {
        self.model.id == id || *self.key == *id || self.model.aliases.iter().any(|alias| alias == id)
    }
}

/// A model as users see it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    /// The id users name it by and that replies carry, as in `google/gemma-4-31b-it:free`.
    pub id: String,
    /// Other ids that mean this model, as in `mistral-large-latest`.
    pub aliases: Vec<String>,
    /// A name for people.
    pub name: String,
    /// When it was published, Unix seconds; 0 when unknown.
    pub created: u64,
    /// Prompt and answer together fit in this many tokens; `None` when unknown.
    pub context_tokens: Option<u32>,
    /// The longest answer in tokens; `None` when unlimited or unknown.
    pub max_output_tokens: Option<u32>,
    /// What it can do and which parameters it understands.
    pub capabilities: CapabilitySet,
    /// It always reasons before it answers.
    pub reasoning_mandatory: bool,
    /// How good its answers are, 0 to 1, on hard prompts. 0 when nobody said: [`super::Catalog::new`]
    /// then takes what is published of its family, or guesses.
    pub quality: f32,
    /// The same by group of tasks, as far as somebody said; [`super::Catalog::new`] fills in the rest.
    pub strengths: Strengths,
    /// It is made for programming.
    pub for_code: bool,
    /// Expected output speed before any has been measured, tokens a second.
    pub tokens_per_s: Option<f32>,
}

/// Who serves endpoints, and how to talk to it. Data, never a type per provider.
#[derive(Clone, Debug)]
pub struct Provider {
    /// Short lower-case name, as in `groq`; also what `provider.only` and friends name.
    pub slug: String,
    /// A name for people, shown as `provider` in replies.
    pub name: String,
    /// Where its API is.
    pub base: BaseUrl,
    /// How it wants its key.
    pub auth: Auth,
    /// The keys it may be called with, each with limits of its own; none where it needs none.
    pub keys: Vec<Secret>,
    /// Which request fields it takes and under which names.
    pub profile: FieldProfile,
    /// What its terms say. Those that may train on prompts are out for `data_collection: "deny"`.
    pub terms: Terms,
    /// It speaks HTTP/2 without TLS (h2c prior knowledge).
    pub h2c: bool,
    /// More request headers for every call, as in `x-api-version`.
    pub headers: Vec<(String, String)>,
    /// The most requests under way at once; `None` for no limit of ours.
    pub max_concurrency: Option<u32>,
    /// What it allows in which time.
    pub quotas: Quotas,
    /// It is called with callers' own keys only; the operator's reads the model list.
    pub callers_keys: bool,
    /// It is one of the built-in simulated ones.
    pub simulated: bool,
}

impl Provider {
    /// Nobody has found that it does not train on prompts.
    pub fn may_train_on_prompts(&self) -> bool {
        self.terms.trains_on_prompts != Some(false)
    }

    /// A provider at `base` of which nothing else is known: the slug for a name, no key, no limits.
    pub fn new(slug: &str, base: BaseUrl) -> Self {
        Self {
            slug: slug.to_owned(),
            name: slug.to_owned(),
            base,
            auth: Auth::default(),
            keys: Vec::new(),
            profile: FieldProfile::default(),
            terms: Terms::default(),
            h2c: false,
            headers: Vec::new(),
            max_concurrency: None,
            quotas: Quotas::default(),
            callers_keys: false,
            simulated: false,
        }
    }
}

/// How a provider wants its key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// `Authorization: Bearer KEY`.
    #[default]
    Bearer,
    /// A header of its own, as in `api-key: KEY`.
    Header(String),
    /// None at all, as local servers.
    None,
}

/// A provider's differences from the OpenAI request.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FieldProfile {
    /// The spelling of the output limit it takes.
    pub output_limit: OutputLimitField,
    /// Top-level fields it rejects: removed.
    pub strip: Vec<String>,
    /// Top-level fields it knows under another name: `(ours, theirs)`.
    pub rename: Vec<(String, String)>,
    /// It understands OpenRouter's routing fields (`provider`, `plugins`, `reasoning`, …), so they stay.
    pub router_fields: bool,
    /// It rejects fields outside the OpenAI request: every unknown top-level field is removed.
    pub known_fields_only: bool,
    /// It rejects `messages[].name`: removed.
    pub strip_message_names: bool,
    /// It rejects `stream_options`: usage is then counted, not asked for.
    pub no_stream_options: bool,
}

/// Which spelling of the output limit a provider takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputLimitField {
    /// Whatever the client wrote.
    #[default]
    AsSent,
    /// `max_tokens`.
    MaxTokens,
    /// `max_completion_tokens`.
    MaxCompletionTokens,
}

/// What a request needs of a model: lacking a hard one makes it ineligible, a soft
/// one is preferred and otherwise stripped.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Requirements {
    /// Without these the request cannot be answered.
    pub hard: CapabilitySet,
    /// Parameters in use that may be dropped; hard under `provider.require_parameters`.
    pub soft: CapabilitySet,
    /// Estimated prompt tokens, everything counted.
    pub prompt_tokens: u32,
    /// The output limit the client set.
    pub max_output_tokens: Option<u32>,
}

/// The first thing that keeps a model from answering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unmet {
    /// A hard capability is missing.
    #[error("lacks {0}")]
    Capability(Capability),
    /// The context window is too small: tokens needed and available.
    #[error("context of {has} tokens is below the {needs} needed")]
    Context {
        /// Prompt plus output tokens.
        needs: u32,
        /// The model's window.
        has: u32,
    },
    /// The longest answer is too short.
    #[error("answers end at {has} tokens, {needs} were asked for")]
    Output {
        /// `max_tokens` of the request.
        needs: u32,
        /// The model's limit.
        has: u32,
    },
}

impl Model {
    /// How good its answers are on hard prompts of this kind, 0 to 1.
    pub fn strength(&self, task: Task) -> f32 {
        self.strengths.of(task.group()).unwrap_or(self.quality)
    }

    /// Whether this model can answer; otherwise the first reason why not.
    ///
    /// # Errors
    /// The first [`Unmet`] in the order capability, output length, context.
    pub fn satisfies(&self, needs: &Requirements) -> Result<(), Unmet> {
        if let Some(missing) = needs.hard.difference(self.capabilities).iter().next() {
            return Err(Unmet::Capability(missing));
        }
        if let (Some(asked), Some(limit)) = (needs.max_output_tokens, self.max_output_tokens)
            && asked > limit
        {
            return Err(Unmet::Output { needs: asked, has: limit });
        }
        let total = needs.prompt_tokens.saturating_add(needs.max_output_tokens.unwrap_or(1));
        match self.context_tokens {
            Some(window) if total > window => Err(Unmet::Context { needs: total, has: window }),
            _ => Ok(()),
        }
    }
}

/// A provider key. Never shown by `Debug` or in errors.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a key; surrounding white space is dropped, an empty one is none.
    pub fn new(key: &str) -> Option<Self> {
        let key = key.trim();
        (!key.is_empty()).then(|| Self(key.to_owned()))
    }

    /// The key itself, for the header it goes into.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_must_hold_prompt_and_answer() {
        let model = Model { context_tokens: Some(100), ..Model::default() };
        let needs = |prompt_tokens, max| Requirements {
            prompt_tokens,
            max_output_tokens: max,
            ..Requirements::default()
        };
        assert_eq!(model.satisfies(&needs(60, Some(40))), Ok(()));
        assert_eq!(model.satisfies(&needs(60, Some(41))), Err(Unmet::Context { needs: 101, has: 100 }));
        assert_eq!(model.satisfies(&needs(100, None)), Err(Unmet::Context { needs: 101, has: 100 }));
    }

    #[test]
    fn an_output_limit_counts_only_where_the_model_has_one() {
        let needs = Requirements { max_output_tokens: Some(4097), ..Requirements::default() };
        let capped = Model { max_output_tokens: Some(4096), ..Model::default() };
        assert_eq!(capped.satisfies(&needs), Err(Unmet::Output { needs: 4097, has: 4096 }));
        assert_eq!(Model::default().satisfies(&needs), Ok(()));
    }

    #[test]
    fn a_key_is_never_printed() {
        let key = Secret::new(" sk-very-secret ").expect("not empty");
        assert_eq!(key.reveal(), "sk-very-secret");
        assert_eq!(format!("{key:?}"), "Secret(…)");
    }
}
