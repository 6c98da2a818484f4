//! What Freeway answers itself: which path is what, model lists, health, and errors for the rest.

use super::gateway::Gateway;
use super::{account_calls, reply};
use crate::api::Operation;
use crate::catalog::{Capability, Catalog, Endpoint};
use crate::protocol::Dialect;
use crate::protocol::errors::{ApiError, ErrorKind};
use http::Method;
use pingora::Result;
use pingora::http::RequestHeader;
use pingora::proxy::Session;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

/// The ids of the router itself.
const ROUTER_IDS: [&str; 2] = ["auto", "openrouter/auto"];

/// What a request line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// A chat completion: inspected and forwarded.
    Chat(Dialect),
    /// The list of models.
    Models(Dialect),
    /// One model; its id may contain `/`.
    Model(Dialect, String),
    /// Something about accounts.
    Account(Dialect, Operation),
    /// Is the process alive?
    Health,
    /// Are its models known?
    Ready,
    /// The path exists, its method does not.
    WrongMethod(Dialect, &'static str),
    /// Nothing is there.
    Unknown(Dialect),
}

/// What `head` asks for.
pub(super) fn route(head: &RequestHeader) -> Route {
    let path = head.uri.path();
    let (dialect, rest) = match (path.strip_prefix("/api/v1/"), path.strip_prefix("/v1/")) {
        (Some(rest), _) => (Dialect::OpenRouter, rest),
        (None, Some(rest)) => (Dialect::OpenAi, rest),
        (None, None) => return outside(head, path),
    };
    let reads = matches!(head.method, Method::GET | Method::HEAD);
    match rest.trim_end_matches('/') {
        "chat/completions" if head.method == Method::POST => Route::Chat(dialect),
        "chat/completions" => Route::WrongMethod(dialect, "POST"),
        "models" if reads => Route::Models(dialect),
        "models" => Route::WrongMethod(dialect, "GET, HEAD"),
        model if model.starts_with("models/") && !reads => Route::WrongMethod(dialect, "GET, HEAD"),
        other => match other.strip_prefix("models/") {
            Some(id) => Route::Model(dialect, percent_decoded(id)),
            None => match Operation::find(&head.method, other) {
                Some(Ok(operation)) => Route::Account(dialect, operation),
                Some(Err(methods)) => Route::WrongMethod(dialect, methods),
                None => Route::Unknown(dialect),
            },
        },
    }
}

fn outside(head: &RequestHeader, path: &str) -> Route {
    let reads = matches!(head.method, Method::GET | Method::HEAD);
    match path {
        "/health" if reads => Route::Health,
        "/ready" if reads => Route::Ready,
        "/health" | "/ready" => Route::WrongMethod(Dialect::OpenAi, "GET, HEAD"),
        _ if path.starts_with("/api/") => Route::Unknown(Dialect::OpenRouter),
        _ => Route::Unknown(Dialect::OpenAi),
    }
}

/// Ids arrive as `openrouter%2Fauto` too.
fn percent_decoded(id: &str) -> String {
    percent_encoding::percent_decode_str(id).decode_utf8_lossy().into_owned()
}

/// Answers everything but chat. Returns the dialect and the status.
pub(super) async fn answer(
    gateway: &Gateway,
    session: &mut Session,
    route: Route,
    id: &str,
) -> Result<(Dialect, u16)> {
    let (dialect, outcome) = match route {
        Route::Models(dialect) => (dialect, Ok(list(&gateway.snapshot.load().catalog, dialect))),
        Route::Model(dialect, id) => {
            let found = one(&gateway.snapshot.load().catalog, dialect, &id);
            (dialect, found.ok_or_else(|| Box::new(unknown_model())))
        }
        Route::Account(dialect, operation) => {
            let status = account_calls::answer(gateway, session, dialect, operation, id).await?;
            return Ok((dialect, status));
        }
        Route::Health => (Dialect::OpenAi, Ok(json!({ "status": "ok" }))),
        Route::Ready => (Dialect::OpenAi, ready(gateway)),
        Route::WrongMethod(dialect, methods) => {
            let mut error = ApiError::new(
                ErrorKind::MethodNotAllowed,
                format!("this path takes {methods} requests only"),
            );
            error.allow = Some(methods);
            (dialect, Err(Box::new(error)))
        }
        Route::Unknown(dialect) | Route::Chat(dialect) => {
            let known = "no such path; there are POST /v1/chat/completions, GET /v1/models, /health and /ready, \
                         and with accounts /v1/accounts, /v1/account, /v1/keys, /v1/generation and /v1/usage";
            (dialect, Err(Box::new(ApiError::new(ErrorKind::NotFound, known))))
        }
    };
    match outcome {
        Ok(value) => {
            let headers = [("x-request-id", id.to_owned())];
            reply::respond_json(session, 200, &headers, value.to_string().into_bytes()).await?;
            Ok((dialect, 200))
        }
        Err(error) => {
            reply::respond_error(session, dialect, id, &error).await?;
            Ok((dialect, error.status()))
        }
    }
}

fn unknown_model() -> ApiError {
    ApiError::new(ErrorKind::ModelNotFound, "no such model; GET /v1/models lists those at hand")
        .param("model")
}

fn ready(gateway: &Gateway) -> Result<Value, Box<ApiError>> {
    let models = gateway.snapshot.load().catalog.endpoints.len();
    let looked = gateway.ready.load(Ordering::Acquire);
    if looked && models > 0 {
        return Ok(json!({ "status": "ready", "endpoints": models }));
    }
    let why = if looked { "no free model is known" } else { "the model lists are still being read" };
    Err(Box::new(ApiError::new(ErrorKind::Unavailable, why).retry_after_s(1)))
}

fn list(catalog: &Catalog, dialect: Dialect) -> Value {
    let mut rows: Vec<Value> = ROUTER_IDS.iter().map(|id| router_row(id, catalog, dialect)).collect();
    rows.extend(models(catalog).values().map(|endpoints| model_row(endpoints, dialect)));
    match dialect {
        Dialect::OpenAi => json!({ "object": "list", "data": rows }),
        Dialect::OpenRouter => json!({ "data": rows, "total_count": rows.len(), "links": { "next": null } }),
    }
}

fn one(catalog: &Catalog, dialect: Dialect, id: &str) -> Option<Value> {
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
    let all = catalog
        .endpoints
        .iter()
        .fold(crate::catalog::CapabilitySet::EMPTY, |set, e| set.union(e.model.capabilities));
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
    capabilities: crate::catalog::CapabilitySet,
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
                "links": { "details": format!("/api/v1/models/{}", self.id) },
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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(method: &str, path: &str, expect: Route) {
        let head = RequestHeader::build(method, path.as_bytes(), None).expect("a request line");
        assert_eq!(route(&head), expect, "{method} {path}");
    }

    #[test]
    fn the_path_chooses_the_dialect() {
        check("POST", "/v1/chat/completions", Route::Chat(Dialect::OpenAi));
        check("POST", "/api/v1/chat/completions?x=1", Route::Chat(Dialect::OpenRouter));
        check("GET", "/api/v1/nothing", Route::Unknown(Dialect::OpenRouter));
        check("GET", "/v2", Route::Unknown(Dialect::OpenAi));
        check("GET", "/api/v1/key", Route::Account(Dialect::OpenRouter, Operation::OwnKey));
        check("POST", "/v1/accounts/", Route::Account(Dialect::OpenAi, Operation::SignUp));
    }

    #[test]
    fn model_ids_contain_slashes_escaped_or_not() {
        let auto = || "openrouter/auto".to_owned();
        check("GET", "/v1/models/openrouter/auto", Route::Model(Dialect::OpenAi, auto()));
        check("GET", "/v1/models/openrouter%2Fauto", Route::Model(Dialect::OpenAi, auto()));
        check("GET", "/v1/models/", Route::Models(Dialect::OpenAi));
    }

    #[test]
    fn a_wrong_method_is_told_the_right_one() {
        check("GET", "/v1/chat/completions", Route::WrongMethod(Dialect::OpenAi, "POST"));
        check("DELETE", "/v1/models/x", Route::WrongMethod(Dialect::OpenAi, "GET, HEAD"));
        check("PUT", "/v1/keys", Route::WrongMethod(Dialect::OpenAi, "GET, HEAD, POST"));
        check("POST", "/health", Route::WrongMethod(Dialect::OpenAi, "GET, HEAD"));
    }
}
