//! What Freeway answers itself: which path is what, health, and errors for the rest.

use super::gateway::Gateway;
use super::{account_calls, models, reply};
use crate::api::Operation;
use crate::protocol::Dialect;
use crate::protocol::errors::{ApiError, ErrorKind};
use http::Method;
use pingora::Result;
use pingora::http::RequestHeader;
use pingora::proxy::Session;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

/// What a request line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// A chat completion: inspected and forwarded.
    Chat(Dialect),
    /// The list of models.
    Models(Dialect),
    /// One model; its id may contain `/`.
    Model(Dialect, String),
    /// The endpoints of one model, a path of OpenRouter's.
    ModelEndpoints(String),
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
            Some(id) => match id.strip_suffix("/endpoints").filter(|_| dialect == Dialect::OpenRouter) {
                Some(id) => Route::ModelEndpoints(percent_decoded(id)),
                None => Route::Model(dialect, percent_decoded(id)),
            },
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
        Route::Models(dialect) => {
            let detail = wants_detail(session.req_header());
            (
                dialect,
                Ok(models::list(&gateway.snapshot.load(), dialect, detail.then(|| gateway.clock.now_ms()))),
            )
        }
        Route::Model(dialect, id) => {
            let found = models::one(&gateway.snapshot.load(), dialect, &id, gateway.clock.now_ms());
            (dialect, found.ok_or_else(|| Box::new(unknown_model())))
        }
        Route::ModelEndpoints(id) => {
            let found = models::endpoints(&gateway.snapshot.load(), &id, gateway.clock.now_ms());
            (Dialect::OpenRouter, found.ok_or_else(|| Box::new(unknown_model())))
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

/// `?detail=true`: every row with what is known of its endpoints.
fn wants_detail(head: &RequestHeader) -> bool {
    let query = head.uri.query().unwrap_or_default();
    query.split('&').any(|pair| matches!(pair, "detail" | "detail=true" | "detail=1"))
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
    fn a_models_endpoints_are_a_path_of_openrouters() {
        let llama = || "meta/llama".to_owned();
        check("GET", "/api/v1/models/meta/llama/endpoints", Route::ModelEndpoints(llama()));
        let other = Route::Model(Dialect::OpenAi, format!("{}/endpoints", llama()));
        check("GET", "/v1/models/meta/llama/endpoints", other);
    }

    #[test]
    fn a_wrong_method_is_told_the_right_one() {
        check("GET", "/v1/chat/completions", Route::WrongMethod(Dialect::OpenAi, "POST"));
        check("DELETE", "/v1/models/x", Route::WrongMethod(Dialect::OpenAi, "GET, HEAD"));
        check("PUT", "/v1/keys", Route::WrongMethod(Dialect::OpenAi, "GET, HEAD, POST"));
        check("POST", "/health", Route::WrongMethod(Dialect::OpenAi, "GET, HEAD"));
    }
}
