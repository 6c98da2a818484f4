//! Passes turns to the requests that wait for a place: whenever something may have become free, and when
//! the next limit lets somebody in.

use crate::proxy::Gateway;
use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// Between two passes at least, however many come and go: a pass plans for everybody who waits, and what
/// comes free meanwhile goes by turns all the same.
const REST: Duration = Duration::from_millis(2);
/// And at most: a provider's answer may have shown that more is left than was thought, or a new list of
/// models may be there, of which nobody tells.
const LOOK_AGAIN: Duration = Duration::from_millis(25);

/// The loop.
pub struct QueueTurns(pub Arc<Gateway>);

#[async_trait]
impl BackgroundService for QueueTurns {
    /// Goes on until the process ends: requests may wait while it is told to stop.
    async fn start(&self, _shutdown: ShutdownWatch) {
        let waiting = &self.0.waiting;
        loop {
            waiting.kicked().await;
            while let Some(free_in) = waiting.pass(&self.0) {
                sleep(REST).await;
                tokio::select! {
                    () = waiting.kicked() => {}
                    () = sleep(free_in.min(LOOK_AGAIN).saturating_sub(REST)) => {}
                }
            }
        }
    }
}
