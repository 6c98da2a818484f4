//! A small client over HTTP/2 without TLS.

use crate::client::Answer;
use crate::harness::within;
use bytes::Bytes;
use h2::client::SendRequest;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// A connection; requests may run beside each other on it.
#[derive(Clone)]
pub struct H2Client {
    send: SendRequest<Bytes>,
}

impl H2Client {
    pub async fn connect(addr: SocketAddr) -> Self {
        let stream = within("a connection", TcpStream::connect(addr)).await.expect("it listens");
        stream.set_nodelay(true).expect("a TCP socket");
        Self::over(stream).await
    }

    /// Over a connection that is there already.
    pub async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let (send, connection) =
            within("a handshake", h2::client::handshake(stream)).await.expect("it speaks HTTP/2");
        tokio::spawn(connection);
        Self { send }
    }

    pub async fn post(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        within("an answer", self.exchange(path, body.into())).await
    }

    async fn exchange(&self, path: &str, mut body: Bytes) -> Answer {
        let request = http::Request::post(format!("http://router.test{path}"))
            .header("content-type", "application/json")
            .header("content-length", body.len())
            .body(())
            .expect("a request");
        let mut send = self.send.clone().ready().await.expect("a live connection");
        let (response, mut stream) = send.send_request(request, false).expect("a live connection");
        while !body.is_empty() {
            stream.reserve_capacity(body.len());
            match std::future::poll_fn(|cx| stream.poll_capacity(cx)).await {
                Some(Ok(n)) => {
                    let part = body.split_to(n.min(body.len()));
                    stream.send_data(part, body.is_empty()).expect("the stream is open");
                }
                // The answer came before the whole body was taken.
                _ => break,
            }
        }
        let (head, mut recv) = response.await.expect("an answer").into_parts();
        let headers = head
            .headers
            .iter()
            .map(|(n, v)| (n.to_string(), v.to_str().expect("ASCII").to_owned()))
            .collect();
        let mut whole = Vec::new();
        while let Some(data) = recv.data().await {
            let data = data.expect("a whole body");
            recv.flow_control().release_capacity(data.len()).expect("it was received");
            whole.extend_from_slice(&data);
        }
        Answer { status: head.status.as_u16(), headers, body: whole }
    }
}
