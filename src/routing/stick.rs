//! A conversation stays with its model while that remains a good choice.
//!
//! Every turn is ranked anew, as if nothing were remembered. What answered before goes first where it is still
//! among the best by that order: it may be asked now, the caller's orders put nobody before it, and its score
//! is near the best. First the very endpoint, whose cache has the conversation; else the same model elsewhere.

use super::{AT_REST, Candidate, Exclusion, Ranked};
use crate::catalog::Catalog;
use serde::{Deserialize, Serialize};

/// A score of at least this share of the best is still a good choice: about what a cached prompt and answers of
/// one kind are worth.
const STILL_GOOD: f32 = 0.75;

/// What answered a conversation last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remembered {
    /// Nothing that is known.
    Nothing,
    /// An endpoint that is not in the catalog any more.
    Gone,
    /// The endpoint at this position of the catalog.
    At(u32),
}

/// Whether a conversation stays with its model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stick {
    /// Nothing was remembered.
    New,
    /// It stays.
    Kept,
    /// It goes to another one.
    Moved(Moved),
}

/// Why a conversation leaves its model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moved {
    /// It cannot do what this turn needs.
    Capability,
    /// It fails.
    Health,
    /// Its limits are reached, or it is kept for others.
    Quota,
    /// It is served no more.
    Gone,
    /// The caller or the operator does not want it.
    Preference,
    /// Another one is clearly better for this turn.
    Better,
}

impl Stick {
    /// Without the reason, as a metric label.
    pub const fn outcome(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Kept => "kept",
            Self::Moved(_) => "moved",
        }
    }

    /// As it is told to clients.
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Kept => "kept",
            Self::Moved(Moved::Capability) => "moved; reason=capability",
            Self::Moved(Moved::Health) => "moved; reason=health",
            Self::Moved(Moved::Quota) => "moved; reason=quota",
            Self::Moved(Moved::Gone) => "moved; reason=gone",
            Self::Moved(Moved::Preference) => "moved; reason=preference",
            Self::Moved(Moved::Better) => "moved; reason=better",
        }
    }
}

impl Moved {
    fn because(exclusion: Exclusion) -> Self {
        match exclusion {
            Exclusion::Lacks { .. } | Exclusion::Output { .. } | Exclusion::Context { .. } => {
                Self::Capability
            }
            Exclusion::Disabled { .. } => Self::Health,
            Exclusion::Cooling { .. } if exclusion.is_a_guess() => Self::Health,
            Exclusion::Cooling { .. } | Exclusion::Kept => Self::Quota,
            Exclusion::OtherModel
            | Exclusion::Restricted
            | Exclusion::Provider
            | Exclusion::Privacy
            | Exclusion::Forbidden => Self::Preference,
        }
    }
}

/// What is remembered, and what becomes of it in one decision.
pub(super) struct Held {
    remembered: Option<Remembered>,
    out: Option<Exclusion>,
}

impl Held {
    pub(super) const fn new(remembered: Option<Remembered>) -> Self {
        Self { remembered, out: None }
    }

    /// An endpoint is out.
    pub(super) fn hear(&mut self, position: usize, exclusion: Exclusion) {
        if let Some(Remembered::At(at)) = self.remembered
            && at as usize == position
        {
            self.out = Some(exclusion);
        }
    }

    /// Whether the conversation stays, and with whom. Of `groups` the first that is not empty is asked first.
    pub(super) fn settle(
        &self,
        groups: &[Vec<Ranked>],
        catalog: &Catalog,
    ) -> Option<(Stick, Option<Candidate>)> {
        let at = match self.remembered? {
            Remembered::At(at) => at,
            Remembered::Nothing => return Some((Stick::New, None)),
            Remembered::Gone => return Some((Stick::Moved(Moved::Gone), None)),
        };
        let foremost = groups.iter().position(|group| !group.is_empty())?;
        if let Some(still) = still_good(&groups[foremost], at, catalog) {
            let Ranked { position: endpoint, score, .. } = *still;
            let resting = foremost == AT_REST;
            return Some((Stick::Kept, Some(Candidate { endpoint, score, resting })));
        }
        Some((Stick::Moved(self.why(&groups[foremost], at)), None))
    }

    fn why(&self, foremost: &[Ranked], at: u32) -> Moved {
        let best = foremost.iter().map(|ranked| ranked.rank).min();
        match (self.out, foremost.iter().find(|ranked| ranked.position == at)) {
            (Some(exclusion), _) => Moved::because(exclusion),
            // Nothing keeps it out, but its day is ahead of others'.
            (None, None) => Moved::Quota,
            (None, Some(ranked)) if Some(ranked.rank) != best => Moved::Preference,
            (None, Some(_)) => Moved::Better,
        }
    }
}

/// Of those that are asked first: the endpoint at `at` if it is still a good choice, else the best of the same
/// model that is.
fn still_good<'a>(foremost: &'a [Ranked], at: u32, catalog: &Catalog) -> Option<&'a Ranked> {
    let rank = foremost.iter().map(|ranked| ranked.rank).min()?;
    let first = || foremost.iter().filter(|ranked| ranked.rank == rank);
    let best = first().map(|ranked| ranked.score).fold(0.0, f32::max);
    let good = || first().filter(|ranked| ranked.score >= STILL_GOOD * best);
    let model = |position: u32| catalog.endpoints.get(position as usize).map(|e| &e.model.id);
    let elsewhere =
        || good().filter(|r| model(r.position) == model(at)).max_by(|a, b| a.score.total_cmp(&b.score));
    good().find(|ranked| ranked.position == at).or_else(elsewhere)
}

/// Puts who a conversation stays with before the others.
pub(super) fn put_first(candidates: &mut Vec<Candidate>, stays: Candidate) {
    match candidates.iter().position(|candidate| candidate.endpoint == stays.endpoint) {
        Some(place) => candidates[..=place].rotate_right(1),
        None => {
            // It was just not among the best of many.
            candidates.pop();
            candidates.insert(0, stays);
        }
    }
}

#[cfg(test)]
mod tests;
