//! Freeway: a reverse proxy that answers `model: "auto"` with the best free model for the job.

pub mod catalog;
pub mod metering;
pub mod money;
pub mod protocol;
pub mod routing;
pub mod snapshot;
pub mod upstream;

#[cfg(feature = "proxy")]
pub mod access_log;
#[cfg(feature = "proxy")]
pub mod accounts;
#[cfg(feature = "proxy")]
pub mod cli;
#[cfg(feature = "proxy")]
pub mod config;
#[cfg(feature = "proxy")]
pub mod logs;
#[cfg(feature = "proxy")]
pub mod metrics;
#[cfg(feature = "proxy")]
pub mod proxy;
#[cfg(feature = "proxy")]
pub mod server;
#[cfg(feature = "proxy")]
pub mod services;
