//! The operator's two listeners: Prometheus metrics; and the live state of endpoints, and accounts.

mod body;
mod token;

use crate::api::{AdminOperation, Call, Reply};
use crate::board;
use crate::config::ADMIN_TOKEN;
use crate::protocol::Dialect;
use crate::protocol::errors::{ApiError, ErrorKind};
use crate::proxy::Gateway;
use async_trait::async_trait;
use http::{Method, Response, StatusCode};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;
use std::sync::Arc;

/// `GET /metrics`.
pub struct MetricsHttp(pub Arc<Gateway>);

/// `GET /endpoints`: every endpoint, its state and its limits. And accounts, with the token only.
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
        let bodiless = session.req_header().method == Method::HEAD;
        let mut response = match self.answer(session).await {
            Ok(reply) => {
                let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::OK);
                plain(status, "application/json", reply.body)
            }
            Err(error) => refusal(&error),
        };
        if bodiless {
            response.body_mut().clear();
        }
        response
    }
}

impl AdminHttp {
    async fn answer(&self, session: &mut ServerSession) -> Result<Reply, Box<ApiError>> {
        let gateway = &self.0;
        let head = session.req_header();
        token::check(gateway.config().admin_token.as_ref(), head)?;
        if head.uri.path() == "/endpoints" {
            if !matches!(head.method, Method::GET | Method::HEAD) {
                return Err(wrong_method("GET, HEAD"));
            }
            let board = board::all(&gateway.snapshot.load(), gateway.clock().now_ms());
            return Ok(Reply { status: 200, body: board.to_string().into_bytes() });
        }
        let operation = match AdminOperation::find(&head.method, head.uri.path()) {
            None => return Err(unknown_path()),
            Some(Err(methods)) => return Err(wrong_method(methods)),
            Some(Ok(operation)) => operation,
        };
        if gateway.config().admin_token.is_none() {
            let words = format!("accounts are managed with a token: set {ADMIN_TOKEN} and start again");
            return Err(Box::new(ApiError::new(ErrorKind::PermissionDenied, words)));
        }
        let Some(ledger) = &gateway.ledger else {
            let words = "there are no accounts: they are switched off";
            return Err(Box::new(ApiError::new(ErrorKind::NotFound, words)));
        };
        let query = head.uri.query().unwrap_or_default().to_owned();
        let body = body::read(session, operation.has_body(), gateway.config().timeouts.read_body).await?;
        let snapshot = gateway.snapshot.load_full();
        let call = Call {
            dialect: Dialect::OpenAi,
            query: &query,
            body: &body,
            now_ms: gateway.clock().now_ms(),
            catalog: &snapshot.catalog,
        };
        gateway.api.operate(ledger, operation, call).await
    }
}

fn unknown_path() -> Box<ApiError> {
    let words = "no such path; there are /endpoints, /accounts, /accounts/{id}, /accounts/{id}/credit, \
                 /accounts/{id}/keys, /accounts/{id}/transactions and /keys/{id}";
    Box::new(ApiError::new(ErrorKind::NotFound, words))
}

fn wrong_method(methods: &'static str) -> Box<ApiError> {
    let words = format!("this path takes {methods} requests only");
    let mut error = ApiError::new(ErrorKind::MethodNotAllowed, words);
    error.allow = Some(methods);
    Box::new(error)
}

fn refusal(error: &ApiError) -> Response<Vec<u8>> {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = plain(status, "application/json", error.body(Dialect::OpenAi));
    for (name, value) in error.headers() {
        if let Ok(value) = http::HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn plain(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Response<Vec<u8>> {
    let length = body.len();
    let response = Response::builder()
        .status(status)
        .header("content-type", content_type)
        .header("cache-control", "no-store")
        .header("content-length", length)
        .body(body);
    response.expect("status and headers are well-formed constants")
}
