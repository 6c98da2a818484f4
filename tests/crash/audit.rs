//! The ledger as it is in the file, read without the program's help, and compared with what clients saw.

use crate::accounts::Account;
use crate::load::{Fate, MAX_PROMPT_TOKENS, MAX_TOKENS, Seen};
use rusqlite::{Connection, OpenFlags};
use std::collections::HashMap;
use std::path::Path;
use tempfile::TempDir;

/// What was charged, micro-credits a token.
const INPUT: i64 = 200;
const OUTPUT: i64 = 1_000;

/// A row of the ledger.
#[derive(Clone, Debug)]
pub struct Row {
    pub account: i64,
    pub charge: bool,
    pub amount: i64,
    pub balance_after: i64,
    pub id: String,
    pub absorbed: i64,
    pub prompt_tokens: i64,
    pub completion_tokens: i64,
}

/// The figures in the file.
#[derive(Clone, Debug)]
pub struct Book {
    /// In the order they were written.
    pub rows: Vec<Row>,
    /// Balance and leased, by account.
    pub accounts: HashMap<i64, (i64, i64)>,
    /// Leased, by account, summed over processes.
    pub leases: HashMap<i64, i64>,
}

impl Book {
    /// Of a ledger nobody has open: a copy is read, so that what the program finds is what was left behind.
    pub fn of_the_dead(data_dir: &Path) -> Self {
        let copy = TempDir::new().expect("a folder");
        for name in ["ledger.db", "ledger.db-wal"] {
            match std::fs::copy(data_dir.join(name), copy.path().join(name)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{name}: {error}"),
                _ => {}
            }
        }
        Self::read(copy.path())
    }

    /// Of a ledger in use.
    pub fn read(data_dir: &Path) -> Self {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(data_dir.join("ledger.db"), flags).expect("a ledger");
        connection.busy_timeout(crate::process::PATIENCE).expect("a setting");
        connection.execute_batch("PRAGMA query_only = ON; BEGIN").expect("one view of all tables");
        let check: String =
            connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a check");
        assert_eq!(check, "ok", "the file is damaged");
        let mut rows = connection
            .prepare(
                "SELECT account, kind, amount, balance_after, id, coalesce(absorbed, 0), \
                 coalesce(prompt_tokens, 0), coalesce(completion_tokens, 0) FROM ledger ORDER BY seq",
            )
            .expect("the ledger's columns");
        let rows = rows.query_map([], |row| {
            Ok(Row {
                account: row.get(0)?,
                charge: row.get::<_, String>(1)? == "charge",
                amount: row.get(2)?,
                balance_after: row.get(3)?,
                id: row.get(4)?,
                absorbed: row.get(5)?,
                prompt_tokens: row.get(6)?,
                completion_tokens: row.get(7)?,
            })
        });
        let rows = rows.expect("rows").collect::<Result<_, _>>().expect("rows");
        let accounts = pairs(&connection, "SELECT id, balance, leased FROM accounts");
        let leases = pairs(&connection, "SELECT account, sum(amount), 0 FROM leases GROUP BY account");
        let leases = leases.into_iter().map(|(account, (amount, _))| (account, amount)).collect();
        Self { rows, accounts, leases }
    }

    /// How many rows of the table of leases there are.
    pub fn leases(data_dir: &Path) -> i64 {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(data_dir.join("ledger.db"), flags).expect("a ledger");
        connection.busy_timeout(crate::process::PATIENCE).expect("a setting");
        // A row of nothing is no lease.
        let count = "SELECT count(*) FROM leases WHERE amount > 0 OR requests > 0";
        connection.query_row(count, [], |row| row.get(0)).expect("a count")
    }

    /// What is wrong with it, given what clients saw and accounts were given.
    pub fn complaints(&self, seen: &[Seen], accounts: &[Account]) -> Vec<String> {
        let mut complaints = self.of_answers(seen);
        complaints.extend(self.of_entries(seen));
        complaints.extend(accounts.iter().flat_map(|account| self.of_sums(account)));
        complaints
    }

    /// Nothing may be wrong.
    pub fn must_agree(&self, seen: &[Seen], accounts: &[Account]) {
        let complaints = self.complaints(seen, accounts);
        assert!(
            complaints.is_empty(),
            "{} complaints, such as\n{}",
            complaints.len(),
            complaints[..complaints.len().min(5)].join("\n")
        );
    }

    /// Every answer whose end was seen is there once, with the amount the client was told.
    fn of_answers(&self, seen: &[Seen]) -> Vec<String> {
        let mut rows: HashMap<&str, Vec<&Row>> = HashMap::new();
        for row in self.rows.iter().filter(|row| row.charge) {
            rows.entry(&row.id).or_default().push(row);
        }
        let complaint = |seen: &Seen| {
            let paid = seen.paid?;
            let id = seen.id.as_deref().expect("an answer has an id");
            match rows.get(id).map(Vec::as_slice) {
                None => Some(format!("{id} is missing")),
                Some([row]) if (row.amount, row.account) == (-paid, seen.account) => None,
                Some([row]) => {
                    Some(format!("{id} has {}, and not {} as its client was told", row.amount, -paid))
                }
                Some(more) => Some(format!("{id} is there {} times", more.len())),
            }
        };
        seen.iter().filter_map(complaint).collect()
    }

    /// Every charge is of a request that was sent and not refused, at no more than it can have used.
    fn of_entries(&self, seen: &[Seen]) -> Vec<String> {
        let known: HashMap<&str, &Seen> =
            seen.iter().filter_map(|seen| Some((seen.id.as_deref()?, seen))).collect();
        let nameless = seen.iter().filter(|seen| seen.id.is_none() && seen.fate != Fate::Refused).count();
        let mut strangers = 0;
        let mut complaints = Vec::new();
        for row in self.rows.iter().filter(|row| row.charge) {
            let used = row.prompt_tokens * INPUT + row.completion_tokens * OUTPUT;
            if used != row.absorbed - row.amount {
                complaints.push(format!("{} charges {} for a use of {used}", row.id, -row.amount));
            }
            let most = (MAX_PROMPT_TOKENS, MAX_TOKENS);
            if row.prompt_tokens > most.0 || row.completion_tokens > most.1 {
                complaints.push(format!("{} is larger than any request", row.id));
            }
            match known.get(row.id.as_str()) {
                None => strangers += 1,
                Some(seen) if seen.status != 200 => {
                    complaints.push(format!("{} was refused and charged", row.id))
                }
                Some(_) => {}
            }
        }
        if strangers > nameless {
            complaints.push(format!("{strangers} charges of {nameless} requests without an answer"));
        }
        complaints
    }

    /// Grants and top-ups less charges are the balance, at every entry; leases add up.
    fn of_sums(&self, account: &Account) -> Vec<String> {
        let mut complaints = Vec::new();
        let (mut balance, mut credited) = (0, 0);
        for row in self.rows.iter().filter(|row| row.account == account.id) {
            balance += row.amount;
            credited += if row.charge { 0 } else { row.amount };
            if balance != row.balance_after || balance < 0 {
                complaints.push(format!(
                    "after {} the balance is {}, and adds up to {balance}",
                    row.id, row.balance_after
                ));
            }
        }
        let (kept, leased) = self.accounts.get(&account.id).copied().unwrap_or_default();
        let leases = self.leases.get(&account.id).copied().unwrap_or_default();
        for (what, is, must) in
            [("balance", kept, balance), ("credit", credited, account.credited), ("lease", leased, leases)]
        {
            if is != must {
                complaints.push(format!("the {what} of account {} is {is}, and not {must}", account.id));
            }
        }
        if leased > kept {
            complaints.push(format!("account {} has leased {leased} of {kept}", account.id));
        }
        complaints
    }
}

fn pairs(connection: &Connection, select: &str) -> HashMap<i64, (i64, i64)> {
    let mut select = connection.prepare(select).expect("columns");
    let rows = select.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))));
    rows.expect("rows").collect::<Result<_, _>>().expect("rows")
}
