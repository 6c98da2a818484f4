//! Keeps over restarts what is used of the providers' limits, and which model a conversation is with, in files of
//! the data folder.
//!
//! Written while something changes, and at the end of the process; read before the first request. A process that
//! hands over writes them then for the last time, before it gives its listeners away, and the one that takes over
//! reads them once it has them: so there is one writer at any time, and what the old one still answers meanwhile
//! is the only thing nobody counts.

use super::state_file::{Contents, StateFile};
use crate::catalog::Secret;
use crate::proxy::Gateway;
use crate::{sessions, upstream};
use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;

/// What a killed process loses at most of limits.
const EVERY: Duration = Duration::from_secs(5);
/// Conversations are written down every so many times: there may be a megabyte of them, and to forget one costs
/// no more than a cold cache.
const SESSIONS_EVERY: u32 = 6;
/// The files' format; another one is not read.
const VERSION: u32 = 1;
/// Hexadecimal digits of a key's SHA-256 that name it: enough to tell an operator's keys apart.
const NAME_DIGITS: usize = 16;

/// `quota.json`: of a few hundred endpoints it has a few hundred kilobytes.
#[derive(PartialEq, Serialize, Deserialize)]
struct Quotas {
    version: u32,
    limits: Vec<upstream::Kept>,
}

/// `sessions.json`: at most [`sessions::MOST_KEPT`] rows of about 60 bytes, hashes and times.
#[derive(PartialEq, Serialize, Deserialize)]
struct Sessions {
    version: u32,
    sessions: Vec<sessions::Kept>,
}

impl Contents for Quotas {
    const WHAT: &'static str = "what was used of limits";

    fn is_current(&self) -> bool {
        self.version == VERSION
    }

    fn is_empty(&self) -> bool {
        self.limits.is_empty()
    }
}

impl Contents for Sessions {
    const WHAT: &'static str = "which model answered which conversation";

    fn is_current(&self) -> bool {
        self.version == VERSION
    }

    fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }
}

/// The files.
pub struct StateKeeper {
    gateway: Arc<Gateway>,
    quotas: StateFile<Quotas>,
    sessions: StateFile<Sessions>,
}

impl StateKeeper {
    /// A keeper; none without a data folder.
    pub fn new(gateway: &Arc<Gateway>) -> Option<Arc<Self>> {
        let folder = gateway.config().data_dir.as_ref()?;
        let quotas = StateFile::new(folder.join("quota.json"));
        let sessions = StateFile::new(folder.join("sessions.json"));
        Some(Arc::new(Self { gateway: Arc::clone(gateway), quotas, sessions }))
    }

    /// Reads the files, and takes in what is in them.
    pub fn read(&self) {
        let gateway = &self.gateway;
        if let Some(Quotas { limits, .. }) = self.quotas.read() {
            gateway.pool.remember(limits);
            gateway.recall_quotas();
        }
        if let Some(Sessions { sessions, .. }) = self.sessions.read() {
            gateway.sessions.restore(&sessions, gateway.clock().now_ms());
        }
    }

    /// Writes down what has changed. Blocks.
    pub fn save(&self) {
        self.save_quotas();
        self.save_sessions();
    }

    /// Writes the files for the last time: another process takes over.
    pub fn hand_over(&self) {
        self.save();
        self.quotas.hand_over();
        self.sessions.hand_over();
    }

    fn save_quotas(&self) {
        let now_ms = self.gateway.clock().now_ms();
        let limits = || self.gateway.pool.kept(key_name, now_ms);
        self.quotas.save(|| Quotas { version: VERSION, limits: limits() });
    }

    fn save_sessions(&self) {
        let now_ms = self.gateway.clock().now_ms();
        let sessions = || self.gateway.sessions.kept(now_ms);
        self.sessions.save(|| Sessions { version: VERSION, sessions: sessions() });
    }
}

/// The loop.
pub struct StateKeeping(pub Arc<StateKeeper>);

#[async_trait]
impl BackgroundService for StateKeeping {
    /// Goes on until the process ends: requests under way still use something.
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut told = false;
        let mut times = 0_u32;
        loop {
            tokio::select! {
                () = tokio::time::sleep(EVERY) => times = times.wrapping_add(1),
                // Whoever embeds the proxy may end the process at any moment after that.
                _ = shutdown.changed(), if !told => (told, times) = (true, 0),
            }
            let (keeper, all) = (Arc::clone(&self.0), times.is_multiple_of(SESSIONS_EVERY));
            let save = move || if all { keeper.save() } else { keeper.save_quotas() };
            let _ = tokio::task::spawn_blocking(save).await;
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
    fn the_files_are_as_they_always_were() {
        let limits = r#"{"version":1,"limits":[{"of":"a/m","key":null,"scope":"model","unit":"requests","per":"day","used":3,"limit":5,"resets_ms":9}]}"#;
        let quotas: Quotas = serde_json::from_str(limits).expect("limits");
        assert!(quotas.is_current() && quotas.limits.len() == 1);
        let sessions: Sessions =
            serde_json::from_str(r#"{"version":1,"sessions":[[1,2,3]]}"#).expect("sessions");
        assert_eq!(sessions.sessions, [sessions::Kept(1, 2, 3)]);
    }
}
