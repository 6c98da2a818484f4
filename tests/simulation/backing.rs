//! The store under the processes, as an onlooker sees it.

use crate::memory::Memory;
use freeway::accounts::AccountId;
use freeway::store::{AccountRecord, EntryKind, KeyRecord, Mischief, Reader, SqliteStore, Store};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tempfile::TempDir;

pub(crate) enum Backing {
    Memory(Memory),
    Sqlite(TempDir),
}

/// What is in the store.
#[derive(Default)]
pub(crate) struct View {
    pub(crate) accounts: Vec<AccountRecord>,
    pub(crate) keys: Vec<KeyRecord>,
    pub(crate) lines: Vec<Line>,
    /// By process and account, where that can be seen.
    pub(crate) leases: Option<BTreeMap<(u64, AccountId), i64>>,
}

/// A line of the ledger.
pub(crate) struct Line {
    pub(crate) account: AccountId,
    pub(crate) id: String,
    pub(crate) kind: EntryKind,
    pub(crate) amount: i64,
    pub(crate) balance: i64,
}

impl Backing {
    pub(crate) fn sqlite() -> Self {
        let memory = std::path::Path::new("/dev/shm");
        let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        Self::Sqlite(folder.expect("a folder"))
    }

    /// The store for a process that ends without a word once `killed` is set.
    pub(crate) fn open(&self, killed: &Arc<AtomicBool>) -> (Arc<dyn Store>, Option<Memory>) {
        match self {
            Self::Memory(memory) => (Arc::new(memory.clone()), Some(memory.clone())),
            Self::Sqlite(folder) => {
                let mischief = Mischief { killed: Arc::clone(killed), careless: true };
                let store = SqliteStore::open_for_mischief(folder.path(), mischief).expect("it opens");
                (Arc::new(store), None)
            }
        }
    }

    pub(crate) fn last_boot(&self) -> u64 {
        match self {
            Self::Memory(memory) => memory.last_boot(),
            Self::Sqlite(_) => 0,
        }
    }

    pub(crate) fn crash(&self, boot: u64) {
        if let Self::Memory(memory) = self {
            memory.crash(boot);
        }
    }

    pub(crate) fn reader(&self) -> Box<dyn Reader> {
        let (store, _) = self.open(&Arc::default());
        store.reader().expect("it opens")
    }

    pub(crate) fn view(&self, reader: &mut dyn Reader, accounts: &[AccountId]) -> View {
        if let Self::Memory(memory) = self {
            return view_of(memory);
        }
        let mut view = View::default();
        for &account in accounts {
            view.accounts.extend(reader.account(account).expect("a row"));
            view.keys.extend(reader.keys(account).expect("rows"));
            let entries = reader.entries(account, None, 10_000).expect("rows");
            view.lines.extend(entries.into_iter().rev().map(|entry| Line {
                account,
                id: entry.id,
                kind: entry.kind,
                amount: entry.amount.get(),
                balance: entry.balance.get(),
            }));
        }
        view
    }
}

fn view_of(memory: &Memory) -> View {
    let state = memory.state();
    let lines = state.ledger.iter().map(|line| Line {
        account: line.account,
        id: line.id.trim_start_matches("topup:").to_owned(),
        kind: line.kind,
        amount: line.amount,
        balance: line.balance,
    });
    View {
        accounts: state.accounts.values().cloned().collect(),
        keys: state.keys.values().map(|(key, _)| key.clone()).collect(),
        lines: lines.collect(),
        leases: Some(state.leases.iter().map(|(at, lease)| (*at, lease.amount)).collect()),
    }
}
