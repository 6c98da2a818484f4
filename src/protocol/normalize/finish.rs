//! Why an answer ended, in the five words clients know.

use super::object::text;

/// A finish reason clients know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finish {
    Stop,
    Length,
    ToolCalls,
    ContentFilter,
    Error,
}

impl Finish {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
            Self::Error => "error",
        }
    }

    /// What a provider's reason means. `None` for none (null or blank); a word nobody knows still ended
    /// the answer, so it is a stop.
    pub(super) fn parse(json: &str) -> Option<Self> {
        let word = text(json)?.to_ascii_lowercase();
        let word = word.strip_prefix("finish_reason_").unwrap_or(&word);
        match word {
            "" | "unspecified" => None,
            "length" | "max_tokens" | "max_output_tokens" | "model_length" | "max_length" => {
                Some(Self::Length)
            }
            "tool_calls" | "tool_call" | "tool_use" | "function_call" => Some(Self::ToolCalls),
            "content_filter" | "content_filtered" | "safety" | "recitation" | "blocklist" | "spii"
            | "prohibited_content" | "image_safety" | "refusal" | "error_toxic" => Some(Self::ContentFilter),
            "error" | "abort" | "malformed_function_call" | "unexpected_tool_call" => Some(Self::Error),
            _ => Some(Self::Stop),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(words: &[&str], expect: Option<Finish>) {
        for word in words {
            assert_eq!(Finish::parse(&format!("\"{word}\"")), expect, "{word}");
        }
    }

    #[test]
    fn every_providers_word_is_understood() {
        check(&["stop", "STOP", "eos", "end_turn", "COMPLETE", "stop_sequence"], Some(Finish::Stop));
        check(&["length", "MAX_TOKENS", "model_length", "FINISH_REASON_MAX_TOKENS"], Some(Finish::Length));
        check(&["tool_calls", "function_call", "tool_use"], Some(Finish::ToolCalls));
        check(&["content_filter", "SAFETY", "RECITATION"], Some(Finish::ContentFilter));
        check(&["error", "MALFORMED_FUNCTION_CALL", "abort"], Some(Finish::Error));
    }

    #[test]
    fn a_blank_reason_is_none() {
        check(&["", "FINISH_REASON_UNSPECIFIED"], None);
        assert_eq!(Finish::parse("null"), None);
    }
}
