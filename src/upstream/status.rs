//! All that is known of an endpoint at one moment, for people to see.

use super::health::EndpointState;
use super::quota::Reading;
use crate::routing::condition::{Availability, Condition};

/// One endpoint at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// How it is doing, for a request that is as small as can be.
    pub condition: Condition,
    /// Attempts that ended in the last [`RECENT_S`](super::RECENT_S) seconds.
    pub attempts: u64,
    /// Those of them that failed.
    pub failures: u64,
    /// What is used of which limit, with the position of the key it is of.
    pub readings: Vec<(usize, Reading)>,
    /// Whether each of its keys may be used for it, by position.
    pub keys: Vec<KeyStatus>,
}

/// An endpoint with one of its keys. What the key is nobody is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KeyStatus {
    /// Whether it may be used.
    pub availability: Availability,
    /// Requests under way with the key, at any endpoint.
    pub in_flight: u32,
}

impl EndpointState {
    /// All that is known of it.
    pub fn status(&self, now_ms: u64) -> Status {
        let (attempts, failures) = self.recent.counts(now_ms);
        let key = |lane: &super::lane::Lane| KeyStatus {
            availability: lane.state(0, now_ms).0,
            in_flight: lane.key.in_flight(),
        };
        Status {
            condition: self.condition(0, now_ms),
            attempts,
            failures,
            readings: self.readings(now_ms).collect(),
            keys: self.lanes.iter().map(key).collect(),
        }
    }
}
