//! The rows a transaction works on: read when first needed, changed in memory, written back once.

use super::rows;
use crate::accounts::{AccountId, BootId, KeyId};
use crate::store::book::{self, Funds, Leased, Spending};
use crate::store::{Op, Outcome, Refusal, StoreError};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, params};
use std::collections::HashMap;

/// One transaction's view. Whatever it has changed is in the file after [`Batch::write_back`].
pub(super) struct Batch<'c> {
    pub(super) connection: &'c Connection,
    pub(super) insert: CachedStatement<'c>,
    pub(super) funds: Rows<Funds>,
    pub(super) leases: Rows<Leased>,
    pub(super) keys: Rows<Spending>,
    boot: BootId,
    /// Accounts, keys, caps or credits were changed by hand.
    pub(super) by_hand: bool,
    probes: bool,
    /// Idempotency keys added, and the time of the latest charge that had one.
    pub(super) remembered: Option<(usize, u64)>,
}

/// Rows by id; `None` for those that are not there.
pub(super) struct Rows<T>(HashMap<i64, Option<Kept<T>>>);

/// A row as it is, and as it is stored.
struct Kept<T> {
    now: T,
    stored: T,
}

impl<T: Copy + PartialEq> Rows<T> {
    fn new() -> Self {
        Self(HashMap::new())
    }

    fn is_known(&self, id: i64) -> bool {
        self.0.contains_key(&id)
    }

    fn put(&mut self, id: i64, row: Option<T>) {
        self.0.insert(id, row.map(|row| Kept { now: row, stored: row }));
    }

    /// The row is looked for again when it is next needed.
    pub(super) fn forget(&mut self, id: i64) {
        self.0.remove(&id);
    }

    pub(super) fn get(&mut self, id: i64) -> Option<&mut T> {
        Some(&mut self.0.get_mut(&id)?.as_mut()?.now)
    }

    /// Those that are no longer as they are stored.
    fn changed(&self) -> impl Iterator<Item = (i64, T)> {
        let rows = self.0.iter().filter_map(|(id, kept)| Some((*id, kept.as_ref()?)));
        rows.filter(|(_, kept)| kept.now != kept.stored).map(|(id, kept)| (id, kept.now))
    }
}

impl<'c> Batch<'c> {
    pub(super) fn new(connection: &'c Connection, boot: BootId) -> Result<Self, StoreError> {
        Ok(Self {
            connection,
            insert: connection.prepare_cached(rows::INSERT_ENTRY)?,
            funds: Rows::new(),
            leases: Rows::new(),
            keys: Rows::new(),
            boot,
            by_hand: false,
            probes: false,
            remembered: None,
        })
    }

    /// Applies one operation. Whatever is refused has changed nothing.
    pub(super) fn apply(&mut self, op: &Op) -> Result<Outcome, StoreError> {
        match op {
            Op::Lease(lease) => self.lease(&lease.wish),
            Op::Return(returned) => {
                if !self.load(returned.account)? {
                    return Ok(Outcome::Refused(Refusal::NoAccount));
                }
                let (funds, leased) = self.account(returned.account);
                book::give_back(funds, leased, returned.amount, returned.slice);
                Ok(Outcome::Done)
            }
            Op::Settle(settle) => self.settle(settle),
            Op::CreateAccount(new) => self.create_account(new),
            Op::CreateKey(new) => self.create_key(new),
            Op::RevokeKey { key, account, at_ms } => self.revoke_key(*key, *account, *at_ms),
            Op::Credit(credit) => self.credit(credit),
            Op::Probe => {
                self.probes = true;
                Ok(Outcome::Done)
            }
        }
    }

    fn lease(&mut self, wish: &crate::accounts::Wish) -> Result<Outcome, StoreError> {
        if !self.load(wish.account)? {
            return Ok(Outcome::Refused(Refusal::NoAccount));
        }
        let (funds, leased) = self.account(wish.account);
        Ok(Outcome::Granted(book::lease(funds, leased, wish)))
    }

    /// Reads an account and this process's lease of it. `false`: there is no such account.
    pub(super) fn load(&mut self, account: AccountId) -> Result<bool, StoreError> {
        let id = account.get();
        if !self.funds.is_known(id) {
            let funds = self.find("SELECT * FROM accounts WHERE id = ?1", id, rows::funds)?;
            self.funds.put(id, funds);
        }
        if !self.leases.is_known(id) {
            let mut select =
                self.connection.prepare_cached("SELECT * FROM leases WHERE boot = ?1 AND account = ?2")?;
            let leased = select.query_row([self.boot.get(), id], rows::leased).optional()?;
            self.leases.put(id, Some(leased.unwrap_or_default()));
        }
        Ok(self.funds.get(id).is_some())
    }

    /// An account that was loaded, and this process's lease of it.
    pub(super) fn account(&mut self, account: AccountId) -> (&mut Funds, &mut Leased) {
        let funds = self.funds.get(account.get()).expect("loaded before");
        (funds, self.leases.get(account.get()).expect("loaded with its account"))
    }

    /// Reads a key of an account. `false`: there is none.
    pub(super) fn load_key(&mut self, key: KeyId, account: AccountId) -> Result<bool, StoreError> {
        if !self.keys.is_known(key.get()) {
            let spending = self.find("SELECT * FROM keys WHERE id = ?1", key.get(), rows::spending)?;
            self.keys.put(key.get(), spending);
        }
        Ok(self.keys.get(key.get()).is_some_and(|key| key.account == account.get()))
    }

    fn find<T>(
        &self,
        sql: &str,
        id: i64,
        row: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        Ok(self.connection.prepare_cached(sql)?.query_row([id], row).optional()?)
    }

    /// Writes what has changed; nothing where nothing has.
    pub(super) fn write_back(&self) -> Result<(), StoreError> {
        for (id, funds) in self.funds.changed() {
            let mut update = self.connection.prepare_cached(
                "UPDATE accounts SET balance = ?2, leased = ?3, credited = ?4, day = ?5, day_used = ?6 WHERE id = ?1",
            )?;
            update.execute(params![
                id,
                funds.balance,
                funds.leased,
                funds.credited,
                funds.day,
                funds.day_used
            ])?;
        }
        for (id, leased) in self.leases.changed() {
            self.write_lease(id, &leased)?;
        }
        for (id, key) in self.keys.changed() {
            let mut update = self.connection.prepare_cached("UPDATE keys SET spent = ?2 WHERE id = ?1")?;
            update.execute([id, key.spent])?;
        }
        if let Some((added, now_ms)) = self.remembered {
            self.forget_expired(added, now_ms)?;
        }
        if self.by_hand {
            self.connection.execute("UPDATE meta SET revision = revision + 1", [])?;
        }
        if self.probes {
            self.connection.execute("UPDATE meta SET probed = probed + 1", [])?;
        }
        Ok(())
    }

    fn write_lease(&self, account: i64, leased: &Leased) -> Result<(), StoreError> {
        let boot = self.boot.get();
        if leased.is_empty() {
            let sql = "DELETE FROM leases WHERE boot = ?1 AND account = ?2";
            self.connection.prepare_cached(sql)?.execute([boot, account])?;
            return Ok(());
        }
        let mut upsert = self.connection.prepare_cached(
            "INSERT INTO leases (boot, account, amount, day, requests) VALUES (?1, ?2, ?3, ?4, ?5) \
             ON CONFLICT (boot, account) DO UPDATE SET \
             amount = excluded.amount, day = excluded.day, requests = excluded.requests",
        )?;
        upsert.execute(params![boot, account, leased.amount, leased.day, leased.requests])?;
        Ok(())
    }

    /// Forgets more expired idempotency keys than were added, so that they never pile up, and not many more,
    /// so that no batch is slow because of them.
    fn forget_expired(&self, added: usize, now_ms: u64) -> Result<(), StoreError> {
        let mut delete = self.connection.prepare_cached(
            "DELETE FROM idempotency WHERE (account, key) IN (SELECT account, key FROM idempotency \
             WHERE expires_ms <= ?1 ORDER BY expires_ms LIMIT ?2)",
        )?;
        let most = i64::try_from(2 * added + 1).unwrap_or(i64::MAX);
        delete.execute([rows::to_ms(now_ms), most])?;
        Ok(())
    }
}
