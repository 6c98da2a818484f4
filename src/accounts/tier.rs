//! Which limits an account is under: the free tier's or a funded one's.

use crate::money::MicroCredits;

/// The limits of both tiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tiers {
    /// Funded means a posted balance strictly above this (contract, rulings).
    pub funded_above: MicroCredits,
    /// Of accounts up to that balance.
    pub free: Cells,
    /// Of accounts above it.
    pub funded: Cells,
}

/// Requests admitted at most; `None` for any number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cells {
    /// In any 60 seconds: of the free tier for each client address, of funded accounts for each account.
    pub per_minute: Option<u32>,
    /// In a day of UTC, for each account.
    pub per_day: Option<u32>,
}

impl Tiers {
    /// Whether an account of this posted balance is funded.
    pub fn is_funded(&self, balance: MicroCredits) -> bool {
        balance > self.funded_above
    }

    /// The limits of a tier.
    pub const fn cells(&self, funded: bool) -> Cells {
        if funded { self.funded } else { self.free }
    }
}

/// 20 a minute for each address up to 1,000 credits, 1,000 a day for each account above.
impl Default for Tiers {
    fn default() -> Self {
        Self {
            funded_above: MicroCredits::new(1_000_000_000),
            free: Cells { per_minute: Some(20), per_day: None },
            funded: Cells { per_minute: None, per_day: Some(1_000) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grant_alone_leaves_an_account_in_the_free_tier() {
        let tiers = Tiers::default();
        assert!(!tiers.is_funded(MicroCredits::new(1_000_000_000)));
        assert!(tiers.is_funded(MicroCredits::new(1_000_000_001)));
    }
}
