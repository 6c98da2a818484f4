//! `keys`: making, listing, revoking.

use super::accounts::{find, unexpected};
use super::books::{self, Books, Place};
use super::show::{self, Key};
use crate::accounts::{AccountId, KeyId};
use crate::api::secrets::{self, Wanted};
use crate::money::MicroCredits;
use crate::store::{Op, Outcome};
use clap::{Args, Subcommand};
use serde::Serialize;
use std::error::Error;

#[derive(Debug, Subcommand)]
pub(super) enum Keys {
    /// Make a key, which is shown once.
    Create(Create),
    /// List the keys of an account.
    List(List),
    /// End a key at once.
    Revoke(Revoke),
}

#[derive(Debug, Args)]
pub(super) struct Create {
    #[command(flatten)]
    place: Place,
    /// Its account, as in acct_0123456789abcdef.
    #[arg(value_name = "ACCOUNT")]
    account: AccountId,
    /// What to call it.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The most it may spend, ever.
    #[arg(long, value_name = "CREDITS", value_parser = books::amount)]
    cap: Option<MicroCredits>,
    /// When it ends: a time as in 2030-01-31T00:00:00Z, or from now on as in 30d, 12h, 45m.
    #[arg(long, value_name = "WHEN", value_parser = |text: &str| end(text, books::now_ms()))]
    expires: Option<u64>,
}

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    place: Place,
    /// The account, as in acct_0123456789abcdef.
    #[arg(value_name = "ACCOUNT")]
    account: AccountId,
}

#[derive(Debug, Args)]
pub(super) struct Revoke {
    #[command(flatten)]
    place: Place,
    /// The key, as in key_0123456789abcdef.
    #[arg(value_name = "KEY")]
    key: KeyId,
}

pub(super) fn run(command: Keys) -> Result<(), Box<dyn Error>> {
    match command {
        Keys::Create(args) => create(args),
        Keys::List(args) => list(&args),
        Keys::Revoke(args) => revoke(&args),
    }
}

#[derive(Serialize)]
struct Created {
    #[serde(flatten)]
    record: Key,
    /// In clear.
    key: String,
}

fn create(args: Create) -> Result<(), Box<dyn Error>> {
    let books = Books::open_existing(&args.place)?;
    let wanted = Wanted { name: args.name, cap: args.cap, expires_ms: args.expires };
    let (secret, key) = secrets::key(args.account, wanted, books::now_ms())?;
    let Outcome::Key(record) = books.change(Op::CreateKey(Box::new(key)))? else { return Err(unexpected()) };
    let record = Key::from(&record);
    if args.place.json {
        return show::print_json(&Created { record, key: secret.reveal().to_owned() });
    }
    show::print_table(&Key::HEADINGS, &[record.row()]);
    println!("\n{}\n\nThe key is shown this once; only its hash is kept.", secret.reveal());
    Ok(())
}

fn list(args: &List) -> Result<(), Box<dyn Error>> {
    let books = Books::open_existing(&args.place)?;
    find(&books, args.account)?;
    let keys = books.look(|reader| reader.keys(args.account))?;
    let keys: Vec<_> = keys.iter().map(Key::from).collect();
    if args.place.json {
        return show::print_json(&keys);
    }
    show::print_table(&Key::HEADINGS, &keys.iter().map(Key::row).collect::<Vec<_>>());
    Ok(())
}

#[derive(Serialize)]
struct Revoked {
    id: String,
    revoked: bool,
}

fn revoke(args: &Revoke) -> Result<(), Box<dyn Error>> {
    let books = Books::open_existing(&args.place)?;
    books.change(Op::RevokeKey { key: args.key, account: None, at_ms: books::now_ms() })?;
    if args.place.json {
        return show::print_json(&Revoked { id: args.key.to_string(), revoked: true });
    }
    println!("{} is revoked; servers notice within seconds", args.key);
    Ok(())
}

/// The end a text names, Unix ms.
fn end(text: &str, now_ms: u64) -> Result<u64, String> {
    let end = match text.parse::<jiff::Timestamp>() {
        Ok(time) => u64::try_from(time.as_millisecond()).unwrap_or_default(),
        Err(_) => now_ms.saturating_add(
            span_ms(text)
                .ok_or("is neither a time, as in 2030-01-31T00:00:00Z, nor a span, as in 30d, 12h or 45m")?,
        ),
    };
    if end <= now_ms {
        return Err("that is over already".to_owned());
    }
    // What can be shown again as a time.
    if jiff::Timestamp::from_millisecond(i64::try_from(end).unwrap_or(i64::MAX)).is_err() {
        return Err("that is too far away; leave it out for a key without an end".to_owned());
    }
    Ok(end)
}

fn span_ms(text: &str) -> Option<u64> {
    let unit_ms: u64 = match text.chars().last()? {
        'm' => 60_000,
        'h' => 3_600_000,
        'd' => 86_400_000,
        _ => return None,
    };
    let number = &text[..text.len() - 1];
    let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    number.parse::<u64>().ok().filter(|_| digits)?.checked_mul(unit_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_750_000_000_000;

    #[test]
    fn an_end_is_a_time_or_a_span() {
        for (text, expect) in [
            ("30d", NOW + 30 * 86_400_000),
            ("12h", NOW + 12 * 3_600_000),
            ("1m", NOW + 60_000),
            ("2030-01-31T00:00:00Z", 1_896_048_000_000),
            ("2030-01-31T05:30:00+05:30", 1_896_048_000_000),
        ] {
            assert_eq!(end(text, NOW), Ok(expect), "{text}");
        }
    }

    #[test]
    fn what_is_no_end_is_refused() {
        for text in [
            "",
            "d",
            "0d",
            "-1d",
            "+1d",
            "1.5h",
            "30",
            "30é",
            "tomorrow",
            "2020-01-01T00:00:00Z",
            "9999999999999999d",
            "9999999d",
        ] {
            assert!(end(text, NOW).is_err(), "{text}");
        }
    }
}
