//! Connections that only look things up.

use super::{connection, rows, verify};
use crate::accounts::{AccountId, KeyHash, KeyId, KnownKey};
use crate::money::MicroCredits;
use crate::store::{
    AccountRecord, ActivityRow, Ended, Entry, Generation, KeyRecord, Reader, Receipt, StoreError,
    Verification,
};
use rusqlite::{Connection, OptionalExtension, Params, Row, params};
use std::path::Path;

pub(super) struct SqliteReader(Connection);

impl SqliteReader {
    pub(super) fn open(folder: &Path) -> Result<Self, StoreError> {
        Ok(Self(connection::reader(folder)?))
    }

    fn one<T>(
        &self,
        sql: &str,
        parameters: impl Params,
        row: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        Ok(self.0.prepare_cached(sql)?.query_row(parameters, row).optional()?)
    }

    fn all<T>(
        &self,
        sql: &str,
        parameters: impl Params,
        row: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let mut select = self.0.prepare_cached(sql)?;
        let found = select.query_map(parameters, row)?.collect::<rusqlite::Result<_>>()?;
        Ok(found)
    }
}

fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

impl Reader for SqliteReader {
    fn key(&mut self, hash: &KeyHash, now_ms: u64) -> Result<Option<KnownKey>, StoreError> {
        let sql = "SELECT k.id AS key, k.account, a.balance, k.expires_ms, k.cap, k.spent \
                   FROM keys AS k JOIN accounts AS a ON a.id = k.account WHERE k.hash = ?1 \
                   AND k.revoked_ms IS NULL AND (k.expires_ms IS NULL OR k.expires_ms > ?2)";
        self.one(sql, params![hash.as_bytes(), rows::to_ms(now_ms)], |row| {
            Ok(KnownKey {
                key: KeyId::new(row.get("key")?),
                account: AccountId::new(row.get("account")?),
                balance: rows::amount(row, "balance")?,
                expires_ms: rows::optional_ms(row, "expires_ms")?,
                cap: row.get::<_, Option<i64>>("cap")?.map(MicroCredits::new),
                spent: rows::amount(row, "spent")?,
            })
        })
    }

    fn revision(&mut self) -> Result<u64, StoreError> {
        let revision = self.one("SELECT revision FROM meta", [], |row| row.get::<_, i64>(0))?;
        Ok(revision.unwrap_or_default().unsigned_abs())
    }

    fn account(&mut self, account: AccountId) -> Result<Option<AccountRecord>, StoreError> {
        self.one("SELECT * FROM accounts WHERE id = ?1", [account.get()], rows::account)
    }

    fn account_by_reference(&mut self, reference: &str) -> Result<Option<AccountRecord>, StoreError> {
        self.one("SELECT * FROM accounts WHERE reference = ?1", [reference], rows::account)
    }

    fn accounts(&mut self, after: Option<AccountId>, limit: usize) -> Result<Vec<AccountRecord>, StoreError> {
        let sql = "SELECT * FROM accounts WHERE id > ?1 ORDER BY id LIMIT ?2";
        // No id is negative.
        self.all(sql, [after.map_or(-1, AccountId::get), count(limit)], rows::account)
    }

    fn keys(&mut self, account: AccountId) -> Result<Vec<KeyRecord>, StoreError> {
        self.all("SELECT * FROM keys WHERE account = ?1 ORDER BY created_ms, id", [account.get()], rows::key)
    }

    fn generation(&mut self, account: AccountId, id: &str) -> Result<Option<Generation>, StoreError> {
        let sql = "SELECT * FROM ledger WHERE id = ?1 AND account = ?2 AND kind = 'charge'";
        self.one(sql, params![id, account.get()], rows::generation)
    }

    fn entries(
        &mut self,
        account: AccountId,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let sql = "SELECT * FROM ledger INDEXED BY ledger_of_account \
                   WHERE account = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3";
        self.all(sql, [account.get(), before.unwrap_or(i64::MAX), count(limit)], rows::entry)
    }

    fn activity(
        &mut self,
        account: AccountId,
        from_ms: u64,
        to_ms: u64,
    ) -> Result<Vec<ActivityRow>, StoreError> {
        let sql = "SELECT at_ms / 86400000 AS day, model, provider, count(*) AS requests, \
                   sum(prompt_tokens) AS prompt_tokens, sum(completion_tokens) AS completion_tokens, \
                   sum(reasoning_tokens) AS reasoning_tokens, sum(cached_tokens) AS cached_tokens, \
                   -sum(amount) AS charged FROM ledger \
                   WHERE account = ?1 AND kind = 'charge' AND at_ms >= ?2 AND at_ms < ?3 \
                   GROUP BY day, model, provider ORDER BY day, model, provider";
        self.all(sql, [account.get(), rows::to_ms(from_ms), rows::to_ms(to_ms)], |row| {
            let sum = |column: &str| row.get::<_, i64>(column).map(i64::unsigned_abs);
            Ok(ActivityRow {
                day: row.get("day")?,
                model: row.get("model")?,
                provider: row.get("provider")?,
                requests: sum("requests")?,
                prompt_tokens: sum("prompt_tokens")?,
                completion_tokens: sum("completion_tokens")?,
                reasoning_tokens: sum("reasoning_tokens")?,
                cached_tokens: sum("cached_tokens")?,
                charged: rows::amount(row, "charged")?,
            })
        })
    }

    fn spent_by_key(
        &mut self,
        account: AccountId,
        since_ms: [u64; 3],
    ) -> Result<Vec<(KeyId, [MicroCredits; 3])>, StoreError> {
        let sql = "SELECT key, sum(iif(at_ms >= ?2, -amount, 0)) AS first, \
                   sum(iif(at_ms >= ?3, -amount, 0)) AS second, sum(iif(at_ms >= ?4, -amount, 0)) AS third \
                   FROM ledger WHERE account = ?1 AND kind = 'charge' AND at_ms >= min(?2, ?3, ?4) \
                   GROUP BY key ORDER BY key";
        let [first, second, third] = since_ms.map(rows::to_ms);
        self.all(sql, [account.get(), first, second, third], |row| {
            let sum = |column| rows::amount(row, column);
            Ok((KeyId::new(row.get("key")?), [sum("first")?, sum("second")?, sum("third")?]))
        })
    }

    fn receipt(
        &mut self,
        account: AccountId,
        key: &[u8; 32],
        now_ms: u64,
    ) -> Result<Option<Receipt>, StoreError> {
        let sql = "SELECT l.*, i.body FROM idempotency AS i JOIN ledger AS l ON l.id = i.entry \
                   WHERE i.account = ?1 AND i.key = ?2 AND i.expires_ms > ?3";
        self.one(sql, params![account.get(), key, rows::to_ms(now_ms)], |row| {
            Ok(Receipt {
                id: row.get("id")?,
                body: row.get("body")?,
                usage: rows::usage(row)?,
                charged: MicroCredits::new(-row.get::<_, i64>("amount")?),
                partial: rows::ended(row)? == Ended::Client,
            })
        })
    }

    fn verify(&mut self, progress: &mut dyn FnMut(u64)) -> Result<Verification, StoreError> {
        verify::verify(&mut self.0, progress)
    }
}
