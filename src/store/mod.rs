//! Accounts, keys, leases and the ledger, durably.
//!
//! Behind two traits, since more than one database is to serve: [`Writer`] applies operations in batches,
//! one transaction each, and [`Reader`] looks things up. Both block, and run on threads of their own. No SQL
//! is written outside this room.

mod book;
#[cfg(test)]
mod conformance;
mod ops;
mod records;
mod sqlite;

pub use ops::{
    Charge, Credit, Idempotency, Lease, NewAccount, NewKey, Op, Outcome, Refusal, Returned, Settle, Settled,
};
pub use records::{
    AccountRecord, ActivityRow, Discrepancy, Ended, Entry, EntryKind, Generation, KeyRecord, Receipt,
    Verification,
};

#[doc(hidden)]
pub use sqlite::Mischief;
pub use sqlite::SqliteStore;

use crate::accounts::{AccountId, KeyHash, KeyId, KnownKey};
use crate::money::MicroCredits;

/// A database that holds the ledger.
pub trait Store: Send + Sync {
    /// A writer of its own for this process. Its leases are the process's, and return when it is dropped
    /// or its process has died.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be opened.
    fn writer(&self) -> Result<Box<dyn Writer>, StoreError>;

    /// A connection that only reads.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be opened.
    fn reader(&self) -> Result<Box<dyn Reader>, StoreError>;
}

/// Applies operations.
pub trait Writer: Send {
    /// Applies `ops` in order in one transaction; durable once it returns. Each operation has its outcome
    /// at its position; one that is refused changes nothing and does not disturb the others.
    ///
    /// # Errors
    /// [`StoreError`] when nothing was applied; [`StoreError::Doubtful`] when that is not known. Settlements
    /// and changes by hand may be applied again, and then happen once.
    fn apply(&mut self, ops: &[Op]) -> Result<Vec<Outcome>, StoreError>;

    /// Returns the leases of processes that have died. How many leases there were.
    ///
    /// # Errors
    /// [`StoreError`] when that is not possible now.
    fn reap(&mut self) -> Result<usize, StoreError>;
}

/// Looks things up.
pub trait Reader: Send {
    /// The key with this hash, with its account; `None` when there is none, it is revoked or over at `now_ms`.
    ///
    /// # Errors
    /// As everywhere here: [`StoreError`] when the database cannot be read.
    fn key(&mut self, hash: &KeyHash, now_ms: u64) -> Result<Option<KnownKey>, StoreError>;

    /// Counts changes made by hand: accounts, keys, caps, top-ups. Whoever remembers [`Reader::key`] looks
    /// again when it has changed.
    #[expect(clippy::missing_errors_doc, reason = "see `key`")]
    fn revision(&mut self) -> Result<u64, StoreError>;

    /// One account.
    #[expect(clippy::missing_errors_doc, reason = "see `key`")]
    fn account(&mut self, account: AccountId) -> Result<Option<AccountRecord>, StoreError>;

    /// The account that was opened with this reference.
    #[expect(clippy::missing_errors_doc, reason = "see `key`")]
    fn account_by_reference(&mut self, reference: &str) -> Result<Option<AccountRecord>, StoreError>;

    /// Accounts in the order of their ids, after `after`, at most `limit`.
    #[expect(clippy::missing_errors_doc, reason = "see `key`")]
    fn accounts(&mut self, after: Option<AccountId>, limit: usize) -> Result<Vec<AccountRecord>, StoreError>;

    /// The keys of an account, oldest first.
    #[expect(clippy::missing_errors_doc, reason = "see `key`")]
    fn keys(&mut self, account: AccountId) -> Result<Vec<KeyRecord>, StoreError>;

    /// One generation of an account; another account's is none.
    #[expect(clippy::missing_errors_doc, reason = "see `key`")]
    fn generation(&mut self, account: AccountId, id: &str) -> Result<Option<Generation>, StoreError>;

    /// Ledger entries of an account, latest first, before the sequence number `before`, at most `limit`.
    #[expect(clippy::missing_errors_doc, reason = "see `key`")]
    fn entries(
        &mut self,
        account: AccountId,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError>;

    /// Charges of an account in `[from_ms, to_ms)`, summed by day (UTC), model and provider, in that order.
    #[expect(clippy::missing_errors_doc, reason = "see `key`")]
    fn activity(
        &mut self,
        account: AccountId,
        from_ms: u64,
        to_ms: u64,
    ) -> Result<Vec<ActivityRow>, StoreError>;

    /// What each key of an account has spent since each of these times, Unix ms. Keys that have spent
    /// nothing since the earliest may be left out.
    #[expect(clippy::missing_errors_doc, reason = "see `key`")]
    fn spent_by_key(
        &mut self,
        account: AccountId,
        since_ms: [u64; 3],
    ) -> Result<Vec<(KeyId, [MicroCredits; 3])>, StoreError>;

    /// What was charged under an idempotency key of an account, while that is remembered.
    #[expect(clippy::missing_errors_doc, reason = "see `key`")]
    fn receipt(
        &mut self,
        account: AccountId,
        key: &[u8; 32],
        now_ms: u64,
    ) -> Result<Option<Receipt>, StoreError>;

    /// Recomputes every balance from the ledger. `progress` is told the entries read so far.
    #[expect(clippy::missing_errors_doc, reason = "see `key`")]
    fn verify(&mut self, progress: &mut dyn FnMut(u64)) -> Result<Verification, StoreError>;
}

/// Why the database did not do it. Never shown to clients.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file or server is not there, or not ours to use.
    #[error("cannot open the ledger at {path}: {reason}")]
    Open {
        /// The file.
        path: String,
        /// Why, and what to do about it.
        reason: String,
    },
    /// No room on the disk.
    #[error("the disk of the ledger is full")]
    Full,
    /// Another process holds it for too long.
    #[error("the ledger is busy")]
    Busy,
    /// The last word of a commit was a failure: all of it was applied, or nothing.
    #[error("the ledger failed, and may have been written: {0}")]
    Doubtful(String),
    /// Anything else.
    #[error("the ledger failed: {0}")]
    Failed(String),
}
