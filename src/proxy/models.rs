//! The models at hand as callers see them: the router first, each model once, and what is known of its
//! endpoints.

use crate::board;
use crate::catalog::{Capability, CapabilitySet, Catalog, Endpoint};
use crate::protocol::Dialect;
use crate::snapshot::Snapshot;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The ids of the router itself.
const ROUTER_IDS: [&str; 2] = ["auto", "openrouter/auto"];

/// All models. `now_ms`: each with its endpoints as they are then.
pub(super) fn list(snapshot: &Snapshot, dialect: Dialect, now_ms: Option<u64>) -> Value {
    let catalog = &snapshot.catalog;
    let mut rows: Vec<Value> = ROUTER_IDS.iter().map(|id| router_row(id, catalog, dialect)).collect();
    rows.extend(models(catalog).values().map(|endpoints| model_row(endpoints, dialect)));
    if let Some(now_ms) = now_ms {
        rows.iter_mut().for_each(|row| detail(row, snapshot, now_ms));
    }
    match dialect {
        Dialect::OpenAi => json!({ "object": "list", "data": rows }),
        Dialect::OpenRouter => json!({ "data": rows, "total_count": rows.len(), "links": { "next": null } }),
    }
}

/// One model, with its endpoints.
pub(super) fn one(snapshot: &Snapshot, dialect: Dialect, id: &str, now_ms: u64) -> Option<Value> {
    let mut row = plain(&snapshot.catalog, dialect, id)?;
    detail(&mut row, snapshot, now_ms);
    Some(row)
}

/// The endpoints of one model as OpenRouter shows them.
pub(super) fn endpoints(snapshot: &Snapshot, id: &str, now_ms: u64) -> Option<Value> {
    let mut row = plain(&snapshot.catalog, Dialect::OpenRouter, id)?;
    let mut data = json!({ "endpoints": board::openrouter_endpoints(snapshot, id, now_ms) });
    for field in ["id", "name", "created", "description", "architecture"] {
        data[field] = row[field].take();
    }
    Some(json!({ "data": data }))
}

/// Adds what is known of the endpoints at the moment: of the router how many there are, of a model each.
fn detail(row: &mut Value, snapshot: &Snapshot, now_ms: u64) {
    let id = row["id"].as_str().unwrap_or_default();
    row["endpoints"] = match ROUTER_IDS.contains(&id) {
        true => board::counts(snapshot, now_ms),
        false => board::of_model(snapshot, id, now_ms).into(),
    };
}

fn plain(catalog: &Catalog, dialect: Dialect, id: &str) -> Option<Value> {
    if ROUTER_IDS.contains(&id) {
        return Some(router_row(id, catalog, dialect));
    }
    models(catalog).get(id).map(|endpoints| model_row(endpoints, dialect))
}

/// The models of the catalog by id, each with the endpoints that serve it.
fn models(catalog: &Catalog) -> BTreeMap<&str, Vec<&Endpoint>> {
    let mut models: BTreeMap<&str, Vec<&Endpoint>> = BTreeMap::new();
    for endpoint in &catalog.endpoints {
        models.entry(&endpoint.model.id).or_default().push(endpoint);
    }
    models
}

fn router_row(id: &str, catalog: &Catalog, dialect: Dialect) -> Value {
    let window = catalog.endpoints.iter().filter_map(|e| e.model.context_tokens).max();
    let all = catalog.endpoints.iter().fold(CapabilitySet::EMPTY, |set, e| set.union(e.model.capabilities));
    let about = About {
        id,
        name: "Freeway Auto Router",
        owner: "openrouter",
        description: "Routes each request to the best free model that can answer it.",
        created: 0,
        context: window,
        max_output: None,
        capabilities: all,
    };
    about.row(dialect)
}

fn model_row(endpoints: &[&Endpoint], dialect: Dialect) -> Value {
    let first = endpoints[0];
    let owners: Vec<&str> = endpoints.iter().map(|e| e.provider.slug.as_str()).collect();
    let about = About {
        id: &first.model.id,
        name: &first.model.name,
        owner: &owners.join(","),
        description: "",
        created: first.model.created,
        context: endpoints.iter().filter_map(|e| e.model.context_tokens).max(),
        max_output: endpoints.iter().filter_map(|e| e.model.max_output_tokens).max(),
        capabilities: endpoints.iter().fold(first.model.capabilities, |s, e| s.union(e.model.capabilities)),
    };
    about.row(dialect)
}

struct About<'a> {
    id: &'a str,
    name: &'a str,
    owner: &'a str,
    description: &'a str,
    created: u64,
    context: Option<u32>,
    max_output: Option<u32>,
    capabilities: CapabilitySet,
}

impl About<'_> {
    fn row(&self, dialect: Dialect) -> Value {
        let can = |c| self.capabilities.contains(c);
        match dialect {
            Dialect::OpenAi => json!({
                "id": self.id, "object": "model", "created": self.created, "owned_by": self.owner,
                "name": self.name, "description": self.description, "category": "llm", "free": true,
                "context_window": self.context, "context_length": self.context,
                "max_output_tokens": self.max_output, "supports_streaming": true,
                "supports_tools": can(Capability::Tools), "supports_reasoning": can(Capability::Reasoning),
                "supports_vision": can(Capability::ImageInput),
            }),
            Dialect::OpenRouter => json!({
                "id": self.id, "canonical_slug": self.id, "name": self.name, "created": self.created,
                "description": self.description, "context_length": self.context,
                "architecture": self.architecture(), "pricing": { "prompt": "0", "completion": "0" },
                "top_provider": { "context_length": self.context, "max_completion_tokens": self.max_output,
                                  "is_moderated": false },
                "per_request_limits": null, "supported_parameters": self.parameters(),
                "default_parameters": null, "supported_voices": null,
                "links": { "details": format!("/api/v1/models/{}/endpoints", self.id) },
            }),
        }
    }

    fn architecture(&self) -> Value {
        let mut input = vec!["text"];
        let media =
            [Capability::ImageInput, Capability::AudioInput, Capability::VideoInput, Capability::FileInput];
        input.extend(media.iter().filter(|c| self.capabilities.contains(**c)).map(|c| c.name()));
        json!({ "modality": format!("{}->text", input.join("+")), "input_modalities": input,
                "output_modalities": ["text"], "tokenizer": "Other", "instruct_type": null })
    }

    fn parameters(&self) -> Vec<&'static str> {
        let is_parameter = |c: &Capability| Capability::from_parameter(c.name()) == Some(*c);
        self.capabilities.iter().filter(is_parameter).map(Capability::name).collect()
    }
}
