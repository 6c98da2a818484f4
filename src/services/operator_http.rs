//! The operator's two listeners: Prometheus metrics, and a look at the live state.

use crate::proxy::Gateway;
use crate::routing::Availability;
use async_trait::async_trait;
use http::{Response, StatusCode};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;
use serde_json::{Value, json};
use std::sync::Arc;

/// `GET /metrics`.
pub struct MetricsHttp(pub Arc<Gateway>);

/// `GET /endpoints`: every endpoint with its state and its reason.
pub struct AdminHttp(pub Arc<Gateway>);

#[async_trait]
impl ServeHttp for MetricsHttp {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        if session.req_header().uri.path() != "/metrics" {
            return plain(StatusCode::NOT_FOUND, "text/plain", b"see /metrics\n".to_vec());
        }
        let gateway = &self.0;
        match gateway.metrics.render(&gateway.snapshot.load(), gateway.clock().now_ms()) {
            Ok(text) => plain(StatusCode::OK, "text/plain; version=0.0.4", text),
            Err(error) => {
                tracing::error!(%error, "metrics cannot be rendered");
                plain(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", Vec::new())
            }
        }
    }
}

#[async_trait]
impl ServeHttp for AdminHttp {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        if session.req_header().uri.path() != "/endpoints" {
            let body = json!({ "error": { "message": "no such path; there is GET /endpoints" } });
            return plain(StatusCode::NOT_FOUND, "application/json", body.to_string().into_bytes());
        }
        let body = endpoints(&self.0).to_string().into_bytes();
        plain(StatusCode::OK, "application/json", body)
    }
}

fn endpoints(gateway: &Gateway) -> Value {
    let snapshot = gateway.snapshot.load();
    let now_ms = gateway.clock().now_ms();
    let rows = snapshot.catalog.endpoints.iter().enumerate().map(|(position, endpoint)| {
        let condition = snapshot.condition(position, now_ms);
        let (state, cause, for_ms) = match condition.availability {
            Availability::Open => ("open", None, None),
            Availability::Cooling { for_ms, cause } => ("cooling", Some(cause.name()), Some(for_ms)),
            Availability::Disabled(cause) => ("disabled", Some(cause.name()), None),
        };
        json!({
            "endpoint": &*endpoint.key, "model": endpoint.model.id, "provider": endpoint.provider.slug,
            "state": state, "cause": cause, "for_ms": for_ms, "success": condition.success,
            "first_token_ms": condition.ttft_ms, "tokens_per_s": condition.tokens_per_s,
            "in_flight": condition.in_flight,
        })
    });
    json!({ "endpoints": rows.collect::<Vec<_>>() })
}

fn plain(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Response<Vec<u8>> {
    let length = body.len();
    let response = Response::builder()
        .status(status)
        .header("content-type", content_type)
        .header("content-length", length)
        .body(body);
    response.expect("status and headers are well-formed constants")
}
