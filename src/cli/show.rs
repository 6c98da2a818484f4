//! How accounts and keys are shown: tables for people, JSON for machines.

use super::books::now_ms;
use crate::money::MicroCredits;
use crate::store::{AccountRecord, KeyRecord};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use std::fmt;

/// Credits, as an exact decimal number in JSON, too.
pub(super) struct Credits(pub(super) MicroCredits);

impl Serialize for Credits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw = RawValue::from_string(self.0.to_string()).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl fmt::Display for Credits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[derive(Serialize)]
pub(super) struct Account {
    id: String,
    name: Option<String>,
    created: String,
    balance: Credits,
    leased: Credits,
    credited: Credits,
    spent: Credits,
}

impl From<&AccountRecord> for Account {
    fn from(record: &AccountRecord) -> Self {
        Self {
            id: record.id.to_string(),
            name: record.name.clone(),
            created: time(record.created_ms),
            balance: Credits(record.balance),
            leased: Credits(record.leased),
            credited: Credits(record.credited),
            spent: Credits(record.credited.checked_sub(record.balance).unwrap_or_default()),
        }
    }
}

impl Account {
    pub(super) const HEADINGS: [&str; 5] = ["account", "name", "balance", "spent", "created"];

    pub(super) fn row(&self) -> Vec<String> {
        let (balance, spent) = (self.balance.to_string(), self.spent.to_string());
        vec![self.id.clone(), or_dash(self.name.as_deref()), balance, spent, self.created.clone()]
    }

    /// Everything, a line each.
    pub(super) fn lines(&self) -> Vec<Vec<String>> {
        vec![
            line("account", &self.id),
            line("name", &or_dash(self.name.as_deref())),
            line("created", &self.created),
            line("balance", &format!("{} credits", self.balance)),
            line("in use", &format!("{} credits, leased to servers", self.leased)),
            line("credited", &format!("{} credits in all", self.credited)),
            line("spent", &format!("{} credits", self.spent)),
        ]
    }
}

#[derive(Serialize)]
pub(super) struct Key {
    id: String,
    account: String,
    hint: String,
    name: Option<String>,
    created: String,
    expires: Option<String>,
    revoked: Option<String>,
    cap: Option<Credits>,
    spent: Credits,
    state: &'static str,
}

impl From<&KeyRecord> for Key {
    fn from(record: &KeyRecord) -> Self {
        let over = record.expires_ms.is_some_and(|end| end <= now_ms());
        let state = match record.revoked_ms {
            Some(_) => "revoked",
            None if over => "expired",
            None => "valid",
        };
        Self {
            id: record.id.to_string(),
            account: record.account.to_string(),
            hint: record.hint.clone(),
            name: record.name.clone(),
            created: time(record.created_ms),
            expires: record.expires_ms.map(time),
            revoked: record.revoked_ms.map(time),
            cap: record.cap.map(Credits),
            spent: Credits(record.spent),
            state,
        }
    }
}

impl Key {
    pub(super) const HEADINGS: [&str; 7] =
        ["key", "begins and ends", "name", "spent", "cap", "ends", "state"];

    pub(super) fn row(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.hint.clone(),
            or_dash(self.name.as_deref()),
            self.spent.to_string(),
            self.cap.as_ref().map_or_else(|| "-".to_owned(), Credits::to_string),
            or_dash(self.expires.as_deref()),
            self.state.to_owned(),
        ]
    }
}

fn or_dash(text: Option<&str>) -> String {
    text.unwrap_or("-").to_owned()
}

pub(super) fn line(name: &str, value: &str) -> Vec<String> {
    vec![name.to_owned(), value.to_owned()]
}

/// As in `2026-11-24T19:31:18Z`.
pub(super) fn time(ms: u64) -> String {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(ms - ms % 1_000)
        .map_or_else(|_| "-".to_owned(), |time| time.to_string())
}

/// Prints rows in columns, under headings where there are some.
pub(super) fn print_table(headings: &[&str], rows: &[Vec<String>]) {
    let headings = headings.iter().map(|heading| (*heading).to_owned()).collect::<Vec<_>>();
    let all = || std::iter::once(&headings).filter(|row| !row.is_empty()).chain(rows);
    let width = |column: usize| all().filter_map(|row| Some(row.get(column)?.chars().count())).max();
    let widths: Vec<_> = (0..).map_while(width).collect();
    for row in all() {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{:<width$}", plain(cell)));
        println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}

/// A name may hold anything; a terminal must not obey it.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

pub(super) fn print_json(value: &impl Serialize) -> Result<(), Box<dyn std::error::Error>> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}
