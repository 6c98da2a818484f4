//! The embedded store: one SQLite file.

use super::{Reader, Store, StoreError, Writer};
use std::path::Path;

/// The ledger in a folder.
#[derive(Debug)]
pub struct SqliteStore;

impl SqliteStore {
    /// Opens the ledger in `folder`, and makes it where there is none.
    ///
    /// # Errors
    /// [`StoreError`] when that is not possible.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        Err(StoreError::Open { path: folder.display().to_string(), reason: "not there yet".to_owned() })
    }
}

impl Store for SqliteStore {
    fn writer(&self) -> Result<Box<dyn Writer>, StoreError> {
        Err(StoreError::Busy)
    }

    fn reader(&self) -> Result<Box<dyn Reader>, StoreError> {
        Err(StoreError::Busy)
    }
}
