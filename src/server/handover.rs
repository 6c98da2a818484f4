//! Where a process hands its listeners to the one that takes over: a Unix socket in the data folder.

use super::StartError;
use crate::config::{Config, DEFAULT_DATA_DIR};
use std::path::{Path, PathBuf};

/// What the system allows a Unix socket's path to have, bytes.
const MAX_PATH: usize = 107;
/// Linux's list of Unix sockets, and how it marks those that accept connections.
const SOCKETS: &str = "/proc/net/unix";
const ACCEPTS: &str = "00010000";

/// The meeting point.
pub(super) struct Handover(String);

impl Handover {
    /// In the data folder, which is made for a process that takes over.
    pub(super) fn new(config: &Config, takes_over: bool) -> Result<Self, StartError> {
        let folder = config.data_dir.as_deref().unwrap_or(Path::new(DEFAULT_DATA_DIR));
        let failed = |source| StartError::Data { path: folder.display().to_string(), source };
        if takes_over {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        // Both processes must spell it alike.
        let folder = folder.canonicalize().or_else(|_| std::path::absolute(folder)).map_err(failed)?;
        let path: PathBuf = folder.join("upgrade.sock");
        match path.to_str().filter(|path| path.len() <= MAX_PATH && !path.contains(char::is_whitespace)) {
            Some(path) => Ok(Self(path.to_owned())),
            None if takes_over => Err(StartError::Handover(path.display().to_string())),
            // It only cannot be taken over from.
            None => Ok(Self(String::new())),
        }
    }

    /// Its path.
    pub(super) fn path(&self) -> &str {
        &self.0
    }

    /// Whether a process waits there. A connection would be taken for the listeners, so it is looked up.
    pub(super) fn is_awaited(&self) -> bool {
        let listed = std::fs::read_to_string(SOCKETS).unwrap_or_default();
        !self.0.is_empty() && listed.lines().any(|line| accepts_at(line, &self.0))
    }
}

/// `Num RefCount Protocol Flags Type St Inode Path`.
fn accepts_at(line: &str, path: &str) -> bool {
    let mut fields = line.split_ascii_whitespace();
    fields.nth(3) == Some(ACCEPTS) && fields.nth(3) == Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_socket_that_accepts_counts() {
        let line = |flags| format!("ffff8881: 00000002 00000000 {flags} 0001 01 34567 /data/upgrade.sock");
        assert!(accepts_at(&line(ACCEPTS), "/data/upgrade.sock"));
        assert!(!accepts_at(&line("00000000"), "/data/upgrade.sock"));
        assert!(!accepts_at(&line(ACCEPTS), "/data/other.sock"));
        assert!(!accepts_at("ffff8881: 00000002 00000000 00010000 0001 01 34567", ""));
    }

    #[test]
    fn a_listening_socket_is_found_and_its_file_alone_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("upgrade.sock").display().to_string();
        let handover = Handover(path.clone());
        let listener = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
        assert!(handover.is_awaited());
        drop(listener);
        assert!(Path::new(&path).exists() && !handover.is_awaited());
    }
}
