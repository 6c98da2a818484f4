//! A file of the data folder that holds what a process would not like to forget, as JSON.
//!
//! Written whole or not at all, where something has changed; read before the first request. What cannot be read
//! or written is spoken of, and no reason to stop.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Far above what any of them has.
const MAX_BYTES: u64 = 64 << 20;

/// What is in such a file.
pub(super) trait Contents: Serialize + DeserializeOwned + PartialEq {
    /// What it is, in words that complete "… is not known" and "… cannot be written down".
    const WHAT: &'static str;

    /// It is of the version that is written here.
    fn is_current(&self) -> bool;

    /// It says nothing.
    fn is_empty(&self) -> bool;
}

/// The file and what was last written there.
pub(super) struct StateFile<C> {
    path: PathBuf,
    state: Mutex<State<C>>,
}

struct State<C> {
    written: Option<C>,
    /// Another process writes it now.
    handed_over: bool,
    /// Said once, not every few seconds.
    failed: bool,
}

impl<C: Contents> StateFile<C> {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path, state: Mutex::new(State { written: None, handed_over: false, failed: false }) }
    }

    /// What is in the file; nothing where it is not there or cannot be used.
    pub(super) fn read(&self) -> Option<C> {
        match read(&self.path) {
            Ok(contents) => Some(contents),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                let path = self.path.display();
                tracing::warn!(%path, %error, "{} before this start is not known", C::WHAT);
                None
            }
        }
    }

    /// Writes the file, if something has changed. Blocks.
    pub(super) fn save(&self, contents: impl FnOnce() -> C) {
        let mut state = self.lock();
        if state.handed_over {
            return;
        }
        let contents = contents();
        if state.written.as_ref() == Some(&contents) || state.written.is_none() && contents.is_empty() {
            return;
        }
        match write(&self.path, &contents) {
            Ok(()) => {
                tracing::debug!("{} is written down", C::WHAT);
                (state.written, state.failed) = (Some(contents), false);
            }
            Err(error) if !state.failed => {
                let path = self.path.display();
                tracing::warn!(%path, %error, "{} cannot be written down", C::WHAT);
                state.failed = true;
            }
            Err(_) => {}
        }
    }

    /// Another process writes it from now on.
    pub(super) fn hand_over(&self) {
        self.lock().handed_over = true;
    }

    fn lock(&self) -> MutexGuard<'_, State<C>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read<C: Contents>(path: &Path) -> io::Result<C> {
    if fs::metadata(path)?.len() > MAX_BYTES {
        return Err(io::Error::other("it is too long to be ours"));
    }
    let bytes = fs::read(path)?;
    // Our words: a parser's message may quote what is in the file.
    let contents: C =
        serde_json::from_slice(&bytes).map_err(|_| io::Error::other("it is damaged, or not ours"))?;
    if contents.is_current() { Ok(contents) } else { Err(io::Error::other("it is of another version")) }
}

/// Whole or not at all: a new file takes the old one's place once it is on the disk.
fn write(path: &Path, contents: &impl Serialize) -> io::Result<()> {
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
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Rows {
        version: u32,
        rows: Vec<u32>,
    }

    impl Contents for Rows {
        const WHAT: &'static str = "a test";

        fn is_current(&self) -> bool {
            self.version == 1
        }

        fn is_empty(&self) -> bool {
            self.rows.is_empty()
        }
    }

    fn rows(rows: Vec<u32>) -> Rows {
        Rows { version: 1, rows }
    }

    #[test]
    fn what_was_written_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("new").join("state.json");
        let file = StateFile::new(path.clone());
        file.save(|| rows(vec![]));
        assert!(!path.exists(), "there is nothing to write");
        for some in [vec![1, 2], vec![]] {
            file.save(|| rows(some.clone()));
            assert_eq!(file.read(), Some(rows(some)));
        }
        let left = fs::read_dir(path.parent().expect("a folder")).expect("a folder").count();
        assert_eq!(left, 1, "nothing is left over");
        file.hand_over();
        file.save(|| rows(vec![3]));
        assert_eq!(file.read(), Some(rows(vec![])), "another process writes it");
    }

    #[test]
    fn what_is_not_ours_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state.json");
        assert_eq!(read::<Rows>(&path).expect_err("no file").kind(), io::ErrorKind::NotFound);
        for text in ["", "{", "[]", r#"{"version":2,"rows":[]}"#, r#"{"version":1,"rows":[{}]}"#, "\u{0}"] {
            fs::write(&path, text).expect("a file");
            assert!(read::<Rows>(&path).is_err(), "{text}");
        }
    }
}
