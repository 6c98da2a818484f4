//! The scripted provider over HTTP/1.1, plain or within TLS.

use crate::provider::{Seen, Shared, wants_stream};
use crate::script::{Reply, Script, Step};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::server::TlsStream;

/// A connection that can be reset.
pub trait Socket: AsyncRead + AsyncWrite + Unpin {
    fn reset_on_close(&self);
}

impl Socket for TcpStream {
    fn reset_on_close(&self) {
        self.set_zero_linger().expect("a TCP socket");
    }
}

impl Socket for TlsStream<TcpStream> {
    fn reset_on_close(&self) {
        self.get_ref().0.reset_on_close();
    }
}

/// Serves requests one after another; `None` when the connection is over.
pub async fn serve<S: Socket>(stream: S, connection: usize, shared: &Shared) -> Option<()> {
    let mut conn = Http1 { stream, buffer: Vec::new(), sent: shared.sent() };
    loop {
        let (method, path, headers) = conn.head().await?;
        let script = shared.script_for(&method, &path);
        let mut seen = Seen { method, path, headers, body: Vec::new(), connection };
        if !script.is_early() {
            seen.body = conn.body(&seen.headers).await?;
        }
        let (stream, script) = (wants_stream(&seen.body), script.for_body(&seen.body));
        shared.record(seen);
        match script.resolve(stream) {
            Some(reply) => {
                if conn.play(&reply).await.is_none() {
                    shared.record_left();
                    return None;
                }
                if reply.early {
                    // The rest of the body stays unread for as long as the test runs.
                    std::future::pending::<()>().await;
                }
                if !matches!(reply.steps.last(), Some(Step::End)) {
                    return None;
                }
            }
            None if matches!(script, Script::HangUp) => return None,
            None => {
                conn.until_left().await;
                shared.record_left();
                return None;
            }
        }
    }
}

struct Http1<S> {
    stream: S,
    buffer: Vec<u8>,
    sent: watch::Sender<usize>,
}

impl<S: Socket> Http1<S> {
    async fn fill(&mut self) -> Option<()> {
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(n) if n > 0 => Some(()),
            _ => None,
        }
    }

    async fn until_left(&mut self) {
        while self.fill().await.is_some() {}
    }

    async fn line_end(&mut self, end: &[u8]) -> Option<usize> {
        loop {
            if let Some(at) = memchr::memmem::find(&self.buffer, end) {
                return Some(at);
            }
            self.fill().await?;
        }
    }

    async fn head(&mut self) -> Option<(String, String, Vec<(String, String)>)> {
        let end = self.line_end(b"\r\n\r\n").await?;
        let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
        let head = String::from_utf8(head).expect("the proxy sends ASCII heads");
        let mut lines = head.trim_end().split("\r\n");
        let mut request = lines.next()?.split(' ');
        let (method, path) = (request.next()?.to_owned(), request.next()?.to_owned());
        let headers = lines
            .map(|line| line.split_once(':').expect("a header has a colon"))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Some((method, path, headers))
    }

    async fn body(&mut self, headers: &[(String, String)]) -> Option<Vec<u8>> {
        let header = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
        if let Some(length) = header("content-length") {
            return self.take(length.parse().expect("a length")).await;
        }
        let mut body = Vec::new();
        while header("transfer-encoding").is_some() {
            let end = self.line_end(b"\r\n").await?;
            let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
            let line = String::from_utf8(line).expect("chunk sizes are ASCII");
            let size = usize::from_str_radix(line.trim(), 16).expect("chunk sizes are hexadecimal");
            body.extend(self.take(size).await?);
            self.take(2).await?;
            if size == 0 {
                break;
            }
        }
        Some(body)
    }

    async fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        self.buffer.reserve(length.saturating_sub(self.buffer.len()));
        while self.buffer.len() < length {
            self.fill().await?;
        }
        Some(self.buffer.drain(..length).collect())
    }

    /// Writes the reply step by step; `None` when the proxy left before its end.
    async fn play(&mut self, reply: &Reply) -> Option<()> {
        let sized = reply.headers.iter().any(|(name, _)| name == "content-length");
        let mut head = format!("HTTP/1.1 {} Scripted\r\n", reply.status);
        for (name, value) in &reply.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(if sized { "\r\n" } else { "transfer-encoding: chunked\r\n\r\n" });
        self.stream.write_all(head.as_bytes()).await.ok()?;
        for step in &reply.steps {
            match step {
                Step::Send(bytes) => self.send(bytes, sized).await?,
                Step::Dribble(bytes) => {
                    for byte in bytes.chunks(1) {
                        self.send(byte, sized).await?;
                    }
                }
                Step::Gate(gate) => tokio::select! {
                    () = gate.pass() => {}
                    () = self.until_left() => return None,
                },
                Step::Rest(time) => tokio::time::sleep(*time).await,
                Step::End if sized => {}
                Step::End => self.stream.write_all(b"0\r\n\r\n").await.ok()?,
                Step::Cut => {
                    self.stream.shutdown().await.ok()?;
                    return Some(());
                }
                Step::Reset => {
                    self.stream.reset_on_close();
                    return Some(());
                }
                Step::Stall => {
                    self.until_left().await;
                    return None;
                }
            }
        }
        Some(())
    }

    async fn send(&mut self, bytes: &[u8], sized: bool) -> Option<()> {
        if sized {
            return self.stream.write_all(bytes).await.ok();
        }
        if bytes.is_empty() {
            return Some(());
        }
        let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
        chunk.extend_from_slice(bytes);
        chunk.extend_from_slice(b"\r\n");
        self.stream.write_all(&chunk).await.ok()?;
        self.sent.send_modify(|n| *n += bytes.len());
        Some(())
    }
}
