//! The arithmetic of accounts, leases and keys: what every database does with the rows it has locked.
//!
//! Pure: rows go in and come out changed. Which rows, and how they are kept, is the database's affair.

use crate::accounts::{Grant, Slice, Wish};
use crate::money::MicroCredits;

/// An account's figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Funds {
    /// Posted, micro-credits.
    pub(super) balance: i64,
    /// Of it, leased to processes.
    pub(super) leased: i64,
    /// Granted and topped up, in all.
    pub(super) credited: i64,
    /// The day requests were last counted on, since 1970.
    pub(super) day: u32,
    /// Requests of that day, unused slices included.
    pub(super) day_used: u32,
}

/// What one process may spend of one account. `requests` are of `day`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Leased {
    pub(super) amount: i64,
    pub(super) day: u32,
    pub(super) requests: u32,
}

/// What a key may spend, and has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spending {
    /// Whose key it is.
    pub(super) account: i64,
    pub(super) cap: Option<i64>,
    pub(super) spent: i64,
}

impl Funds {
    /// What nobody has leased.
    pub(super) fn available(&self) -> i64 {
        (self.balance - self.leased).max(0)
    }

    /// Adds a grant or top-up. `false`, and nothing is added: the sum would not fit.
    pub(super) fn credit(&mut self, amount: i64) -> bool {
        let sums = self.balance.checked_add(amount).zip(self.credited.checked_add(amount));
        if let Some((balance, credited)) = sums {
            (self.balance, self.credited) = (balance, credited);
        }
        sums.is_some()
    }

    /// The day moves on to `day`, and the count begins anew; an earlier one does not come back, except when
    /// the account is so far ahead that a clock must have been wrong: the count is kept then.
    fn turn_to(&mut self, day: u32) {
        if self.day > day.saturating_add(1) {
            self.day = day;
        } else if self.day < day {
            (self.day, self.day_used) = (day, 0);
        }
    }
}

impl Leased {
    /// Nothing is left of it.
    pub(super) fn is_empty(&self) -> bool {
        self.amount == 0 && self.requests == 0
    }

    /// One request of `day` was used.
    pub(super) fn use_request(&mut self, day: u32) {
        if self.day == day {
            self.requests = self.requests.saturating_sub(1);
        }
    }

    /// Requests of a day that is over are nothing any more.
    fn turn_to(&mut self, day: u32) {
        if self.day != day {
            (self.day, self.requests) = (day, 0);
        }
    }
}

/// Grants a wish: of the balance as much as is needed and, within half of what nobody has leased, as is
/// wanted; of the day's requests what its limit leaves.
pub(super) fn lease(funds: &mut Funds, leased: &mut Leased, wish: &Wish) -> Grant {
    let available = funds.available();
    let (need, want) = (wish.need.get().max(0), wish.want.get().max(0));
    let half = available / 2 + available % 2;
    let amount = if available <= need { available } else { need.max(want.min(half)) };
    funds.leased += amount;
    leased.amount += amount;

    funds.turn_to(wish.day);
    leased.turn_to(funds.day);
    give_back_requests(funds, leased, wish.returned);
    let room = wish.day_limit.map_or(u32::MAX, |limit| limit).saturating_sub(funds.day_used);
    let requests = wish.requests.min(room);
    funds.day_used += requests;
    leased.requests = leased.requests.saturating_add(requests);
    Grant {
        amount: MicroCredits::new(amount),
        balance: MicroCredits::new(funds.balance),
        left: MicroCredits::new(funds.available()),
        day: funds.day,
        requests,
        funded: wish.funded,
        day_used: funds.day_used,
    }
}

/// Takes back what a process does not need; never more than it has.
pub(super) fn give_back(funds: &mut Funds, leased: &mut Leased, amount: MicroCredits, slice: Slice) {
    let amount = amount.get().clamp(0, leased.amount);
    leased.amount -= amount;
    funds.leased -= amount;
    leased.turn_to(funds.day);
    give_back_requests(funds, leased, slice);
}

fn give_back_requests(funds: &mut Funds, leased: &mut Leased, slice: Slice) {
    if slice.day == funds.day && leased.day == funds.day {
        let unused = slice.left.min(leased.requests);
        leased.requests -= unused;
        funds.day_used = funds.day_used.saturating_sub(unused);
    }
}

/// Charges what is due, as far as the key's cap and the balance beyond other processes' leases allow.
/// Returns what was charged.
pub(super) fn charge(funds: &mut Funds, leased: &mut Leased, key: &mut Spending, due: i64) -> i64 {
    let room = key.cap.map_or(i64::MAX, |cap| cap.saturating_sub(key.spent).max(0));
    let charged = due.clamp(0, room).min(leased.amount.saturating_add(funds.available()));
    let of_lease = charged.min(leased.amount);
    funds.balance -= charged;
    funds.leased -= of_lease;
    leased.amount -= of_lease;
    key.spent = key.spent.saturating_add(charged);
    charged
}
