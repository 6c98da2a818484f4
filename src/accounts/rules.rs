//! What requests cost and may use, as the operator decides.

use super::tier::Tiers;
use crate::money::{MicroCredits, Price};
use std::time::Duration;

/// The rules of a process with accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// What tokens cost.
    pub price: Price,
    /// The limits of both tiers.
    pub tiers: Tiers,
    /// What a new account starts with.
    pub grant: MicroCredits,
    /// Accounts opened from one address (/24 or /64) in a day, at most; `None`: signup is off.
    pub signups_per_day: Option<u32>,
    /// The limit of an answer whose client set none, tokens.
    pub default_max_output_tokens: u32,
    /// How long the end of an answer waits for its charge to be durable.
    pub commit_wait: Duration,
    /// Admitted requests that are not settled yet, at most: each has its place in the writer's queue.
    pub max_open: usize,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            price: Price::default(),
            tiers: Tiers::default(),
            grant: MicroCredits::new(1_000_000_000),
            signups_per_day: Some(3),
            default_max_output_tokens: 4_096,
            commit_wait: Duration::from_secs(5),
            max_open: 20_000,
        }
    }
}
