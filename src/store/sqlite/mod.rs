//! The embedded store: one SQLite file.
//!
//! Several processes may have it open: each writes in transactions that take the write lock first, and
//! holds a lock file for as long as it lives, by which others see whether its leases are still in use.

mod batch;
mod boot;
mod by_hand;
mod connection;
mod error;
mod reader;
mod rows;
mod settle;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

use super::{Reader, Store, StoreError, Writer};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The ledger in a folder.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    folder: PathBuf,
    mischief: Mischief,
}

/// What tests of crashes do to a store.
#[doc(hidden)]
#[derive(Clone, Debug, Default)]
pub struct Mischief {
    /// Once set, writers end as if their process was killed: their leases stay behind.
    pub killed: Arc<AtomicBool>,
    /// Commits do not wait for the disk: a power cut loses them.
    pub careless: bool,
}

impl SqliteStore {
    /// Opens the ledger in `folder`, and makes it where there is none.
    ///
    /// # Errors
    /// [`StoreError`] when that is not possible.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        Self::open_for_mischief(folder, Mischief::default())
    }

    /// The same for tests of crashes.
    #[doc(hidden)]
    pub fn open_for_mischief(folder: &Path, mischief: Mischief) -> Result<Self, StoreError> {
        connection::prepare(folder)?;
        Ok(Self { folder: folder.to_owned(), mischief })
    }

    /// Whether there is a ledger in `folder`.
    pub fn exists(folder: &Path) -> bool {
        connection::file(folder).exists()
    }
}

impl Store for SqliteStore {
    fn writer(&self) -> Result<Box<dyn Writer>, StoreError> {
        Ok(Box::new(writer::SqliteWriter::open(&self.folder, self.mischief.clone())?))
    }

    fn reader(&self) -> Result<Box<dyn Reader>, StoreError> {
        Ok(Box::new(reader::SqliteReader::open(&self.folder)?))
    }
}
