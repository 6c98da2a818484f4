//! Rows as records. Columns are named, so that the order of a table does not matter.

use crate::accounts::{AccountId, KeyId};
use crate::money::MicroCredits;
use crate::protocol::usage::{Usage, UsageSource};
use crate::store::book::{Funds, Leased, Spending};
use crate::store::{AccountRecord, Ended, Entry, EntryKind, Generation, KeyRecord};
use rusqlite::types::Type;
use rusqlite::{Error, Result, Row};

/// Begins the ids of top-ups; the rest is the payment's own.
pub(super) const TOP_UP: &str = "topup:";

/// Adds the entry of a charge, unless there is one with its id.
pub(super) const INSERT_ENTRY: &str = "INSERT INTO ledger (account, key, kind, amount, balance_after, at_ms, id, \
     absorbed, prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens, source, ended, reason, model, \
     provider, streamed, created_ms, first_token_ms, took_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, \
     ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21) ON CONFLICT (id) DO NOTHING";

/// A time as a column holds it.
pub(super) fn to_ms(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

fn ms(row: &Row<'_>, column: &str) -> Result<u64> {
    Ok(row.get::<_, i64>(column)?.unsigned_abs())
}

pub(super) fn optional_ms(row: &Row<'_>, column: &str) -> Result<Option<u64>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(i64::unsigned_abs))
}

pub(super) fn amount(row: &Row<'_>, column: &str) -> Result<MicroCredits> {
    Ok(MicroCredits::new(row.get(column)?))
}

pub(super) fn funds(row: &Row<'_>) -> Result<Funds> {
    Ok(Funds {
        balance: row.get("balance")?,
        leased: row.get("leased")?,
        credited: row.get("credited")?,
        day: row.get("day")?,
        day_used: row.get("day_used")?,
    })
}

pub(super) fn leased(row: &Row<'_>) -> Result<Leased> {
    Ok(Leased { amount: row.get("amount")?, day: row.get("day")?, requests: row.get("requests")? })
}

pub(super) fn spending(row: &Row<'_>) -> Result<Spending> {
    Ok(Spending { account: row.get("account")?, cap: row.get("cap")?, spent: row.get("spent")? })
}

pub(super) fn account(row: &Row<'_>) -> Result<AccountRecord> {
    let funds = funds(row)?;
    Ok(AccountRecord {
        id: AccountId::new(row.get("id")?),
        name: row.get("name")?,
        created_ms: ms(row, "created_ms")?,
        balance: MicroCredits::new(funds.balance),
        leased: MicroCredits::new(funds.leased),
        credited: MicroCredits::new(funds.credited),
        day: (funds.day, funds.day_used),
    })
}

pub(super) fn key(row: &Row<'_>) -> Result<KeyRecord> {
    Ok(KeyRecord {
        id: KeyId::new(row.get("id")?),
        account: AccountId::new(row.get("account")?),
        hint: row.get("hint")?,
        name: row.get("name")?,
        created_ms: ms(row, "created_ms")?,
        expires_ms: optional_ms(row, "expires_ms")?,
        revoked_ms: optional_ms(row, "revoked_ms")?,
        cap: row.get::<_, Option<i64>>("cap")?.map(MicroCredits::new),
        spent: amount(row, "spent")?,
    })
}

pub(super) fn usage(row: &Row<'_>) -> Result<Usage> {
    Ok(Usage {
        prompt_tokens: row.get("prompt_tokens")?,
        completion_tokens: row.get("completion_tokens")?,
        cached_tokens: row.get("cached_tokens")?,
        reasoning_tokens: row.get("reasoning_tokens")?,
    })
}

pub(super) fn ended(row: &Row<'_>) -> Result<Ended> {
    named(row, "ended", Ended::of)
}

pub(super) fn generation(row: &Row<'_>) -> Result<Generation> {
    let sources = [UsageSource::Reported, UsageSource::Estimated];
    Ok(Generation {
        id: row.get("id")?,
        key: KeyId::new(row.get("key")?),
        model: row.get("model")?,
        provider: row.get("provider")?,
        usage: usage(row)?,
        source: named(row, "source", |name| sources.into_iter().find(|source| source.name() == name))?,
        charged: MicroCredits::new(-row.get::<_, i64>("amount")?),
        absorbed: amount(row, "absorbed")?,
        ended: ended(row)?,
        reason: row.get("reason")?,
        streamed: row.get("streamed")?,
        created_ms: ms(row, "created_ms")?,
        first_token_ms: row.get("first_token_ms")?,
        took_ms: row.get("took_ms")?,
    })
}

pub(super) fn entry(row: &Row<'_>) -> Result<Entry> {
    let kind = named(row, "kind", EntryKind::of)?;
    let id: String = row.get("id")?;
    Ok(Entry {
        sequence: row.get("seq")?,
        id: id.strip_prefix(TOP_UP).filter(|_| kind == EntryKind::TopUp).map(str::to_owned).unwrap_or(id),
        kind,
        amount: amount(row, "amount")?,
        balance: amount(row, "balance_after")?,
        at_ms: ms(row, "at_ms")?,
        generation: if kind == EntryKind::Charge { Some(generation(row)?) } else { None },
    })
}

fn named<T>(row: &Row<'_>, column: &str, of: impl FnOnce(&str) -> Option<T>) -> Result<T> {
    let name: String = row.get(column)?;
    of(&name).ok_or_else(|| Error::InvalidColumnType(0, column.to_owned(), Type::Text))
}
