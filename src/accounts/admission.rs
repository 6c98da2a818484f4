//! Admitting one request: what is reserved, and what has to be leased first.

use super::Caller;
use super::id::AccountId;
use super::reservation::Reservation;
use super::sizing::{Fit, Unaffordable, Worst};
use super::tier::Tiers;
use super::wallet::Slice;
use crate::money::MicroCredits;
use std::sync::Arc;

/// Micro-credits leased at a time, where the balance has them: about 25 requests of default size. Less
/// means more commits, more means more that another process of the same account cannot see.
const LEASE: MicroCredits = MicroCredits::new(100_000_000);
/// Below this a lease is topped up ahead of need.
const LOW: MicroCredits = MicroCredits::new(25_000_000);
/// Requests of a day leased at a time where they are limited, and where they are only counted.
const LIMITED_SLICE: u32 = 32;
const COUNTED_SLICE: u32 = 1_024;

/// What the store is asked to lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Of whom.
    pub account: AccountId,
    /// With less than this the request cannot be admitted in full, micro-credits.
    pub need: MicroCredits,
    /// With this the next ones need not ask.
    pub want: MicroCredits,
    /// The day, since 1970.
    pub day: u32,
    /// The tier.
    pub funded: bool,
    /// Requests of the day; 0 when there are some.
    pub requests: u32,
    /// The most that may be granted of that day, to all processes together.
    pub day_limit: Option<u32>,
    /// Requests of another day or tier that go back; taken out when the wish is on its way, since a wish may
    /// come to nothing.
    pub returned: Slice,
}

/// What comes next for a request.
#[derive(Debug)]
pub enum Step {
    /// It is reserved.
    Held(Reservation, Fit),
    /// This has to be leased first.
    TopUp(Wish),
    /// It is refused.
    Refused(Refused),
}

/// Why a request was not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The balance does not cover it.
    Credits(Unaffordable),
    /// The key's cap does not.
    Cap(Unaffordable),
    /// The day's requests are used up.
    Day {
        /// How many there are.
        limit: u32,
    },
}

/// What the store has none of, as it said while the request was waiting for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exhausted {
    /// All of the balance is leased.
    pub credits: bool,
    /// All requests of this day and tier (funded or not) are. Of another's that says nothing: midnight may
    /// come, or a payment, while a request waits for an answer that others have asked for.
    pub requests: Option<(u32, bool)>,
}

/// Tries to admit a request on `today`, days since 1970. `exhausted`: what the store is known to have
/// none of since the request came; what is missing then is not to be had.
pub fn step(caller: &Arc<Caller>, worst: &Worst, tiers: &Tiers, today: u32, exhausted: Exhausted) -> Step {
    let wallet = &caller.wallet;
    let funded = tiers.is_funded(wallet.balance());
    let day_limit = tiers.cells(funded).per_day;
    let day = today.max(wallet.day());
    let room = caller.budget.room().unwrap_or(MicroCredits::new(i64::MAX));
    let mut fit = match worst.within(room) {
        Ok(fit) => fit,
        Err(short) => return Step::Refused(Refused::Cap(short)),
    };
    let top_up = |need| Step::TopUp(wish(caller, tiers, today, need));
    while !wallet.hold(fit.amount) {
        if !exhausted.credits {
            return top_up(fit.amount);
        }
        // Others reserve meanwhile, so this may take more than one look.
        fit = match worst.within(wallet.free().min(room)) {
            Ok(fit) => fit,
            Err(short) => return Step::Refused(Refused::Credits(short)),
        };
    }
    if !caller.budget.hold(fit.amount) {
        wallet.release(fit.amount, MicroCredits::ZERO);
        return Step::Refused(Refused::Cap(Unaffordable { needed: fit.amount, max_output_tokens: 0 }));
    }
    // From here on dropping the reservation gives the amount back.
    let reservation = Reservation::new(Arc::clone(caller), fit.amount, day);
    if wallet.take_request(day, funded) {
        return Step::Held(reservation, fit);
    }
    match day_limit.filter(|_| exhausted.requests == Some((day, funded))) {
        Some(limit) => Step::Refused(Refused::Day { limit }),
        None => top_up(MicroCredits::ZERO),
    }
}

/// What to lease ahead of need, now that the lease has run low; `None` while it has not, or when there is
/// nothing to lease.
pub fn ahead(caller: &Caller, tiers: &Tiers, today: u32) -> Option<Wish> {
    (caller.wallet.free() < LOW && caller.wallet.can_grow())
        .then(|| wish(caller, tiers, today, MicroCredits::ZERO))
}

/// Asks for `need` and more, and for requests where there are none of this day and tier.
fn wish(caller: &Caller, tiers: &Tiers, today: u32, need: MicroCredits) -> Wish {
    let wallet = &caller.wallet;
    let funded = tiers.is_funded(wallet.balance());
    let day_limit = tiers.cells(funded).per_day;
    let day = today.max(wallet.day());
    let lacking = !wallet.has_request(day, funded);
    let slice = if day_limit.is_some() { LIMITED_SLICE } else { COUNTED_SLICE };
    Wish {
        account: wallet.account(),
        need,
        want: need.max(LEASE),
        day,
        funded,
        requests: if lacking { slice } else { 0 },
        day_limit,
        returned: Slice::default(),
    }
}

#[cfg(test)]
mod tests;
