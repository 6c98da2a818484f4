//! Tokens in, tokens out: what an answer is billed on, and who counted it.
//!
//! The provider's own figures count when they are sane; otherwise the delivered text is counted here,
//! and the measurement says so. What a token costs is `money`'s business.

pub mod estimate;

use crate::protocol::usage::{ReportedUsage, Usage, UsageSource};

/// Delivered text kept for counting, in bytes: about 250,000 tokens. What goes beyond is counted by the
/// ratio of the part that was kept.
const KEPT_TEXT: usize = 1 << 20;

/// A reported figure with at least this many bytes of delivered text for each token, or with less than
/// [`FEWEST_BYTES_PER_TOKEN`], is held against a count of our own. Between the two lies what vocabularies make
/// of nearly every text (English has 4.5, code 3.5, Hindi and Chinese 2 to 4), so that hardly an answer is
/// counted for nothing; and a lie that stays between them is at most about the factor of two that a count
/// would let pass.
const MOST_BYTES_PER_TOKEN: u64 = 8;
const FEWEST_BYTES_PER_TOKEN: u64 = 2;

/// Tokens that are no text: the frame of messages and tool calls.
const FRAME_TOKENS: u64 = 64;

/// No answer is longer, hidden reasoning included.
const MAX_COMPLETION_TOKENS: u32 = 4_000_000;

/// How far a reported prompt of text may be above our estimate: vocabularies differ by up to 4 on some
/// scripts, and chat templates add a little.
const PROMPT_FACTOR: u64 = 8;
const PROMPT_SLACK: u64 = 512;

/// The same where images or files are part of it, whose tokens differ by far more; and how far any prompt
/// may be below.
const MEDIA_FACTOR: u64 = 64;
const MEDIA_SLACK: u64 = 32_768;

/// Follows one answer: the usage its provider reports, and the text delivered.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    reported: Option<ReportedUsage>,
    text: String,
    delivered_bytes: u64,
    /// Part of the answer is no text: its tokens cannot be counted here.
    uncountable: bool,
    /// Part of the prompt is no text.
    media: bool,
    /// The answer was ended here after this many tokens.
    cut_at: Option<u32>,
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

    /// Notes a part of the answer that is no text.
    pub fn deliver_uncountable(&mut self) {
        self.uncountable = true;
    }

    /// Notes that the prompt has images or files in it.
    pub fn prompt_has_media(&mut self) {
        self.media = true;
    }

    /// Notes that the answer was ended here when it had this many tokens: they are what is measured.
    pub fn cut_at(&mut self, tokens: u32) {
        self.cut_at = Some(tokens);
    }

    /// Bytes of text delivered so far: no vocabulary makes more tokens of it.
    pub const fn delivered_bytes(&self) -> u64 {
        self.delivered_bytes
    }

    /// The delivered text, as far as it was kept.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The tokens of all that was delivered, where [`Meter::text`] has `counted`; guessed without.
    pub fn delivered_tokens(&self, counted: Option<u32>) -> u32 {
        let kept = self.text.len() as u64;
        match counted {
            Some(tokens) if kept > 0 => {
                let all = u64::from(tokens).saturating_mul(self.delivered_bytes).div_ceil(kept);
                u32::try_from(all).unwrap_or(u32::MAX)
            }
            _ => estimate::guess(self.delivered_bytes),
        }
    }

    /// The text whose tokens [`Meter::measure`] wants counted, by [`estimate::count`]. `None` when the
    /// provider's figure is plausible or there is nothing to count.
    pub fn pending_text(&self) -> Option<&str> {
        let sure = self.cut_at.is_some() || self.completion().is_some_and(|figure| self.is_plausible(figure));
        (!sure && !self.text.is_empty()).then_some(&self.text)
    }

    /// What the answer used. `prompt_estimate` is our own count of the prompt, 0 for unknown;
    /// `counted` the tokens of [`Meter::pending_text`]; without it they are guessed from its length.
    pub fn measure(&self, prompt_estimate: u32, counted: Option<u32>) -> Measurement {
        let reported = self.reported.unwrap_or_default();
        let prompt = reported.prompt_tokens.filter(|&tokens| self.is_sane_prompt(tokens, prompt_estimate));
        let completion = self.sane_completion(counted);
        let prompt_tokens = prompt.unwrap_or(prompt_estimate);
        let counted_here = || self.cut_at.unwrap_or_else(|| self.delivered_tokens(counted));
        let completion_tokens = completion.unwrap_or_else(counted_here);
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

    /// The reported completion, if it may be billed.
    fn sane_completion(&self, counted: Option<u32>) -> Option<u32> {
        let figure = self.completion().filter(|_| self.cut_at.is_none())?;
        let sane = self.is_plausible(figure) || self.agrees(figure, self.delivered_tokens(counted));
        sane.then_some(figure.all)
    }

    /// The reported completion, with the thinking some providers count only in the total.
    fn completion(&self) -> Option<Completion> {
        let reported = self.reported?;
        let tokens = reported.completion_tokens?;
        let sum = reported.total_tokens.zip(reported.prompt_tokens);
        let apart = sum.and_then(|(total, prompt)| total.checked_sub(prompt)?.checked_sub(tokens));
        let (thinking, hidden) = match apart.filter(|n| *n > 0) {
            Some(thinking) => (thinking, 0),
            None => (0, reported.reasoning_tokens.unwrap_or(0)),
        };
        let all = tokens.checked_add(thinking).filter(|all| *all <= MAX_COMPLETION_TOKENS)?;
        Some(Completion { all, visible: tokens.saturating_sub(hidden) })
    }

    /// Whether the figure fits the bytes delivered; if not, the text has to be counted. Thinking may have
    /// been delivered too, or not: it can explain many tokens and never too few.
    fn is_plausible(&self, figure: Completion) -> bool {
        let enough = u64::from(figure.all) * MOST_BYTES_PER_TOKEN >= self.delivered_bytes;
        let most = self.delivered_bytes / FEWEST_BYTES_PER_TOKEN + FRAME_TOKENS;
        enough && (self.uncountable || u64::from(figure.visible) <= most)
    }

    /// Whether the figure is within a factor of two of our own count.
    fn agrees(&self, figure: Completion, local: u32) -> bool {
        let local = u64::from(local);
        let most = 2 * local + FRAME_TOKENS;
        u64::from(figure.all) >= local / 2 && (self.uncountable || u64::from(figure.visible) <= most)
    }

    fn is_sane_prompt(&self, tokens: u32, estimate: u32) -> bool {
        if tokens == 0 || estimate == 0 {
            return tokens > 0;
        }
        let (tokens, estimate) = (u64::from(tokens), u64::from(estimate));
        let (factor, slack) =
            if self.media { (MEDIA_FACTOR, MEDIA_SLACK) } else { (PROMPT_FACTOR, PROMPT_SLACK) };
        tokens <= estimate * factor + slack && tokens * MEDIA_FACTOR >= estimate
    }
}

/// A completion as its provider reports it.
#[derive(Clone, Copy)]
struct Completion {
    /// Thinking included.
    all: u32,
    /// Without thinking.
    visible: u32,
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
        check((Some(u32::MAX), Some(u32::MAX), Some(u32::MAX)), "a", (10, 1, 0, Estimated));
    }

    /// The helper counts every byte as a token, which is the most there can be.
    #[test]
    fn an_implausible_figure_is_held_against_a_count() {
        let long = "a".repeat(400);
        for (tokens, believed) in
            [(1, false), (50, true), (264, true), (265, true), (864, true), (865, false)]
        {
            let expect = if believed { (14, tokens, 0, Reported) } else { (14, 400, 0, Estimated) };
            check((Some(14), Some(tokens), NO), &long, expect);
        }
        let mut meter = Meter::default();
        meter.deliver(&long);
        for (tokens, counts) in [(49, true), (50, false), (264, false), (265, true)] {
            let usage = ReportedUsage { completion_tokens: Some(tokens), ..ReportedUsage::default() };
            meter.report(usage);
            assert_eq!(meter.pending_text().is_some(), counts, "{tokens}");
        }
    }

    #[test]
    fn a_hundredfold_lie_is_not_billed() {
        let text = "The capital of France is Paris, and it has been that for a very long time. ".repeat(9);
        let honest = estimate::count(&text);
        for (reported, expect) in [(honest, honest), (honest * 100, honest), (honest / 100, honest)] {
            let mut meter = Meter::default();
            meter.deliver(&text);
            let usage = ReportedUsage {
                prompt_tokens: Some(1_500),
                completion_tokens: Some(reported),
                ..ReportedUsage::default()
            };
            meter.report(usage);
            let counted = meter.pending_text().map(estimate::count);
            let usage = meter.measure(15, counted).usage;
            assert_eq!((usage.prompt_tokens, usage.completion_tokens), (15, expect), "{reported}");
        }
    }

    #[test]
    fn hidden_reasoning_explains_many_tokens() {
        let mut meter = Meter::default();
        meter.deliver("Paris.");
        let usage = ReportedUsage {
            prompt_tokens: Some(14),
            completion_tokens: Some(3_000),
            reasoning_tokens: Some(2_990),
            ..ReportedUsage::default()
        };
        meter.report(usage);
        assert_eq!(meter.pending_text(), None);
        let usage = meter.measure(10, None).usage;
        assert_eq!((usage.completion_tokens, usage.reasoning_tokens), (3_000, 2_990));
    }

    #[test]
    fn what_is_no_text_may_have_any_number_of_tokens() {
        let mut meter = Meter::default();
        meter.deliver_uncountable();
        meter.prompt_has_media();
        let usage = ReportedUsage {
            prompt_tokens: Some(4_000),
            completion_tokens: Some(1_290),
            ..ReportedUsage::default()
        };
        meter.report(usage);
        let usage = meter.measure(270, None).usage;
        assert_eq!((usage.prompt_tokens, usage.completion_tokens), (4_000, 1_290));
    }

    #[test]
    fn an_answer_that_was_cut_is_measured_as_cut() {
        let mut meter = Meter::default();
        meter.deliver("Paris, and so on.");
        meter.report(ReportedUsage { completion_tokens: Some(6), ..ReportedUsage::default() });
        meter.cut_at(4);
        assert_eq!(meter.pending_text(), None);
        assert_eq!(meter.measure(10, None).usage.completion_tokens, 4);
        assert_eq!(meter.measure(10, None).source, Estimated);
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
