//! The simulated provider: a small closed set of free models that answer deterministically, with
//! faults on demand. For trying the router without keys, for its tests, and as the benchmarks'
//! upstream.
//!
//! HTTP/1.1 and h2c on one port. `POST …/chat/completions` and `GET …/models` under any prefix; a
//! prefix that holds `/fixed` answers from memory without looking into the request.

mod answer;
mod models;
mod request;
mod stream;

pub use models::{BadModels, Fault, FaultRule, SimulatedModel, SimulatedModels};

use answer::Answer;
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use models::Served;
use request::{Ask, Refused};
use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use stream::{Ending, EventStream, Fixed, SimulatedBody};
use tokio::net::{TcpListener, TcpStream};

/// Larger than any body the router lets through.
const MAX_BODY: usize = 64 << 20;
/// Streams of one h2c connection; the router asks for far fewer.
const MAX_H2_STREAMS: u32 = 4096;

/// Serves `models` on `listener` until `shutdown` is ready; connections still open then end with
/// the runtime.
///
/// # Errors
/// When the listener cannot be handed to the runtime.
pub async fn serve(
    listener: std::net::TcpListener,
    models: SimulatedModels,
    shutdown: impl Future<Output = ()>,
) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let provider = Arc::new(Provider { models: Served::all(models), fixed: Fixed::new() });
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => return Ok(()),
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(tokio::spawn(connection(stream, Arc::clone(&provider)))),
                // Out of descriptors, mostly: let some close instead of spinning.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
        }
    }
}

async fn connection(stream: TcpStream, provider: Arc<Provider>) {
    // Each event must leave at once.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let provider = Arc::clone(&provider);
        async move { Ok::<_, Infallible>(provider.reply(request).await) }
    });
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new());
    server.http2().timer(TokioTimer::new()).max_concurrent_streams(MAX_H2_STREAMS);
    // A client that goes away ends its connection; there is nobody to tell.
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

struct Provider {
    models: Vec<Served>,
    fixed: Fixed,
}

type Reply = Response<SimulatedBody>;

impl Provider {
    async fn reply(&self, request: Request<Incoming>) -> Reply {
        let path = request.uri().path();
        let fixed = path.contains("/fixed");
        match (request.method(), path) {
            (&Method::POST, p) if p.ends_with("/chat/completions") => {
                let Ok(body) = Limited::new(request.into_body(), MAX_BODY).collect().await else {
                    return error(413, "invalid_request_error", "request body too large");
                };
                let body = body.to_bytes();
                if fixed { self.fixed.reply(&body) } else { self.chat(&body).await }
            }
            (&Method::GET, p) if p.ends_with("/models") => {
                let rows = models::list(self.models.iter().map(|m| &m.spec));
                whole(StatusCode::OK, "application/json", rows.into())
            }
            _ => error(404, "invalid_request_error", "no such path"),
        }
    }

    async fn chat(&self, body: &[u8]) -> Reply {
        let ask = match Ask::parse(body) {
            Ok(ask) => ask,
            Err(refused) => return refusal(&refused),
        };
        let Some(model) = self.models.iter().find(|m| m.spec.id == ask.model) else {
            return refusal(&Refused::UnknownModel);
        };
        let count = model.count();
        if let Some(wait_s) = model.over_limit() {
            return limited(wait_s);
        }
        let fault = model.spec.fault(count);
        match fault.map(|rule| (rule.kind, rule)) {
            Some((Fault::Status, rule)) if rule.status == 429 => return limited(rule.retry_after_s),
            Some((Fault::Status, rule)) => return error(rule.status, "server_error", "simulated failure"),
            Some((Fault::Stall, rule)) if rule.tokens == 0 => std::future::pending().await,
            _ => {}
        }
        match ask.check(&model.spec) {
            Ok(()) => deliver(model, &ask, count, fault).await,
            Err(refused) => refusal(&refused),
        }
    }
}

async fn deliver(model: &Served, ask: &Ask, count: u64, fault: Option<&FaultRule>) -> Reply {
    let mut answer = Answer::new(&model.spec, ask, count);
    let kind = fault.map(|rule| rule.kind);
    match kind {
        Some(Fault::NoUsage) => answer.report_usage = false,
        Some(Fault::Empty) => answer.blank(),
        _ => {}
    }
    let pace = model.spec.pace();
    let fixed = |bytes: &'static [u8]| SimulatedBody::Whole(Some(Bytes::from_static(bytes)));
    if ask.stream && kind != Some(Fault::JsonWhenStream) {
        let body = match kind {
            Some(Fault::ErrorEventFirst) => fixed(stream::ERROR_EVENT),
            Some(Fault::Garbage) => fixed(stream::GARBAGE_EVENT),
            _ => {
                let events = EventStream::new(answer, pace, ask.include_usage, Ending::of(fault));
                SimulatedBody::Events(Box::new(events))
            }
        };
        return with_type(StatusCode::OK, "text/event-stream", body);
    }
    tokio::time::sleep(pace.until(answer.tokens())).await;
    let body = match kind {
        Some(Fault::DieBeforeToken | Fault::DieAfterTokens) => SimulatedBody::Broken,
        Some(Fault::Stall) => std::future::pending().await,
        Some(Fault::ErrorEventFirst) => fixed(stream::ERROR_BODY),
        Some(Fault::Garbage) => fixed(stream::GARBAGE_BODY),
        _ => SimulatedBody::Whole(Some(answer.to_json().into())),
    };
    with_type(StatusCode::OK, "application/json", body)
}

fn refusal(refused: &Refused) -> Reply {
    let (status, code, message) = refused.parts();
    error(status, code, message)
}

fn limited(wait_s: u32) -> Reply {
    let mut reply = error(429, "rate_limit_exceeded", "simulated rate limit reached");
    reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait_s));
    reply
}

fn error(status: u16, code: &str, message: &str) -> Reply {
    let body = serde_json::json!({"error": {"message": message, "type": code, "code": code}});
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    whole(status, "application/json", body.to_string().into())
}

fn whole(status: StatusCode, content_type: &'static str, body: Bytes) -> Reply {
    with_type(status, content_type, SimulatedBody::Whole(Some(body)))
}

fn with_type(status: StatusCode, content_type: &'static str, body: SimulatedBody) -> Reply {
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
}

#[cfg(test)]
mod tests;
