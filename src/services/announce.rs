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

/// Listeners open within milliseconds.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Prints a line for each listener when it accepts, and `ready` when models are known.
pub struct Announce {
    /// Whose readiness is awaited.
    pub gateway: Arc<Gateway>,
    /// What to print, and the address that must accept first.
    pub lines: Vec<(String, SocketAddr)>,
}

#[async_trait]
impl BackgroundService for Announce {
    async fn start(&self, _shutdown: ShutdownWatch) {
        for (line, address) in &self.lines {
            while tokio::net::TcpStream::connect(address).await.is_err() {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            say(line);
        }
        while !self.gateway.ready.load(Ordering::Acquire) {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        let snapshot = self.gateway.snapshot.load();
        say(&format!("{} endpoints are known", snapshot.catalog.endpoints.len()));
        say("ready");
    }
}

/// A line on standard output; a closed one is no reason to stop serving.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "freeway: {line}");
}
