//! What routing decides from, and what it decides.

use super::{AtBest, Availability, Cause, Classification, Condition, Policy, Remembered, Stick};
use crate::catalog::{Capability, CapabilitySet, Catalog, Unmet};
use crate::protocol::facts::RequestFacts;
use serde::Serialize;

/// Everything a decision rests on. The same inputs give the same plan.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    /// What inspection found.
    pub facts: &'a RequestFacts,
    /// What [`super::classify`] made of the prompt.
    pub classification: Classification,
    /// The free endpoints there are.
    pub catalog: &'a Catalog,
    /// How the endpoint at a position of the catalog is doing, for a request of so many tokens.
    pub condition: &'a dyn Fn(usize, u32) -> Condition,
    /// The best that condition can turn out to be. With it the plan looks at the conditions of those that may
    /// become candidates and, where it can, at no others: the plan is the same.
    pub at_best: Option<&'a dyn Fn(usize) -> AtBest>,
    /// The operator's settings.
    pub policy: &'a Policy,
    /// Decides between equals.
    pub seed: u64,
    /// It cannot wait for others: what is kept for harder requests is used before it is refused.
    pub last_chance: bool,
    /// What answered the conversation last; none for requests that are held to nothing.
    pub remembered: Option<Remembered>,
}

/// Whom to ask, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct RoutePlan {
    /// At least one, at most [`Policy::max_candidates`], each endpoint once.
    pub candidates: Vec<Candidate>,
    /// What the prompt looks like.
    pub classification: Classification,
    /// How long the answer will probably be.
    pub expected_output_tokens: u32,
    /// Tokens of the prompt and of the answer as it will probably be: what is taken of limits.
    pub tokens: u32,
    /// The caller named the model.
    pub pinned: bool,
    /// Every capable endpoint had failed lately; these are tried all the same.
    pub last_resort: bool,
    /// Whether the conversation stays with its model; none for requests that are held to nothing.
    pub session: Option<Stick>,
}

/// One endpoint to try.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// Its position in the catalog.
    pub endpoint: u32,
    /// What it was ordered by.
    pub score: f32,
    /// It failed lately and is asked all the same: too few others are well.
    pub resting: bool,
}

/// Why nobody can be asked.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NoRoute {
    /// Nobody here knows the model.
    #[error("unknown model `{0}`")]
    UnknownModel(String),
    /// The model exists but costs money; only free ones are called.
    #[error("model `{0}` is not free")]
    NotFree(String),
    /// There is no endpoint at all.
    #[error("no models are available: configure a provider")]
    NothingConfigured,
    /// The caller's model patterns leave nothing.
    #[error("No models match your request and model restrictions")]
    Restricted,
    /// The operator's rules leave nothing.
    #[error("no models are allowed here for this request")]
    Forbidden,
    /// The caller's provider lists leave nothing.
    #[error("No allowed providers are available for the selected model")]
    NoAllowedProviders,
    /// The caller denies data collection and every endpoint may train on prompts.
    #[error("no endpoints found that match your data policy")]
    Privacy,
    /// No endpoint can do all that is needed.
    #[error("no endpoints found that support {}", list(.missing))]
    Unsupported {
        /// What every endpoint lacks; where each lacks something else, what the closest lacks.
        missing: Vec<Capability>,
    },
    /// The answer asked for is longer than any model gives.
    #[error("no model answers with {asked} tokens; the longest answer is {largest} tokens")]
    OutputTooLong {
        /// The limit asked for.
        asked: u32,
        /// The largest there is.
        largest: u32,
    },
    /// Prompt and answer fit no window.
    #[error("the request needs a context of {needs} tokens; the largest available has {largest}")]
    ContextTooLong {
        /// Prompt and answer together.
        needs: u32,
        /// The largest window.
        largest: u32,
    },
    /// Every capable endpoint has to be left alone for a while.
    #[error("every capable model is busy; retry in {} s", .retry_after_ms.div_ceil(1000))]
    Cooling {
        /// Until the first may be asked again.
        retry_after_ms: u64,
    },
    /// Every capable endpoint is out of service.
    #[error("every capable model is out of service")]
    Down,
}

fn list(missing: &[Capability]) -> String {
    missing.iter().map(Capability::to_string).collect::<Vec<_>>().join(", ")
}

/// Why an endpoint is not a candidate, the earliest reason in this order.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Exclusion {
    /// The caller named other models.
    OtherModel,
    /// The caller's model patterns.
    Restricted,
    /// The caller's provider lists.
    Provider,
    /// The caller denies data collection.
    Privacy,
    /// The operator's rules.
    Forbidden,
    /// It cannot do what is needed.
    Lacks {
        /// The first thing it cannot.
        capability: Capability,
        /// How many more there are.
        more: u32,
    },
    /// Its answers are shorter than asked for.
    Output {
        /// Tokens asked for.
        needs: u32,
        /// Its limit.
        has: u32,
    },
    /// Its window is too small.
    Context {
        /// Tokens needed.
        needs: u32,
        /// Its window.
        has: u32,
    },
    /// It is out of service.
    Disabled {
        /// Why.
        cause: Cause,
    },
    /// It has to be left alone for a while.
    Cooling {
        /// Why.
        cause: Cause,
        /// For how long, milliseconds.
        for_ms: u64,
    },
    /// Its day is spent faster than evenly; what is left is kept for harder requests.
    Kept,
}

impl Exclusion {
    /// Whether it rests on failures alone, and not on what the provider has said.
    pub(super) const fn is_a_guess(self) -> bool {
        use Cause::{Connect, Misbehaving, Overloaded, ServerError, Timeout, Truncated};
        matches!(
            self,
            Self::Cooling {
                cause: Connect | Misbehaving | Overloaded | ServerError | Timeout | Truncated,
                ..
            }
        )
    }

    /// How far the endpoint came: the farthest of all is what the caller is told.
    const fn stage(self) -> u8 {
        match self {
            Self::OtherModel => 0,
            Self::Restricted => 1,
            Self::Provider => 2,
            Self::Privacy => 3,
            Self::Forbidden => 4,
            Self::Lacks { .. } => 5,
            Self::Output { .. } => 6,
            Self::Context { .. } => 7,
            Self::Disabled { .. } => 8,
            Self::Kept => 9,
            Self::Cooling { .. } => 10,
        }
    }

    pub(super) fn unmet(unmet: Unmet, missing: CapabilitySet) -> Self {
        match unmet {
            Unmet::Capability(capability) => {
                Self::Lacks { capability, more: missing.len().saturating_sub(1) }
            }
            Unmet::Output { needs, has } => Self::Output { needs, has },
            Unmet::Context { needs, has } => Self::Context { needs, has },
        }
    }

    /// A request above the tokens of a minute (or a day) is refused however long it waits: a window, in effect.
    pub(super) fn too_large(tokens: u32, most: u32) -> Option<Self> {
        (tokens > most).then_some(Self::Context { needs: tokens, has: most })
    }

    /// What its replies have lately denied, although its row promises it.
    pub(super) fn denied(missing: CapabilitySet) -> Option<Self> {
        let capability = missing.iter().next()?;
        Some(Self::Lacks { capability, more: missing.len() - 1 })
    }

    pub(super) fn unavailable(availability: Availability) -> Option<Self> {
        match availability {
            Availability::Open => None,
            Availability::Cooling { for_ms, cause } => Some(Self::Cooling { cause, for_ms }),
            Availability::Disabled(cause) => Some(Self::Disabled { cause }),
        }
    }
}

/// When to ask again for what is kept: an even pace frees a little all the time.
const KEPT_RETRY_MS: u64 = 30_000;

/// What all exclusions of one decision come to.
#[derive(Default)]
pub(super) struct Tally {
    farthest: Option<Exclusion>,
    /// Missing everywhere.
    common: Option<CapabilitySet>,
    /// Missing at the closest endpoint.
    fewest: CapabilitySet,
}

impl Tally {
    /// Counts one exclusion; `missing` is what the endpoint cannot do.
    pub(super) fn add(&mut self, exclusion: Exclusion, missing: CapabilitySet) {
        if matches!(exclusion, Exclusion::Lacks { .. }) {
            let first = self.common.is_none();
            let common = self.common.unwrap_or(missing);
            self.common = Some(common.difference(common.difference(missing)));
            if first || missing.len() < self.fewest.len() {
                self.fewest = missing;
            }
        }
        self.farthest = Some(match self.farthest {
            Some(farthest) => farther(farthest, exclusion),
            None => exclusion,
        });
    }

    /// Why nobody is left.
    pub(super) fn no_route(self) -> NoRoute {
        match self.farthest {
            None | Some(Exclusion::OtherModel) => NoRoute::NothingConfigured,
            Some(Exclusion::Restricted) => NoRoute::Restricted,
            Some(Exclusion::Provider) => NoRoute::NoAllowedProviders,
            Some(Exclusion::Privacy) => NoRoute::Privacy,
            Some(Exclusion::Forbidden) => NoRoute::Forbidden,
            Some(Exclusion::Lacks { .. }) => {
                let common = self.common.unwrap_or_default();
                let missing = if common.is_empty() { self.fewest } else { common };
                NoRoute::Unsupported { missing: missing.iter().collect() }
            }
            Some(Exclusion::Output { needs, has }) => NoRoute::OutputTooLong { asked: needs, largest: has },
            Some(Exclusion::Context { needs, has }) => NoRoute::ContextTooLong { needs, largest: has },
            Some(Exclusion::Disabled { .. }) => NoRoute::Down,
            Some(Exclusion::Kept) => NoRoute::Cooling { retry_after_ms: KEPT_RETRY_MS },
            Some(Exclusion::Cooling { for_ms, .. }) => NoRoute::Cooling { retry_after_ms: for_ms },
        }
    }
}

/// The exclusion that came farther; of two alike, the one that came closer to being none.
fn farther(a: Exclusion, b: Exclusion) -> Exclusion {
    use Exclusion::{Context, Cooling, Output};
    match (a, b) {
        (Output { has: x, .. }, Output { has: y, .. }) | (Context { has: x, .. }, Context { has: y, .. }) => {
            if y > x {
                b
            } else {
                a
            }
        }
        (Cooling { for_ms: x, .. }, Cooling { for_ms: y, .. }) => {
            if y < x {
                b
            } else {
                a
            }
        }
        _ if b.stage() > a.stage() => b,
        _ => a,
    }
}
