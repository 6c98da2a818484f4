//! The limit of a streamed answer, kept even where its provider does not: what goes out is counted.
//!
//! Counting every event would cost more than the events. No vocabulary makes more tokens of a text than it
//! has bytes, so the first count is due when there are as many bytes as tokens allowed, and the next when as
//! many more came as there were tokens left. Each count is of what came since the last; only before an answer
//! is ended the whole of it is counted, since pieces have a token more here and there. Short answers are not
//! counted at all, and none goes past its limit by more than one event.

use crate::metering::Meter;

/// How much of an answer may go out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cap {
    /// Tokens, all choices together.
    tokens: u64,
    /// With more bytes delivered the limit may have been passed.
    due_above: u64,
    /// Bytes of the text that were counted, and their tokens. Where two pieces meet there may be a token more
    /// than in the whole.
    seen: usize,
    seen_tokens: u32,
    /// The last count was of the whole text.
    whole: bool,
}

/// What a count comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    /// More may go out.
    Within,
    /// It seems too much: the whole is to be counted.
    Doubtful,
    /// It is too much; these are the tokens to bill. The answer ends there.
    Over(u32),
}

impl Cap {
    pub(super) fn new(tokens_a_choice: u32, choices: u32) -> Self {
        let tokens = u64::from(tokens_a_choice) * u64::from(choices.max(1));
        Self { tokens, due_above: tokens, seen: 0, seen_tokens: 0, whole: true }
    }

    /// Whether what was delivered has to be counted before more is.
    pub(super) fn is_due(&self, meter: &Meter) -> bool {
        meter.delivered_bytes() > self.due_above
    }

    /// The text that was not counted yet.
    pub(super) fn uncounted<'a>(&self, meter: &'a Meter) -> &'a str {
        meter.text().get(self.seen..).unwrap_or_default()
    }

    /// That text has this many tokens.
    pub(super) fn counted(&mut self, tokens: Option<u32>, meter: &Meter) -> Count {
        self.seen_tokens = self.seen_tokens.saturating_add(tokens.unwrap_or_default());
        let delivered = meter.delivered_tokens(tokens.is_some().then_some(self.seen_tokens));
        match self.tokens.checked_sub(u64::from(delivered)) {
            Some(left) => {
                self.due_above = meter.delivered_bytes() + left;
                (self.seen, self.whole) = (meter.text().len(), false);
                Count::Within
            }
            None if !self.whole => {
                (self.seen, self.seen_tokens, self.whole) = (0, 0, true);
                Count::Doubtful
            }
            None => Count::Over(u32::try_from(self.tokens).unwrap_or(delivered)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metering::estimate;

    /// Delivers pieces under a limit. How many tokens came out, and how often was counted.
    fn run<'a>(pieces: impl IntoIterator<Item = &'a str>, cap: &mut Cap) -> (u32, u32) {
        let mut meter = Meter::default();
        let mut counts = 0;
        for piece in pieces {
            meter.deliver(piece);
            while cap.is_due(&meter) {
                counts += 1;
                let tokens = estimate::count(cap.uncounted(&meter));
                if let Count::Over(billed) = cap.counted(Some(tokens), &meter) {
                    assert_eq!(u64::from(billed), cap.tokens);
                    return (estimate::count(meter.text()), counts);
                }
            }
        }
        panic!("it was never ended");
    }

    fn again(piece: &str) -> impl Iterator<Item = &str> {
        std::iter::repeat_n(piece, 100_000)
    }

    #[test]
    fn an_answer_passes_its_limit_by_one_piece_at_most_and_is_seldom_counted() {
        for piece in [" word", " the quick brown fox", "7", "é", " 東京", "    return x;\n"] {
            let longest = estimate::count(piece).max(1);
            for limit in [1, 16, 100, 4_096] {
                let (tokens, counts) = run(again(piece), &mut Cap::new(limit, 1));
                assert!(tokens > limit && tokens <= limit + longest + 1, "{piece:?}: {tokens} of {limit}");
                assert!(counts <= 64, "{piece:?}: {counts} counts for {limit}");
            }
        }
    }

    #[test]
    fn words_that_come_in_pieces_are_counted_as_words() {
        let letters = ["\u{20}", "w", "o", "r", "d"].into_iter().cycle().take(100_000);
        let (tokens, _) = run(letters, &mut Cap::new(40, 1));
        assert!((41..=44).contains(&tokens), "{tokens}");
    }

    #[test]
    fn every_choice_has_the_limit() {
        assert_eq!(run(again(" word"), &mut Cap::new(10, 4)).0, 41);
    }
}
