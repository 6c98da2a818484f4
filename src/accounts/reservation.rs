//! A request's hold on its account, from admission to settlement.

use super::Caller;
use super::id::{AccountId, KeyId};
use crate::money::MicroCredits;
use std::sync::Arc;

/// What was set aside for one request. Dropping it releases it whole.
#[derive(Debug)]
#[must_use = "dropping a reservation voids it"]
pub struct Reservation {
    caller: Arc<Caller>,
    amount: MicroCredits,
    /// The day whose request it took.
    day: u32,
    settled: bool,
}

impl Reservation {
    pub(super) fn new(caller: Arc<Caller>, amount: MicroCredits, day: u32) -> Self {
        Self { caller, amount, day, settled: false }
    }

    /// The amount set aside: no charge is higher.
    pub fn amount(&self) -> MicroCredits {
        self.amount
    }

    /// Who pays.
    pub fn account(&self) -> AccountId {
        self.caller.wallet.account()
    }

    /// The key it was asked with.
    pub fn key(&self) -> KeyId {
        self.caller.key
    }

    /// Who asked.
    pub fn caller(&self) -> &Arc<Caller> {
        &self.caller
    }

    /// The day whose request it took, days since 1970.
    pub fn day(&self) -> u32 {
        self.day
    }

    /// The charge is durable: it leaves the lease, the rest may be reserved again. `balance` and
    /// `key_spent` are what the store has after it.
    pub fn settle(mut self, charged: MicroCredits, balance: MicroCredits, key_spent: MicroCredits) {
        self.settled = true;
        self.caller.budget.release(self.amount, Some(key_spent));
        self.caller.wallet.heard_balance(balance);
        self.caller.wallet.release(self.amount, charged);
    }

    /// The request is not admitted after all: its place among the day's requests is given back, too.
    pub fn reject(self) {
        self.caller.wallet.give_back_request(self.day);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.settled {
            self.caller.budget.release(self.amount, None);
            self.caller.wallet.release(self.amount, MicroCredits::ZERO);
        }
    }
}
