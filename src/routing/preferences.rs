//! What the caller wants of routing: filters and orders over the pool, and never a way out of it.

use super::{Condition, Exclusion, NoRoute};
use crate::catalog::{Capability, Catalog, Endpoint, OwnKeys, Requirements, Row};
use crate::protocol::facts::{Preferences, RequestFacts};

/// The model names that mean "choose for me".
pub const AUTO_MODELS: [&str; 4] = ["auto", "openrouter/auto", "openrouter/free", "openrouter/auto-beta"];

/// Whether a model name leaves the choice to the router; so does none at all.
pub fn is_auto(model: Option<&str>) -> bool {
    model.is_none_or(|model| AUTO_MODELS.contains(&model))
}

/// A caller's wishes, made ready to hold against each endpoint.
pub(super) struct Wishes<'a> {
    preferences: &'a Preferences,
    own_keys: &'a OwnKeys,
    /// The models asked for, in order: the pinned one first, then `models[]`.
    named: Vec<&'a str>,
    /// The rest of the pool may answer too.
    pool: bool,
    /// One model was asked for by name.
    pub(super) pinned: bool,
    /// What an endpoint must do, all wishes considered.
    pub(super) needs: Requirements,
}

/// Where a caller's orders, and after them the operator's, put an endpoint; lower comes first, whatever the score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    model: u32,
    /// The caller has no key of its own for it.
    without_own_key: bool,
    provider: u32,
    /// It is slower than the caller would like.
    slow: bool,
    /// Its place among the operator's pins.
    pin: u32,
}

impl Rank {
    /// No order says anything of it.
    pub(super) const LAST: Self =
        Self { model: u32::MAX, without_own_key: true, provider: u32::MAX, slow: false, pin: u32::MAX };

    /// The same at a place among the operator's pins.
    pub(super) fn pinned(self, pin: u32) -> Self {
        Self { pin, ..self }
    }

    pub(super) fn is_pinned(self) -> bool {
        self.pin != u32::MAX
    }
}

impl<'a> Wishes<'a> {
    pub(super) fn of(facts: &'a RequestFacts, catalog: &Catalog) -> Result<Self, NoRoute> {
        let preferences = &facts.preferences;
        let model = facts.model.as_deref();
        let pinned = model.filter(|model| !is_auto(Some(model)));
        let fallbacks = preferences.models.iter().map(String::as_str);
        let pool = pinned.is_none() || fallbacks.clone().any(|model| is_auto(Some(model)));
        let before = preferences.pinned_model.as_deref().filter(|_| pinned.is_none());
        let named = before.into_iter().chain(pinned).chain(fallbacks);
        // What is not free or not known here is passed over.
        let named: Vec<_> = named.filter(|model| !is_auto(Some(model)) && catalog.serves(model)).collect();
        if named.is_empty() && !pool {
            return Err(nobody_serves(model.unwrap_or_default(), !preferences.models.is_empty(), catalog));
        }
        Ok(Self {
            preferences,
            own_keys: &facts.own_keys,
            named,
            pool,
            pinned: pinned.is_some(),
            needs: needs(facts),
        })
    }

    /// They say nothing of endpoints: each may answer that can, and none comes first.
    pub(super) fn are_plain(&self) -> bool {
        let Preferences {
            order,
            only,
            ignore,
            quantizations,
            deny_data_collection,
            allowed_models,
            excluded_models,
            ..
        } = self.preferences;
        let lists = [order, only, ignore, quantizations, allowed_models, excluded_models];
        self.pool
            && self.named.is_empty()
            && !deny_data_collection
            && lists.iter().all(|list| list.is_empty())
            && self.own_keys.is_empty()
    }

    /// Holds an endpoint against the wishes: its place in the caller's orders, or why it is out.
    pub(super) fn admit(&self, endpoint: &Endpoint) -> Result<Rank, Exclusion> {
        let named = self.named.iter().position(|model| endpoint.is_named(model));
        if named.is_none() && !self.pool {
            return Err(Exclusion::OtherModel);
        }
        let wishes = self.preferences;
        let named = named.map(|place| if wishes.across_models { 0 } else { place });
        if !self.pinned && !self.patterns_admit(endpoint) {
            return Err(Exclusion::Restricted);
        }
        let listed = |slugs: &[String]| slugs.iter().position(|slug| is_provider(endpoint, slug));
        let in_order = listed(&wishes.order);
        let only = wishes.only.is_empty() || listed(&wishes.only).is_some();
        // An order without fallbacks is the whole choice.
        let ordered = in_order.is_some() || wishes.order.is_empty() || !wishes.no_fallbacks;
        if !only || !ordered || listed(&wishes.ignore).is_some() || self.other_quantization(endpoint) {
            return Err(Exclusion::Provider);
        }
        if wishes.deny_data_collection && endpoint.provider.may_train_on_prompts() {
            return Err(Exclusion::Privacy);
        }
        let place = |position: Option<usize>| position.map_or(u32::MAX, |position| position as u32);
        let without_own_key = self.own_keys.of(&endpoint.provider).is_none();
        Ok(Rank { model: place(named), without_own_key, provider: place(in_order), ..Rank::LAST })
    }

    /// The place of an endpoint once it is known how it is doing.
    pub(super) fn measured(&self, rank: Rank, row: &Row, condition: &Condition) -> Rank {
        let Preferences { min_tokens_per_s, max_ttft_ms, .. } = *self.preferences;
        let known = |measured: f32| Some(measured).filter(|measured| *measured > 0.0);
        let speed = known(condition.tokens_per_s).or(known(row.tokens_per_s));
        let below = min_tokens_per_s.is_some_and(|least| speed.is_some_and(|speed| speed < least));
        let above =
            max_ttft_ms.is_some_and(|most| known(condition.ttft_ms).is_some_and(|measured| measured > most));
        Rank { slow: below || above, ..rank }
    }

    /// Whether its name says that it is quantized in a way the caller does not list.
    fn other_quantization(&self, endpoint: &Endpoint) -> bool {
        let wanted = &self.preferences.quantizations;
        !wanted.is_empty() && endpoint.quantization().is_some_and(|known| wanted.iter().all(|w| w != known))
    }

    /// The `auto-router` plugin's patterns; what is excluded stays out whatever else allows it.
    fn patterns_admit(&self, endpoint: &Endpoint) -> bool {
        let any = |patterns: &[String]| patterns.iter().any(|pattern| endpoint.matches(pattern));
        let Preferences { allowed_models, excluded_models, .. } = self.preferences;
        (allowed_models.is_empty() || any(allowed_models)) && !any(excluded_models)
    }
}

/// Why there is nobody for a model, and for those named beside it if there are any.
fn nobody_serves(model: &str, others: bool, catalog: &Catalog) -> NoRoute {
    match (others, catalog.is_not_free(model)) {
        (true, _) => NoRoute::Restricted,
        (false, true) => NoRoute::NotFree(model.to_owned()),
        (false, false) => NoRoute::UnknownModel(model.to_owned()),
    }
}

/// Whether a caller's slug names the endpoint's provider. OpenRouter's slugs may carry a variant
/// (`groq/fp8`), and people write them in any case.
fn is_provider(endpoint: &Endpoint, slug: &str) -> bool {
    let slug = slug.split_once('/').map_or(slug, |(provider, _)| provider);
    let provider = &endpoint.provider;
    slug.eq_ignore_ascii_case(&provider.slug) || slug.eq_ignore_ascii_case(&provider.name)
}

/// The request's needs with its wishes worked in.
fn needs(facts: &RequestFacts) -> Requirements {
    let mut needs = facts.requirements.clone();
    if facts.preferences.require_parameters {
        needs.hard = needs.hard.union(needs.soft);
    }
    if facts.choices > 1 {
        // Stripping `n` would silently return one answer.
        needs.hard.insert(Capability::MultipleChoices);
    }
    if facts.preferences.context_compression {
        // Half the total will do, but the answer is not compressed.
        let answer = needs.max_output_tokens.unwrap_or(1);
        let half = needs.prompt_tokens.saturating_add(answer).div_ceil(2);
        needs.prompt_tokens = half.saturating_sub(answer);
    }
    needs
}
