//! Money: integer micro-credits, checked, rounded once.
//!
//! One credit is one US cent, so a micro-credit is 10⁻⁸ US dollars. No floating point anywhere.

use crate::protocol::usage::Usage;
use std::fmt;
use std::str::FromStr;

/// Micro-credits in a credit.
const UCR_PER_CREDIT: i64 = 1_000_000;
/// Micro-credits in a US dollar.
const UCR_PER_USD: i64 = 100 * UCR_PER_CREDIT;
/// Prices are per million tokens.
const TOKENS_PER_PRICE: u128 = 1_000_000;

/// An amount of money in millionths of a credit. May be negative, as a difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MicroCredits(i64);

impl MicroCredits {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// So many micro-credits.
    pub const fn new(ucr: i64) -> Self {
        Self(ucr)
    }

    /// The number of micro-credits.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The sum; `None` when it does not fit.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The difference; `None` when it does not fit.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// So many times the amount; `None` when it does not fit.
    #[must_use]
    pub fn checked_mul(self, times: i64) -> Option<Self> {
        self.0.checked_mul(times).map(Self)
    }

    /// The amount in US dollars, as an exact decimal number.
    pub fn usd(self) -> impl fmt::Display {
        Decimal { value: self.0, unit: UCR_PER_USD }
    }
}

/// Credits, as an exact decimal number without trailing zeros.
impl fmt::Display for MicroCredits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Decimal { value: self.0, unit: UCR_PER_CREDIT }.fmt(f)
    }
}

/// Why an amount was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an amount is a decimal number of credits with at most 6 decimals, as in 12.5")]
pub struct BadAmount;

/// Reads credits, as in `1000` or `0.0058`.
impl FromStr for MicroCredits {
    type Err = BadAmount;

    fn from_str(text: &str) -> Result<Self, BadAmount> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let all_digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        if !all_digits(whole) || !all_digits(fraction) || fraction.len() > 6 {
            return Err(BadAmount);
        }
        let credits: i64 = whole.parse().map_err(|_| BadAmount)?;
        let ucr: i64 = format!("{fraction:0<6}").parse().map_err(|_| BadAmount)?;
        let total = credits.checked_mul(UCR_PER_CREDIT).and_then(|c| c.checked_add(ucr)).ok_or(BadAmount)?;
        Ok(Self(if negative { -total } else { total }))
    }
}

/// What a million tokens cost, in micro-credits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    input_ucr_per_mtok: u64,
    output_ucr_per_mtok: u64,
}

impl Price {
    /// The highest price: even 2³² tokens each way then fit into a [`MicroCredits`].
    pub const MAX_UCR_PER_MTOK: u64 = 1_000_000_000_000_000;

    /// A price per million tokens, in micro-credits; `None` above [`Price::MAX_UCR_PER_MTOK`].
    pub fn new(input_ucr_per_mtok: u64, output_ucr_per_mtok: u64) -> Option<Self> {
        let fits = input_ucr_per_mtok.max(output_ucr_per_mtok) <= Self::MAX_UCR_PER_MTOK;
        fits.then_some(Self { input_ucr_per_mtok, output_ucr_per_mtok })
    }

    /// What an answer costs. A fraction of a micro-credit is rounded half up, once, on the sum.
    pub fn charge(self, usage: &Usage) -> MicroCredits {
        self.of(usage.prompt_tokens.into(), usage.completion_tokens.into())
    }

    /// What so many tokens cost, rounded as in [`Price::charge`]; the highest amount there is where the
    /// sum does not fit.
    pub fn of(self, input_tokens: u64, output_tokens: u64) -> MicroCredits {
        let input = u128::from(input_tokens) * u128::from(self.input_ucr_per_mtok);
        let output = u128::from(output_tokens) * u128::from(self.output_ucr_per_mtok);
        let ucr = (input + output + TOKENS_PER_PRICE / 2) / TOKENS_PER_PRICE;
        MicroCredits(i64::try_from(ucr).unwrap_or(i64::MAX))
    }
}

/// 200 credits a million tokens in, 1,000 out: 200 and 1,000 micro-credits a token.
impl Default for Price {
    fn default() -> Self {
        Self { input_ucr_per_mtok: 200_000_000, output_ucr_per_mtok: 1_000_000_000 }
    }
}

struct Decimal {
    value: i64,
    /// A power of ten.
    unit: i64,
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (value, unit) = (self.value.unsigned_abs(), self.unit.unsigned_abs());
        let sign = if self.value < 0 { "-" } else { "" };
        let (whole, fraction) = (value / unit, value % unit);
        if fraction == 0 {
            return write!(f, "{sign}{whole}");
        }
        let width = unit.ilog10() as usize;
        let digits = format!("{fraction:0width$}");
        write!(f, "{sign}{whole}.{}", digits.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(prompt_tokens: u32, completion_tokens: u32, credits: &str, usd: &str) {
        let cost = Price::default().charge(&Usage { prompt_tokens, completion_tokens, ..Usage::default() });
        assert_eq!((cost.to_string().as_str(), cost.usd().to_string().as_str()), (credits, usd));
    }

    #[test]
    fn charges_are_exact() {
        check(14, 3, "0.0058", "0.000058");
        check(1_000_000, 1_000_000, "1200", "12");
        check(1, 0, "0.0002", "0.000002");
        check(0, 0, "0", "0");
        check(u32::MAX, u32::MAX, "5153960.754", "51539.60754");
    }

    #[test]
    fn a_million_small_charges_sum_exactly() {
        let one =
            Price::default().charge(&Usage { prompt_tokens: 14, completion_tokens: 3, ..Usage::default() });
        assert_eq!(one.checked_mul(1_000_000).map(|sum| sum.to_string()), Some("5800".to_owned()));
    }

    #[test]
    fn a_fraction_is_rounded_half_up_once() {
        let price = Price::new(500_000, 500_000).expect("below the limit");
        let charge =
            |i, o| price.charge(&Usage { prompt_tokens: i, completion_tokens: o, ..Usage::default() }).get();
        assert_eq!((charge(1, 0), charge(1, 1), charge(2, 1)), (1, 1, 2));
    }

    #[test]
    fn the_highest_price_never_overflows() {
        let max = Price::MAX_UCR_PER_MTOK;
        let price = Price::new(max, max).expect("at the limit");
        let usage = Usage { prompt_tokens: u32::MAX, completion_tokens: u32::MAX, ..Usage::default() };
        assert!(price.charge(&usage) > MicroCredits::ZERO);
        assert_eq!(Price::new(max + 1, 0), None);
    }

    #[test]
    fn amounts_read_back_as_written() {
        for text in ["0", "1000", "0.0058", "-12.5", "0.000001"] {
            assert_eq!(text.parse::<MicroCredits>().map(|m| m.to_string()), Ok(text.to_owned()));
        }
        assert_eq!("1000.000001".parse(), Ok(MicroCredits::new(1_000_000_001)));
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in ["", "-", ".", "1.", ".5", "1e3", "+1", "0.0000001", "99999999999999", "1,5", " 1"] {
            assert_eq!(text.parse::<MicroCredits>(), Err(BadAmount), "{text}");
        }
    }
}
