//! The `usage` clients read: tokens, what they cost, and who counted them.

use crate::money::MicroCredits;
use crate::protocol::usage::{Usage, UsageSource};
use std::io::Write;

/// What an answer used and costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bill {
    /// The tokens.
    pub usage: Usage,
    /// Who counted them.
    pub source: UsageSource,
    /// The charge.
    pub cost: MicroCredits,
    /// The provider was called with the caller's own key.
    pub own_key: bool,
}

impl Bill {
    /// Appends the `usage` object. Every count strict clients ask for is there, zero where nothing is
    /// known; `cost` is in US dollars, `credits` in credits.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let Usage { prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens } = self.usage;
        write!(
            out,
            concat!(
                r#"{{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{},"#,
                r#""cost":{},"credits":{},"is_byok":{},"usage_source":"{}","#,
                r#""prompt_tokens_details":{{"cached_tokens":{},"cache_write_tokens":0,"#,
                r#""audio_tokens":0,"video_tokens":0}},"#,
                r#""completion_tokens_details":{{"reasoning_tokens":{},"image_tokens":0,"audio_tokens":0}},"#,
                r#""cost_details":{{"upstream_inference_cost":0,"upstream_inference_prompt_cost":0,"#,
                r#""upstream_inference_completions_cost":0}}}}"#,
            ),
            prompt_tokens,
            completion_tokens,
            self.usage.total_tokens(),
            self.cost.usd(),
            self.cost,
            self.own_key,
            self.source.name(),
            cached_tokens,
            reasoning_tokens,
        )
        .expect("writing to memory cannot fail");
    }
}
