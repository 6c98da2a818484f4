//! Tells the terminal where to connect, once that works.

use crate::proxy::Gateway;
use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// Listeners open within milliseconds.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// A request of our own to a listener that two processes share.
const PROBE: &[u8] = b"GET /health HTTP/1.1\r\nhost: freeway\r\nconnection: close\r\n\r\n";
/// How long its answer may take before another is sent.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// Prints a line for each listener when it accepts, and `ready` when models are known.
pub struct Announce {
    /// Whose readiness is awaited.
    pub gateway: Arc<Gateway>,
    /// What to print.
    pub lines: Vec<Line>,
    /// Another process may still be the one that accepts.
    pub takes_over: bool,
}

/// A listener.
pub struct Line {
    text: String,
    address: SocketAddr,
    /// A plain request there is one of the proxy's.
    counted: bool,
}

impl Line {
    /// The main one.
    pub fn proxy(scheme: &str, address: SocketAddr) -> Self {
        Self { text: format!("listening on {scheme}://{address}"), address, counted: scheme == "http" }
    }

    /// One of the operator's.
    pub fn operator(name: &str, address: SocketAddr, path: &str) -> Self {
        Self { text: format!("{name} on http://{address}{path}"), address, counted: false }
    }
}

#[async_trait]
impl BackgroundService for Announce {
    async fn start(&self, _shutdown: ShutdownWatch) {
        for line in &self.lines {
            while !self.serves(line).await {
                sleep(LOOK_AGAIN).await;
            }
            say(&line.text);
        }
        while !self.gateway.ready.load(Ordering::Acquire) {
            sleep(LOOK_AGAIN).await;
        }
        let snapshot = self.gateway.snapshot.load();
        say(&format!("{} endpoints are known", snapshot.catalog.endpoints.len()));
        say("ready");
    }
}

impl Announce {
    /// Whether the listener accepts; where it is shared, whether this process does.
    async fn serves(&self, line: &Line) -> bool {
        let before = self.gateway.traffic().seen();
        let Ok(mut stream) = TcpStream::connect(line.address).await else { return false };
        if !(self.takes_over && line.counted) {
            return true;
        }
        let mut answer = Vec::new();
        let asked = async {
            stream.write_all(PROBE).await?;
            stream.read_to_end(&mut answer).await
        };
        let _ = timeout(PROBE_TIMEOUT, asked).await;
        self.gateway.traffic().seen() > before
    }
}

/// A line on standard output; a closed one is no reason to stop serving.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "freeway: {line}");
}
