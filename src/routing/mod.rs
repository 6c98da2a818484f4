//! Which endpoint should answer, in which order, and why.
//!
//! Pure: facts, catalog and conditions in, a plan out. No model is called, no clock is read, and nothing
//! outside the given catalog can be chosen.

mod classify;
pub mod condition;
mod explain;
mod plan;
mod policy;
mod preferences;
mod score;
mod signs;
pub mod verdict;
mod vocabulary;
mod window;

pub use classify::{Classification, Task, classify};
pub use condition::{Availability, Cause, Condition};
pub use explain::{Considered, Explanation, Outcome, explain};
pub use plan::{Candidate, Exclusion, Inputs, NoRoute, RoutePlan};
pub use policy::{Boost, Policy};
pub use preferences::{AUTO_MODELS, is_auto};
pub use score::Score;

use crate::catalog::{Catalog, Endpoint};
use plan::Tally;
use preferences::{Rank, Wishes};
use score::Scale;
use std::cmp::Ordering;
use std::sync::Arc;

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
    let scale = Scale::new(facts, classification, policy, expected_output_tokens);

    let mut open = Vec::with_capacity(catalog.endpoints.len());
    let mut resting = Vec::new();
    let mut tally = Tally::default();
    for (position, endpoint) in catalog.endpoints.iter().enumerate() {
        let condition;
        let mut able = endpoint.model.capabilities;
        let judged = match admit(endpoint, &wishes, policy) {
            Ok(rank) => {
                condition = (inputs.condition)(position);
                able = able.difference(condition.denied);
                let shut = Exclusion::denied(wishes.needs.hard.difference(able))
                    .or_else(|| Exclusion::unavailable(condition.availability));
                if shut.is_some_and(Exclusion::is_a_guess) {
                    let score = scale.score(endpoint, &condition).total;
                    resting.push(Ranked { rank, score, position: position as u32 });
                }
                shut.map_or(Ok((rank, &condition)), Err)
            }
            Err(exclusion) => Err(exclusion),
        };
        match judged {
            Ok((rank, condition)) => {
                let score = scale.score(endpoint, condition);
                on(position, Ok(&score));
                open.push(Ranked { rank, score: score.total, position: position as u32 });
            }
            Err(exclusion) => {
                tally.add(exclusion, wishes.needs.hard.difference(able));
                on(position, Err(exclusion));
            }
        }
    }
    // That failures go on is a guess, and a guess must not turn a request away.
    let last_resort = open.is_empty() && !resting.is_empty();
    if last_resort {
        open = resting;
    }
    if open.is_empty() {
        return Err(tally.no_route());
    }
    let most = if facts.preferences.no_fallbacks { 1 } else { policy.max_candidates.max(1) };
    let candidates = order(open, most, inputs.seed, catalog);
    Ok(RoutePlan { candidates, classification, expected_output_tokens, pinned: wishes.pinned, last_resort })
}

/// Whether an endpoint may and can answer, whatever its condition.
fn admit(endpoint: &Endpoint, wishes: &Wishes<'_>, policy: &Policy) -> Result<Rank, Exclusion> {
    let rank = wishes.admit(endpoint)?;
    policy.admit(endpoint)?;
    let missing = || wishes.needs.hard.difference(endpoint.model.capabilities);
    endpoint.model.satisfies(&wishes.needs).map_err(|unmet| Exclusion::unmet(unmet, missing()))?;
    Ok(rank)
}

fn expected_output(inputs: &Inputs<'_>, wishes: &Wishes<'_>) -> u32 {
    let usual = inputs.classification.expected_output_tokens(&inputs.facts.features);
    usual.saturating_mul(inputs.facts.choices.max(1)).min(wishes.needs.max_output_tokens.unwrap_or(u32::MAX))
}

/// An endpoint that may be asked.
#[derive(Clone, Copy)]
struct Ranked {
    rank: Rank,
    score: f32,
    position: u32,
}

/// The best `most`: by the caller's orders, then by score, then by the seed.
fn order(mut open: Vec<Ranked>, most: usize, seed: u64, catalog: &Catalog) -> Vec<Candidate> {
    let better = |a: &Ranked, b: &Ranked| {
        let by_order = a.rank.cmp(&b.rank).then(b.score.total_cmp(&a.score));
        by_order.then_with(|| mix(seed, a.position).cmp(&mix(seed, b.position)))
    };
    let mut rest = Vec::new();
    if open.len() > most {
        open.select_nth_unstable_by(most - 1, better);
        rest = open.split_off(most);
    }
    open.sort_unstable_by(better);
    spread(&mut open, &rest, better, catalog);
    open.iter().map(|ranked| Candidate { endpoint: ranked.position, score: ranked.score }).collect()
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
