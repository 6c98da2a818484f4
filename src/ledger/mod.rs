//! The way of money through a process: reserving for requests, posting their charges, leasing ahead.
//!
//! Requests never touch the store. They reserve from a lease in memory, and hand the charge to one writer
//! thread, which commits all that is waiting in one transaction and then says so. While the store fails,
//! new requests are refused, charges stay queued, and the writer goes on trying.

mod held;
mod queue;
mod readers;
mod stepwise;
mod top_up;
mod writer;

pub use held::{Held, Posting};
#[doc(hidden)]
pub use stepwise::Stepwise;

use crate::accounts::{self, Accounts, Caller, Exhausted, KeyHash, Refused, Rules, Step, Worst};
use crate::metrics::LedgerMetrics;
use crate::store::{Op, Outcome, Reader, Store, StoreError};
use held::Slots;
use queue::{Done, Job, Queue};
use readers::Readers;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use top_up::TopUps;

/// A request waits this long for a lease, then it is refused: the store hangs.
const LEASE_WAIT: Duration = Duration::from_secs(2);
/// An account's or operator's change waits this long.
const WRITE_WAIT: Duration = Duration::from_secs(5);
/// Changes made by hand that may wait at one time.
const MAX_WRITES: usize = 256;
/// A lease unused for this long is returned.
const IDLE_LEASE_MS: u64 = 30_000;
/// An account unused for this long is forgotten here.
const IDLE_ACCOUNT_MS: u64 = 300_000;
/// Between two looks whether the writer has ended.
const CLOSE_LOOK: Duration = Duration::from_millis(2);
/// Milliseconds in a day.
pub const DAY_MS: u64 = 86_400_000;

/// The ledger of a process.
pub struct Ledger {
    rules: Rules,
    accounts: Accounts,
    queue: Arc<Queue>,
    readers: Readers,
    top_ups: Arc<TopUps>,
    slots: Slots,
    writes: Slots,
    metrics: LedgerMetrics,
    /// The process is about to end: leases are kept small.
    retiring: AtomicBool,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Why a request was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAdmitted {
    /// The balance, the key's cap or the day's requests do not allow it.
    Refused(Refused),
    /// The store fails or hangs, or too many requests are under way.
    Unavailable,
}

/// Why nobody is known by a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unauthenticated {
    /// There is no such key, or not any more.
    Unknown,
    /// The store cannot be asked.
    Unavailable,
}

impl Ledger {
    /// Opens the ledger and starts its writer.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be opened.
    pub fn open(
        store: Arc<dyn Store>,
        rules: Rules,
        metrics: LedgerMetrics,
    ) -> Result<Arc<Self>, StoreError> {
        let (ledger, writer) = Self::parts(store, rules, metrics)?;
        let thread = std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| StoreError::Failed(error.to_string()))?;
        *ledger.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(ledger)
    }

    fn parts(
        store: Arc<dyn Store>,
        rules: Rules,
        metrics: LedgerMetrics,
    ) -> Result<(Arc<Self>, writer::Writer), StoreError> {
        let queue = Arc::new(Queue::default());
        let top_ups = Arc::new(TopUps::default());
        let writer =
            writer::Writer::new(store.writer()?, Arc::clone(&queue), Arc::clone(&top_ups), metrics.clone());
        let ledger = Arc::new(Self {
            slots: Slots::new(rules.max_open),
            writes: Slots::new(MAX_WRITES),
            rules,
            accounts: Accounts::default(),
            queue,
            readers: Readers::new(store),
            top_ups,
            metrics,
            retiring: AtomicBool::new(false),
            thread: Mutex::new(None),
        });
        Ok((ledger, writer))
    }

    /// What requests cost and may use.
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Whether new requests can be admitted as far as the store is concerned.
    pub fn is_healthy(&self) -> bool {
        self.queue.is_healthy()
    }

    /// Who presents this key.
    ///
    /// # Errors
    /// [`Unauthenticated`].
    pub async fn authenticate(&self, key: &[u8], now_ms: u64) -> Result<Arc<Caller>, Unauthenticated> {
        let hash = KeyHash::of_presented(key).ok_or(Unauthenticated::Unknown)?;
        let caller = match self.accounts.find(&hash) {
            Some(caller) => caller,
            None => self.look_up(hash, now_ms).await?,
        };
        if caller.expires_ms.is_some_and(|end| end <= now_ms) {
            return Err(Unauthenticated::Unknown);
        }
        caller.wallet.touch(now_ms);
        Ok(caller)
    }

    async fn look_up(&self, hash: KeyHash, now_ms: u64) -> Result<Arc<Caller>, Unauthenticated> {
        let look = move |reader: &mut dyn Reader| {
            // Before the key: a change in between is then seen at the next look.
            let revision = reader.revision()?;
            Ok((revision, reader.key(&hash, now_ms)?))
        };
        let (revision, found) = self.read(look).await.map_err(|_| Unauthenticated::Unavailable)?;
        self.accounts.is_at(revision);
        let Some(known) = found else {
            self.accounts.forget(&hash);
            return Err(Unauthenticated::Unknown);
        };
        Ok(self.accounts.remember(&hash, &known, revision, now_ms))
    }

    /// Reserves the worst case of a request, leasing first where the lease does not cover it.
    ///
    /// # Errors
    /// [`NotAdmitted`].
    pub async fn reserve(
        self: &Arc<Self>,
        caller: &Arc<Caller>,
        worst: &Worst,
        now_ms: u64,
    ) -> Result<Held, NotAdmitted> {
        if !self.is_healthy() {
            return Err(NotAdmitted::Unavailable);
        }
        let slot = self.slots.take().ok_or(NotAdmitted::Unavailable)?;
        let today = day_of(now_ms);
        let mut exhausted = Exhausted::default();
        loop {
            match accounts::step(caller, worst, &self.rules.tiers, today, exhausted) {
                Step::Held(reservation, fit) => {
                    self.lease_ahead(caller, today);
                    return Ok(Held::new(Arc::clone(self), reservation, fit, slot));
                }
                Step::Refused(refused) => return Err(NotAdmitted::Refused(refused)),
                Step::TopUp(wish) => {
                    let topped = tokio::time::timeout(LEASE_WAIT, self.top_up(caller, wish)).await;
                    let heard = topped.ok().flatten().ok_or(NotAdmitted::Unavailable)?;
                    exhausted.credits |= heard.credits;
                    exhausted.requests = heard.requests.or(exhausted.requests);
                }
            }
        }
    }

    /// Looks something up, off the worker threads.
    ///
    /// # Errors
    /// [`StoreError`] of the look, or when too many wait.
    pub async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&mut dyn Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.readers.read(look).await
    }

    /// Makes a change by hand; what was remembered of keys and balances is looked up again after it.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails, hangs or has too much to do. The change may still happen.
    pub async fn write(&self, op: Op) -> Result<Outcome, StoreError> {
        let slot = self.writes.take().ok_or(StoreError::Busy)?;
        let (reply, answer) = oneshot::channel();
        self.queue.push(Job { op, done: Done::Write { reply, _slot: slot } });
        let answer = tokio::time::timeout(WRITE_WAIT, answer).await;
        let outcome = answer.map_err(|_| StoreError::Busy)?.map_err(|_| StoreError::Busy)??;
        self.notice_changes().await?;
        Ok(outcome)
    }

    /// Looks whether keys, caps or balances were changed by hand, here or by another process.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn notice_changes(&self) -> Result<(), StoreError> {
        let revision = self.read(|reader| reader.revision()).await?;
        self.accounts.is_at(revision);
        Ok(())
    }

    /// Returns leases nobody has used for a while, and forgets accounts.
    pub fn return_idle(&self, now_ms: u64) {
        for wallet in self.accounts.wallets() {
            if wallet.is_idle(now_ms.saturating_sub(IDLE_LEASE_MS)) {
                self.give_back(&wallet);
            }
        }
        self.accounts.forget_idle(now_ms.saturating_sub(IDLE_ACCOUNT_MS));
    }

    /// From now on leases no more than requests need, and returns the rest at once: another process takes
    /// over.
    pub fn retire(&self) {
        self.retiring.store(true, Ordering::Release);
        self.accounts.wallets().iter().for_each(|wallet| self.give_back(wallet));
    }

    /// Returns all leases, waits for the queue to be committed and ends the writer, which gives the last of
    /// its leases back. Nothing is admitted after that. `false`: something was left after `patience`; what was
    /// queued is lost with the process, and another one finds the leases.
    #[expect(
        clippy::disallowed_methods,
        reason = "called by the main thread when nothing else runs any more"
    )]
    pub fn close(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        self.retire();
        if !self.queue.close(patience) {
            return false;
        }
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        while thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            if Instant::now() > until {
                return false;
            }
            std::thread::sleep(CLOSE_LOOK);
        }
        true
    }

    /// Brings the gauges up to date.
    pub fn observe(&self) {
        let leased: i64 = self.accounts.wallets().iter().map(|wallet| wallet.free().get()).sum();
        self.metrics.leased.set(leased);
        self.metrics.queue.set(i64::try_from(self.queue.len()).unwrap_or(i64::MAX));
    }

    fn give_back(&self, wallet: &Arc<accounts::Wallet>) {
        self.top_ups.give_back(&self.queue, wallet);
    }

    /// Whether [`Ledger::retire`] was called.
    pub fn is_retiring(&self) -> bool {
        self.retiring.load(Ordering::Acquire)
    }

    fn lease_ahead(&self, caller: &Arc<Caller>, today: u32) {
        if !self.is_retiring()
            && let Some(wish) = accounts::ahead(caller, &self.rules.tiers, today)
        {
            self.top_ups.ahead(&self.queue, &caller.wallet, wish);
        }
    }

    /// Leases, or waits for the lease that is under way for the account. `None`: the store failed.
    async fn top_up(&self, caller: &Arc<Caller>, mut wish: accounts::Wish) -> Option<Exhausted> {
        if self.is_retiring() {
            wish.want = wish.need;
            wish.requests = wish.requests.min(1);
        }
        self.top_ups.ask(&self.queue, &caller.wallet, wish).await
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.queue.end();
    }
}

/// Days since 1970, UTC.
pub fn day_of(now_ms: u64) -> u32 {
    u32::try_from(now_ms / DAY_MS).unwrap_or(u32::MAX)
}
