//! The scripted provider over HTTP/2 without TLS.

use crate::provider::{Seen, Shared, wants_stream};
use crate::script::{Reply, Script, Step};
use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use std::future::poll_fn;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// Serves one connection's streams beside each other until either side ends it.
pub async fn serve(stream: TcpStream, connection: usize, shared: Arc<Shared>) -> Option<()> {
    let mut conn = h2::server::Builder::new()
        .initial_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .handshake::<_, Bytes>(stream)
        .await
        .ok()?;
    let cut = Arc::new(Notify::new());
    let mut streams = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = conn.accept() => accepted,
            () = cut.notified() => return None,
        };
        let (request, respond) = accepted?.ok()?;
        streams.spawn(one(request, respond, connection, shared.clone(), cut.clone()));
    }
}

async fn one(
    request: http::Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    connection: usize,
    shared: Arc<Shared>,
    cut: Arc<Notify>,
) -> Option<()> {
    let (head, mut recv) = request.into_parts();
    let path = head.uri.path_and_query().map_or("/", |p| p.as_str()).to_owned();
    let script = shared.script_for(head.method.as_str(), &path);
    let mut headers: Vec<(String, String)> = head
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    if let Some(authority) = head.uri.authority() {
        headers.push(("host".to_owned(), authority.to_string()));
    }
    let mut seen = Seen { method: head.method.to_string(), path, headers, body: Vec::new(), connection };
    while !script.is_early() {
        let Some(data) = recv.data().await else { break };
        let data = data.ok()?;
        recv.flow_control().release_capacity(data.len()).ok()?;
        seen.body.extend_from_slice(&data);
    }
    let (stream, script) = (wants_stream(&seen.body), script.for_body(&seen.body));
    shared.record(seen);
    let played = match script.resolve(stream) {
        Some(reply) => play(&reply, &mut respond, &cut).await,
        None if matches!(script, Script::HangUp) => {
            cut.notify_one();
            Some(())
        }
        None => {
            let _ = poll_fn(|cx| respond.poll_reset(cx)).await;
            None
        }
    };
    if played.is_none() {
        shared.record_left();
    }
    if script.is_early() {
        // Keeps the unread body's stream open.
        std::future::pending::<()>().await;
    }
    Some(())
}

/// Sends the reply step by step; `None` when the proxy left before its end.
async fn play(reply: &Reply, respond: &mut SendResponse<Bytes>, cut: &Notify) -> Option<()> {
    let mut head = http::Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        head = head.header(name, value);
    }
    let mut send = respond.send_response(head.body(()).expect("a scripted head"), false).ok()?;
    for step in &reply.steps {
        match step {
            Step::Send(bytes) if bytes.is_empty() => {}
            Step::Send(bytes) => send.send_data(Bytes::from(bytes.clone()), false).ok()?,
            Step::Dribble(bytes) => {
                for &byte in bytes {
                    send.send_data(Bytes::from(vec![byte]), false).ok()?;
                    tokio::task::yield_now().await;
                }
            }
            Step::Gate(gate) => tokio::select! {
                () = gate.pass() => {}
                () = until_left(&mut send) => return None,
            },
            Step::Rest(time) => tokio::time::sleep(*time).await,
            Step::End => send.send_data(Bytes::new(), true).ok()?,
            Step::Cut => {
                // What was sent before must leave first; the connection task runs in between.
                tokio::task::yield_now().await;
                cut.notify_one();
                std::future::pending::<()>().await;
            }
            Step::Reset => send.send_reset(Reason::INTERNAL_ERROR),
            Step::Stall => {
                until_left(&mut send).await;
                return None;
            }
        }
    }
    Some(())
}

async fn until_left(send: &mut SendStream<Bytes>) {
    let _ = poll_fn(|cx| send.poll_reset(cx)).await;
}
