//! The real program, started on free ports, against scripted providers and real clients.
//!
//! Nothing here sleeps to synchronise: providers wait at gates the test opens, and time only bounds
//! how long a failure takes to show.

#![expect(unreachable_pub, reason = "`pub` marks what the other modules of this binary use")]

mod client;
mod client_h2;
mod enforced;
mod harness;
mod money;
mod provider;
mod provider_h1;
mod provider_h2;
mod script;

mod accounts;
mod admin;
mod board;
mod broken;
mod canary;
mod capped;
mod catalog;
mod cli_accounts;
mod cli_classifier;
mod clients;
mod compressed;
mod cooldown;
mod errors;
mod exhausted;
mod failover;
mod fitness;
mod forwarding;
mod generation;
mod idempotency;
mod limiting;
mod limits;
mod local;
mod metering;
mod metrics;
mod midway;
mod own_keys;
mod pace;
mod paying;
mod pool;
mod preferences;
mod quality;
mod queue;
mod restart;
mod routing;
mod scripted;
mod secure;
mod sticky;
mod storm;
mod streaming;
mod told;
