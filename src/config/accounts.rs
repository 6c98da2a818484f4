//! The tables of money and limits.

use crate::accounts::{Cells, Rules, Tiers};
use crate::money::{MicroCredits, Price};
use serde::Deserialize;
use std::time::Duration;

/// Micro-credits in a credit.
const UCR_PER_CREDIT: u64 = 1_000_000;
/// Credits that are surely no mistake, and whose sums fit.
const MAX_CREDITS: u64 = 1_000_000_000;

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct AccountsTable {
    pub(super) enabled: bool,
    input_credits_per_mtok: u64,
    output_credits_per_mtok: u64,
    grant_credits: u64,
    signup: bool,
    signups_per_day: u32,
    default_max_output_tokens: u32,
    commit_wait_ms: u64,
    max_open_requests: usize,
}

impl Default for AccountsTable {
    fn default() -> Self {
        Self {
            enabled: false,
            input_credits_per_mtok: 200,
            output_credits_per_mtok: 1_000,
            grant_credits: 1_000,
            signup: true,
            signups_per_day: 3,
            default_max_output_tokens: 4_096,
            commit_wait_ms: 5_000,
            max_open_requests: 20_000,
        }
    }
}

/// 0 is no limit.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct LimitsTable {
    funded_above_credits: u64,
    free_per_minute: u32,
    free_per_day: u32,
    funded_per_minute: u32,
    funded_per_day: u32,
}

impl Default for LimitsTable {
    fn default() -> Self {
        Self {
            funded_above_credits: 1_000,
            free_per_minute: 20,
            free_per_day: 0,
            funded_per_minute: 0,
            funded_per_day: 1_000,
        }
    }
}

/// The rules the tables make.
pub(super) fn rules(accounts: &AccountsTable, limits: &LimitsTable) -> Result<Rules, (String, String)> {
    let credits = |field: &str, value: u64| {
        let micro = value.checked_mul(UCR_PER_CREDIT).filter(|_| value <= MAX_CREDITS);
        micro.ok_or_else(|| (field.to_owned(), format!("must be at most {MAX_CREDITS} credits")))
    };
    let amount = |micro: u64| MicroCredits::new(i64::try_from(micro).unwrap_or(i64::MAX));
    let input = credits("accounts.input_credits_per_mtok", accounts.input_credits_per_mtok)?;
    let output = credits("accounts.output_credits_per_mtok", accounts.output_credits_per_mtok)?;
    let price = Price::new(input, output).expect("MAX_CREDITS is no higher than the highest price");
    let grant = amount(credits("accounts.grant_credits", accounts.grant_credits)?);
    let funded_above = amount(credits("limits.funded_above_credits", limits.funded_above_credits)?);
    if accounts.default_max_output_tokens == 0 {
        return Err(("accounts.default_max_output_tokens".to_owned(), "must be at least 1".to_owned()));
    }
    if accounts.max_open_requests == 0 {
        return Err(("accounts.max_open_requests".to_owned(), "must be at least 1".to_owned()));
    }
    let limit = |n: u32| (n > 0).then_some(n);
    let cells = |minute, day| Cells { per_minute: limit(minute), per_day: limit(day) };
    Ok(Rules {
        price,
        tiers: Tiers {
            funded_above,
            free: cells(limits.free_per_minute, limits.free_per_day),
            funded: cells(limits.funded_per_minute, limits.funded_per_day),
        },
        grant,
        signups_per_day: accounts.signup.then_some(accounts.signups_per_day),
        default_max_output_tokens: accounts.default_max_output_tokens,
        commit_wait: Duration::from_millis(accounts.commit_wait_ms),
        max_open: accounts.max_open_requests,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_as_they_are_make_the_default_rules() {
        assert_eq!(rules(&AccountsTable::default(), &LimitsTable::default()), Ok(Rules::default()));
    }

    #[test]
    fn zero_is_no_limit() {
        let limits = LimitsTable { free_per_minute: 0, ..LimitsTable::default() };
        let rules = rules(&AccountsTable::default(), &limits).expect("rules");
        assert_eq!(rules.tiers.free, Cells::default());
    }

    #[test]
    fn absurd_amounts_are_refused() {
        let accounts = AccountsTable { grant_credits: u64::MAX, ..AccountsTable::default() };
        let (field, _) = rules(&accounts, &LimitsTable::default()).expect_err("too much");
        assert_eq!(field, "accounts.grant_credits");
    }
}
