//! What waits for the writer. Bounded by the slots its producers hold: pushing never waits and never fails.

use super::held::Slot;
use crate::accounts::{Reservation, Wallet};
use crate::store::{Op, Outcome, Settled, StoreError};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Operations applied in one transaction at most: a commit stays short, and its fsync is shared.
pub(super) const MAX_BATCH: usize = 1_024;
/// A batch that takes longer than this means that the disk hangs.
const HANGS_AFTER_MS: u64 = 2_000;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Never 0.
fn elapsed_ms() -> u64 {
    u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
}

/// An operation and what is to be done when it is durable.
pub(super) struct Job {
    pub(super) op: Op,
    pub(super) done: Done,
}

/// What follows an operation.
pub(super) enum Done {
    /// A charge: the reservation ends, the answer may end. Tried until it succeeds.
    Settle { reservation: Reservation, reply: oneshot::Sender<Settled>, _slot: Slot },
    /// A request without a charge is written down.
    Void { _slot: Slot },
    /// The wallet gets what was leased, and whoever waits for it hears.
    Lease { wallet: Arc<Wallet> },
    /// Nothing; or the wallet keeps what could not be returned.
    Return { wallet: Arc<Wallet> },
    /// Whoever asked hears.
    Write { reply: oneshot::Sender<Result<Outcome, StoreError>>, _slot: Slot },
}

#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// There is something to do, or the end has come.
    work: Condvar,
    /// Everything is done.
    idle: Condvar,
    failing: AtomicBool,
    closed: AtomicBool,
    /// When the batch under way began, ms since [`START`]; 0 for none.
    busy_since_ms: AtomicU64,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    /// Jobs taken and not done.
    taken: usize,
    ending: bool,
}

/// What the writer does next.
pub(super) enum Next {
    Batch(Vec<Job>),
    /// Nothing came in time.
    Nothing,
    /// Nothing will come any more.
    End,
}

impl Queue {
    pub(super) fn push(&self, job: Job) {
        self.lock().jobs.push_back(job);
        self.work.notify_one();
    }

    /// Puts jobs back that failed, behind those that came since: one that can never succeed must not stand
    /// in the way of the others, and their order does not matter.
    pub(super) fn put_back(&self, jobs: Vec<Job>) {
        let mut state = self.lock();
        state.taken = 0;
        state.jobs.extend(jobs);
        if state.jobs.is_empty() {
            self.idle.notify_all();
        }
    }

    /// Waits for jobs, at most `patience`.
    pub(super) fn next(&self, patience: Duration) -> Next {
        let mut state = self.lock();
        if state.jobs.is_empty() && !state.ending {
            let waited = self.work.wait_timeout(state, patience);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.jobs.is_empty() {
            return if state.ending { Next::End } else { Next::Nothing };
        }
        // One at a time while they fail, so that a bad one is found out.
        let count = if self.is_failing() { 1 } else { state.jobs.len().min(MAX_BATCH) };
        state.taken = count;
        Next::Batch(state.jobs.drain(..count).collect())
    }

    /// The jobs taken are done.
    pub(super) fn done(&self) {
        let mut state = self.lock();
        state.taken = 0;
        if state.jobs.is_empty() {
            self.idle.notify_all();
        }
    }

    /// Jobs that wait or are under way.
    pub(super) fn len(&self) -> usize {
        let state = self.lock();
        state.jobs.len() + state.taken
    }

    /// The writer ends once it has nothing to do.
    pub(super) fn end(&self) {
        self.lock().ending = true;
        self.work.notify_one();
    }

    /// Waits until everything is done, then ends the writer. `false`: not within `patience`.
    pub(super) fn close(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let mut state = self.lock();
        while !(state.jobs.is_empty() && state.taken == 0) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.idle.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.ending = true;
        self.closed.store(true, Ordering::Release);
        drop(state);
        self.work.notify_one();
        true
    }

    /// The writer begins a batch, or has ended it.
    pub(super) fn set_busy(&self, busy: bool) {
        self.busy_since_ms.store(if busy { elapsed_ms() } else { 0 }, Ordering::Release);
    }

    /// Whether the last batch failed.
    pub(super) fn set_failing(&self, failing: bool) {
        self.failing.store(failing, Ordering::Release);
    }

    pub(super) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Acquire)
    }

    /// Whether what is pushed now is written soon.
    pub(super) fn is_healthy(&self) -> bool {
        if self.closed.load(Ordering::Acquire) {
            return false;
        }
        let since = self.busy_since_ms.load(Ordering::Acquire);
        !self.is_failing() && (since == 0 || elapsed_ms().saturating_sub(since) < HANGS_AFTER_MS)
    }

    /// Held for a few instructions.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
