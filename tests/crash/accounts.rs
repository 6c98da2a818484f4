//! Accounts in a ledger, opened and topped up by this process, beside the program that serves.

use freeway::accounts::{AccountId, ApiKey, KeyId};
use freeway::money::MicroCredits;
use freeway::store::{Credit, NewAccount, NewKey, Op, Outcome, SqliteStore, Store, Writer};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// One account.
#[derive(Clone, Debug)]
pub struct Account {
    pub id: i64,
    pub key: String,
    /// Granted and topped up so far, micro-credits.
    pub credited: i64,
}

/// All of them, and a way to pay.
pub struct Accounts {
    pub all: Vec<Account>,
    data_dir: PathBuf,
    payments: u64,
}

impl Accounts {
    /// Opens `count` accounts with a grant each, in micro-credits.
    pub fn open(data_dir: &Path, count: u8, grant: i64) -> Self {
        let mut writer = writer(data_dir);
        let mut all = Vec::new();
        for number in 1..=count {
            let key = ApiKey::from_random(&[number; 32]);
            let (id, key_id) = (AccountId::new(i64::from(number)), KeyId::new(i64::from(number)));
            let new_key = NewKey {
                id: key_id,
                account: id,
                hash: key.hash(),
                hint: key.hint(),
                name: None,
                cap: None,
                expires_ms: None,
                at_ms: now_ms(),
            };
            let new = NewAccount {
                id,
                name: None,
                reference: Some(format!("crash-{number}")),
                grant: MicroCredits::new(grant),
                key: Some(new_key),
                at_ms: now_ms(),
            };
            let outcome = writer.apply(&[Op::CreateAccount(Box::new(new))]).expect("applied").remove(0);
            assert!(matches!(outcome, Outcome::Account { new: true, .. }), "{outcome:?}");
            all.push(Account { id: id.get(), key: key.reveal().to_owned(), credited: grant });
        }
        Self { all, data_dir: data_dir.to_owned(), payments: 0 }
    }

    /// Tops every account up.
    pub fn top_up(&mut self, amount: i64) {
        let mut writer = writer(&self.data_dir);
        for account in &mut self.all {
            self.payments += 1;
            let credit = Credit {
                account: AccountId::new(account.id),
                amount: MicroCredits::new(amount),
                reference: format!("payment-{}", self.payments),
                at_ms: now_ms(),
            };
            let outcome = writer.apply(&[Op::Credit(credit)]).expect("applied").remove(0);
            assert!(matches!(outcome, Outcome::Credited { new: true, .. }), "{outcome:?}");
            account.credited += amount;
        }
    }
}

impl Accounts {
    /// Ends every account's key.
    pub fn revoke_keys(&mut self) {
        let mut writer = writer(&self.data_dir);
        for account in &self.all {
            let (key, account) = (KeyId::new(account.id), Some(AccountId::new(account.id)));
            let outcome =
                writer.apply(&[Op::RevokeKey { key, account, at_ms: now_ms() }]).expect("applied").remove(0);
            assert!(matches!(outcome, Outcome::Done), "{outcome:?}");
        }
    }
}

/// Not kept: whoever closes the ledger last puts it in order, and that is to be the program.
fn writer(data_dir: &Path) -> Box<dyn Writer> {
    SqliteStore::open(data_dir).and_then(|store| store.writer()).expect("a ledger")
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    u64::try_from(since.as_millis()).expect("not so late")
}
