//! Settling requests: the one thing that happens all the time.

use super::batch::Batch;
use super::rows;
use crate::money::MicroCredits;
use crate::store::book;
use crate::store::{Charge, Idempotency, Outcome, Refusal, Settle, Settled, StoreError};
use rusqlite::{OptionalExtension, params};

impl Batch<'_> {
    pub(super) fn settle(&mut self, settle: &Settle) -> Result<Outcome, StoreError> {
        if !self.load(settle.account)? {
            return Ok(Outcome::Refused(Refusal::NoAccount));
        }
        if !self.load_key(settle.key, settle.account)? {
            return Ok(Outcome::Refused(Refusal::NoKey));
        }
        let Some(charge) = &settle.charge else {
            let (_, leased) = self.account(settle.account);
            leased.use_request(settle.day);
            return Ok(self.settled(settle, MicroCredits::ZERO, false));
        };
        let replayed = match &charge.idempotency {
            Some(idempotency) => self.is_replay(settle, charge, idempotency)?,
            None => false,
        };
        let (mut funds, mut leased) = {
            let (funds, leased) = self.account(settle.account);
            (*funds, *leased)
        };
        let key = self.keys.get(settle.key.get()).expect("loaded above");
        let mut spending = *key;
        let due = if replayed { 0 } else { charge.amount.get().max(0) };
        let charged = book::charge(&mut funds, &mut leased, &mut spending, due);
        if !self.enter(settle, charge, charged, funds.balance)? {
            // It was settled before: nothing happens again.
            let (charged, replayed) = self.entered(charge)?;
            return Ok(self.settled(settle, charged, replayed));
        }
        leased.use_request(settle.day);
        *self.keys.get(settle.key.get()).expect("loaded above") = spending;
        let account = self.account(settle.account);
        (*account.0, *account.1) = (funds, leased);
        if let Some(idempotency) = charge.idempotency.as_ref().filter(|_| !replayed) {
            self.remember(settle, charge, idempotency)?;
        }
        Ok(self.settled(settle, MicroCredits::new(charged), replayed))
    }

    /// What a settlement came to, with the figures as they are now.
    fn settled(&mut self, settle: &Settle, charged: MicroCredits, replayed: bool) -> Outcome {
        let spent = self.keys.get(settle.key.get()).map_or(0, |key| key.spent);
        let (funds, _) = self.account(settle.account);
        Outcome::Settled(Settled {
            charged,
            balance: MicroCredits::new(funds.balance),
            key_spent: MicroCredits::new(spent),
            replayed,
        })
    }

    /// Adds the entry. `false`: there is one with this id.
    fn enter(
        &mut self,
        settle: &Settle,
        charge: &Charge,
        charged: i64,
        balance: i64,
    ) -> Result<bool, StoreError> {
        let due = charge.amount.get().max(0);
        let absorbed = charge.absorbed.get().max(0).saturating_add(due - charged);
        let added = self.insert.execute(params![
            settle.account.get(),
            settle.key.get(),
            "charge",
            -charged,
            balance,
            rows::to_ms(at_ms(charge)),
            charge.id,
            absorbed,
            charge.usage.prompt_tokens,
            charge.usage.completion_tokens,
            charge.usage.cached_tokens,
            charge.usage.reasoning_tokens,
            charge.source.name(),
            charge.ended.name(),
            charge.reason,
            charge.model,
            charge.provider,
            charge.streamed,
            rows::to_ms(charge.created_ms),
            charge.first_token_ms,
            charge.took_ms,
        ])?;
        Ok(added == 1)
    }

    /// What an entry that is there charged, and whether its idempotency key was another's.
    fn entered(&self, charge: &Charge) -> Result<(MicroCredits, bool), StoreError> {
        let mut select = self.connection.prepare_cached(
            "SELECT -l.amount, i.entry IS NOT NULL AND i.entry <> l.id FROM ledger AS l \
             LEFT JOIN idempotency AS i ON i.account = l.account AND i.key = ?2 WHERE l.id = ?1",
        )?;
        let key = charge.idempotency.map(|idempotency| idempotency.key);
        let row = select.query_row(params![charge.id, key], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok((MicroCredits::new(row.0), row.1))
    }

    /// Whether another entry was charged under the idempotency key, and is remembered.
    fn is_replay(
        &self,
        settle: &Settle,
        charge: &Charge,
        idempotency: &Idempotency,
    ) -> Result<bool, StoreError> {
        let mut select = self.connection.prepare_cached(
            "SELECT 1 FROM idempotency WHERE account = ?1 AND key = ?2 AND entry <> ?3 AND expires_ms > ?4",
        )?;
        let parameters =
            params![settle.account.get(), idempotency.key, charge.id, rows::to_ms(at_ms(charge))];
        Ok(select.query_row(parameters, |_| Ok(())).optional()?.is_some())
    }

    fn remember(
        &mut self,
        settle: &Settle,
        charge: &Charge,
        idempotency: &Idempotency,
    ) -> Result<(), StoreError> {
        let mut upsert = self.connection.prepare_cached(
            "INSERT INTO idempotency (account, key, body, entry, expires_ms) VALUES (?1, ?2, ?3, ?4, ?5) \
             ON CONFLICT (account, key) DO UPDATE SET \
             body = excluded.body, entry = excluded.entry, expires_ms = excluded.expires_ms",
        )?;
        upsert.execute(params![
            settle.account.get(),
            idempotency.key,
            idempotency.body,
            charge.id,
            rows::to_ms(idempotency.expires_ms),
        ])?;
        let (added, latest_ms) = self.remembered.unwrap_or_default();
        self.remembered = Some((added + 1, latest_ms.max(at_ms(charge))));
        Ok(())
    }
}

/// When a charge is posted: when its answer ended.
fn at_ms(charge: &Charge) -> u64 {
    charge.created_ms.saturating_add(charge.took_ms.into())
}
