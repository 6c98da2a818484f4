//! `accounts`: opening, looking, topping up.

use super::books::{self, Books, Place};
use super::show::{self, Account, Credits};
use crate::accounts::AccountId;
use crate::api::secrets::{self, Wanted};
use crate::money::MicroCredits;
use crate::store::{self, NewAccount, Op, Outcome};
use clap::{Args, Subcommand};
use serde::Serialize;
use std::error::Error;

#[derive(Debug, Subcommand)]
pub(super) enum Accounts {
    /// Open an account with its first key, which is shown once.
    Create(Create),
    /// Show an account.
    Show(Show),
    /// Top an account up.
    Credit(Credit),
    /// List accounts.
    List(List),
}

#[derive(Debug, Args)]
pub(super) struct Create {
    #[command(flatten)]
    place: Place,
    /// What to call it.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Makes it the same account when asked for again: nothing happens the second time.
    #[arg(long, value_name = "REF", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    reference: Option<String>,
    /// What it starts with, instead of accounts.grant_credits.
    #[arg(long, value_name = "CREDITS", value_parser = books::amount_or_none)]
    credits: Option<MicroCredits>,
}

#[derive(Debug, Args)]
pub(super) struct Show {
    #[command(flatten)]
    place: Place,
    /// The account, as in acct_0123456789abcdef.
    #[arg(value_name = "ID")]
    account: AccountId,
}

#[derive(Debug, Args)]
pub(super) struct Credit {
    #[command(flatten)]
    place: Place,
    /// The account, as in acct_0123456789abcdef.
    #[arg(value_name = "ID")]
    account: AccountId,
    /// How much.
    #[arg(value_name = "CREDITS", value_parser = books::amount)]
    credits: MicroCredits,
    /// The payment's own id: it is credited once, however often this is run.
    #[arg(long, value_name = "REF", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    reference: String,
}

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    place: Place,
    /// Begin after this account.
    #[arg(long, value_name = "ID")]
    after: Option<AccountId>,
    /// Show at most so many.
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u16,
}

pub(super) fn run(command: Accounts) -> Result<(), Box<dyn Error>> {
    match command {
        Accounts::Create(args) => create(args),
        Accounts::Show(args) => show(&args),
        Accounts::Credit(args) => credit(args),
        Accounts::List(args) => list(&args),
    }
}

#[derive(Serialize)]
struct Created {
    account: Account,
    /// In clear; `None` where the account was there.
    key: Option<String>,
    new: bool,
}

fn create(args: Create) -> Result<(), Box<dyn Error>> {
    let books = Books::open(&args.place)?;
    let id = secrets::account_id()?;
    let (secret, key) = secrets::key(id, Wanted::default(), books::now_ms())?;
    let account = NewAccount {
        id,
        name: args.name,
        reference: args.reference,
        grant: args.credits.unwrap_or(books.grant),
        key: Some(key),
        at_ms: books::now_ms(),
    };
    let outcome = books.change(Op::CreateAccount(Box::new(account)))?;
    let Outcome::Account { account, new } = outcome else { return Err(unexpected()) };
    let shown = Account::from(&account);
    if args.place.json {
        let key = new.then(|| secret.reveal().to_owned());
        return show::print_json(&Created { account: shown, key, new });
    }
    let mut lines = shown.lines();
    if new {
        lines.push(show::line("key", secret.reveal()));
    }
    show::print_table(&[], &lines);
    if new {
        println!("\nThe key is shown this once; only its hash is kept.");
    } else {
        println!("\nThe account was there already. `freeway keys create {}` makes another key.", account.id);
    }
    Ok(())
}

fn show(args: &Show) -> Result<(), Box<dyn Error>> {
    let books = Books::open_existing(&args.place)?;
    let account = find(&books, args.account)?;
    if args.place.json {
        return show::print_json(&account);
    }
    show::print_table(&[], &account.lines());
    Ok(())
}

pub(super) fn find(books: &Books, id: AccountId) -> Result<Account, Box<dyn Error>> {
    let record = books.look(|reader| reader.account(id))?;
    let record =
        record.ok_or_else(|| format!("there is no account {id}; `freeway accounts list` shows all"))?;
    Ok(Account::from(&record))
}

#[derive(Serialize)]
struct Credited {
    account: String,
    balance: Credits,
    new: bool,
}

fn credit(args: Credit) -> Result<(), Box<dyn Error>> {
    let books = Books::open_existing(&args.place)?;
    let Credit { account, credits: amount, reference, place } = args;
    let op = Op::Credit(store::Credit { account, amount, reference, at_ms: books::now_ms() });
    let Outcome::Credited { balance, new } = books.change(op)? else { return Err(unexpected()) };
    if place.json {
        return show::print_json(&Credited { account: account.to_string(), balance: Credits(balance), new });
    }
    if new {
        println!("{account}: {amount} credits added; the balance is {balance} credits");
    } else {
        println!(
            "{account}: nothing was added, since this reference was credited before; the balance is {balance} credits"
        );
    }
    Ok(())
}

fn list(args: &List) -> Result<(), Box<dyn Error>> {
    let books = Books::open_existing(&args.place)?;
    let records = books.look(|reader| reader.accounts(args.after, args.limit.into()))?;
    let accounts: Vec<_> = records.iter().map(Account::from).collect();
    if args.place.json {
        return show::print_json(&accounts);
    }
    show::print_table(&Account::HEADINGS, &accounts.iter().map(Account::row).collect::<Vec<_>>());
    if let Some(last) = records.last().filter(|_| records.len() == usize::from(args.limit)) {
        println!("\nThere may be more: --after {}", last.id);
    }
    Ok(())
}

pub(super) fn unexpected() -> Box<dyn Error> {
    "the ledger gave another answer than was asked for".into()
}
