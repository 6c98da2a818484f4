//! Token usage, whoever reports it and wherever it stands.

use serde_json::Value;

/// Tokens of one answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Tokens of the answer, reasoning included.
    pub completion_tokens: u32,
    /// Part of the prompt read from a cache.
    pub cached_tokens: u32,
    /// Part of the answer that was reasoning.
    pub reasoning_tokens: u32,
}

impl Usage {
    /// Prompt and answer together.
    pub fn total_tokens(&self) -> u64 {
        u64::from(self.prompt_tokens) + u64::from(self.completion_tokens)
    }
}

/// Who counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UsageSource {
    /// The provider, and the figures are sane.
    Reported,
    /// We did: the provider reported none, or nonsense.
    Estimated,
}

impl UsageSource {
    /// `reported` or `estimated`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reported => "reported",
            Self::Estimated => "estimated",
        }
    }
}

/// A provider's `usage` object as it stands: any figure may be missing or wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportedUsage {
    /// `prompt_tokens`, also spelt `input_tokens`.
    pub prompt_tokens: Option<u32>,
    /// `completion_tokens`, also spelt `output_tokens`.
    pub completion_tokens: Option<u32>,
    /// `total_tokens`; more than the sum where thinking is counted only here.
    pub total_tokens: Option<u32>,
    /// `prompt_tokens_details.cached_tokens`, also spelt `prompt_cache_hit_tokens`.
    pub cached_tokens: Option<u32>,
    /// `completion_tokens_details.reasoning_tokens`.
    pub reasoning_tokens: Option<u32>,
}

impl ReportedUsage {
    /// Reads a `usage` object. `None` when it says nothing: no object, or no figure above 0.
    pub fn parse(json: &str) -> Option<Self> {
        let usage: Value = serde_json::from_str(json).ok()?;
        let first = |names: &[&str]| names.iter().find_map(|name| tokens(usage.get(name)?));
        let detail = |group: &str, name: &str| tokens(usage.get(group)?.get(name)?);
        let reported = Self {
            prompt_tokens: first(&["prompt_tokens", "input_tokens"]),
            completion_tokens: first(&["completion_tokens", "output_tokens"]),
            total_tokens: first(&["total_tokens"]),
            cached_tokens: detail("prompt_tokens_details", "cached_tokens")
                .or_else(|| first(&["cached_tokens", "prompt_cache_hit_tokens"])),
            reasoning_tokens: detail("completion_tokens_details", "reasoning_tokens")
                .or_else(|| first(&["reasoning_tokens"])),
        };
        let counts = [reported.prompt_tokens, reported.completion_tokens, reported.total_tokens];
        counts.iter().any(|count| count.is_some_and(|n| n > 0)).then_some(reported)
    }
}

/// A token count: a whole number, which some servers write as `12.0`. Anything else is no count.
fn tokens(value: &Value) -> Option<u32> {
    if let Some(whole) = value.as_u64() {
        return u32::try_from(whole).ok();
    }
    let number = value.as_f64()?;
    let whole = number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number);
    whole.then_some(number as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expect: Option<[Option<u32>; 5]>) {
        let got = ReportedUsage::parse(json).map(|u| {
            [u.prompt_tokens, u.completion_tokens, u.total_tokens, u.cached_tokens, u.reasoning_tokens]
        });
        assert_eq!(got, expect, "{json}");
    }

    #[test]
    fn every_spelling_is_read() {
        check(
            r#"{"prompt_tokens":14,"completion_tokens":3,"total_tokens":17,
                "prompt_tokens_details":{"cached_tokens":5},"completion_tokens_details":{"reasoning_tokens":2}}"#,
            Some([Some(14), Some(3), Some(17), Some(5), Some(2)]),
        );
        check(r#"{"input_tokens":14,"output_tokens":3}"#, Some([Some(14), Some(3), None, None, None]));
        check(
            r#"{"prompt_tokens":9,"prompt_cache_hit_tokens":4,"reasoning_tokens":1}"#,
            Some([Some(9), None, None, Some(4), Some(1)]),
        );
        check(r#"{"prompt_tokens":9.0}"#, Some([Some(9), None, None, None, None]));
    }

    #[test]
    fn null_details_are_no_details() {
        check(
            r#"{"prompt_tokens":9,"completion_tokens":1,"prompt_tokens_details":null}"#,
            Some([Some(9), Some(1), None, None, None]),
        );
    }

    #[test]
    fn what_says_nothing_is_nothing() {
        for json in [
            "null",
            "{}",
            "[]",
            "7",
            "",
            "{",
            r#"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#,
            r#"{"prompt_tokens":-5,"completion_tokens":"many","total_tokens":1.5}"#,
            r#"{"completion_tokens":99999999999}"#,
        ] {
            check(json, None);
        }
    }
}
