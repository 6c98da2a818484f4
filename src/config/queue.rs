//! The table of waiting for a place.

use crate::queue::Bounds;
use serde::Deserialize;
use std::time::Duration;

/// How long and how many requests wait that only limits stand in the way of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long one waits that does not say.
    pub usual: Duration,
    /// How long one may wait at most; zero: nobody waits.
    pub most: Duration,
    /// How many.
    pub bounds: Bounds,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct QueueTable {
    default_wait_ms: u64,
    max_wait_ms: u64,
    max_waiting: usize,
    max_per_account: usize,
}

impl Default for QueueTable {
    fn default() -> Self {
        let Bounds { waiting, per_account } = Bounds::default();
        Self {
            default_wait_ms: 5_000,
            max_wait_ms: 60_000,
            max_waiting: waiting,
            max_per_account: per_account,
        }
    }
}

impl QueueTable {
    /// # Errors
    /// The field, and what is wrong with it.
    pub(super) fn patience(&self) -> Result<Patience, (String, String)> {
        for (name, value) in [("max_waiting", self.max_waiting), ("max_per_account", self.max_per_account)] {
            if value == 0 {
                let problem = "must be at least 1; queue.max_wait_ms = 0 turns waiting off".to_owned();
                return Err((format!("queue.{name}"), problem));
            }
        }
        Ok(Patience {
            usual: Duration::from_millis(self.default_wait_ms.min(self.max_wait_ms)),
            most: Duration::from_millis(self.max_wait_ms),
            bounds: Bounds { waiting: self.max_waiting, per_account: self.max_per_account },
        })
    }
}
