//! Which processes live: each that leases holds a lock on a file of its own, which the system frees when
//! it ends, however it ends.

use crate::accounts::BootId;
use crate::store::StoreError;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Another process may hold the file for a moment to see whether we live.
const LOCK_TRIES: usize = 100;
/// How long a process that starts waits for others that are starting.
const TURN_WAIT: Duration = Duration::from_secs(10);

/// Where the lock files are.
pub(super) fn folder(data: &Path) -> PathBuf {
    data.join("run")
}

fn file(data: &Path, boot: BootId) -> PathBuf {
    folder(data).join(format!("{boot}.lock"))
}

/// A locked file. The lock ends with it.
pub(super) struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    /// Takes away the file and then the lock.
    pub(super) fn remove(self) {
        // Whoever looks for dead processes takes it away otherwise.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Shows that `boot` lives, for as long as the lock is kept.
pub(super) fn live(data: &Path, boot: BootId) -> Result<Lock, StoreError> {
    let path = file(data, boot);
    for _ in 0..LOCK_TRIES {
        match lock(&path, true) {
            Ok(Some(lock)) => return Ok(lock),
            Ok(None) => pause(),
            Err(error) if error.kind() == io::ErrorKind::StorageFull => return Err(StoreError::Full),
            Err(error) => return Err(cannot_lock(&path, &error)),
        }
    }
    Err(cannot_lock(&path, &"another process holds it"))
}

/// A process that may be dead.
pub(super) enum Pulse {
    /// It lives.
    Alive,
    /// It is dead; nobody else finds that out while the lock is kept.
    Dead(Option<Lock>),
}

/// Whether `boot` lives.
pub(super) fn pulse(data: &Path, boot: BootId) -> Result<Pulse, StoreError> {
    let path = file(data, boot);
    match lock(&path, false) {
        Ok(Some(lock)) => Ok(Pulse::Dead(Some(lock))),
        Ok(None) => Ok(Pulse::Alive),
        // It locks its file before it leases, so there is nothing to wait for.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Pulse::Dead(None)),
        Err(error) => Err(cannot_lock(&path, &error)),
    }
}

/// Processes with a lock file.
pub(super) fn known(data: &Path) -> Vec<BootId> {
    let Ok(entries) = std::fs::read_dir(folder(data)) else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter_map(|name| name.strip_suffix(".lock")?.parse().ok()).collect()
}

/// Waits until no other process makes or changes the file.
pub(super) fn take_turn(data: &Path) -> Result<File, StoreError> {
    let path = folder(data).join("opening.lock");
    let until = Instant::now() + TURN_WAIT;
    let file = open(&path, true).map_err(|error| cannot_lock(&path, &error))?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < until => pause(),
            Err(TryLockError::WouldBlock) => return Err(StoreError::Busy),
            Err(TryLockError::Error(error)) => return Err(cannot_lock(&path, &error)),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a few times at most, on the writer's or the main thread")]
fn pause() {
    std::thread::sleep(Duration::from_millis(10));
}

/// `None`: another process holds it, or took it away just now.
fn lock(path: &Path, create: bool) -> io::Result<Option<Lock>> {
    let file = open(path, create)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    // What is locked may not be the file that is there any more.
    let same = match std::fs::metadata(path) {
        Ok(there) => there.ino() == file.metadata()?.ino(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(error),
    };
    Ok(same.then(|| Lock { path: path.to_owned(), _file: file }))
}

fn open(path: &Path, create: bool) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(create).truncate(false).mode(0o600).open(path)
}

fn cannot_lock(path: &Path, reason: &dyn std::fmt::Display) -> StoreError {
    let reason =
        format!("cannot lock it: {reason}; the folder must be on a local disk and may be written to");
    StoreError::Open { path: path.display().to_string(), reason }
}
