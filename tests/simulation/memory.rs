//! The ledger in memory: a second reading of what a store has to do, small enough to be run ten thousand
//! times. `twins.rs` shows that the real one agrees with it.

mod reader;

use freeway::accounts::{AccountId, Grant, KeyId, Slice, Wish};
use freeway::money::MicroCredits;
use freeway::store::{
    AccountRecord, Charge, Credit, EntryKind, KeyRecord, NewAccount, NewKey, Op, Outcome, Reader, Refusal,
    Settle, Settled, Store, StoreError, Writer,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A rule that is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// A charge that is posted twice is charged twice.
    ChargesTwice,
    /// A charge leaves the lease as large as it was.
    KeepsLease,
    /// The leases of dead processes stay.
    NeverReaps,
    /// A cap is not looked at.
    IgnoresCap,
    /// What is leased by others is leased again.
    LeasesTwice,
    /// Requests of the day are granted beyond the limit.
    IgnoresDay,
}

#[derive(Clone, Default)]
pub(crate) struct State {
    pub(crate) accounts: BTreeMap<AccountId, AccountRecord>,
    pub(crate) keys: BTreeMap<KeyId, (KeyRecord, [u8; 32])>,
    /// By process and account.
    pub(crate) leases: BTreeMap<(u64, AccountId), Lease>,
    pub(crate) ledger: Vec<Line>,
    references: BTreeMap<String, AccountId>,
    replays: BTreeMap<(AccountId, [u8; 32]), (String, u64)>,
    revision: u64,
    alive: BTreeSet<u64>,
    boots: u64,
}

#[derive(Clone, Copy, Default)]
pub(crate) struct Lease {
    pub(crate) amount: i64,
    day: u32,
    requests: u32,
}

#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) account: AccountId,
    pub(crate) id: String,
    pub(crate) kind: EntryKind,
    /// Added to the balance.
    pub(crate) amount: i64,
    pub(crate) balance: i64,
    pub(crate) replayed: bool,
}

/// The store. Clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct Memory {
    state: Arc<Mutex<State>>,
    broken: Option<Broken>,
}

struct MemoryWriter {
    memory: Memory,
    boot: u64,
}

impl Memory {
    pub(crate) fn new(broken: Option<Broken>) -> Self {
        Self { broken, ..Self::default() }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The process that opened its writer last.
    pub(crate) fn last_boot(&self) -> u64 {
        self.state().boots
    }

    /// The process is gone, and its leases are still there.
    pub(crate) fn crash(&self, boot: u64) {
        self.state().alive.remove(&boot);
    }
}

impl Store for Memory {
    fn writer(&self) -> Result<Box<dyn Writer>, StoreError> {
        let mut state = self.state();
        state.boots += 1;
        let boot = state.boots;
        state.alive.insert(boot);
        Ok(Box::new(MemoryWriter { memory: self.clone(), boot }))
    }

    fn reader(&self) -> Result<Box<dyn Reader>, StoreError> {
        Ok(Box::new(self.clone()))
    }
}

impl Writer for MemoryWriter {
    fn apply(&mut self, ops: &[Op]) -> Result<Vec<Outcome>, StoreError> {
        let mut state = self.memory.state();
        Ok(ops.iter().map(|op| state.apply(op, self.boot, self.memory.broken)).collect())
    }

    fn reap(&mut self) -> Result<usize, StoreError> {
        let mut state = self.memory.state();
        if self.memory.broken == Some(Broken::NeverReaps) {
            return Ok(0);
        }
        let mut dead: Vec<u64> = state.leases.keys().map(|(boot, _)| *boot).collect();
        dead.retain(|boot| !state.alive.contains(boot));
        dead.dedup();
        Ok(dead.into_iter().map(|boot| state.return_all(boot)).sum())
    }
}

impl Drop for MemoryWriter {
    fn drop(&mut self) {
        let mut state = self.memory.state();
        // A crash took it out before.
        if state.alive.remove(&self.boot) {
            state.return_all(self.boot);
        }
    }
}

impl State {
    fn apply(&mut self, op: &Op, boot: u64, broken: Option<Broken>) -> Outcome {
        match op {
            Op::Lease(lease) => self.lease(&lease.wish, boot, broken),
            Op::Return(returned) => {
                self.give_back(returned.account, boot, returned.amount.get(), returned.slice)
            }
            Op::Settle(settle) => self.settle(settle, boot, broken),
            Op::CreateAccount(new) => self.create_account(new),
            Op::CreateKey(new) => self.create_key(new),
            Op::RevokeKey { key, account, at_ms } => self.revoke(*key, *account, *at_ms),
            Op::Credit(credit) => self.credit(credit),
            Op::Probe => Outcome::Done,
        }
    }

    fn lease(&mut self, wish: &Wish, boot: u64, broken: Option<Broken>) -> Outcome {
        let Some(account) = self.accounts.get_mut(&wish.account) else {
            return Outcome::Refused(Refusal::NoAccount);
        };
        let lease = self.leases.entry((boot, wish.account)).or_default();
        let spoken_for = if broken == Some(Broken::LeasesTwice) { 0 } else { account.leased.get() };
        let left = account.balance.get() - spoken_for;
        let amount = wish.want.get().min(left / 2 + left % 2).max(wish.need.get()).min(left);
        account.leased = MicroCredits::new(account.leased.get() + amount);
        lease.amount += amount;

        let (ahead, wished) = (account.day.0, wish.day);
        if wished > ahead {
            account.day = (wished, 0);
        } else if ahead > wished + 1 {
            account.day.0 = wished;
        }
        lease.turn_to(account.day.0);
        lease.give_back(account, wish.returned);
        let room = match wish.day_limit {
            Some(limit) if broken != Some(Broken::IgnoresDay) => limit.saturating_sub(account.day.1),
            _ => u32::MAX,
        };
        let requests = wish.requests.min(room);
        account.day.1 += requests;
        lease.requests += requests;
        let grant = Grant {
            amount: MicroCredits::new(amount),
            balance: account.balance,
            left: MicroCredits::new(account.balance.get() - account.leased.get()),
            day: account.day.0,
            requests,
            funded: wish.funded,
            day_used: account.day.1,
        };
        self.tidy(boot, wish.account);
        Outcome::Granted(grant)
    }

    fn give_back(&mut self, id: AccountId, boot: u64, amount: i64, slice: Slice) -> Outcome {
        let Some(account) = self.accounts.get_mut(&id) else { return Outcome::Refused(Refusal::NoAccount) };
        let lease = self.leases.entry((boot, id)).or_default();
        let amount = amount.min(lease.amount);
        lease.amount -= amount;
        account.leased = MicroCredits::new(account.leased.get() - amount);
        lease.turn_to(account.day.0);
        lease.give_back(account, slice);
        self.tidy(boot, id);
        Outcome::Done
    }

    fn settle(&mut self, settle: &Settle, boot: u64, broken: Option<Broken>) -> Outcome {
        let Some(account) = self.accounts.get_mut(&settle.account) else {
            return Outcome::Refused(Refusal::NoAccount);
        };
        let key = self.keys.get_mut(&settle.key).filter(|(key, _)| key.account == settle.account);
        let Some((key, _)) = key else { return Outcome::Refused(Refusal::NoKey) };
        let mut settled = Settled {
            charged: MicroCredits::ZERO,
            balance: account.balance,
            key_spent: key.spent,
            replayed: false,
        };
        if let Some(charge) = &settle.charge
            && broken != Some(Broken::ChargesTwice)
            && let Some(line) = self.ledger.iter().find(|line| line.id == charge.id)
        {
            settled.charged = MicroCredits::new(-line.amount);
            settled.replayed = line.replayed;
            return Outcome::Settled(settled);
        }
        let lease = self.leases.entry((boot, settle.account)).or_default();
        if lease.day == settle.day {
            lease.requests = lease.requests.saturating_sub(1);
        }
        if let Some(charge) = &settle.charge {
            let replay = charge.idempotency.and_then(|one| self.replays.get(&(settle.account, one.key)));
            let replayed = replay.is_some_and(|(_, expires_ms)| *expires_ms > at_ms(charge));
            let room = match key.cap {
                Some(cap) if broken != Some(Broken::IgnoresCap) => cap.get() - key.spent.get(),
                _ => i64::MAX,
            };
            let others = account.leased.get() - lease.amount;
            let due = if replayed { 0 } else { charge.amount.get() };
            let charged = due.min(room.max(0)).min(account.balance.get() - others);
            let of_lease = if broken == Some(Broken::KeepsLease) { 0 } else { charged.min(lease.amount) };
            lease.amount -= of_lease;
            account.leased = MicroCredits::new(account.leased.get() - of_lease);
            account.balance = MicroCredits::new(account.balance.get() - charged);
            key.spent = MicroCredits::new(key.spent.get() + charged);
            settled = Settled {
                charged: MicroCredits::new(charged),
                balance: account.balance,
                key_spent: key.spent,
                replayed,
            };
            if let Some(one) = charge.idempotency.filter(|_| !replayed) {
                self.replays.insert((settle.account, one.key), (charge.id.clone(), one.expires_ms));
            }
            let (id, balance) = (charge.id.clone(), account.balance.get());
            let (account, kind) = (settle.account, EntryKind::Charge);
            self.ledger.push(Line { account, id, kind, amount: -charged, balance, replayed });
        }
        self.tidy(boot, settle.account);
        Outcome::Settled(settled)
    }

    fn create_account(&mut self, new: &NewAccount) -> Outcome {
        let by_reference = new.reference.as_ref().and_then(|reference| self.references.get(reference));
        let known = self.accounts.get(&new.id).or(by_reference.and_then(|id| self.accounts.get(id)));
        if let Some(known) = known {
            return Outcome::Account { account: known.clone(), new: known.id == new.id };
        }
        self.references.extend(new.reference.clone().map(|reference| (reference, new.id)));
        let account = AccountRecord {
            id: new.id,
            name: new.name.clone(),
            created_ms: new.at_ms,
            balance: new.grant,
            leased: MicroCredits::ZERO,
            credited: new.grant,
            day: (0, 0),
        };
        self.accounts.insert(new.id, account.clone());
        self.revision += 1;
        if new.grant.get() > 0 {
            let (id, amount) = (format!("grant:{}", new.id), new.grant.get());
            let (account, kind, balance) = (new.id, EntryKind::Grant, amount);
            self.ledger.push(Line { account, id, kind, amount, balance, replayed: false });
        }
        if let Some(key) = &new.key {
            self.create_key(key);
        }
        Outcome::Account { account, new: true }
    }

    fn create_key(&mut self, new: &NewKey) -> Outcome {
        if !self.accounts.contains_key(&new.account) {
            return Outcome::Refused(Refusal::NoAccount);
        }
        if let Some((known, hash)) = self.keys.get(&new.id) {
            let same = known.account == new.account && hash == new.hash.as_bytes();
            return if same { Outcome::Key(known.clone()) } else { Outcome::Refused(Refusal::NoKey) };
        }
        if self.keys.values().any(|(_, hash)| hash == new.hash.as_bytes()) {
            return Outcome::Refused(Refusal::NoKey);
        }
        let key = KeyRecord {
            id: new.id,
            account: new.account,
            hint: new.hint.clone(),
            name: new.name.clone(),
            created_ms: new.at_ms,
            expires_ms: new.expires_ms,
            revoked_ms: None,
            cap: new.cap,
            spent: MicroCredits::ZERO,
        };
        self.keys.insert(new.id, (key.clone(), *new.hash.as_bytes()));
        self.revision += 1;
        Outcome::Key(key)
    }

    fn revoke(&mut self, key: KeyId, account: Option<AccountId>, at_ms: u64) -> Outcome {
        let known =
            self.keys.get_mut(&key).filter(|(key, _)| account.is_none_or(|whose| whose == key.account));
        let Some((known, _)) = known else { return Outcome::Refused(Refusal::NoKey) };
        if known.revoked_ms.is_none() {
            known.revoked_ms = Some(at_ms);
            self.revision += 1;
        }
        Outcome::Done
    }

    fn credit(&mut self, credit: &Credit) -> Outcome {
        let Some(account) = self.accounts.get_mut(&credit.account) else {
            return Outcome::Refused(Refusal::NoAccount);
        };
        let id = format!("topup:{}", credit.reference);
        if let Some(line) = self.ledger.iter().find(|line| line.id == id) {
            return match line.account == credit.account {
                true => Outcome::Credited { balance: account.balance, new: false },
                false => Outcome::Refused(Refusal::OtherAccount),
            };
        }
        let sums =
            account.balance.checked_add(credit.amount).zip(account.credited.checked_add(credit.amount));
        let Some((balance, credited)) = sums.filter(|_| credit.amount.get() > 0) else {
            return Outcome::Refused(Refusal::TooMuch);
        };
        (account.balance, account.credited) = (balance, credited);
        self.revision += 1;
        let (account, kind, amount) = (credit.account, EntryKind::TopUp, credit.amount.get());
        self.ledger.push(Line { account, id, kind, amount, balance: balance.get(), replayed: false });
        Outcome::Credited { balance, new: true }
    }

    /// Returns the leases of a process. How many there were.
    fn return_all(&mut self, boot: u64) -> usize {
        let of_boot = (boot, AccountId::new(i64::MIN))..=(boot, AccountId::new(i64::MAX));
        let leases: Vec<_> = self.leases.range(of_boot).map(|(at, lease)| (*at, *lease)).collect();
        for ((_, id), lease) in &leases {
            let account = self.accounts.get_mut(id).expect("leases are of accounts");
            account.leased = MicroCredits::new(account.leased.get() - lease.amount);
            if lease.day == account.day.0 {
                account.day.1 = account.day.1.saturating_sub(lease.requests);
            }
            self.leases.remove(&(boot, *id));
        }
        leases.len()
    }

    fn tidy(&mut self, boot: u64, account: AccountId) {
        if self.leases.get(&(boot, account)).is_some_and(|lease| lease.amount == 0 && lease.requests == 0) {
            self.leases.remove(&(boot, account));
        }
    }
}

impl Lease {
    fn turn_to(&mut self, day: u32) {
        if self.day != day {
            (self.day, self.requests) = (day, 0);
        }
    }

    fn give_back(&mut self, account: &mut AccountRecord, slice: Slice) {
        if slice.day == account.day.0 {
            let unused = slice.left.min(self.requests);
            self.requests -= unused;
            account.day.1 = account.day.1.saturating_sub(unused);
        }
    }
}

fn at_ms(charge: &Charge) -> u64 {
    charge.created_ms + u64::from(charge.took_ms)
}
