//! The real program, killed, stopped and replaced while clients use it; then its ledger is compared with
//! what the clients saw.
//!
//! What is promised: an answer whose end a client has seen is in the ledger exactly once with the amount
//! the client was told; nothing is in it that nobody asked for; and what a dead process had set aside is free
//! again.

#![expect(unreachable_pub, reason = "`pub` marks what the other modules of this binary use")]

mod accounts;
mod audit;
mod client;
mod load;
mod process;

mod controls;
mod elsewhere;
mod full_disk;
mod kills;
mod stops;
mod upgrades;
