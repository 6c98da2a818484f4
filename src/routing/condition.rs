//! How an endpoint is doing right now, as the live state reports it and the plan reads it.

use crate::catalog::{CapabilitySet, Task, TaskGroup};

/// One endpoint at one moment. A measurement of `0.0` means nothing has been measured yet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Condition {
    /// Whether it may be called.
    pub availability: Availability,
    /// Usual time to the first token, milliseconds.
    pub ttft_ms: f32,
    /// Usual output speed after the first token, tokens a second.
    pub tokens_per_s: f32,
    /// Share of recent attempts that succeeded, 0 to 1; 1 when there was none.
    pub success: f32,
    /// How well its answers to each kind of task are what they should be.
    pub fitness: Fitness,
    /// It failed, and whoever calls it next finds out whether it is well again.
    pub in_doubt: bool,
    /// Requests under way there.
    pub in_flight: u32,
    /// Capabilities its catalog row promises and its replies have denied.
    pub denied: CapabilitySet,
    /// The least share left of any of its limits, 0 to 1; 1 where none is known.
    pub share_left: f32,
    /// How far the day's spending is ahead of an even pace, as a share of the day's limit, negative when it
    /// is behind; [`f32::NEG_INFINITY`] where no day is limited.
    pub ahead: f32,
    /// How much others want of what is left of its limits, 0 to 1, a moment ago or when its last request began: [`super::pressure`].
    pub pressure: f32,
    /// No request of more tokens ever fits one of its limits; [`u32::MAX`] where none is known.
    pub most_tokens: u32,
}

impl Default for Condition {
    /// Open, idle and never measured.
    fn default() -> Self {
        Self {
            availability: Availability::Open,
            ttft_ms: 0.0,
            tokens_per_s: 0.0,
            success: 1.0,
            fitness: Fitness::default(),
            in_doubt: false,
            in_flight: 0,
            denied: CapabilitySet::EMPTY,
            share_left: 1.0,
            ahead: f32::NEG_INFINITY,
            pressure: 0.0,
            most_tokens: u32::MAX,
        }
    }
}

/// How well an endpoint's answers are what the catalog makes one expect, by group of tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Fitness([u8; TaskGroup::ALL.len()]);

impl Default for Fitness {
    /// As expected.
    fn default() -> Self {
        Self([u8::MAX; TaskGroup::ALL.len()])
    }
}

impl Fitness {
    /// For a task, 0 to 1; 1 is as expected.
    pub fn of(self, task: Task) -> f32 {
        f32::from(self.0[task.group() as usize]) / f32::from(u8::MAX)
    }

    /// With another share, 0 to 1, for a group.
    #[must_use]
    pub fn with(mut self, group: TaskGroup, share: f32) -> Self {
        self.0[group as usize] = (share * f32::from(u8::MAX)).round() as u8;
        self
    }
}

/// The best an endpoint's [`Condition`] can turn out to be when it is looked at, cheaply: what a condition has
/// besides only lowers its score. A measurement of `0.0` means nothing has been measured yet.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AtBest {
    /// Time to the first token, milliseconds: this or longer.
    pub ttft_ms: f32,
    /// Output speed after the first token, tokens a second: this or slower.
    pub tokens_per_s: f32,
    /// The pressure on its limits: this or more.
    pub pressure: f32,
}

impl AtBest {
    /// The condition that is no worse.
    pub(super) fn condition(self) -> Condition {
        let Self { ttft_ms, tokens_per_s, pressure } = self;
        Condition { ttft_ms, tokens_per_s, pressure, ..Condition::default() }
    }
}

/// Whether an endpoint may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub enum Availability {
    /// It may.
    Open,
    /// Not before `for_ms` milliseconds have passed.
    Cooling {
        /// Milliseconds left.
        for_ms: u64,
        /// Why.
        cause: Cause,
    },
    /// Not until something outside changes: a key, the provider's list.
    Disabled(Cause),
}

/// Why an endpoint is not called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A short window (minute, concurrency) of the provider is full.
    RateLimited,
    /// A long window (day, month, credits) is spent.
    QuotaSpent,
    /// The provider is overloaded.
    Overloaded,
    /// 5xx.
    ServerError,
    /// No first byte in time.
    Timeout,
    /// No connection.
    Connect,
    /// The key was refused.
    BadKey,
    /// The model is no longer served.
    ModelGone,
    /// It answered nonsense or nothing.
    Misbehaving,
    /// As many requests as it takes are under way.
    Busy,
    /// Its answers broke off.
    Truncated,
    /// Only callers' own keys are used for it.
    CallersKeysOnly,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 12] = [
        Self::RateLimited,
        Self::QuotaSpent,
        Self::Overloaded,
        Self::ServerError,
        Self::Timeout,
        Self::Connect,
        Self::BadKey,
        Self::ModelGone,
        Self::Misbehaving,
        Self::Busy,
        Self::Truncated,
        Self::CallersKeysOnly,
    ];

    /// Its name in logs, metrics and explanations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::QuotaSpent => "quota_spent",
            Self::Overloaded => "overloaded",
            Self::ServerError => "server_error",
            Self::Timeout => "timeout",
            Self::Connect => "connect",
            Self::BadKey => "bad_key",
            Self::ModelGone => "model_gone",
            Self::Misbehaving => "misbehaving",
            Self::Busy => "busy",
            Self::Truncated => "truncated",
            Self::CallersKeysOnly => "callers_keys_only",
        }
    }
}
