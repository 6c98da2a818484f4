//! What is changed by hand: accounts, keys, top-ups. Seldom, so nothing here is in a hurry.

use super::batch::Batch;
use super::rows;
use crate::accounts::{AccountId, KeyId};
use crate::money::MicroCredits;
use crate::store::{Credit, EntryKind, NewAccount, NewKey, Outcome, Refusal, StoreError};
use rusqlite::{OptionalExtension, params};

impl Batch<'_> {
    pub(super) fn create_account(&mut self, new: &NewAccount) -> Result<Outcome, StoreError> {
        // Ids are random: an account with this one is this one, applied again.
        let mut select =
            self.connection.prepare_cached("SELECT id FROM accounts WHERE id = ?1 OR reference = ?2")?;
        let known = select.query_row(params![new.id.get(), new.reference], |row| row.get(0)).optional()?;
        drop(select);
        if let Some(id) = known {
            return self.opened(AccountId::new(id), id == new.id.get());
        }
        if let Some(key) = &new.key
            && self.is_taken(key)?
        {
            return Ok(Outcome::Refused(Refusal::NoKey));
        }
        let grant = new.grant.get().max(0);
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO accounts (id, name, reference, created_ms, balance, leased, credited, day, day_used) \
             VALUES (?1, ?2, ?3, ?4, ?5, 0, ?5, 0, 0)",
        )?;
        insert.execute(params![new.id.get(), new.name, new.reference, rows::to_ms(new.at_ms), grant])?;
        drop(insert);
        self.funds.forget(new.id.get());
        if grant > 0 {
            let id = format!("grant:{}", new.id);
            self.enter_credit(new.id, EntryKind::Grant, &id, grant, grant, new.at_ms)?;
        }
        if let Some(key) = &new.key {
            self.add_key(new.id, key)?;
        }
        self.by_hand = true;
        self.opened(new.id, true)
    }

    fn opened(&mut self, id: AccountId, new: bool) -> Result<Outcome, StoreError> {
        let mut account = self
            .connection
            .prepare_cached("SELECT * FROM accounts WHERE id = ?1")?
            .query_row([id.get()], rows::account)?;
        // Its figures may have changed within the batch.
        self.load(id)?;
        let (funds, _) = self.account(id);
        account.balance = MicroCredits::new(funds.balance);
        account.leased = MicroCredits::new(funds.leased);
        account.credited = MicroCredits::new(funds.credited);
        account.day = (funds.day, funds.day_used);
        Ok(Outcome::Account { account, new })
    }

    pub(super) fn create_key(&mut self, new: &NewKey) -> Result<Outcome, StoreError> {
        if !self.load(new.account)? {
            return Ok(Outcome::Refused(Refusal::NoAccount));
        }
        if self.is_taken(new)? {
            // Ids are random: a key with this id and hash is this one, applied again.
            let mut select = self
                .connection
                .prepare_cached("SELECT * FROM keys WHERE id = ?1 AND account = ?2 AND hash = ?3")?;
            let parameters = params![new.id.get(), new.account.get(), new.hash.as_bytes()];
            let known = select.query_row(parameters, rows::key).optional()?;
            return Ok(known.map_or(Outcome::Refused(Refusal::NoKey), Outcome::Key));
        }
        self.add_key(new.account, new)?;
        self.by_hand = true;
        let mut select = self.connection.prepare_cached("SELECT * FROM keys WHERE id = ?1")?;
        Ok(Outcome::Key(select.query_row([new.id.get()], rows::key)?))
    }

    fn is_taken(&self, key: &NewKey) -> Result<bool, StoreError> {
        let mut select = self.connection.prepare_cached("SELECT 1 FROM keys WHERE id = ?1 OR hash = ?2")?;
        Ok(select.exists(params![key.id.get(), key.hash.as_bytes()])?)
    }

    fn add_key(&mut self, account: AccountId, key: &NewKey) -> Result<(), StoreError> {
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO keys (id, account, hash, hint, name, created_ms, expires_ms, cap, spent) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0)",
        )?;
        insert.execute(params![
            key.id.get(),
            account.get(),
            key.hash.as_bytes(),
            key.hint,
            key.name,
            rows::to_ms(key.at_ms),
            key.expires_ms.map(rows::to_ms),
            key.cap.map(MicroCredits::get),
        ])?;
        self.keys.forget(key.id.get());
        Ok(())
    }

    pub(super) fn revoke_key(
        &mut self,
        key: KeyId,
        account: Option<AccountId>,
        at_ms: u64,
    ) -> Result<Outcome, StoreError> {
        let whose = account.map(AccountId::get);
        let mut select = self.connection.prepare_cached(
            "SELECT revoked_ms IS NOT NULL FROM keys WHERE id = ?1 AND (?2 IS NULL OR account = ?2)",
        )?;
        let revoked = select.query_row(params![key.get(), whose], |row| row.get(0)).optional()?;
        match revoked {
            None => return Ok(Outcome::Refused(Refusal::NoKey)),
            Some(true) => return Ok(Outcome::Done),
            Some(false) => {}
        }
        let mut update = self.connection.prepare_cached("UPDATE keys SET revoked_ms = ?2 WHERE id = ?1")?;
        update.execute([key.get(), rows::to_ms(at_ms)])?;
        self.by_hand = true;
        Ok(Outcome::Done)
    }

    pub(super) fn credit(&mut self, credit: &Credit) -> Result<Outcome, StoreError> {
        if !self.load(credit.account)? {
            return Ok(Outcome::Refused(Refusal::NoAccount));
        }
        let id = format!("{}{}", rows::TOP_UP, credit.reference);
        let mut select = self.connection.prepare_cached("SELECT account FROM ledger WHERE id = ?1")?;
        let whose: Option<i64> = select.query_row([&id], |row| row.get(0)).optional()?;
        drop(select);
        let (funds, _) = self.account(credit.account);
        if let Some(whose) = whose {
            let balance = MicroCredits::new(funds.balance);
            let ours = whose == credit.account.get();
            return Ok(if ours {
                Outcome::Credited { balance, new: false }
            } else {
                Outcome::Refused(Refusal::OtherAccount)
            });
        }
        let amount = credit.amount.get();
        if amount <= 0 || !funds.credit(amount) {
            return Ok(Outcome::Refused(Refusal::TooMuch));
        }
        let balance = funds.balance;
        self.enter_credit(credit.account, EntryKind::TopUp, &id, amount, balance, credit.at_ms)?;
        self.by_hand = true;
        Ok(Outcome::Credited { balance: MicroCredits::new(balance), new: true })
    }

    fn enter_credit(
        &self,
        account: AccountId,
        kind: EntryKind,
        id: &str,
        amount: i64,
        balance: i64,
        at_ms: u64,
    ) -> Result<(), StoreError> {
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO ledger (account, kind, amount, balance_after, at_ms, id) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        insert.execute(params![account.get(), kind.name(), amount, balance, rows::to_ms(at_ms), id])?;
        Ok(())
    }
}
