//! What a request may cost at worst, and how much of that an account can afford.
//!
//! Contract §5 #16: an explicit output limit that is not affordable is refused with the figure that
//! would be; without one, the default limit is lowered to what is affordable.

use crate::money::{MicroCredits, Price};

/// Prompts are estimated from their bytes. Real counts were measured at up to 1.3 times the estimate for
/// code and JSON, 1.8 for Hindi and Arabic, 2.7 for base64; what a prompt costs beyond twice its estimate
/// is absorbed.
const PROMPT_MARGIN: u64 = 2;
/// Added to every prompt: templates, roles, a provider's own words.
const PROMPT_SLACK_TOKENS: u64 = 64;

/// The worst case of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Worst {
    price: Price,
    prompt_tokens: u32,
    choices: u32,
    /// The client's own limit of the answer, in tokens for each choice.
    explicit: Option<u32>,
    default_limit: u32,
}

/// What is to be held for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fit {
    /// The amount.
    pub amount: MicroCredits,
    /// The limit of the answer it covers, in tokens for each choice.
    pub max_output_tokens: u32,
    /// The limit is below the default because more is not affordable.
    pub clamped: bool,
}

/// The balance does not cover the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unaffordable {
    /// The amount that was needed.
    pub needed: MicroCredits,
    /// The limit of the answer that would be covered, in tokens; 0 when not even the prompt is.
    pub max_output_tokens: u32,
}

impl Worst {
    /// The worst case of a prompt estimated at `prompt_tokens` with `choices` answers of at most
    /// `explicit` tokens, or of `default_limit` where the client set none.
    pub const fn new(
        price: Price,
        prompt_tokens: u32,
        choices: u32,
        explicit: Option<u32>,
        default_limit: u32,
    ) -> Self {
        Self { price, prompt_tokens, choices, explicit, default_limit }
    }

    /// The client set the limit itself.
    pub const fn is_explicit(&self) -> bool {
        self.explicit.is_some()
    }

    /// What to hold when money is no object.
    pub fn full(&self) -> Fit {
        let max_output_tokens = self.explicit.unwrap_or(self.default_limit).max(1);
        Fit { amount: self.amount(max_output_tokens), max_output_tokens, clamped: false }
    }

    /// What to hold when at most `affordable` can be.
    ///
    /// # Errors
    /// [`Unaffordable`] when the client's own limit is not covered, or without one not a single token.
    pub fn within(&self, affordable: MicroCredits) -> Result<Fit, Unaffordable> {
        let full = self.full();
        if full.amount <= affordable {
            return Ok(full);
        }
        let max_output_tokens = self.affordable_output(affordable);
        if self.is_explicit() || max_output_tokens == 0 {
            return Err(Unaffordable { needed: full.amount, max_output_tokens });
        }
        Ok(Fit { amount: self.amount(max_output_tokens), max_output_tokens, clamped: true })
    }

    fn amount(&self, max_output_tokens: u32) -> MicroCredits {
        let input = u64::from(self.prompt_tokens) * PROMPT_MARGIN + PROMPT_SLACK_TOKENS;
        let output = u64::from(max_output_tokens) * u64::from(self.choices.max(1));
        self.price.of(input, output)
    }

    /// The highest limit whose amount is covered: the amount grows with the limit, so halving finds it.
    fn affordable_output(&self, affordable: MicroCredits) -> u32 {
        let (mut low, mut high) = (0, self.full().max_output_tokens);
        while low < high {
            let middle = high - (high - low) / 2;
            if self.amount(middle) <= affordable { low = middle } else { high = middle - 1 }
        }
        low
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ucr(amount: i64) -> MicroCredits {
        MicroCredits::new(amount)
    }

    /// 18 tokens of prompt are held as 100: 20,000 micro-credits.
    fn worst(explicit: Option<u32>) -> Worst {
        Worst::new(Price::default(), 18, 1, explicit, 4096)
    }

    #[test]
    fn the_worst_case_is_the_prompt_with_its_margin_and_the_whole_answer() {
        assert_eq!(worst(None).full().amount, ucr(20_000 + 4_096_000));
        assert_eq!(worst(Some(10)).full().amount, ucr(20_000 + 10_000));
        let four = Worst::new(Price::default(), 18, 4, Some(10), 4096);
        assert_eq!(four.full().amount, ucr(20_000 + 40_000));
    }

    #[test]
    fn the_default_limit_is_lowered_to_what_is_affordable() {
        let fit = worst(None).within(ucr(25_999)).expect("five tokens");
        assert_eq!((fit.max_output_tokens, fit.amount, fit.clamped), (5, ucr(25_000), true));
        assert!(!worst(None).within(ucr(5_000_000)).expect("all").clamped);
    }

    #[test]
    fn a_limit_of_the_clients_own_is_refused_with_the_figure_that_would_do() {
        let refused = worst(Some(10)).within(ucr(29_999)).expect_err("one too many");
        assert_eq!((refused.needed, refused.max_output_tokens), (ucr(30_000), 9));
        assert!(worst(Some(10)).within(ucr(30_000)).is_ok());
    }

    #[test]
    fn not_a_single_token_is_refused() {
        for affordable in [0, 20_999] {
            let refused = worst(None).within(ucr(affordable)).expect_err("nothing left");
            assert_eq!(refused.max_output_tokens, 0, "{affordable}");
        }
    }
}
