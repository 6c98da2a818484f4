//! The ledger as the commands for accounts open it.

use super::environment;
use crate::config::{Config, DEFAULT_DATA_DIR, Overrides};
use crate::money::MicroCredits;
use crate::store::{Op, Outcome, Reader, Refusal, SqliteStore, Store, StoreError};
use clap::Args;
use std::error::Error;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// Where the ledger is, and how to speak of it.
#[derive(Debug, Args)]
pub(super) struct Place {
    /// Configuration file (TOML); everything has a default.
    #[arg(long, value_name = "FILE", env = "FREEWAY_CONFIG")]
    config: Option<PathBuf>,
    /// Folder of the ledger [default: freeway-data].
    #[arg(long, value_name = "DIR", env = "FREEWAY_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub(super) json: bool,
}

/// An open ledger.
pub(super) struct Books {
    store: SqliteStore,
    /// What a new account starts with.
    pub(super) grant: MicroCredits,
}

type Failed = Box<dyn Error>;

impl Books {
    /// Opens the ledger, and makes it where there is none.
    pub(super) fn open(place: &Place) -> Result<Self, Failed> {
        let (folder, grant) = Self::find(place)?;
        let store = SqliteStore::open(&folder).map_err(|error| in_words(&error))?;
        Ok(Self { store, grant })
    }

    /// Opens the ledger that must be there.
    pub(super) fn open_existing(place: &Place) -> Result<Self, Failed> {
        let (folder, grant) = Self::find(place)?;
        if !SqliteStore::exists(&folder) {
            let folder = folder.display();
            return Err(format!(
                "there is no ledger in {folder}: name its folder with --data-dir, or open the first account with \
                 `freeway accounts create`"
            )
            .into());
        }
        let store = SqliteStore::open(&folder).map_err(|error| in_words(&error))?;
        Ok(Self { store, grant })
    }

    fn find(place: &Place) -> Result<(PathBuf, MicroCredits), Failed> {
        // Whether accounts are on matters to the server only.
        let overrides =
            Overrides { data_dir: place.data_dir.clone(), accounts: true, ..Overrides::default() };
        let config = Config::load(place.config.as_deref(), &overrides, &environment)?;
        let grant = config.accounts.map_or(MicroCredits::ZERO, |rules| rules.grant);
        Ok((config.data_dir.unwrap_or_else(|| DEFAULT_DATA_DIR.into()), grant))
    }

    /// Makes a change; a refusal is an error.
    pub(super) fn change(&self, op: Op) -> Result<Outcome, Failed> {
        let applied = self.store.writer().and_then(|mut writer| writer.apply(&[op]));
        let outcome = applied.map_err(|error| in_words(&error))?.pop();
        match outcome {
            Some(Outcome::Refused(refusal)) => Err(refused(refusal).into()),
            Some(outcome) => Ok(outcome),
            None => Err("the ledger gave no answer".into()),
        }
    }

    /// Looks something up.
    pub(super) fn look<T>(
        &self,
        look: impl FnOnce(&mut dyn Reader) -> Result<T, StoreError>,
    ) -> Result<T, Failed> {
        let found = self.store.reader().and_then(|mut reader| look(reader.as_mut()));
        Ok(found.map_err(|error| in_words(&error))?)
    }
}

fn in_words(error: &StoreError) -> String {
    match error {
        StoreError::Busy => "another process holds the ledger for too long; try again".to_owned(),
        StoreError::Full => "the disk of the ledger is full: make room and try again".to_owned(),
        other => other.to_string(),
    }
}

fn refused(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::NoAccount => "there is no such account; `freeway accounts list` shows those there are",
        Refusal::NoKey => "there is no such key; `freeway keys list ACCOUNT` shows those of an account",
        Refusal::OtherAccount => "this reference was credited to another account; use one for each payment",
        Refusal::TooMuch => "the balance would exceed what can be counted; credit less",
    }
}

/// Unix ms.
pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// An amount above zero.
pub(super) fn amount(text: &str) -> Result<MicroCredits, String> {
    let amount = amount_or_none(text)?;
    if amount > MicroCredits::ZERO { Ok(amount) } else { Err("an amount is above zero".to_owned()) }
}

/// An amount that may be zero.
pub(super) fn amount_or_none(text: &str) -> Result<MicroCredits, String> {
    let amount: MicroCredits = text.parse().map_err(|error: crate::money::BadAmount| error.to_string())?;
    if amount < MicroCredits::ZERO { Err("an amount is not negative".to_owned()) } else { Ok(amount) }
}
