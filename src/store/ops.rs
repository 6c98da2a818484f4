//! What a [`Writer`](super::Writer) does, and what comes of it.

use super::records::{AccountRecord, Ended, KeyRecord};
use crate::accounts::{AccountId, Grant, KeyHash, KeyId, Slice, Wish};
use crate::money::MicroCredits;
use crate::protocol::usage::{Usage, UsageSource};

/// One operation. All but leases, returns and voids may be applied twice and happen once.
#[derive(Clone, Debug)]
pub enum Op {
    /// Leases credits and requests of a day to this process.
    Lease(Lease),
    /// Gives back what is leased and not needed.
    Return(Returned),
    /// Ends an admitted request: posts its charge, if there is one.
    Settle(Box<Settle>),
    /// Opens an account, with its grant and its first key.
    CreateAccount(Box<NewAccount>),
    /// Adds a key.
    CreateKey(Box<NewKey>),
    /// Ends a key; of this account only, where one is given.
    RevokeKey {
        /// The key.
        key: KeyId,
        /// Whose it must be.
        account: Option<AccountId>,
        /// When, Unix ms.
        at_ms: u64,
    },
    /// Tops an account up.
    Credit(Credit),
    /// Writes something that changes nothing, to see whether writing works.
    Probe,
}

/// Asks for a lease. What is granted: all of `need` that nobody has leased, and of `want` at most half of
/// what nobody has, so that other processes find some; never nothing while something is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// How much, and of whom.
    pub wish: Wish,
}

/// Gives back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Returned {
    /// Whose.
    pub account: AccountId,
    /// Micro-credits of the lease.
    pub amount: MicroCredits,
    /// Requests of a day.
    pub slice: Slice,
}

/// The end of an admitted request.
#[derive(Clone, Debug, PartialEq)]
pub struct Settle {
    /// Who pays.
    pub account: AccountId,
    /// The key it was asked with.
    pub key: KeyId,
    /// The day whose request it was.
    pub day: u32,
    /// Its entry; `None` when nothing was delivered.
    pub charge: Option<Charge>,
}

/// A ledger entry in the making.
#[derive(Clone, Debug, PartialEq)]
pub struct Charge {
    /// The request's id, `gen-…`: there is at most one entry with it.
    pub id: String,
    /// What is due, at most what was reserved.
    pub amount: MicroCredits,
    /// What it cost beyond the reservation, and nobody pays.
    pub absorbed: MicroCredits,
    /// What was used.
    pub usage: Usage,
    /// Who counted it.
    pub source: UsageSource,
    /// How it ended.
    pub ended: Ended,
    /// Why: a finish reason, or why the upstream failed.
    pub reason: Option<&'static str>,
    /// The model that answered, as in the catalog.
    pub model: String,
    /// The slug of its provider.
    pub provider: String,
    /// It was a stream.
    pub streamed: bool,
    /// When the request arrived, Unix ms.
    pub created_ms: u64,
    /// Arrival to first token, ms.
    pub first_token_ms: Option<u32>,
    /// Arrival to end, ms.
    pub took_ms: u32,
    /// The idempotency key it came with.
    pub idempotency: Option<Idempotency>,
}

/// An `Idempotency-Key` and what it was used for. The first entry under a key counts; others cost nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// SHA-256 of the header with the path.
    pub key: [u8; 32],
    /// SHA-256 of the body.
    pub body: [u8; 32],
    /// When it is forgotten, Unix ms.
    pub expires_ms: u64,
}

/// An account to be opened.
#[derive(Clone, Debug, PartialEq)]
pub struct NewAccount {
    /// Its id.
    pub id: AccountId,
    /// What its owner calls it.
    pub name: Option<String>,
    /// What makes it the same account when asked for again; unique where given.
    pub reference: Option<String>,
    /// What it starts with, micro-credits.
    pub grant: MicroCredits,
    /// Its first key.
    pub key: Option<NewKey>,
    /// When, Unix ms.
    pub at_ms: u64,
}

/// A key to be added.
#[derive(Clone, Debug, PartialEq)]
pub struct NewKey {
    /// Its id.
    pub id: KeyId,
    /// Its account.
    pub account: AccountId,
    /// Its hash.
    pub hash: KeyHash,
    /// First and last characters, for its owner to recognise it.
    pub hint: String,
    /// What its owner calls it.
    pub name: Option<String>,
    /// The most it may spend.
    pub cap: Option<MicroCredits>,
    /// When it ends, Unix ms.
    pub expires_ms: Option<u64>,
    /// When it was made, Unix ms.
    pub at_ms: u64,
}

/// A top-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credit {
    /// Whose.
    pub account: AccountId,
    /// How much; above zero.
    pub amount: MicroCredits,
    /// The payment's own id: the same one is credited once, whatever else differs.
    pub reference: String,
    /// When, Unix ms.
    pub at_ms: u64,
}

/// What came of an operation.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Of [`Op::Lease`].
    Granted(Grant),
    /// Of [`Op::Settle`].
    Settled(Settled),
    /// Of [`Op::CreateAccount`]; not `new` when the reference was known already: no key was made then.
    Account {
        /// The account.
        account: AccountRecord,
        /// It was opened now.
        new: bool,
    },
    /// Of [`Op::CreateKey`].
    Key(KeyRecord),
    /// Of [`Op::Credit`]; not `new` when the reference was known already.
    Credited {
        /// The balance after it.
        balance: MicroCredits,
        /// It was credited now.
        new: bool,
    },
    /// Of the others.
    Done,
    /// It changed nothing.
    Refused(Refusal),
}

/// What a settlement came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// What was charged: less than was due when the idempotency key had been charged before, or the key's
    /// cap or the lease did not cover it.
    pub charged: MicroCredits,
    /// The posted balance after it.
    pub balance: MicroCredits,
    /// All the key has spent.
    pub key_spent: MicroCredits,
    /// Another request was charged under the same idempotency key.
    pub replayed: bool,
}

/// Why an operation was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such account.
    NoAccount,
    /// There is no such key, or it is another account's.
    NoKey,
    /// The reference belongs to another account.
    OtherAccount,
    /// The sum would exceed what can be counted.
    TooMuch,
}
