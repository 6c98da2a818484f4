//! Who pays: API keys, the accounts behind them, and what requests reserve of their credits.
//!
//! The store holds balances. A process *leases* a slice of one durably and *reserves* from it in memory, so
//! that a request waits for no disk; what it used is *posted* durably before its answer ends. A process
//! that dies leaves a lease behind, which returns whole: its unfinished requests were never charged.
//!
//! Everything here is synchronous and takes the time as an argument; `ledger` moves it.

mod admission;
mod budget;
mod id;
mod key;
mod reservation;
mod rules;
mod sizing;
mod tier;
mod wallet;

pub use admission::{Exhausted, Refused, Step, Wish, ahead, step};
pub use budget::Budget;
pub use id::{AccountId, BadId, BootId, KeyId};
pub use key::{ApiKey, KeyHash};
pub use reservation::Reservation;
pub use rules::Rules;
pub use sizing::{Fit, Unaffordable, Worst};
pub use tier::{Cells, Tiers};
pub use wallet::{Grant, Slice, Wallet};

use crate::money::MicroCredits;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// Keys remembered at most; beyond, all are forgotten and looked up again.
const MAX_CALLERS: usize = 100_000;
/// Neighbouring requests seldom want the same part of the map.
const SHARDS: usize = 16;

/// Whoever presents a key.
#[derive(Debug)]
pub struct Caller {
    /// The key's id.
    pub key: KeyId,
    /// When the key ends, Unix ms.
    pub expires_ms: Option<u64>,
    /// What the key may spend.
    pub budget: Arc<Budget>,
    /// What its account has.
    pub wallet: Arc<Wallet>,
    /// The store's revision when it was looked up.
    revision: u64,
}

/// What the store says of a valid key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownKey {
    /// The key's id.
    pub key: KeyId,
    /// Its account.
    pub account: AccountId,
    /// The account's posted balance.
    pub balance: MicroCredits,
    /// When the key ends, Unix ms.
    pub expires_ms: Option<u64>,
    /// The most it may spend.
    pub cap: Option<MicroCredits>,
    /// What it has spent.
    pub spent: MicroCredits,
}

/// The callers and accounts this process knows.
#[derive(Debug, Default)]
pub struct Accounts {
    callers: [RwLock<HashMap<KeyHash, Arc<Caller>>>; SHARDS],
    wallets: RwLock<HashMap<AccountId, Arc<Wallet>>>,
    /// Counts what was changed in the store by hand: keys, caps, top-ups.
    revision: AtomicU64,
}

impl Accounts {
    /// The caller with this key, unless the store has changed since it was looked up.
    pub fn find(&self, hash: &KeyHash) -> Option<Arc<Caller>> {
        let caller = self.shard(hash).read().unwrap_or_else(PoisonError::into_inner).get(hash).cloned()?;
        (caller.revision == self.revision.load(Ordering::Acquire)).then_some(caller)
    }

    /// Remembers what the store said of a key at `revision`.
    pub fn remember(&self, hash: &KeyHash, known: &KnownKey, revision: u64, now_ms: u64) -> Arc<Caller> {
        let wallet = self.wallet(known.account, known.balance, now_ms);
        let mut shard = self.shard(hash).write().unwrap_or_else(PoisonError::into_inner);
        let before = shard.get(hash).filter(|caller| caller.key == known.key);
        let budget = match before {
            Some(caller) => {
                caller.budget.heard(known.cap, known.spent);
                Arc::clone(&caller.budget)
            }
            None => Arc::new(Budget::new(known.cap, known.spent)),
        };
        let (key, expires_ms) = (known.key, known.expires_ms);
        let caller = Arc::new(Caller { key, expires_ms, budget, wallet, revision });
        if shard.len() >= MAX_CALLERS / SHARDS {
            shard.retain(|_, caller| Arc::strong_count(caller) > 1);
        }
        shard.insert(*hash, Arc::clone(&caller));
        caller
    }

    /// Forgets a key that is none any more.
    pub fn forget(&self, hash: &KeyHash) {
        self.shard(hash).write().unwrap_or_else(PoisonError::into_inner).remove(hash);
    }

    /// The store is at `revision`; callers looked up before are looked up again.
    pub fn is_at(&self, revision: u64) {
        self.revision.fetch_max(revision, Ordering::AcqRel);
    }

    /// The store's revision as last heard.
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// The wallet of an account, if it is known here.
    pub fn known(&self, account: AccountId) -> Option<Arc<Wallet>> {
        self.wallets.read().unwrap_or_else(PoisonError::into_inner).get(&account).cloned()
    }

    /// All wallets.
    pub fn wallets(&self) -> Vec<Arc<Wallet>> {
        self.wallets.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Forgets accounts, and keys of them, that nobody has used since `before_ms` and that hold no lease.
    pub fn forget_idle(&self, before_ms: u64) {
        let idle = |wallet: &Wallet| wallet.is_idle(before_ms) && wallet.is_empty();
        for shard in &self.callers {
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            shard.retain(|_, caller| Arc::strong_count(caller) > 1 || !idle(&caller.wallet));
        }
        // Whoever may still lease through it holds a reference.
        let mut wallets = self.wallets.write().unwrap_or_else(PoisonError::into_inner);
        wallets.retain(|_, wallet| Arc::strong_count(wallet) > 1 || !idle(wallet));
    }

    fn wallet(&self, account: AccountId, balance: MicroCredits, now_ms: u64) -> Arc<Wallet> {
        let mut wallets = self.wallets.write().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Wallet::new(account, balance, now_ms));
        let wallet = Arc::clone(wallets.entry(account).or_insert_with(new));
        wallet.heard_balance(balance);
        wallet
    }

    fn shard(&self, hash: &KeyHash) -> &RwLock<HashMap<KeyHash, Arc<Caller>>> {
        &self.callers[usize::from(hash.as_bytes()[0]) % SHARDS]
    }
}
