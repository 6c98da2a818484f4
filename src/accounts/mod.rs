//! Who pays for a request: the hook points of money.
//!
//! A request is reserved for at admission, posted once when its answer is whole, and void when its
//! reservation is dropped unposted. In open mode, the only one so far, nobody has an account: nothing
//! is held and every charge is zero. Prices, balances and leases come in behind these three calls.

use crate::catalog::Requirements;
use crate::money::MicroCredits;
use crate::protocol::usage::Usage;

/// All accounts of this process.
#[derive(Debug)]
pub struct Accounts(Mode);

#[derive(Debug)]
enum Mode {
    Open,
}

/// What admission set aside for one request. Dropping it unposted releases it whole.
#[derive(Debug)]
#[must_use = "dropping a reservation voids it"]
pub struct Reservation(Held);

#[derive(Debug)]
enum Held {
    Nothing,
}

impl Accounts {
    /// Open mode: no accounts, no keys, no charges.
    pub const fn open() -> Self {
        Self(Mode::Open)
    }

    /// Sets aside what the request may cost at worst.
    pub fn reserve(&self, _worst: &Requirements) -> Reservation {
        match self.0 {
            Mode::Open => Reservation(Held::Nothing),
        }
    }
}

impl Reservation {
    /// Charges for what was used, at most what was reserved, and releases the rest.
    pub fn post(self, _usage: &Usage) -> MicroCredits {
        match self.0 {
            Held::Nothing => MicroCredits::ZERO,
        }
    }
}
