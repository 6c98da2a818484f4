//! Amounts as they stand in JSON: exact decimal numbers, never floats.

use crate::money::MicroCredits;
use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// An amount written in credits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Credits(pub(super) MicroCredits);

/// An amount written in US dollars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Usd(pub(super) MicroCredits);

impl Serialize for Credits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        number(self.0.to_string(), serializer)
    }
}

impl Serialize for Usd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        number(self.0.usd().to_string(), serializer)
    }
}

fn number<S: Serializer>(decimal: String, serializer: S) -> Result<S::Ok, S::Error> {
    RawValue::from_string(decimal).map_err(S::Error::custom)?.serialize(serializer)
}

/// Reads an amount of US dollars, as in `2.5`: at most 8 decimals, one of which is a micro-credit.
pub(super) fn usd(text: &str) -> Option<MicroCredits> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.len() > 8 {
        return None;
    }
    // A dollar is a hundred credits, so the point moves two places.
    let fraction = format!("{fraction:0<8}");
    let (cents, rest) = fraction.split_at_checked(2)?;
    format!("{whole}{cents}.{rest}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_exactly() {
        let amount = MicroCredits::new(5_800);
        let text = serde_json::to_string(&(Credits(amount), Usd(amount))).expect("JSON");
        assert_eq!(text, "[0.0058,0.000058]");
        let small = serde_json::to_string(&Usd(MicroCredits::new(-1))).expect("JSON");
        assert_eq!(small, "-0.00000001", "no exponent");
    }

    #[test]
    fn dollars_are_read_to_the_micro_credit() {
        for (text, ucr) in
            [("1", 100_000_000), ("0.00000001", 1), ("2.5", 250_000_000), ("-1.01", -101_000_000)]
        {
            assert_eq!(usd(text), Some(MicroCredits::new(ucr)), "{text}");
        }
        for text in ["", ".", "1.", ".5", "1e2", "0.000000001", "1,5", "1.é0", "1.2.3", "99999999999999"] {
            assert_eq!(usd(text), None, "{text}");
        }
    }
}
