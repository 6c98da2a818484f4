//! What runs beside the requests, one loop a file: model lists, name lookups, turns, leases, what outlives a
//! restart, the operator's HTTP, the simulated provider, and the end of the process.

pub mod announce;
pub mod catalog_sync;
pub mod drain;
pub mod lease_renewal;
pub mod name_lookup;
pub mod operator_http;
pub mod queue_turns;
pub mod simulate;
pub mod simulated_provider;
mod state_file;
pub mod state_keeper;
