//! What a provider says of its limits when it refuses.

use crate::catalog::{Period, Unit};

/// What a provider says about waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hint {
    /// Milliseconds until a request may succeed, 500 to 24 h; 0 where waiting does not help.
    pub wait_ms: u64,
    /// Nobody said how long: a usual wait, longer each time it proves too short.
    pub guessed: bool,
    /// What has to wait.
    pub scope: Scope,
    /// Which limit was met.
    pub window: Window,
    /// What there was too much of, where that is clear.
    pub unit: Option<Unit>,
    /// How much of it the provider says it allows in the window.
    pub limit: Option<u64>,
}

/// How far a limit or a failure reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One model at one provider.
    Model,
    /// Every model called with that key.
    Key,
    /// The whole provider, whatever the key.
    Provider,
}

/// Which limit was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// Requests at once, or a queue: clears in seconds.
    Concurrency,
    /// A minute, or less.
    Minute,
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// A month.
    Month,
    /// Not said.
    Unknown,
    /// The request alone exceeds the tokens of a minute: waiting never helps.
    TooBig,
}

impl Window {
    /// The time a limit of requests or tokens is over.
    pub const fn period(self) -> Option<Period> {
        match self {
            Self::Minute => Some(Period::MINUTE),
            Self::Hour => Some(Period::HOUR),
            Self::Day => Some(Period::Day),
            Self::Month => Some(Period::Month),
            Self::Concurrency | Self::Unknown | Self::TooBig => None,
        }
    }
}

/// A limit that a refusal has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Learned {
    /// What is limited.
    pub unit: Unit,
    /// Over which time.
    pub per: Period,
    /// How much there is, where the provider named it; else less than was just used.
    pub limit: Option<u64>,
}

impl Hint {
    /// What it teaches about the provider's limits.
    pub(super) fn learned(self) -> Option<Learned> {
        let Self { unit, window, limit, .. } = self;
        let too_big = (window == Window::TooBig && limit.is_some()).then_some(Period::MINUTE);
        let (unit, per) = (unit?, window.period().or(too_big)?);
        // What we count of a day is all of it only where nobody else has the key and we have run since
        // midnight: without a number it is no reason to expect less of tomorrow.
        let countable = limit.is_some() || per.seconds() <= Period::HOUR.seconds();
        countable.then_some(Learned { unit, per, limit })
    }
}
