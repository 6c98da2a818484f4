//! Simulated providers with real limits over virtual time, and the routers that are compared there.

pub mod baselines;
pub mod chance;
pub mod compare;
pub mod dialect;
pub mod engine;
pub mod freeway_strategy;
pub mod operator;
pub mod oracle;
pub mod published;
pub mod report;
pub mod server;
pub mod study;
pub mod trace;
pub mod waiting;
pub mod window;
pub mod world;
