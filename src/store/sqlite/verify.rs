//! Recomputing every figure from the ledger, in one pass over it.

use crate::accounts::{AccountId, KeyId};
use crate::money::MicroCredits;
use crate::store::{Discrepancy, StoreError, Verification};
use rusqlite::{Connection, Row};
use std::collections::HashMap;

/// Discrepancies listed at most.
const MOST_LISTED: usize = 100;
/// Entries between two calls of `progress`.
const PROGRESS_EVERY: u64 = 65_536;

/// What the ledger says of an account. Wide, so that no sum of wrong figures overflows.
#[derive(Default)]
struct Running {
    balance: i128,
    credited: i128,
    grants: u32,
}

#[derive(Default)]
struct Check {
    found: Verification,
    accounts: HashMap<i64, Running>,
    keys: HashMap<i64, i128>,
    credited: i128,
    charged: i128,
}

pub(super) fn verify(
    connection: &mut Connection,
    progress: &mut dyn FnMut(u64),
) -> Result<Verification, StoreError> {
    // One snapshot for all of it; others may write meanwhile.
    let transaction = connection.transaction()?;
    let mut check = Check::default();
    check.file(&transaction)?;
    check.ledger(&transaction, progress)?;
    check.balances(&transaction)?;
    check.keys(&transaction)?;
    check.found.credited = clamp(check.credited);
    check.found.charged = clamp(check.charged);
    Ok(check.found)
}

impl Check {
    fn report(&mut self, account: Option<i64>, problem: String) {
        if self.found.discrepancies.len() < MOST_LISTED {
            let account = account.map(AccountId::new);
            self.found.discrepancies.push(Discrepancy { account, problem });
        }
    }

    /// Pages, indexes and the constraints of every row.
    fn file(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let mut check = connection.prepare("PRAGMA quick_check(20)")?;
        let mut lines = check.query([])?;
        while let Some(row) = lines.next()? {
            let line: String = row.get(0)?;
            if line != "ok" {
                self.report(None, format!("the file is damaged: {line}"));
            }
        }
        Ok(())
    }

    fn ledger(&mut self, connection: &Connection, progress: &mut dyn FnMut(u64)) -> Result<(), StoreError> {
        let mut select = connection
            .prepare("SELECT seq, account, key, kind, amount, balance_after FROM ledger ORDER BY seq")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            self.entry(row)?;
            self.found.entries += 1;
            if self.found.entries.is_multiple_of(PROGRESS_EVERY) {
                progress(self.found.entries);
            }
        }
        progress(self.found.entries);
        Ok(())
    }

    fn entry(&mut self, row: &Row<'_>) -> Result<(), StoreError> {
        let (sequence, account, amount, after): (i64, i64, i64, i64) =
            (row.get(0)?, row.get(1)?, row.get(4)?, row.get(5)?);
        let kind = row.get_ref(3)?.as_str().unwrap_or_default();
        let running = self.accounts.entry(account).or_default();
        running.balance += i128::from(amount);
        let mut problem = None;
        match kind {
            "charge" => {
                self.charged -= i128::from(amount);
                if amount > 0 {
                    problem = Some(format!("a charge adds {}", credits(amount)));
                }
                match row.get::<_, Option<i64>>(2)? {
                    Some(key) => *self.keys.entry(key).or_default() -= i128::from(amount),
                    None => problem = Some("a charge has no key".to_owned()),
                }
            }
            "grant" | "topup" => {
                running.credited += i128::from(amount);
                running.grants += u32::from(kind == "grant");
                self.credited += i128::from(amount);
                if amount <= 0 {
                    problem = Some(format!("a {kind} adds {}", credits(amount)));
                } else if kind == "grant" && running.grants > 1 {
                    problem = Some("is a second grant".to_owned());
                }
            }
            other => problem = Some(format!("is of the unknown kind {other:?}")),
        }
        if running.balance != i128::from(after) {
            problem = Some(format!(
                "leaves {} by its own account, and {} by the sum of all before it",
                credits(after),
                clamp(running.balance)
            ));
            // One wrong figure is one discrepancy, not one for every entry after it.
            running.balance = i128::from(after);
        }
        if let Some(problem) = problem {
            self.report(Some(account), format!("entry {sequence}: {problem}"));
        }
        Ok(())
    }

    fn balances(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let mut select = connection.prepare(
            "SELECT a.id, a.balance, a.credited, a.leased, coalesce(l.amount, 0) FROM accounts AS a LEFT JOIN \
             (SELECT account, sum(amount) AS amount FROM leases GROUP BY account) AS l ON l.account = a.id",
        )?;
        let mut rows = select.query([])?;
        let (mut balances, mut all_leased) = (0_i128, 0_i128);
        while let Some(row) = rows.next()? {
            let id: i64 = row.get(0)?;
            let [balance, credited, leased, leases]: [i64; 4] =
                [row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?];
            let sums = self.accounts.remove(&id).unwrap_or_default();
            let said = [
                ("the balance", balance, "the ledger's sum", sums.balance),
                ("credited in all", credited, "the ledger's grants and top-ups", sums.credited),
                ("leased", leased, "the leases' sum", i128::from(leases)),
            ];
            for (what, here, other, there) in said {
                if i128::from(here) != there {
                    let problem = format!("{what} is {}, {other} {}", credits(here), clamp(there));
                    self.report(Some(id), problem);
                }
            }
            if balance < 0 || leased < 0 || leased > balance {
                let problem =
                    format!("the balance is {}, of it leased {}", credits(balance), credits(leased));
                self.report(Some(id), problem);
            }
            self.found.accounts += 1;
            balances += i128::from(balance);
            all_leased += i128::from(leases);
        }
        (self.found.balances, self.found.leased) = (clamp(balances), clamp(all_leased));
        let unknown: Vec<i64> = self.accounts.keys().copied().collect();
        unknown.into_iter().for_each(|id| self.report(Some(id), "has entries, and is no account".to_owned()));
        Ok(())
    }

    fn keys(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let mut select = connection.prepare("SELECT id, account, spent FROM keys")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let (id, account, spent): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let sum = self.keys.remove(&id).unwrap_or_default();
            if i128::from(spent) != sum {
                let key = KeyId::new(id);
                let problem = format!("{key} has spent {}, by the ledger {}", credits(spent), clamp(sum));
                self.report(Some(account), problem);
            }
        }
        let unknown: Vec<i64> = self.keys.keys().copied().collect();
        unknown
            .into_iter()
            .for_each(|id| self.report(None, format!("{} was charged, and is no key", KeyId::new(id))));
        Ok(())
    }
}

fn credits(amount: i64) -> MicroCredits {
    MicroCredits::new(amount)
}

/// Sums of what is stored fit, unless it is wrong.
fn clamp(sum: i128) -> MicroCredits {
    MicroCredits::new(sum.clamp(i64::MIN.into(), i64::MAX.into()) as i64)
}
