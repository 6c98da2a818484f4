//! `ledger verify`: every figure recomputed from the entries.

use super::books::{Books, Place};
use super::show::{self, Credits};
use crate::store::Verification;
use clap::{Args, Subcommand};
use serde::Serialize;
use std::error::Error;
use std::io::{IsTerminal, Write};

#[derive(Debug, Subcommand)]
pub(super) enum Ledger {
    /// Recompute every balance from the entries, while servers run or not.
    Verify(Verify),
}

#[derive(Debug, Args)]
pub(super) struct Verify {
    #[command(flatten)]
    place: Place,
}

pub(super) fn run(command: &Ledger) -> Result<(), Box<dyn Error>> {
    let Ledger::Verify(args) = command;
    let books = Books::open_existing(&args.place)?;
    let terminal = std::io::stderr().is_terminal();
    let verified = books.look(|reader| {
        reader.verify(&mut |entries| {
            if terminal {
                eprint!("\r{entries} entries");
                let _ = std::io::stderr().flush();
            }
        })
    });
    if terminal {
        eprint!("\r\x1b[K");
    }
    let verified = verified?;
    let found = Found::from(&verified);
    if args.place.json {
        show::print_json(&found)?;
    } else {
        found.print();
    }
    match verified.discrepancies.len() {
        0 => Ok(()),
        1 => Err("the ledger does not add up".into()),
        n => Err(format!("the ledger does not add up in {n} places").into()),
    }
}

#[derive(Serialize)]
struct Found {
    entries: u64,
    accounts: u64,
    credited: Credits,
    charged: Credits,
    balances: Credits,
    leased: Credits,
    discrepancies: Vec<Problem>,
}

#[derive(Serialize)]
struct Problem {
    account: Option<String>,
    problem: String,
}

impl From<&Verification> for Found {
    fn from(found: &Verification) -> Self {
        let problems = found.discrepancies.iter().map(|discrepancy| Problem {
            account: discrepancy.account.map(|id| id.to_string()),
            problem: discrepancy.problem.clone(),
        });
        Self {
            entries: found.entries,
            accounts: found.accounts,
            credited: Credits(found.credited),
            charged: Credits(found.charged),
            balances: Credits(found.balances),
            leased: Credits(found.leased),
            discrepancies: problems.collect(),
        }
    }
}

impl Found {
    fn print(&self) {
        let credits = |amount: &Credits| format!("{amount} credits");
        let lines = [
            show::line("entries", &self.entries.to_string()),
            show::line("accounts", &self.accounts.to_string()),
            show::line("credited", &credits(&self.credited)),
            show::line("charged", &credits(&self.charged)),
            show::line("balances", &credits(&self.balances)),
            show::line("of them in use", &credits(&self.leased)),
        ];
        show::print_table(&[], &lines);
        if self.discrepancies.is_empty() {
            println!("\nEverything adds up.");
            return;
        }
        println!();
        for Problem { account, problem } in &self.discrepancies {
            println!("{}: {problem}", account.as_deref().unwrap_or("the file"));
        }
    }
}
