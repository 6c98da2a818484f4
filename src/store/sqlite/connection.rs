//! Opening the file: its place, its permissions, its schema, and how connections to it behave.

use super::boot;
use crate::store::StoreError;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use rusqlite_migration::{M, Migrations};
use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The first without a bug that damages files which two processes write.
const OLDEST_SQLITE: i32 = 3_051_003;
/// How long a connection waits for another's transaction.
const BUSY_WAIT: Duration = Duration::from_secs(5);
/// Statements kept prepared by a connection: more than there are.
const STATEMENTS: usize = 64;

/// Only ever added to: databases out there have begun with the first.
const STEPS: &[M<'_>] = &[M::up(include_str!("migrations/1-ledger.sql"))];
const MIGRATIONS: Migrations<'_> = Migrations::from_slice(STEPS);

/// The file in a folder.
pub(super) fn file(folder: &Path) -> PathBuf {
    folder.join("ledger.db")
}

/// Makes the folder and the file where there are none, and brings the schema up to date.
pub(super) fn prepare(folder: &Path) -> Result<(), StoreError> {
    check_version(folder, rusqlite::version_number())?;
    make_folder(folder)?;
    // Of several processes that start at once, one does it.
    let _turn = boot::take_turn(folder)?;
    make_file(folder).map_err(|error| cannot_open(folder, &error))?;
    let mut connection = open(folder)?;
    let mode: String = connection
        .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
        .map_err(|error| opening(folder, error))?;
    if mode != "wal" {
        return Err(cannot_open(folder, &"its file system cannot hold a write-ahead log; use a local disk"));
    }
    connection.set_transaction_behavior(TransactionBehavior::Immediate);
    MIGRATIONS.to_latest(&mut connection).map_err(|error| migrating(folder, error))
}

fn check_version(folder: &Path, version: i32) -> Result<(), StoreError> {
    if version >= OLDEST_SQLITE {
        return Ok(());
    }
    let reason = format!("SQLite {version} can damage it; build with {OLDEST_SQLITE} or later");
    Err(cannot_open(folder, &reason))
}

fn make_folder(folder: &Path) -> Result<(), StoreError> {
    let run = boot::folder(folder);
    if run.is_dir() {
        return Ok(());
    }
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&run);
    made.map_err(|error| {
        let reason = format!("{error}; name a folder that may be written to with --data-dir");
        StoreError::Open { path: folder.display().to_string(), reason }
    })
}

/// Nobody else may read it. SQLite gives its other files the same permissions.
fn make_file(folder: &Path) -> std::io::Result<()> {
    if file(folder).exists() {
        return Ok(());
    }
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(file(folder))?.sync_all()?;
    // The names have to be durable, too.
    File::open(folder)?.sync_all()?;
    folder.parent().map_or(Ok(()), |parent| match File::open(parent) {
        Ok(parent) => parent.sync_all(),
        // The folder's own name may be all that there is.
        Err(_) => Ok(()),
    })
}

/// A connection that writes.
pub(super) fn writer(folder: &Path) -> Result<Connection, StoreError> {
    let connection = open(folder)?;
    // 16 MB: the upper parts of all indexes.
    connection
        .execute_batch("PRAGMA foreign_keys = ON; PRAGMA cache_size = -16384")
        .map_err(|error| opening(folder, error))?;
    Ok(connection)
}

/// A connection that only reads.
pub(super) fn reader(folder: &Path) -> Result<Connection, StoreError> {
    let connection = open(folder)?;
    connection
        .execute_batch("PRAGMA query_only = ON; PRAGMA temp_store = MEMORY")
        .map_err(|error| opening(folder, error))?;
    Ok(connection)
}

fn open(folder: &Path) -> Result<Connection, StoreError> {
    // Not made anew where it was taken away: a ledger that is gone must be noticed.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(file(folder), flags).map_err(|error| opening(folder, error))?;
    connection.busy_timeout(BUSY_WAIT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection
        .execute_batch(
            "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 1000; \
             PRAGMA journal_size_limit = 67108864; PRAGMA mmap_size = 0; PRAGMA trusted_schema = OFF",
        )
        .map_err(|error| opening(folder, error))?;
    Ok(connection)
}

fn cannot_open(folder: &Path, reason: &dyn std::fmt::Display) -> StoreError {
    StoreError::Open { path: file(folder).display().to_string(), reason: reason.to_string() }
}

fn opening(folder: &Path, error: rusqlite::Error) -> StoreError {
    match StoreError::from(error) {
        StoreError::Failed(reason) => cannot_open(folder, &reason),
        other => other,
    }
}

fn migrating(folder: &Path, error: rusqlite_migration::Error) -> StoreError {
    match error {
        rusqlite_migration::Error::RusqliteError { err, .. } => opening(folder, err),
        rusqlite_migration::Error::MigrationDefinition(_) => {
            cannot_open(folder, &"it was made by a later version of Freeway; use that one")
        }
        other => cannot_open(folder, &other),
    }
}
