//! The free models at hand: providers, the models they serve, and what each can do.
//!
//! Pure values. Fetching lists is `services::catalog_sync`'s, live condition is `upstream`'s.

mod base_url;
mod capability;
mod endpoint;
mod free;
mod limits;
mod lists;
mod own_keys;
mod pattern;
mod profile;
mod quality;
mod quantization;
mod row;
mod source;
mod strengths;
mod task;
mod terms;

pub use base_url::{BadBaseUrl, BaseUrl};
pub use capability::{Capability, CapabilitySet};
pub use endpoint::{
    Auth, Endpoint, EndpointKey, FieldProfile, Model, OutputLimitField, Provider, Requirements, Secret, Unmet,
};
pub use free::Unfit;
pub use jiff::civil::Date;
pub use limits::{BadPeriod, Limit, LimitHeader, LimitScope, Midnight, Period, Quotas, Unit, Window};
pub use lists::{
    BadList, ListDialect, Listing, MAX_ROWS, description, parse_models, undescribed, with_descriptions,
};
pub use own_keys::OwnKeys;
pub use profile::{
    BUILT_IN, BadProfile, FreeWhen, ListProfile, ListRules, ModelDefaults, ModelRule, ProviderFile,
    ProviderProfile, QuotaDialect, QuotaProfile,
};
pub use row::Row;
pub use source::{LeftOut, ListState, MAX_LEFT_OUT};
pub use strengths::{BadStrength, Strengths};
pub use task::{Task, TaskGroup};
pub use terms::Terms;

use std::collections::HashMap;
use std::sync::Arc;

/// Every endpoint of every provider, in a fixed order. Plans name endpoints by their position here.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// The endpoints, sorted by key, each key once.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// The same in brief, at the same positions.
    pub rows: Box<[Row]>,
    /// Ids that providers list but charge for, sorted. Never called; asking for one is told so.
    pub not_free: Vec<String>,
    /// The quality of the best model, 0 to 1.
    pub best_quality: f32,
    rarities: Box<[f32]>,
    /// Listed models that are not served, and why; by provider, at most [`MAX_LEFT_OUT`].
    pub left_out: Vec<LeftOut>,
    /// How each provider's list was last read, for those that have one.
    pub lists: Vec<ListState>,
}

/// Where limits are shared by key or account, a weak model uses up what a strong one could have.
fn share_qualities(endpoints: &mut [Endpoint]) {
    let mut best: HashMap<String, f32> = HashMap::new();
    for endpoint in &*endpoints {
        let best = best.entry(endpoint.provider.slug.clone()).or_default();
        *best = best.max(endpoint.model.quality);
    }
    for endpoint in endpoints {
        let shares = endpoint.provider.quotas.limits.iter().any(|limit| limit.scope != LimitScope::Model);
        let best = best.get(&endpoint.provider.slug).copied().filter(|_| shares);
        endpoint.shared_quality = best.unwrap_or(endpoint.model.quality);
    }
}

fn rarities(endpoints: &[Arc<Endpoint>]) -> Box<[f32]> {
    let share = |capability: &Capability| {
        let lack = endpoints.iter().filter(|e| !e.model.capabilities.contains(*capability)).count();
        lack as f32 / endpoints.len().max(1) as f32
    };
    Capability::ALL.iter().map(share).collect()
}

impl Catalog {
    /// Sorts the endpoints by key and drops repeated keys, keeping the first. What nobody
    /// said of how good a model is comes from `conf/models.toml`.
    pub fn new(mut endpoints: Vec<Endpoint>) -> Self {
        endpoints.sort_by(|a, b| a.key.cmp(&b.key));
        endpoints.dedup_by(|later, first| later.key == first.key);
        endpoints.iter_mut().for_each(|endpoint| strengths::fill_in(&mut endpoint.model));
        share_qualities(&mut endpoints);
        let best_quality = endpoints.iter().map(|e| e.model.quality).fold(0.0, f32::max);
        let endpoints: Vec<_> = endpoints.into_iter().map(Arc::new).collect();
        let rarities = rarities(&endpoints);
        Self { rows: row::rows(&endpoints), endpoints, best_quality, rarities, ..Self::default() }
    }

    /// The share of the endpoints that lack a capability, 0 to 1.
    pub fn rarity(&self, capability: Capability) -> f32 {
        self.rarities.get(capability as usize).copied().unwrap_or(0.0)
    }

    /// Notes which listed ids cost money.
    #[must_use]
    pub fn with_not_free(mut self, mut ids: Vec<String>) -> Self {
        ids.sort_unstable();
        ids.dedup();
        self.not_free = ids;
        self
    }

    /// Whether `id` is known to cost money and nobody here serves it for free.
    pub fn is_not_free(&self, id: &str) -> bool {
        self.not_free.binary_search_by(|known| known.as_str().cmp(id)).is_ok() && !self.serves(id)
    }

    /// Whether some endpoint serves the model users know as `id`.
    pub fn serves(&self, id: &str) -> bool {
        self.endpoints.iter().any(|e| e.is_named(id))
    }
}
