//! The providers there are: their models, their true limits, and when they are down.

use super::dialect::Dialect;
use super::trace::Request;
use super::window::{Cut, Rule};
use freeway::catalog::{LimitScope, Period, Unit};

/// Providers over a time.
pub struct World {
    pub start_ms: u64,
    pub length_ms: u64,
    pub providers: Vec<ProviderSpec>,
}

/// A provider as it is.
pub struct ProviderSpec {
    pub slug: &'static str,
    /// How it says no.
    pub dialect: Dialect,
    /// With how many keys it is called.
    pub keys: usize,
    /// What is refused counts against the limits on requests.
    pub failures_count: bool,
    /// Requests at once with a key.
    pub concurrency: Option<u32>,
    /// The hour UTC at which its days begin, and the zone the operator knows for it.
    pub midnight: (u64, &'static str),
    /// The limits of a key or of the account.
    pub rules: Vec<Rule>,
    pub models: Vec<ModelSpec>,
    pub down: Option<Outage>,
}

/// A model as it is.
pub struct ModelSpec {
    pub id: &'static str,
    pub quality: f32,
    /// Its usual time to the first token.
    pub ttft_ms: f64,
    pub tokens_per_s: f64,
    pub context_tokens: u32,
    pub tools: bool,
    pub images: bool,
    /// The limits of the model with one key.
    pub rules: Vec<Rule>,
}

/// A time in which a provider does not answer.
#[derive(Clone, Copy)]
pub struct Outage {
    pub from_ms: u64,
    pub to_ms: u64,
    /// Connections are refused; otherwise they are taken and nothing comes.
    pub refuses: bool,
}

/// A model of a provider, with one of its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    pub provider: usize,
    pub model: usize,
    pub key: usize,
}

/// From this quality on a model is of the top tier.
pub const TOP_TIER: f32 = 0.71;

impl World {
    /// Every way to every model.
    pub fn routes(&self) -> Vec<Route> {
        let models = self.providers.iter().enumerate().flat_map(|(provider, spec)| {
            (0..spec.models.len())
                .flat_map(move |model| (0..spec.keys).map(move |key| Route { provider, model, key }))
        });
        models.collect()
    }

    pub fn model(&self, route: Route) -> &ModelSpec {
        &self.providers[route.provider].models[route.model]
    }

    /// Whether a model can answer at all.
    pub fn able(&self, route: Route, request: &Request) -> bool {
        let model = self.model(route);
        (model.tools || !request.tools)
            && (model.images || !request.image)
            && request.prompt < model.context_tokens
    }

    /// Every limit a route falls under, the model's first.
    pub fn rules(&self, route: Route) -> impl Iterator<Item = &Rule> {
        self.model(route).rules.iter().chain(&self.providers[route.provider].rules)
    }
}

impl ProviderSpec {
    /// One with this key count and nothing else out of the ordinary.
    pub fn new(slug: &'static str, dialect: Dialect, keys: usize, models: Vec<ModelSpec>) -> Self {
        Self {
            slug,
            dialect,
            keys,
            failures_count: false,
            concurrency: None,
            midnight: (0, "UTC"),
            rules: Vec::new(),
            models,
            down: None,
        }
    }
}

impl ModelSpec {
    /// A text model: quality, time to the first token, tokens a second and context.
    pub fn new(id: &'static str, quality: f32, ttft_ms: f64, tokens_per_s: f64, context_tokens: u32) -> Self {
        Self {
            id,
            quality,
            ttft_ms,
            tokens_per_s,
            context_tokens,
            tools: true,
            images: false,
            rules: Vec::new(),
        }
    }

    pub fn without_tools(mut self) -> Self {
        self.tools = false;
        self
    }

    pub fn with_images(mut self) -> Self {
        self.images = true;
        self
    }

    pub fn under(mut self, rules: &[Rule]) -> Self {
        self.rules.extend_from_slice(rules);
        self
    }
}

/// Requests of a model with a key.
pub fn requests(per: Period, amount: u64, cut: Cut) -> Rule {
    Rule { scope: LimitScope::Model, unit: Unit::Requests, per, amount, cut }
}

/// Tokens of a model with a key.
pub fn tokens(per: Period, amount: u64, cut: Cut) -> Rule {
    Rule { scope: LimitScope::Model, unit: Unit::Tokens, per, amount, cut }
}

/// The same limit over something else.
pub fn over(scope: LimitScope, rule: Rule) -> Rule {
    Rule { scope, ..rule }
}
