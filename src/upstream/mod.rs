//! The live state of every endpoint: what was measured, what failed, and until when to leave it
//! alone.
//!
//! Atomics only, and the time is always an argument. Choosing among endpoints is `routing`'s;
//! nothing here keeps the pool from emptying, because ejection is soft: whoever plans may still
//! call an ejected endpoint as a last resort ([`EndpointState::begin_regardless`]).

mod borrowed;
mod breaker;
mod budget;
mod fitness;
mod gone;
pub mod health;
pub mod hints;
mod in_flight;
mod key;
mod lacks;
mod lane;
pub mod limit_headers;
mod measure;
mod memory;
mod patience;
pub mod pool;
mod quota;
mod quota_report;
mod recent;
mod status;

pub use budget::RetryBudget;
pub use health::{EndpointState, Outcome};
pub use in_flight::InFlight;
pub use key::KeyState;
pub use memory::{Kept, KeyName};
pub use pool::Pool;
pub use quota::{Observed, Reading};
pub use quota_report::quota_report;
pub use recent::RECENT_S;
pub use status::{KeyStatus, Status};
