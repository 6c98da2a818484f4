//! What runs beside the requests, one loop a file: model lists, name lookups, the operator's HTTP,
//! and the simulated provider.

pub mod announce;
pub mod catalog_sync;
pub mod name_lookup;
pub mod operator_http;
pub mod simulate;
pub mod simulated_provider;
