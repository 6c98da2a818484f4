//! The free models at hand: providers, the models they serve, and what each can do.
//!
//! Pure values. Fetching lists is `services::catalog_sync`'s, live condition is `upstream`'s.

mod capability;
mod endpoint;

pub use capability::{Capability, CapabilitySet};
pub use endpoint::{
    Auth, BaseUrl, Endpoint, EndpointKey, FieldProfile, Model, OutputLimitField, Provider, Requirements,
    Secret, Unmet,
};

use std::sync::Arc;

/// Every endpoint of every provider, in a fixed order. Plans name endpoints by their position here.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// The endpoints, sorted by key, each key once.
    pub endpoints: Vec<Arc<Endpoint>>,
}

impl Catalog {
    /// Sorts the endpoints by key and drops repeated keys, keeping the first.
    pub fn new(mut endpoints: Vec<Endpoint>) -> Self {
        endpoints.sort_by(|a, b| a.key.cmp(&b.key));
        endpoints.dedup_by(|later, first| later.key == first.key);
        Self { endpoints: endpoints.into_iter().map(Arc::new).collect() }
    }

    /// Whether some endpoint serves the model users know as `id`.
    pub fn serves(&self, id: &str) -> bool {
        self.endpoints.iter().any(|e| e.model.id == id)
    }
}
