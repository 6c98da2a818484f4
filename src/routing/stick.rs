//! A conversation stays with its model while that remains a good choice.
//!
//! Every turn is ranked anew, as if nothing were remembered. What answered before goes first where it is still
//! among the best by that order: it may be asked now, the caller's orders put nobody before it, and its score
//! is near the best. First the very endpoint, whose cache has the conversation; else the same model elsewhere.

use super::keep::Hold;
use super::order::{AT_REST, Order, Ranked};
use super::{Candidate, Exclusion, Judge};
use serde::{Deserialize, Serialize};

/// A score of at least this share of the best is still a good choice. A tenth of a good answer's chance, or of the
/// time that weighs as much, is what a cached prompt and answers of one kind are taken to be worth.
const STILL_GOOD: f32 = 0.9;

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

/// Whether a conversation stays, and with whom. Of `groups` the first that is not empty is asked first, and its
/// best is in it.
pub(super) fn settle(
    remembered: Remembered,
    judge: &Judge<'_>,
    groups: &[Vec<Ranked>],
    order: &Order<'_>,
) -> (Stick, Option<Candidate>) {
    let at = match remembered {
        Remembered::At(at) if (at as usize) < judge.inputs.catalog.endpoints.len() => at,
        Remembered::At(_) | Remembered::Gone => return (Stick::Moved(Moved::Gone), None),
        Remembered::Nothing => return (Stick::New, None),
    };
    let asked_first = groups.iter().position(|group| !group.is_empty()).unwrap_or_default();
    let Some(best) = groups[asked_first].iter().min_by(|a, b| order.compare(a, b)) else {
        return (Stick::Moved(Moved::Better), None);
    };
    let group = Foremost { group: &groups[asked_first], is_open: asked_first == 0, best, judge };
    let same = group.holds(at);
    let stays = same.ok().or_else(|| group.same_model(at, order));
    match (stays, same) {
        (Some(Ranked { position: endpoint, score, .. }), _) => {
            let resting = asked_first == AT_REST;
            (Stick::Kept, Some(Candidate { endpoint, score, resting }))
        }
        (None, Err(why)) => (Stick::Moved(why), None),
        (None, Ok(_)) => (Stick::Moved(Moved::Better), None),
    }
}

/// Those that are asked first.
struct Foremost<'a> {
    group: &'a [Ranked],
    /// Nothing speaks against them. Then not all of them need to be in the group.
    is_open: bool,
    best: &'a Ranked,
    judge: &'a Judge<'a>,
}

impl Foremost<'_> {
    /// Whether the endpoint is one of them, and still a good choice; else why not.
    fn holds(&self, position: u32) -> Result<Ranked, Moved> {
        let endpoint = &self.judge.inputs.catalog.endpoints[position as usize];
        let rank = self.judge.admit(endpoint).map_err(Moved::because)?;
        let judged = self.judge.look(position as usize, rank);
        let is_open = judged.shut.is_none() && judged.hold == Hold::Free;
        let ranked = match self.is_open {
            true => Some(judged.ranked()).filter(|_| is_open),
            false => self.group.iter().find(|ranked| ranked.position == position).copied(),
        };
        match ranked {
            // What is out for no reason of its own is ahead of its day.
            None => Err(judged.shut.map_or(Moved::Quota, Moved::because)),
            Some(ranked) if ranked.rank != self.best.rank => Err(Moved::Preference),
            Some(ranked) if ranked.score < STILL_GOOD * self.best.score => Err(Moved::Better),
            Some(ranked) => Ok(ranked),
        }
    }

    /// The best of them that serves the same model and is a good choice.
    fn same_model(&self, position: u32, order: &Order<'_>) -> Option<Ranked> {
        let endpoints = &self.judge.inputs.catalog.endpoints;
        let model = &endpoints[position as usize].model.id;
        let same = (0_u32..).zip(endpoints).filter(|(at, other)| *at != position && other.model.id == *model);
        same.filter_map(|(at, _)| self.holds(at).ok()).min_by(|a, b| order.compare(a, b))
    }
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
