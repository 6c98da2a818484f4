//! Keeps a process's part of the ledger in step with the others: what was changed elsewhere is noticed, and
//! what nobody uses goes back.

use crate::ledger::Ledger;
use crate::proxy::Clock;
use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use std::sync::Arc;
use std::time::Duration;

/// A key that was revoked elsewhere stops working within this, and a payment counts.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Looks between two returns of what lies idle: 5 s.
const LOOKS_PER_RETURN: u32 = 10;

/// The loop.
pub struct LeaseRenewal {
    /// Whose leases.
    pub ledger: Arc<Ledger>,
    /// The time.
    pub clock: Clock,
}

#[async_trait]
impl BackgroundService for LeaseRenewal {
    /// Goes on until the process ends: what running requests leave of their leases is returned, too.
    async fn start(&self, _shutdown: ShutdownWatch) {
        for look in 1_u32.. {
            tokio::time::sleep(LOOK_EVERY).await;
            if let Err(error) = self.ledger.notice_changes().await {
                tracing::debug!(%error, "the ledger cannot be asked for changes");
            }
            self.ledger.observe();
            if self.ledger.is_retiring() {
                self.ledger.retire();
            } else if look.is_multiple_of(LOOKS_PER_RETURN) {
                self.ledger.return_idle(self.clock.now_ms());
            }
        }
    }
}
