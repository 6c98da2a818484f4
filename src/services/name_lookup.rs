//! Keeps the providers' addresses fresh, so that no request waits for a name lookup.

use crate::proxy::Gateway;
use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use std::sync::Arc;
use std::time::Duration;

/// Providers move their names' addresses with lifetimes of a minute or more.
const EVERY: Duration = Duration::from_secs(30);

/// The loop.
pub struct NameLookup(pub Arc<Gateway>);

#[async_trait]
impl BackgroundService for NameLookup {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        loop {
            self.0.look_up_names().await;
            tokio::select! {
                _ = shutdown.changed() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }
}
