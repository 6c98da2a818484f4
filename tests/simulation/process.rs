//! One process: the real ledger, its writer moved by hand, and the requests it answers.

use crate::backing::Backing;
use crate::faults::{Faults, Faulty};
use freeway::accounts::{AccountId, Caller, Rules, Wallet, Worst};
use freeway::ledger::{Held, Ledger, NotAdmitted, Stepwise};
use freeway::metrics::LedgerMetrics;
use freeway::store::Settled;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

pub(crate) struct Process {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) writer: Stepwise,
    pub(crate) faults: Faults,
    pub(crate) requests: Vec<Request>,
    /// Answers it posted.
    pub(crate) posted: Vec<String>,
    /// How far its clock is ahead, ms.
    pub(crate) ahead_ms: u64,
    pub(crate) seen_ms: u64,
    /// Accounts of which it cannot know what is leased: a commit was applied and not heard of.
    pub(crate) in_doubt: BTreeSet<AccountId>,
    pub(crate) boot: u64,
    /// Requests of a day that nobody waits for, and whose end may still be queued.
    pub(crate) unsettled: Vec<(AccountId, u32)>,
    wallets: BTreeMap<AccountId, Weak<Wallet>>,
    killed: Arc<AtomicBool>,
}

/// A request and how far it is.
pub(crate) struct Request {
    pub(crate) id: String,
    pub(crate) caller: Arc<Caller>,
    pub(crate) worst: Worst,
    pub(crate) idempotency: Option<[u8; 32]>,
    pub(crate) now_ms: u64,
    pub(crate) stage: Stage,
}

type Later<T> = Pin<Box<dyn Future<Output = T>>>;

pub(crate) enum Stage {
    /// It waits for a lease.
    Admitting(Later<Result<Held, NotAdmitted>>),
    /// It is being answered; the day and tier it was admitted for.
    Open(Held, u32, bool),
    /// Its end waits for the charge.
    Ending(Later<Option<Settled>>, u32, bool),
}

impl Process {
    pub(crate) fn start(backing: &Backing, rules: Rules, metrics: LedgerMetrics, ahead_ms: u64) -> Self {
        let (faults, killed) = (Faults::default(), Arc::<AtomicBool>::default());
        let (store, memory) = backing.open(&killed);
        let store = Arc::new(Faulty { store, faults: faults.clone(), memory });
        let (ledger, writer) = Ledger::open_stepwise(store, rules, metrics).expect("the store opens");
        Self {
            ledger,
            writer,
            faults,
            requests: Vec::new(),
            posted: Vec::new(),
            ahead_ms,
            seen_ms: 0,
            in_doubt: BTreeSet::new(),
            boot: backing.last_boot(),
            unsettled: Vec::new(),
            wallets: BTreeMap::new(),
            killed,
        }
    }

    /// Its clock never runs backwards, whatever the world's does.
    pub(crate) fn now_ms(&mut self, world_ms: u64) -> u64 {
        self.seen_ms = self.seen_ms.max(world_ms + self.ahead_ms);
        self.seen_ms
    }

    pub(crate) fn knows(&mut self, caller: &Caller) {
        self.wallets.insert(caller.wallet.account(), Arc::downgrade(&caller.wallet));
    }

    /// Requests of funded accounts whose end is not durable for all it knows.
    pub(crate) fn unsettled(&mut self) -> Vec<(AccountId, u32)> {
        if self.writer.waiting() == 0 {
            self.unsettled.clear();
        }
        let open = self.requests.iter().filter_map(|request| match &request.stage {
            Stage::Open(_, day, true) | Stage::Ending(_, day, true) => {
                Some((request.caller.wallet.account(), *day))
            }
            _ => None,
        });
        open.chain(self.unsettled.iter().copied()).collect()
    }

    /// What its memory says is leased of an account: reserved or not.
    pub(crate) fn leased(&self, account: AccountId) -> i64 {
        let free = self.wallets.get(&account).and_then(Weak::upgrade).map_or(0, |wallet| wallet.free().get());
        free + self.reserved(account)
    }

    /// Reserved for requests that are being answered.
    pub(crate) fn reserved(&self, account: AccountId) -> i64 {
        let of_account = self.requests.iter().filter(|request| request.caller.wallet.account() == account);
        let open = of_account.map(|request| match &request.stage {
            Stage::Open(held, ..) => held.fit().amount.get(),
            _ => 0,
        });
        open.sum()
    }

    /// Its memory is gone, and nothing else.
    pub(crate) fn crash(self, backing: &Backing) {
        self.killed.store(true, Ordering::Release);
        backing.crash(self.boot);
    }
}

/// Goes on with something that waits.
pub(crate) fn poll<T>(later: &mut Later<T>) -> Option<T> {
    match later.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}
