//! Keeps what is used of the providers' limits over restarts, in a file of the data folder.
//!
//! Written every few seconds where something has changed, and at the end of the process; read before the first
//! request. A process that hands over writes it then for the last time, before it gives its listeners away, and
//! the one that takes over reads it once it has them: so there is one writer at any time, and what the old one
//! still answers meanwhile is the only thing nobody counts.

use crate::catalog::Secret;
use crate::proxy::Gateway;
use crate::upstream::Kept;
use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What a killed process loses at most.
const EVERY: Duration = Duration::from_secs(5);
/// The file's name.
const NAME: &str = "quota.json";
/// The file's format; another one is not read.
const VERSION: u32 = 1;
/// Of a few hundred endpoints it has a few hundred kilobytes.
const MAX_BYTES: u64 = 64 << 20;
/// Hexadecimal digits of a key's SHA-256 that name it: enough to tell an operator's keys apart.
const NAME_DIGITS: usize = 16;

/// The file and what was last written there.
pub struct QuotaKeeper {
    gateway: Arc<Gateway>,
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    written: Option<Vec<Kept>>,
    /// Another process writes it now.
    handed_over: bool,
    /// Said once, not every few seconds.
    failed: bool,
}

/// The file.
#[derive(Serialize, Deserialize)]
struct Contents {
    version: u32,
    limits: Vec<Kept>,
}

impl QuotaKeeper {
    /// A keeper; none without a data folder.
    pub fn new(gateway: &Arc<Gateway>) -> Option<Arc<Self>> {
        let path = gateway.config().data_dir.as_ref()?.join(NAME);
        Some(Arc::new(Self { gateway: Arc::clone(gateway), path, state: Mutex::default() }))
    }

    /// Reads the file, and counts what is in it. One that cannot be used is spoken of and left out: what was used
    /// before is not known then.
    pub fn read(&self) {
        match read(&self.path) {
            Ok(rows) => {
                self.gateway.pool.remember(rows);
                self.gateway.recall_quotas();
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let path = self.path.display();
                tracing::warn!(%path, %error, "what was used of limits before this start is not known");
            }
        }
    }

    /// Writes the file, if something has changed. Blocks.
    pub fn save(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.handed_over {
            return;
        }
        let rows = self.gateway.pool.kept(key_name, self.gateway.clock().now_ms());
        if state.written.as_ref() == Some(&rows) || state.written.is_none() && rows.is_empty() {
            return;
        }
        let contents = Contents { version: VERSION, limits: rows };
        match write(&self.path, &contents) {
            Ok(()) => {
                tracing::debug!(limits = contents.limits.len(), "what is used of limits is written down");
                (state.written, state.failed) = (Some(contents.limits), false);
            }
            Err(error) if !state.failed => {
                let path = self.path.display();
                tracing::warn!(%path, %error, "what is used of limits cannot be written down");
                state.failed = true;
            }
            Err(_) => {}
        }
    }

    /// Writes the file for the last time: another process takes over.
    pub fn hand_over(&self) {
        self.save();
        self.state.lock().unwrap_or_else(PoisonError::into_inner).handed_over = true;
    }
}

/// The loop.
pub struct QuotaKeeping(pub Arc<QuotaKeeper>);

#[async_trait]
impl BackgroundService for QuotaKeeping {
    /// Goes on until the process ends: requests under way still use something.
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut told = false;
        loop {
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                // Whoever embeds the proxy may end the process at any moment after that.
                _ = shutdown.changed(), if !told => told = true,
            }
            let keeper = Arc::clone(&self.0);
            let _ = tokio::task::spawn_blocking(move || keeper.save()).await;
        }
    }
}

impl Gateway {
    /// Counts what was used before a restart of endpoints that are there by now.
    pub(super) fn recall_quotas(&self) {
        self.pool.recall(key_name, self.clock.now_ms());
    }
}

/// The beginning of the key's SHA-256.
fn key_name(secret: &Secret) -> String {
    let hash = Sha256::digest(secret.reveal().as_bytes());
    let digits = hash.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.take(NAME_DIGITS).map(|digit| char::from_digit(digit.into(), 16).unwrap_or('0')).collect()
}

fn read(path: &Path) -> io::Result<Vec<Kept>> {
    if fs::metadata(path)?.len() > MAX_BYTES {
        return Err(io::Error::other("it is too long to be ours"));
    }
    let bytes = fs::read(path)?;
    // Our words: a parser's message may quote what is in the file.
    let contents: Contents =
        serde_json::from_slice(&bytes).map_err(|_| io::Error::other("it is damaged, or not ours"))?;
    if contents.version != VERSION {
        return Err(io::Error::other("it is of another version"));
    }
    Ok(contents.limits)
}

/// Whole or not at all: a new file takes the old one's place once it is on the disk.
fn write(path: &Path, contents: &Contents) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    // Two processes on one folder never write to the same one.
    let fresh = path.with_extension(format!("{}.new", std::process::id()));
    let written = File::create(&fresh).and_then(|mut file| {
        file.write_all(&serde_json::to_vec(contents)?)?;
        file.sync_all()
    });
    written.and_then(|()| fs::rename(&fresh, path)).inspect_err(|_| drop(fs::remove_file(&fresh)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_a_name_that_does_not_give_it_away() {
        let name = |key: &str| key_name(&Secret::new(key).expect("a key"));
        assert_eq!(name("abc"), "ba7816bf8f01cfea");
        assert_ne!(name("abc"), name("abd"));
    }

    #[test]
    fn what_was_written_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("new").join(NAME);
        let text = r#"{"of":"a/m","key":null,"scope":"model","unit":"requests","per":"day","used":3,"limit":5,"resets_ms":9}"#;
        let row: Kept = serde_json::from_str(text).expect("a row");
        for limits in [vec![row], vec![]] {
            write(&path, &Contents { version: VERSION, limits: limits.clone() }).expect("written");
            assert_eq!(read(&path).expect("read"), limits);
        }
        let left = fs::read_dir(path.parent().expect("a folder")).expect("a folder").count();
        assert_eq!(left, 1, "nothing is left over");
    }

    #[test]
    fn what_is_not_ours_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(NAME);
        assert_eq!(read(&path).expect_err("no file").kind(), io::ErrorKind::NotFound);
        for text in ["", "{", "[]", r#"{"version":2,"limits":[]}"#, r#"{"version":1,"limits":[{}]}"#, "\u{0}"]
        {
            fs::write(&path, text).expect("a file");
            assert!(read(&path).is_err(), "{text}");
        }
    }
}
