//! The world as an operator would configure it: catalog rows, keys and what profiles say of limits.

use super::window::Rule;
use super::world::{ModelSpec, ProviderSpec, World};
use freeway::catalog::{Capability, Catalog, Endpoint, Limit, Midnight, Model, Provider, Quotas, Secret};
use serde::Deserialize;
use serde::de::value::{Error, StrDeserializer};
use std::sync::Arc;

/// Its endpoints.
pub fn catalog(world: &World) -> Catalog {
    let mut endpoints = Vec::new();
    for spec in &world.providers {
        let provider = Arc::new(provider(spec));
        for model in &spec.models {
            endpoints.push(Endpoint::new(Arc::clone(&provider), self::model(model), model.id.to_owned()));
        }
    }
    Catalog::new(endpoints)
}

fn provider(spec: &ProviderSpec) -> Provider {
    let mut limits: Vec<_> = spec.rules.iter().map(|rule| rule.told()).collect();
    for model in &spec.models {
        let of = |rule: &Rule| Limit { pattern: Some(model.id.to_owned()), ..rule.told() };
        limits.extend(model.rules.iter().map(of));
    }
    let zone: Result<Midnight, Error> = Midnight::deserialize(StrDeserializer::new(spec.midnight.1));
    let quotas = Quotas {
        limits,
        midnight: zone.expect("a zone"),
        failures_count: spec.failures_count,
        ..Quotas::default()
    };
    let base = "http://127.0.0.1:1/v1".parse().expect("a URL");
    let keys = (0..spec.keys).filter_map(|key| Secret::new(&key.to_string())).collect();
    Provider { keys, quotas, max_concurrency: spec.concurrency, ..Provider::new(spec.slug, base) }
}

fn model(spec: &ModelSpec) -> Model {
    let mut model = Model {
        id: spec.id.to_owned(),
        context_tokens: Some(spec.context_tokens),
        quality: spec.quality,
        tokens_per_s: Some(spec.tokens_per_s as f32),
        ..Model::default()
    };
    if spec.tools {
        model.capabilities.insert(Capability::Tools);
    }
    if spec.images {
        model.capabilities.insert(Capability::ImageInput);
    }
    model
}
