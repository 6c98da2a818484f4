//! A ledger without a thread: what waits is written when the caller says so. For simulations, which run the
//! same code in an order of their own.

use super::Ledger;
use super::queue::Queue;
use super::writer::{Step, Writer};
use crate::accounts::Rules;
use crate::metrics::LedgerMetrics;
use crate::store::{Store, StoreError};
use std::sync::Arc;
use std::time::Duration;

/// The writer of a ledger that has no thread.
pub struct Stepwise {
    writer: Writer,
    queue: Arc<Queue>,
}

impl Ledger {
    /// Opens the ledger and leaves its writer to the caller.
    #[doc(hidden)]
    pub fn open_stepwise(
        store: Arc<dyn Store>,
        rules: Rules,
        metrics: LedgerMetrics,
    ) -> Result<(Arc<Self>, Stepwise), StoreError> {
        let (ledger, writer) = Self::parts(store, rules, metrics)?;
        let queue = Arc::clone(&ledger.queue);
        Ok((ledger, Stepwise { writer, queue }))
    }
}

impl Stepwise {
    /// Commits what is waiting, or finds out whether writing works again. `false`: the commit failed.
    pub fn step(&mut self) -> bool {
        self.writer.step(Duration::ZERO) != Step::Failed
    }

    /// Operations that wait.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Returns the leases of processes that have died. How many there were.
    ///
    /// # Errors
    /// [`StoreError`] when that is not possible now.
    pub fn reap(&mut self) -> Result<usize, StoreError> {
        self.writer.reap()
    }
}
