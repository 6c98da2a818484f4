//! What a [`Reader`](super::Reader) finds.

use crate::accounts::{AccountId, KeyId};
use crate::money::MicroCredits;
use crate::protocol::usage::{Usage, UsageSource};

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRecord {
    /// Its id.
    pub id: AccountId,
    /// What its owner calls it.
    pub name: Option<String>,
    /// When it was opened, Unix ms.
    pub created_ms: u64,
    /// Posted.
    pub balance: MicroCredits,
    /// Of it, leased to processes.
    pub leased: MicroCredits,
    /// Granted and topped up, in all.
    pub credited: MicroCredits,
    /// The day requests were last counted on, since 1970, and how many, unused slices included.
    pub day: (u32, u32),
}

/// A key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// Its id.
    pub id: KeyId,
    /// Its account.
    pub account: AccountId,
    /// First and last characters.
    pub hint: String,
    /// What its owner calls it.
    pub name: Option<String>,
    /// When it was made, Unix ms.
    pub created_ms: u64,
    /// When it ends.
    pub expires_ms: Option<u64>,
    /// When it was revoked.
    pub revoked_ms: Option<u64>,
    /// The most it may spend.
    pub cap: Option<MicroCredits>,
    /// What it has spent.
    pub spent: MicroCredits,
}

/// How a charged request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Its answer was whole.
    Complete,
    /// The client left within the answer.
    Client,
    /// The upstream broke off within the answer; it costs nothing.
    Upstream,
}

impl Ended {
    /// `complete`, `client` or `upstream`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Client => "client",
            Self::Upstream => "upstream",
        }
    }

    /// The one of this name.
    pub fn of(name: &str) -> Option<Self> {
        [Self::Complete, Self::Client, Self::Upstream].into_iter().find(|ended| ended.name() == name)
    }
}

/// One answer that was delivered, as its account may look it up.
#[derive(Clone, Debug, PartialEq)]
pub struct Generation {
    /// Its id, `gen-…`.
    pub id: String,
    /// The key it was asked with.
    pub key: KeyId,
    /// The model that answered.
    pub model: String,
    /// The slug of its provider.
    pub provider: String,
    /// What was used.
    pub usage: Usage,
    /// Who counted.
    pub source: UsageSource,
    /// What was charged.
    pub charged: MicroCredits,
    /// What it cost beyond its reservation.
    pub absorbed: MicroCredits,
    /// How it ended.
    pub ended: Ended,
    /// A finish reason, or why the upstream failed.
    pub reason: Option<String>,
    /// It was a stream.
    pub streamed: bool,
    /// When the request arrived, Unix ms.
    pub created_ms: u64,
    /// Arrival to first token, ms.
    pub first_token_ms: Option<u32>,
    /// Arrival to end, ms.
    pub took_ms: u32,
}

/// What moved a balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// The credits an account starts with.
    Grant,
    /// A payment.
    TopUp,
    /// A request.
    Charge,
}

impl EntryKind {
    /// `grant`, `topup` or `charge`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::TopUp => "topup",
            Self::Charge => "charge",
        }
    }

    /// The one of this name.
    pub fn of(name: &str) -> Option<Self> {
        [Self::Grant, Self::TopUp, Self::Charge].into_iter().find(|kind| kind.name() == name)
    }
}

/// A line of the ledger.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its place in the ledger.
    pub sequence: i64,
    /// A generation's id, or a reference.
    pub id: String,
    /// What it was.
    pub kind: EntryKind,
    /// Added to the balance; charges are negative.
    pub amount: MicroCredits,
    /// The balance after it.
    pub balance: MicroCredits,
    /// When it was posted, Unix ms.
    pub at_ms: u64,
    /// Of a charge, the answer.
    pub generation: Option<Generation>,
}

/// Charges of a day for one model at one provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActivityRow {
    /// Days since 1970, UTC.
    pub day: u32,
    /// The model.
    pub model: String,
    /// The slug of the provider.
    pub provider: String,
    /// How many requests.
    pub requests: u64,
    /// Their tokens.
    pub prompt_tokens: u64,
    /// Reasoning included.
    pub completion_tokens: u64,
    /// Of the completions.
    pub reasoning_tokens: u64,
    /// Of the prompts.
    pub cached_tokens: u64,
    /// What they cost.
    pub charged: MicroCredits,
}

/// What was charged under an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The request's id.
    pub id: String,
    /// SHA-256 of its body.
    pub body: [u8; 32],
    /// Its tokens.
    pub usage: Usage,
    /// What it cost.
    pub charged: MicroCredits,
    /// The client had left before its end.
    pub partial: bool,
}

/// What [`Reader::verify`](super::Reader::verify) found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// Entries read.
    pub entries: u64,
    /// Accounts compared.
    pub accounts: u64,
    /// Sum of grants and top-ups.
    pub credited: MicroCredits,
    /// Sum of charges.
    pub charged: MicroCredits,
    /// Sum of balances.
    pub balances: MicroCredits,
    /// Sum of leases.
    pub leased: MicroCredits,
    /// What does not add up, at most the first hundred.
    pub discrepancies: Vec<Discrepancy>,
}

/// Something that does not add up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discrepancy {
    /// Whose; `None` for the file itself.
    pub account: Option<AccountId>,
    /// What, with both figures.
    pub problem: String,
}
