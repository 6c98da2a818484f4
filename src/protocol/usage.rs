//! Token usage, whoever reports it and wherever it stands.

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

/// Who counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UsageSource {
    /// The provider, and the figures are sane.
    Reported,
    /// We did: the provider reported none, or nonsense.
    Estimated,
}
