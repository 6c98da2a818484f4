//! The one thread that writes: takes what is waiting, commits it together, and tells everybody.

use super::queue::{Done, Job, Next, Queue};
use super::top_up::TopUps;
use crate::accounts::{Grant, Slice};
use crate::metrics::LedgerMetrics;
use crate::money::MicroCredits;
use crate::store::{self, Op, Outcome, StoreError};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often the leases of dead processes are looked for.
const REAP_EVERY: Duration = Duration::from_secs(5);
/// After a batch of at least this many operations more are on their way: waiting a moment for them shares the
/// cost of a commit among more answers, and under load it costs them less than it takes. Fewer are served at
/// once.
const BUSY_BATCH: usize = 4;
/// That moment.
const GATHER: Duration = Duration::from_millis(1);
/// How long the writer waits after a failure before it tries again.
const RETRY_EVERY: Duration = Duration::from_millis(250);

pub(super) struct Writer {
    store: Box<dyn store::Writer>,
    queue: Arc<Queue>,
    top_ups: Arc<TopUps>,
    metrics: LedgerMetrics,
    reaped: Option<Instant>,
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Done,
    /// A batch of many was committed.
    Busy,
    /// The commit failed: it is too early for the next.
    Failed,
    /// Nothing will come any more.
    End,
}

impl Writer {
    pub(super) fn new(
        store: Box<dyn store::Writer>,
        queue: Arc<Queue>,
        top_ups: Arc<TopUps>,
        metrics: LedgerMetrics,
    ) -> Self {
        Self { store, queue, top_ups, metrics, reaped: None }
    }

    #[expect(clippy::disallowed_methods, reason = "the writer's own thread")]
    pub(super) fn run(mut self) {
        loop {
            self.reap_if_due();
            match self.step(if self.queue.is_failing() { RETRY_EVERY } else { REAP_EVERY }) {
                Step::Done => {}
                Step::Busy => std::thread::sleep(GATHER),
                Step::Failed => std::thread::sleep(RETRY_EVERY),
                Step::End => return,
            }
        }
    }

    /// Commits what is waiting; waits for it for at most `patience`.
    pub(super) fn step(&mut self, patience: Duration) -> Step {
        match self.queue.next(patience) {
            Next::Batch(jobs) => return self.commit(jobs),
            Next::Nothing if self.queue.is_failing() => self.probe(),
            Next::Nothing => {}
            Next::End => return Step::End,
        }
        Step::Done
    }

    /// Returns the leases of processes that have died.
    pub(super) fn reap(&mut self) -> Result<usize, StoreError> {
        self.store.reap()
    }

    fn commit(&mut self, jobs: Vec<Job>) -> Step {
        let (ops, dones): (Vec<Op>, Vec<Done>) = jobs.into_iter().map(|job| (job.op, job.done)).unzip();
        let busy = ops.len() >= BUSY_BATCH;
        match self.apply(&ops) {
            Ok(outcomes) => {
                for (outcome, done) in outcomes.into_iter().zip(dones) {
                    self.finish(outcome, done);
                }
                self.queue.done();
                if busy { Step::Busy } else { Step::Done }
            }
            Err(error) => {
                let kept = ops.into_iter().zip(dones).filter_map(|(op, done)| self.fail(op, done, &error));
                let kept = kept.collect();
                self.queue.put_back(kept);
                Step::Failed
            }
        }
    }

    fn apply(&mut self, ops: &[Op]) -> Result<Vec<Outcome>, StoreError> {
        self.queue.set_busy(true);
        let began = Instant::now();
        let applied = self.store.apply(ops);
        self.metrics.commit.observe(began.elapsed().as_secs_f64());
        self.queue.set_busy(false);
        let failed_before = self.queue.is_failing();
        match &applied {
            Ok(_) if failed_before => tracing::info!("the ledger works again"),
            Err(error) if !failed_before => tracing::error!(%error, "the ledger cannot be written"),
            _ => {}
        }
        self.queue.set_failing(applied.is_err());
        self.metrics.commits.with_label_values(&[if applied.is_ok() { "ok" } else { "failed" }]).inc();
        applied
    }

    fn finish(&self, outcome: Outcome, done: Done) {
        match (done, outcome) {
            (Done::Settle { reservation, reply, _slot }, Outcome::Settled(settled)) => {
                self.metrics.charged.inc_by(settled.charged.get().max(0) as u64);
                reservation.settle(settled.charged, settled.balance, settled.key_spent);
                // The answer may have stopped waiting.
                let _ = reply.send(settled);
            }
            (Done::Lease { wallet }, Outcome::Granted(grant)) => {
                if let Some(displaced) = wallet.grant(&grant) {
                    self.give_back(&wallet, displaced);
                }
                self.top_ups.end(wallet.account(), Some(&grant));
            }
            // The account is gone: nothing can be leased.
            (Done::Lease { wallet }, _) => self.top_ups.end(wallet.account(), None),
            (Done::Write { reply, .. }, outcome) => drop(reply.send(Ok(outcome))),
            (Done::Return { .. } | Done::Void { .. } | Done::Settle { .. }, _) => {}
        }
    }

    fn give_back(&self, wallet: &Arc<crate::accounts::Wallet>, slice: Slice) {
        let op = Op::Return(store::Returned { account: wallet.account(), amount: MicroCredits::ZERO, slice });
        self.queue.push(Job { op, done: Done::Return { wallet: Arc::clone(wallet) } });
    }

    /// What becomes of a job whose commit failed; charges are kept.
    fn fail(&self, op: Op, done: Done, error: &StoreError) -> Option<Job> {
        match done {
            Done::Settle { .. } | Done::Void { .. } => return Some(Job { op, done }),
            Done::Lease { wallet } => self.top_ups.end(wallet.account(), None),
            // What may be gone may not be spent: it is leased to nobody until this process ends.
            Done::Return { .. } if matches!(error, StoreError::Doubtful(_)) => {}
            Done::Return { wallet } => {
                if let Op::Return(returned) = op {
                    let Slice { day, funded, left } = returned.slice;
                    let (balance, left_over) = (wallet.balance(), MicroCredits::ZERO);
                    // The slice is added as if it had been leased just now.
                    let back = Grant {
                        amount: returned.amount,
                        balance,
                        left: left_over,
                        day,
                        requests: left,
                        funded,
                        day_used: 0,
                    };
                    if let Some(displaced) = wallet.grant(&back) {
                        self.give_back(&wallet, displaced);
                    }
                }
            }
            Done::Write { reply, .. } => {
                let failed = match error {
                    StoreError::Full => StoreError::Full,
                    StoreError::Busy => StoreError::Busy,
                    other => StoreError::Failed(other.to_string()),
                };
                let _ = reply.send(Err(failed));
            }
        }
        None
    }

    fn probe(&mut self) {
        // Its outcome is the queue's health.
        let _ = self.apply(&[Op::Probe]);
    }

    fn reap_if_due(&mut self) {
        if self.reaped.is_some_and(|at| at.elapsed() < REAP_EVERY) {
            return;
        }
        self.reaped = Some(Instant::now());
        match self.reap() {
            Ok(0) => {}
            Ok(leases) => tracing::info!(leases, "leases of ended processes were returned"),
            Err(error) => tracing::debug!(%error, "leases of ended processes could not be looked for"),
        }
    }
}
