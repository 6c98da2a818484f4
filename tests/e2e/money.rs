//! The ledger as the tests see it: accounts are opened and entries read beside the program.

use crate::client::{Answer, chunks};
use crate::harness::{PATIENCE, Router, Setup, ucr, with};
use crate::provider::Provider;
use freeway::accounts::{AccountId, ApiKey, KeyId};
use freeway::money::MicroCredits;
use freeway::store::{
    AccountRecord, Entry, Generation, NewAccount, NewKey, Op, Outcome, SqliteStore, Store, Verification,
    Writer,
};
use serde_json::{Value, json};
use std::sync::Mutex;
use std::time::Instant;

/// What everybody starts with who is not to be funded.
pub const GRANT: &str = "1000";

/// The ledger of a program that runs.
pub struct Bank {
    store: SqliteStore,
    writer: Mutex<Box<dyn Writer>>,
}

/// An account and one of its keys.
#[derive(Clone)]
pub struct Purse {
    pub account: AccountId,
    pub key: String,
}

impl Bank {
    pub fn of(router: &Router) -> Self {
        let store = SqliteStore::open(&router.data_dir()).expect("the program's ledger");
        let writer = Mutex::new(store.writer().expect("a writer"));
        Self { store, writer }
    }

    /// Opens an account with so many credits.
    pub fn open(&self, credits: &str) -> Purse {
        let account = AccountId::from_random(random());
        let (key, new_key) = new_key(account, None);
        let grant: MicroCredits = credits.parse().expect("credits");
        let at_ms = new_key.at_ms;
        self.apply(Op::CreateAccount(Box::new(NewAccount {
            id: account,
            name: None,
            reference: None,
            grant,
            key: Some(new_key),
            at_ms,
        })));
        Purse { account, key }
    }

    /// Another key of the account, which may spend at most `cap`.
    pub fn another_key(&self, purse: &Purse, cap: Option<&str>) -> Purse {
        let (key, new_key) = new_key(purse.account, cap.map(|cap| cap.parse().expect("credits")));
        self.apply(Op::CreateKey(Box::new(new_key)));
        Purse { key, ..purse.clone() }
    }

    pub fn account(&self, purse: &Purse) -> AccountRecord {
        let mut reader = self.store.reader().expect("a reader");
        reader.account(purse.account).expect("it is read").expect("it is there")
    }

    pub fn balance(&self, purse: &Purse) -> i64 {
        self.account(purse).balance.get()
    }

    /// Entries of the ledger but for the grant, oldest first.
    pub fn entries(&self, purse: &Purse) -> Vec<Entry> {
        let mut reader = self.store.reader().expect("a reader");
        let mut entries = reader.entries(purse.account, None, 1_000).expect("they are read");
        entries.retain(|entry| entry.generation.is_some());
        entries.reverse();
        entries
    }

    /// Waits until there are so many of them; those that nobody waits for are written a moment later.
    pub async fn wrote(&self, purse: &Purse, count: usize) -> Vec<Entry> {
        let began = Instant::now();
        loop {
            let entries = self.entries(purse);
            if entries.len() >= count {
                assert_eq!(entries.len(), count, "{entries:?}");
                return entries;
            }
            assert!(began.elapsed() < PATIENCE, "waited too long for an entry");
            tokio::task::yield_now().await;
        }
    }

    /// Everything adds up.
    pub fn verify(&self) -> Verification {
        let found = self.store.reader().expect("a reader").verify(&mut |_| {}).expect("it is read");
        assert_eq!(found.discrepancies, []);
        found
    }

    fn apply(&self, op: Op) {
        let outcomes = self.writer.lock().expect("unpoisoned").apply(&[op]).expect("it is written");
        assert!(!matches!(outcomes[0], Outcome::Refused(_)), "{outcomes:?}");
    }
}

fn new_key(account: AccountId, cap: Option<MicroCredits>) -> (String, NewKey) {
    let mut bytes = [0; 32];
    bytes.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&random().to_le_bytes()));
    let key = ApiKey::from_random(&bytes);
    let new_key = NewKey {
        id: KeyId::from_random(random()),
        account,
        hash: key.hash(),
        hint: key.hint(),
        name: None,
        cap,
        expires_ms: None,
        at_ms: 1_764_000_000_000,
    };
    (key.reveal().to_owned(), new_key)
}

/// Good enough for tests: every hasher has keys of its own.
fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}

/// A program with accounts before these providers, best first, without limits.
pub async fn paid(providers: &[&Provider]) -> (Router, Bank) {
    paid_with(providers, "free_per_minute = 0\nfunded_per_day = 0").await
}

/// The same with lines of the `[limits]` table.
pub async fn paid_with(providers: &[&Provider], limits: &str) -> (Router, Bank) {
    let setup = providers.iter().fold(Setup::new(), |setup, p| setup.provider(p));
    let router = setup.accounts().limits(limits).start().await;
    let bank = Bank::of(&router);
    (router, bank)
}

/// The usage an answer tells, streamed or whole.
pub fn usage_of(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    if answer.header("content-type").is_some_and(|t| t.starts_with("text/event-stream")) {
        return chunks(&answer.events()).last().expect("a usage chunk")["usage"].clone();
    }
    answer.json()["usage"].clone()
}

/// The request as a stream that ends with its usage.
pub fn streamed_with_usage(request: Value) -> Value {
    with(request, json!({"stream": true, "stream_options": {"include_usage": true}}))
}

/// What is shown is what is written, and that is what was taken. Gives what is written of it.
pub fn check_bill(usage: &Value, entry: &Entry, taken: i64) -> Generation {
    let written = entry.generation.clone().expect("a charge");
    let charged = written.charged.get();
    assert_eq!(entry.amount.get(), -charged);
    assert_eq!(taken, charged, "the balance fell by the charge");
    assert_eq!(ucr(&usage["credits"]), charged, "{usage}");
    let usd = usage["cost"].as_f64().expect("a number");
    assert_eq!((usd * 1e8).round() as i64, charged, "{usage}");
    assert_eq!(usage["prompt_tokens"], written.usage.prompt_tokens);
    assert_eq!(usage["completion_tokens"], written.usage.completion_tokens);
    let details = |group: &str, name: &str| usage[group][name].clone();
    assert_eq!(details("prompt_tokens_details", "cached_tokens"), written.usage.cached_tokens);
    assert_eq!(details("completion_tokens_details", "reasoning_tokens"), written.usage.reasoning_tokens);
    assert_eq!(usage["usage_source"], written.source.name());
    written
}
