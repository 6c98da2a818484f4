//! How an endpoint is doing right now, as far as routing needs to know.
//!
//! `upstream` measures and fills these in; nothing here reads a clock.

/// An endpoint's live state at one instant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Condition {
    /// Whether it may be called at all.
    pub availability: Availability,
    /// Recent time to the first token, milliseconds; 0 when not measured yet.
    pub ttft_ms: f32,
    /// Recent output speed, tokens a second; 0 when not measured yet.
    pub tokens_per_s: f32,
    /// Recent share of calls that succeeded, 0 to 1; 1 when not measured yet.
    pub success: f32,
    /// Calls under way.
    pub in_flight: u32,
}

impl Default for Condition {
    /// Open, idle and never measured.
    fn default() -> Self {
        Self { availability: Availability::Open, ttft_ms: 0.0, tokens_per_s: 0.0, success: 1.0, in_flight: 0 }
    }
}

/// Whether an endpoint may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Availability {
    /// Yes.
    Open,
    /// Not for a while.
    Cooling {
        /// Until then, milliseconds.
        for_ms: u64,
        /// Why.
        cause: Cause,
    },
    /// Not until something changes: a new key, a new list, a reload.
    Disabled(Cause),
}

/// Why an endpoint is not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The provider asked to wait a short while.
    RateLimited,
    /// The provider's quota of the day or month is spent.
    QuotaSpent,
    /// The provider has no capacity left for now.
    Overloaded,
    /// Recent calls failed.
    Failing,
    /// Recent calls timed out.
    Slow,
    /// As many calls as allowed are under way.
    Busy,
    /// The provider refused our key.
    KeyRefused,
    /// The provider wants money.
    PaymentRequired,
    /// The provider no longer serves the model.
    ModelGone,
    /// The operator switched it off.
    Operator,
}

impl serde::Serialize for Cause {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl Cause {
    /// Its name in explanations and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::QuotaSpent => "quota_spent",
            Self::Overloaded => "overloaded",
            Self::Failing => "failing",
            Self::Slow => "slow",
            Self::Busy => "busy",
            Self::KeyRefused => "key_refused",
            Self::PaymentRequired => "payment_required",
            Self::ModelGone => "model_gone",
            Self::Operator => "operator",
        }
    }
}
