//! Tokens in, tokens out: what an answer is billed on, and who counted it.
//!
//! The provider's own figures count when they are sane; otherwise the delivered text is counted here,
//! and the measurement says so. What a token costs is `money`'s business.

pub mod estimate;

use crate::protocol::usage::{ReportedUsage, Usage, UsageSource};

/// Delivered text kept for counting, in bytes: about 250,000 tokens. What goes beyond is counted by the
/// ratio of the part that was kept.
const KEPT_TEXT: usize = 1 << 20;

/// No vocabulary has longer tokens than this (the longest are runs of spaces). A provider that reports
/// fewer tokens than the text has of these counted something else.
const MAX_BYTES_PER_TOKEN: u64 = 128;

/// No answer is longer, hidden reasoning included.
const MAX_COMPLETION_TOKENS: u32 = 4_000_000;

/// How far a reported prompt may be from our estimate: estimates are off by up to 4 on some scripts and
/// more on images and files.
const PROMPT_FACTOR: u64 = 64;

/// Tokens a provider may add to a prompt of its own: system prompts, search results.
const PROMPT_SLACK: u64 = 32_768;

/// Follows one answer: the usage its provider reports, and the text delivered.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    reported: Option<ReportedUsage>,
    text: String,
    delivered_bytes: u64,
}

/// What an answer used, and who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measurement {
    /// The tokens to bill.
    pub usage: Usage,
    /// Who counted: [`UsageSource::Estimated`] as soon as one of the figures is ours.
    pub source: UsageSource,
}

impl Meter {
    /// Notes a usage report. Of several the last one counts.
    pub fn report(&mut self, usage: ReportedUsage) {
        self.reported = Some(usage);
    }

    /// Notes text of the answer: content, reasoning, refusals, tool calls.
    pub fn deliver(&mut self, text: &str) {
        let kept_all = self.delivered_bytes == self.text.len() as u64;
        if kept_all && self.text.len() + text.len() <= KEPT_TEXT {
            self.text.push_str(text);
        }
        self.delivered_bytes += text.len() as u64;
    }

    /// The text whose tokens [`Meter::measure`] wants counted, by [`estimate::count`]. `None` when the
    /// provider's figure is good or there is nothing to count.
    pub fn pending_text(&self) -> Option<&str> {
        (self.sane_completion().is_none() && !self.text.is_empty()).then_some(&self.text)
    }

    /// What the answer used. `prompt_estimate` is our own count of the prompt, 0 for unknown;
    /// `counted` the tokens of [`Meter::pending_text`]; without it they are guessed from its length.
    pub fn measure(&self, prompt_estimate: u32, counted: Option<u32>) -> Measurement {
        let reported = self.reported.unwrap_or_default();
        let prompt = reported.prompt_tokens.filter(|&tokens| sane_prompt(tokens, prompt_estimate));
        let completion = self.sane_completion();
        let prompt_tokens = prompt.unwrap_or(prompt_estimate);
        let completion_tokens = completion.unwrap_or_else(|| self.count_delivered(counted));
        let hidden =
            completion_tokens.saturating_sub(reported.completion_tokens.unwrap_or(completion_tokens));
        let usage = Usage {
            prompt_tokens,
            completion_tokens,
            cached_tokens: prompt.and(reported.cached_tokens).unwrap_or(0).min(prompt_tokens),
            reasoning_tokens: completion
                .and(reported.reasoning_tokens.max(Some(hidden)))
                .unwrap_or(0)
                .min(completion_tokens),
        };
        let both_reported = prompt.is_some() && completion.is_some();
        Measurement {
            usage,
            source: if both_reported { UsageSource::Reported } else { UsageSource::Estimated },
        }
    }

    /// The reported completion, with the thinking some providers count only in the total.
    fn sane_completion(&self) -> Option<u32> {
        let reported = self.reported?;
        let visible = reported.completion_tokens?;
        let thinking = reported
            .total_tokens
            .zip(reported.prompt_tokens)
            .and_then(|(total, prompt)| total.checked_sub(prompt)?.checked_sub(visible))
            .unwrap_or(0);
        let tokens = visible + thinking;
        let enough = u64::from(tokens) * MAX_BYTES_PER_TOKEN >= self.delivered_bytes;
        (enough && tokens <= MAX_COMPLETION_TOKENS).then_some(tokens)
    }

    fn count_delivered(&self, counted: Option<u32>) -> u32 {
        let kept = self.text.len() as u64;
        match counted {
            Some(tokens) if kept > 0 => {
                let all = u64::from(tokens).saturating_mul(self.delivered_bytes).div_ceil(kept);
                u32::try_from(all).unwrap_or(u32::MAX)
            }
            _ => estimate::guess(self.delivered_bytes),
        }
    }
}

fn sane_prompt(tokens: u32, estimate: u32) -> bool {
    if tokens == 0 || estimate == 0 {
        return tokens > 0;
    }
    let (tokens, estimate) = (u64::from(tokens), u64::from(estimate));
    tokens <= estimate * PROMPT_FACTOR + PROMPT_SLACK && tokens * PROMPT_FACTOR >= estimate
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO: Option<u32> = None;

    /// Reports (prompt, completion, total) after `text`; expects (prompt, completion, reasoning, source).
    #[track_caller]
    fn check(
        report: (Option<u32>, Option<u32>, Option<u32>),
        text: &str,
        expect: (u32, u32, u32, UsageSource),
    ) {
        let mut meter = Meter::default();
        meter.deliver(text);
        meter.report(ReportedUsage {
            prompt_tokens: report.0,
            completion_tokens: report.1,
            total_tokens: report.2,
            ..ReportedUsage::default()
        });
        let counted = meter.pending_text().map(|text| text.len() as u32);
        let Measurement { usage, source } = meter.measure(10, counted);
        assert_eq!(
            (usage.prompt_tokens, usage.completion_tokens, usage.reasoning_tokens, source),
            expect,
            "{report:?} after {text:?}"
        );
    }

    use UsageSource::{Estimated, Reported};

    #[test]
    fn sane_figures_are_billed_as_reported() {
        check((Some(14), Some(3), Some(17)), "Paris.", (14, 3, 0, Reported));
        check((Some(14), Some(3), NO), "Paris.", (14, 3, 0, Reported));
    }

    #[test]
    fn thinking_counted_only_in_the_total_is_output() {
        check((Some(14), Some(3), Some(100)), "Paris.", (14, 86, 83, Reported));
    }

    #[test]
    fn a_total_below_the_sum_is_ignored() {
        check((Some(14), Some(3), Some(5)), "Paris.", (14, 3, 0, Reported));
    }

    #[test]
    fn a_missing_figure_is_counted_and_flagged() {
        check((Some(14), NO, NO), "Paris.", (14, 6, 0, Estimated));
        check((NO, Some(3), NO), "Paris.", (10, 3, 0, Estimated));
        check((NO, NO, NO), "", (10, 0, 0, Estimated));
    }

    #[test]
    fn zero_tokens_for_delivered_text_is_nonsense() {
        check((Some(14), Some(0), Some(14)), "Paris.", (14, 6, 0, Estimated));
        check((Some(0), Some(3), Some(3)), "Paris.", (10, 3, 0, Estimated));
    }

    #[test]
    fn absurd_figures_are_not_billed() {
        check((Some(14), Some(u32::MAX), NO), "Paris.", (14, 6, 0, Estimated));
        check((Some(u32::MAX), Some(3), NO), "Paris.", (10, 3, 0, Estimated));
        let long = "a".repeat(129);
        check((Some(14), Some(1), NO), &long, (14, 129, 0, Estimated));
        check((Some(14), Some(1), NO), &long[..128], (14, 1, 0, Reported));
        check((Some(u32::MAX), Some(u32::MAX), Some(u32::MAX)), "a", (10, 1, 0, Estimated));
    }

    #[test]
    fn a_prompt_far_below_the_estimate_is_not_believed() {
        let meter = |tokens| {
            let mut meter = Meter::default();
            meter.report(ReportedUsage { prompt_tokens: Some(tokens), ..ReportedUsage::default() });
            meter.measure(6_400, None).usage.prompt_tokens
        };
        assert_eq!((meter(99), meter(100)), (6_400, 100));
    }

    #[test]
    fn details_never_exceed_what_they_are_a_part_of() {
        let mut meter = Meter::default();
        meter.report(ReportedUsage {
            prompt_tokens: Some(5),
            completion_tokens: Some(2),
            total_tokens: Some(7),
            cached_tokens: Some(50),
            reasoning_tokens: Some(20),
        });
        let usage = meter.measure(5, None).usage;
        assert_eq!((usage.cached_tokens, usage.reasoning_tokens), (5, 2));
    }

    #[test]
    fn text_beyond_the_bound_is_counted_by_ratio() {
        let mut meter = Meter::default();
        for _ in 0..3 {
            meter.deliver(&"x".repeat(KEPT_TEXT));
        }
        assert_eq!(meter.pending_text().map(str::len), Some(KEPT_TEXT));
        assert_eq!(meter.measure(1, Some(1000)).usage.completion_tokens, 3000);
    }

    #[test]
    fn a_single_piece_beyond_the_bound_is_still_counted() {
        let mut meter = Meter::default();
        meter.deliver(&"x".repeat(KEPT_TEXT + 1));
        assert_eq!(meter.pending_text(), None);
        assert!(meter.measure(1, None).usage.completion_tokens > 100_000);
    }
}
