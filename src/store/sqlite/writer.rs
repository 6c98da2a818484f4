//! The connection that writes: one transaction a batch, and a new connection after every failure.

use super::batch::Batch;
use super::boot::{self, Lock, Pulse};
use super::{Mischief, connection};
use crate::accounts::BootId;
use crate::store::{Op, Outcome, StoreError, Writer};
use rusqlite::{Connection, ErrorCode};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

pub(super) struct SqliteWriter {
    folder: PathBuf,
    boot: BootId,
    /// Held from before the first lease on.
    lock: Option<Lock>,
    /// None after a failure: a file whose writing failed is opened anew, since what the system still holds
    /// of it may be lost without a second error.
    connection: Option<Connection>,
    mischief: Mischief,
}

impl SqliteWriter {
    pub(super) fn open(folder: &Path, mischief: Mischief) -> Result<Self, StoreError> {
        let bits = getrandom::u64()
            .map_err(|error| StoreError::Failed(format!("no random numbers to be had: {error}")))?;
        Ok(Self {
            folder: folder.to_owned(),
            boot: BootId::from_random(bits),
            lock: None,
            connection: Some(connect(folder, &mischief)?),
            mischief,
        })
    }

    /// Ends as a killed process does: nothing is given back, the lock file stays, its lock does not.
    #[cfg(test)]
    pub(super) fn die(mut self) {
        self.connection = None;
        self.lock = None;
    }

    /// The file may not grow any more, until this connection is given up.
    #[cfg(test)]
    pub(super) fn limit_pages(&self) {
        let connection = self.connection.as_ref().expect("nothing has failed");
        connection.query_row("PRAGMA max_page_count = 1", [], |_| Ok(())).expect("set");
    }

    /// Runs `work` in a transaction that holds the write lock from its beginning.
    fn transact<T>(
        &mut self,
        work: impl FnOnce(&Connection, BootId) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect(&self.folder, &self.mischief)?,
        };
        if let Err(error) = run(&connection, "BEGIN IMMEDIATE") {
            // Another process is writing: that is no failure of the file.
            if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) {
                self.connection = Some(connection);
            }
            return Err(error.into());
        }
        let worked = work(&connection, self.boot);
        let ended = worked.and_then(|value| {
            run(&connection, "COMMIT").map_err(committing)?;
            Ok(value)
        });
        match ended {
            Ok(value) => {
                self.connection = Some(connection);
                Ok(value)
            }
            Err(error) => {
                // Closing it would do the same.
                let _ = run(&connection, "ROLLBACK");
                Err(error)
            }
        }
    }

    fn dead(&self) -> Result<Vec<BootId>, StoreError> {
        let connection = self.connection.as_ref();
        let Some(connection) = connection else { return Ok(Vec::new()) };
        let mut select = connection.prepare_cached("SELECT DISTINCT boot FROM leases WHERE boot <> ?1")?;
        let found = select.query_map([self.boot.get()], |row| row.get(0).map(BootId::new))?;
        Ok(found.collect::<rusqlite::Result<_>>()?)
    }
}

/// Without room or the lock nothing was written; otherwise all of it may be there, and be found when the
/// file is next opened.
fn committing(error: rusqlite::Error) -> StoreError {
    match StoreError::from(error) {
        StoreError::Failed(what) => StoreError::Doubtful(what),
        other => other,
    }
}

fn connect(folder: &Path, mischief: &Mischief) -> Result<Connection, StoreError> {
    let connection = connection::writer(folder)?;
    if mischief.careless {
        connection.execute_batch("PRAGMA synchronous = NORMAL")?;
    }
    Ok(connection)
}

fn run(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}

impl Writer for SqliteWriter {
    fn apply(&mut self, ops: &[Op]) -> Result<Vec<Outcome>, StoreError> {
        if ops.is_empty() {
            return Ok(Vec::new());
        }
        if self.lock.is_none() && ops.iter().any(|op| matches!(op, Op::Lease(_))) {
            self.lock = Some(boot::live(&self.folder, self.boot)?);
        }
        self.transact(|connection, boot| {
            let mut batch = Batch::new(connection, boot)?;
            let outcomes = ops.iter().map(|op| batch.apply(op)).collect::<Result<_, _>>()?;
            batch.write_back()?;
            Ok(outcomes)
        })
    }

    fn reap(&mut self) -> Result<usize, StoreError> {
        let mut returned = 0;
        if self.connection.is_none() {
            self.connection = Some(connect(&self.folder, &self.mischief)?);
        }
        let leasing = self.dead()?;
        for &boot in &leasing {
            if let Pulse::Dead(lock) = boot::pulse(&self.folder, boot)? {
                returned += self.transact(|connection, _| return_leases(connection, boot))?;
                lock.into_iter().for_each(Lock::remove);
            }
        }
        for boot in boot::known(&self.folder) {
            if boot != self.boot
                && !leasing.contains(&boot)
                && let Ok(Pulse::Dead(Some(lock))) = boot::pulse(&self.folder, boot)
            {
                lock.remove();
            }
        }
        Ok(returned)
    }
}

/// Gives back all that a process had leased. How many leases there were.
fn return_leases(connection: &Connection, boot: BootId) -> Result<usize, StoreError> {
    let mut update = connection.prepare_cached(
        "UPDATE accounts SET leased = accounts.leased - l.amount, \
         day_used = day_used - iif(l.day = accounts.day, min(l.requests, day_used), 0) \
         FROM leases AS l WHERE l.boot = ?1 AND l.account = accounts.id",
    )?;
    update.execute([boot.get()])?;
    Ok(connection.prepare_cached("DELETE FROM leases WHERE boot = ?1")?.execute([boot.get()])?)
}

impl Drop for SqliteWriter {
    fn drop(&mut self) {
        let killed = self.mischief.killed.load(Ordering::Acquire);
        if let Some(lock) = self.lock.take().filter(|_| !killed) {
            // Whoever looks for dead processes returns them otherwise.
            let _ = self.transact(return_leases);
            lock.remove();
        }
    }
}
