//! What accounts ask for besides answers: signing up, keys, balances, history; and what the operator does
//! with accounts.
//!
//! Calls come in as values and replies go out as values: `proxy` and `services` do the HTTP. Every look
//! at the store names the account it is for, so that nobody sees what is another's.

mod account;
mod admin;
mod amount;
mod dates;
mod fields;
mod generation;
mod history;
mod key_views;
mod keys;
mod page;
mod query;
mod route;
pub(crate) mod secrets;
mod signup;
mod usage;

pub use admin::AdminOperation;
pub use route::Operation;
pub use signup::Applicant;

use crate::accounts::Caller;
use crate::catalog::Catalog;
use crate::ledger::Ledger;
use crate::limits::{Over, SlidingLog};
use crate::protocol::Dialect;
use crate::protocol::errors::{ApiError, ErrorKind};
use crate::store::{Op, Outcome, Reader, StoreError};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Longest body of these calls: they carry a name and an amount.
pub const MAX_BODY_BYTES: usize = 64 * 1024;
/// Looks at one time. The ledger has four readers, and the other two are left to requests whose key is not
/// known yet.
const LOOKS: usize = 2;
/// How long a call waits for its look.
const LOOK_WAIT: Duration = Duration::from_secs(2);
/// Networks, and accounts, whose signups and new keys of the day are remembered.
const MAX_COUNTED: usize = 100_000;

/// What these calls share.
pub struct Api {
    /// Accounts opened today, by network.
    signups: SlidingLog,
    /// Keys made today, by account.
    new_keys: SlidingLog,
    looks: Semaphore,
}

/// One call.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// The dialect of its path.
    pub dialect: Dialect,
    /// What stands behind the `?`.
    pub query: &'a str,
    /// Its body.
    pub body: &'a [u8],
    /// Unix ms.
    pub now_ms: u64,
    /// Knows the names of providers.
    pub catalog: &'a Catalog,
}

/// An answer other than an error.
#[derive(Debug, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body, JSON.
    pub body: Vec<u8>,
}

type Answer = Result<Reply, Box<ApiError>>;

impl Default for Api {
    fn default() -> Self {
        Self {
            signups: SlidingLog::new(dates::DAY_MS, MAX_COUNTED),
            new_keys: SlidingLog::new(dates::DAY_MS, MAX_COUNTED),
            looks: Semaphore::new(LOOKS),
        }
    }
}

impl Api {
    /// Does what a key's holder asks for.
    ///
    /// # Errors
    /// The error to answer with.
    pub async fn answer(
        &self,
        ledger: &Arc<Ledger>,
        caller: &Caller,
        operation: Operation,
        call: Call<'_>,
    ) -> Answer {
        let desk = Desk { api: self, ledger, call };
        match operation {
            // Whoever has a key has an account; proxy calls `sign_up` for this one.
            Operation::SignUp => Err(Box::new(ApiError::new(ErrorKind::Internal, "not signed up"))),
            Operation::Account => desk.own_account(caller).await,
            Operation::Credits => desk.credits(caller).await,
            Operation::OwnKey => desk.own_key(caller).await,
            Operation::ListKeys => desk.list_keys(caller).await,
            Operation::CreateKey => desk.create_key(caller).await,
            Operation::ShowKey(id) => desk.show_key(caller, &id).await,
            Operation::RevokeKey(id) => desk.revoke_key(caller, &id).await,
            Operation::Generation => desk.generation(caller).await,
            Operation::Activity => desk.activity(caller).await,
            Operation::Usage => desk.usage(caller).await,
            Operation::Transactions => desk.own_transactions(caller).await,
        }
    }

    /// Opens an account.
    ///
    /// # Errors
    /// The error to answer with.
    pub async fn sign_up(&self, ledger: &Arc<Ledger>, applicant: Applicant<'_>, call: Call<'_>) -> Answer {
        Desk { api: self, ledger, call }.sign_up(applicant).await
    }

    /// Does what the operator asks for.
    ///
    /// # Errors
    /// The error to answer with.
    pub async fn operate(&self, ledger: &Arc<Ledger>, operation: AdminOperation, call: Call<'_>) -> Answer {
        Desk { api: self, ledger, call }.operate(operation).await
    }
}

/// Where one call is handled.
#[derive(Clone, Copy)]
struct Desk<'a> {
    api: &'a Api,
    ledger: &'a Arc<Ledger>,
    call: Call<'a>,
}

impl Desk<'_> {
    /// Looks something up.
    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&mut dyn Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Box<ApiError>> {
        let turn = tokio::time::timeout(LOOK_WAIT, self.api.looks.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Err(unavailable()) };
        self.ledger.read(look).await.map_err(|_| unavailable())
    }

    /// Changes something.
    async fn change(&self, op: Op) -> Result<Outcome, Box<ApiError>> {
        self.ledger.write(op).await.map_err(|error| {
            tracing::warn!(%error, "a change to accounts failed");
            let words = "the change could not be confirmed; look whether it happened before you try again";
            let error = ApiError::new(ErrorKind::Unavailable, words);
            Box::new(error.with("reason", "billing_unavailable").retry_after_s(1))
        })
    }

    /// Refuses what would be counted and then not happen.
    fn check_writable(&self) -> Result<(), Box<ApiError>> {
        if self.ledger.is_healthy() { Ok(()) } else { Err(unavailable()) }
    }

    /// Today, since 1970.
    fn today(&self) -> u32 {
        crate::ledger::day_of(self.call.now_ms)
    }
}

impl Reply {
    fn json(status: u16, body: &impl Serialize) -> Answer {
        match serde_json::to_vec(body) {
            Ok(body) => Ok(Self { status, body }),
            Err(error) => {
                tracing::error!(%error, "an answer cannot be written");
                Err(Box::new(ApiError::new(ErrorKind::Internal, "an answer cannot be written")))
            }
        }
    }
}

/// OpenRouter's envelope.
#[derive(Serialize)]
struct Data<T> {
    data: T,
}

fn unavailable() -> Box<ApiError> {
    Box::new(ApiError::billing_unavailable())
}

/// The day's share of something is used up; trying again soon is pointless.
fn too_often(over: &Over, words: String) -> Box<ApiError> {
    let seconds = u32::try_from(over.wait_ms.div_ceil(1000)).unwrap_or(u32::MAX);
    Box::new(ApiError::new(ErrorKind::QuotaExceeded, words).retry_after_s(seconds))
}

fn not_found(words: &str) -> Box<ApiError> {
    Box::new(ApiError::new(ErrorKind::NotFound, words))
}

/// The store's answer fits no question of ours.
fn unexpected() -> Box<ApiError> {
    tracing::error!("the ledger gave an answer to another question");
    Box::new(ApiError::new(ErrorKind::Internal, "unexpected"))
}
