//! Which endpoint should answer, in which order, and why.
//!
//! Pure: facts, catalog and conditions in, a plan out. No model is called, no clock is read, and nothing
//! outside the given catalog can be chosen.

mod classify;
pub mod condition;
mod explain;
mod keep;
mod plan;
mod policy;
mod preferences;
mod score;
mod signs;
mod stick;
pub mod verdict;
mod vocabulary;
mod window;

pub use crate::catalog::Task;
pub use classify::{Classification, classify};
pub use condition::{Availability, Cause, Condition};
pub use explain::{Considered, Explanation, Outcome, explain};
pub use keep::is_kept;
pub use plan::{Candidate, Exclusion, Inputs, NoRoute, RoutePlan};
pub use policy::{Boost, Policy};
pub use preferences::{AUTO_MODELS, is_auto};
pub use score::Score;
pub use stick::{Moved, Remembered, Stick};

use crate::catalog::{Catalog, Endpoint};
use keep::{Hold, Keep};
use plan::Tally;
use preferences::{Rank, Wishes};
use score::Scale;
use std::cmp::Ordering;
use std::sync::Arc;
use stick::Held;

/// Chooses whom to ask, in order.
///
/// # Errors
/// [`NoRoute`] with the reason that kept the closest endpoint out.
pub fn plan(inputs: &Inputs<'_>) -> Result<RoutePlan, NoRoute> {
    decide(inputs, &mut |_, _| ())
}

/// Filters, scores and orders; `on` hears what became of each endpoint by its position.
fn decide(
    inputs: &Inputs<'_>,
    on: &mut dyn FnMut(usize, Result<&Score, Exclusion>),
) -> Result<RoutePlan, NoRoute> {
    let Inputs { facts, classification, catalog, policy, .. } = *inputs;
    let wishes = Wishes::of(facts, catalog)?;
    let expected_output_tokens = expected_output(inputs, &wishes);
    let tokens = wishes.needs.prompt_tokens.saturating_add(expected_output_tokens);
    let scale = Scale::new(facts, classification, policy, expected_output_tokens);
    let keep = Keep::new(scale.quality_weight(), catalog);

    let mut found = Found { open: Vec::with_capacity(catalog.endpoints.len()), ..Found::default() };
    let mut tally = Tally::default();
    let mut held = Held::new(inputs.remembered);
    for (position, endpoint) in catalog.endpoints.iter().enumerate() {
        let rank = match admit(endpoint, &wishes, policy) {
            Ok(rank) => rank,
            Err(exclusion) => {
                tally.add(exclusion, wishes.needs.hard.difference(endpoint.model.capabilities));
                held.hear(position, exclusion);
                on(position, Err(exclusion));
                continue;
            }
        };
        let condition = (inputs.condition)(position, tokens);
        let rank = wishes.measured(rank, endpoint, &condition);
        let able = endpoint.model.capabilities.difference(condition.denied);
        let lacks = wishes.needs.hard.difference(able);
        let hold = keep.hold(endpoint, &condition);
        let shut = Exclusion::too_large(tokens, condition.most_tokens)
            .or_else(|| Exclusion::denied(lacks))
            .or_else(|| Exclusion::unavailable(condition.availability))
            .or_else(|| matches!(hold, Hold::Kept | Hold::Reserved).then_some(Exclusion::Kept));
        let score = scale.score(endpoint, &condition);
        let ranked = Ranked { rank, score: score.total, position: position as u32 };
        found.add(ranked, hold, shut);
        match shut {
            None => on(position, Ok(&score)),
            Some(exclusion) => {
                tally.add(exclusion, lacks);
                held.hear(position, exclusion);
                on(position, Err(exclusion));
            }
        }
    }
    let most = if facts.preferences.no_fallbacks { 1 } else { policy.max_candidates.max(1) };
    let Some((groups, last_resort)) = found.groups(policy.reserve, inputs.last_chance) else {
        return Err(tally.no_route());
    };
    let settled = held.settle(&groups, catalog);
    let mut candidates = order(groups, most, inputs.seed, catalog);
    if let Some((_, Some(stays))) = settled {
        stick::put_first(&mut candidates, stays);
    }
    let session = settled.map(|(stick, _)| stick);
    let pinned = wishes.pinned;
    Ok(RoutePlan { candidates, classification, expected_output_tokens, tokens, pinned, last_resort, session })
}

/// Those that could answer, by what speaks against it.
#[derive(Default)]
struct Found {
    /// Nothing.
    open: Vec<Ranked>,
    /// Their day is ahead of an even pace.
    ahead: Vec<Ranked>,
    /// They are kept for harder requests.
    kept: Vec<Ranked>,
    /// They are kept even from a request that would be refused otherwise.
    reserved: Vec<Ranked>,
    /// They failed lately, or seem to lack something: guesses.
    resting: Vec<Ranked>,
    /// Some are out for a while because a limit is reached.
    limited: bool,
    /// Some of those only for moments.
    busy: bool,
}

impl Found {
    fn add(&mut self, ranked: Ranked, hold: Hold, shut: Option<Exclusion>) {
        match shut {
            None if hold == Hold::Ahead => self.ahead.push(ranked),
            None => self.open.push(ranked),
            Some(Exclusion::Kept) if hold == Hold::Reserved => self.reserved.push(ranked),
            Some(Exclusion::Kept) => self.kept.push(ranked),
            // What it lacks by its row has been looked at before: this was learned.
            Some(Exclusion::Lacks { .. }) => self.resting.push(ranked),
            Some(exclusion) if exclusion.is_a_guess() => self.resting.push(ranked),
            Some(Exclusion::Cooling { for_ms, .. }) => {
                self.limited = true;
                self.busy |= for_ms <= MOMENTS_MS;
            }
            Some(_) => {}
        }
    }

    /// Whom to ask, in groups that are asked one after the other; and whether only guesses are left.
    fn groups(mut self, reserve: bool, last_chance: bool) -> Option<([Vec<Ranked>; 4], bool)> {
        let free = self.open.len() + self.ahead.len();
        let strict = reserve && self.limited;
        if !strict {
            // With nobody else to wait for, keeping would be refusing for nothing.
            self.kept.append(&mut self.reserved);
        }
        // While others are only busy for a moment, what is kept stays kept.
        if free == 0 && (self.busy || strict) && !last_chance {
            self.kept.clear();
        }
        // That failures go on is a guess, and a guess must not turn a request away, nor leave a need to one
        // or two endpoints where there are many.
        let well = free + self.kept.len();
        if well > self.resting.len() / MOST_AT_REST {
            self.resting.clear();
        }
        if well == 0 && self.limited && !last_chance {
            return None;
        }
        let last_resort = well == 0;
        let groups = [self.open, self.ahead, self.kept, self.resting];
        groups.iter().any(|group| !group.is_empty()).then_some((groups, last_resort))
    }
}

/// Position of those at rest among the groups of [`Found::groups`].
const AT_REST: usize = 3;

/// What is back within this is only busy: the window of a minute.
const MOMENTS_MS: u64 = 61_000;

/// Of the endpoints that can answer at most this many are at rest for one that is not.
const MOST_AT_REST: usize = 10;

/// Whether an endpoint may and can answer, whatever its condition.
fn admit(endpoint: &Endpoint, wishes: &Wishes<'_>, policy: &Policy) -> Result<Rank, Exclusion> {
    let rank = wishes.admit(endpoint)?;
    policy.admit(endpoint)?;
    let missing = || wishes.needs.hard.difference(endpoint.model.capabilities);
    endpoint.model.satisfies(&wishes.needs).map_err(|unmet| Exclusion::unmet(unmet, missing()))?;
    Ok(rank)
}

fn expected_output(inputs: &Inputs<'_>, wishes: &Wishes<'_>) -> u32 {
    let usual = inputs.classification.output_tokens;
    usual.saturating_mul(inputs.facts.choices.max(1)).min(wishes.needs.max_output_tokens.unwrap_or(u32::MAX))
}

/// An endpoint that may be asked.
#[derive(Clone, Copy)]
struct Ranked {
    rank: Rank,
    score: f32,
    position: u32,
}

/// The best `most`, group by group: by the caller's orders, then by score, then by the seed.
fn order(groups: [Vec<Ranked>; 4], most: usize, seed: u64, catalog: &Catalog) -> Vec<Candidate> {
    let better = |a: &Ranked, b: &Ranked| {
        let by_order = a.rank.cmp(&b.rank).then(b.score.total_cmp(&a.score));
        by_order.then_with(|| mix(seed, a.position).cmp(&mix(seed, b.position)))
    };
    let mut candidates = Vec::with_capacity(most);
    for (at, mut group) in groups.into_iter().enumerate() {
        let room = most - candidates.len();
        if room == 0 {
            break;
        }
        let mut rest = Vec::new();
        if group.len() > room {
            group.select_nth_unstable_by(room - 1, better);
            rest = group.split_off(room);
        }
        group.sort_unstable_by(better);
        spread(&mut group, &rest, better, catalog);
        let candidate = |ranked: &Ranked| Candidate {
            endpoint: ranked.position,
            score: ranked.score,
            resting: at == AT_REST,
        };
        candidates.extend(group.iter().map(candidate));
    }
    candidates
}

/// When one provider holds every place, the third goes to the best endpoint of another: a provider that is
/// down or out of quota must not use up all attempts.
fn spread(
    best: &mut Vec<Ranked>,
    rest: &[Ranked],
    better: impl Fn(&Ranked, &Ranked) -> Ordering,
    catalog: &Catalog,
) {
    let provider = |ranked: &Ranked| &catalog.endpoints[ranked.position as usize].provider;
    let [first, _, _, ..] = best.as_slice() else { return };
    let is_first = |ranked: &Ranked| Arc::ptr_eq(provider(ranked), provider(first));
    if !best.iter().all(is_first) {
        return;
    }
    if let Some(other) = rest.iter().filter(|ranked| !is_first(ranked)).min_by(|a, b| better(a, b)).copied() {
        best.pop();
        best.insert(2, other);
    }
}

/// A different order of equals for each seed (the finalizer of SplitMix64).
fn mix(seed: u64, position: u32) -> u64 {
    let mut z = seed ^ u64::from(position).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
