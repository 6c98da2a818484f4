//! What one request decides from, swapped whole: the catalog and the live state of its endpoints.

use crate::catalog::Catalog;
use crate::routing::condition::Condition;
use crate::upstream::{EndpointState, Pool};
use std::sync::Arc;

/// One catalog with its states. A request takes one and keeps it to its end.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The endpoints.
    pub catalog: Catalog,
    /// The state of each, at the same position.
    pub states: Vec<Arc<EndpointState>>,
}

impl Snapshot {
    /// Joins a catalog to the states its endpoints had before. Models the catalog lists count as
    /// there again.
    pub fn new(catalog: Catalog, pool: &Pool) -> Self {
        let states: Vec<_> = catalog.endpoints.iter().map(|endpoint| pool.state(endpoint)).collect();
        states.iter().for_each(|state| state.relisted());
        Self { catalog, states }
    }

    /// How the endpoint at `position` of the catalog is doing.
    ///
    /// # Panics
    /// If the catalog has no such position.
    pub fn condition(&self, position: usize, now_ms: u64) -> Condition {
        self.states[position].condition(now_ms)
    }
}
