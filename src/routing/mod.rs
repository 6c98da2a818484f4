//! Which endpoint should answer, in which order, and why.
//!
//! Pure: facts, catalog and conditions in, a plan out. No model is called, no clock is read, and nothing
//! outside the given catalog can be chosen.

pub mod condition;
mod explain;
mod found;
mod keep;
mod order;
mod plan;
mod policy;
mod preferences;
mod score;
mod shortlist;
mod stick;
pub mod verdict;
mod worth;

pub use crate::catalog::Task;
pub use crate::classifier::{Classification, classify};
pub use condition::{AtBest, Availability, Cause, Condition, Fitness};
pub use explain::{Considered, Explanation, Outcome, explain};
pub use keep::is_kept;
pub use plan::{Candidate, Exclusion, Inputs, NoRoute, RoutePlan};
pub use policy::{Boost, Pin, Policy};
pub use preferences::{AUTO_MODELS, is_auto};
pub use score::Score;
pub use stick::{Moved, Remembered, Stick};
pub use worth::pressure;

use crate::catalog::{CapabilitySet, Endpoint};
use found::Found;
use keep::{Hold, Keep};
use order::{Order, Ranked};
use plan::Tally;
use preferences::{Rank, Wishes};
use score::Scale;
use shortlist::shortlist;

/// Chooses whom to ask, in order.
///
/// # Errors
/// [`NoRoute`] with the reason that kept the closest endpoint out.
pub fn plan(inputs: &Inputs<'_>) -> Result<RoutePlan, NoRoute> {
    decide(inputs, None)
}

/// Hears what became of each endpoint, by its position.
type On<'a> = &'a mut dyn FnMut(usize, Result<&Score, Exclusion>);

/// Filters, scores and orders. Without `on` only as many endpoints are looked at as the plan takes.
fn decide(inputs: &Inputs<'_>, on: Option<On<'_>>) -> Result<RoutePlan, NoRoute> {
    let Inputs { facts, classification, catalog, policy, .. } = *inputs;
    let judge = Judge::new(inputs, Wishes::of(facts, catalog)?);
    let order = Order::new(inputs.seed, catalog);
    let most = if facts.preferences.no_fallbacks { 1 } else { policy.max_candidates.max(1) };
    let at_best = inputs.at_best.filter(|_| on.is_none());
    let short = at_best.and_then(|at_best| shortlist(&judge, at_best, &order, most));
    let (groups, last_resort) = match short {
        Some(open) => ([open, Vec::new(), Vec::new(), Vec::new()], false),
        None => judge.look_at_all(on.unwrap_or(&mut |_, _| ()))?,
    };
    let session = inputs.remembered.map(|remembered| stick::settle(remembered, &judge, &groups, &order));
    let mut candidates = order.candidates(groups, most);
    if let Some((_, Some(stays))) = session {
        stick::put_first(&mut candidates, stays);
    }
    Ok(RoutePlan {
        candidates,
        classification,
        expected_output_tokens: judge.expected_output_tokens,
        tokens: judge.tokens,
        pinned: judge.wishes.pinned,
        last_resort,
        session: session.map(|(stick, _)| stick),
    })
}

/// What is the same for every endpoint of one decision.
struct Judge<'a> {
    inputs: &'a Inputs<'a>,
    wishes: Wishes<'a>,
    scale: Scale,
    keep: Keep,
    expected_output_tokens: u32,
    /// Of the prompt and of the answer.
    tokens: u32,
}

/// What a look at an endpoint says of it.
struct Judged {
    rank: Rank,
    position: u32,
    score: Score,
    hold: Hold,
    /// Why it is not asked, unless there is nobody else.
    shut: Option<Exclusion>,
    /// What it was learned to lack.
    lacks: CapabilitySet,
}

impl<'a> Judge<'a> {
    fn new(inputs: &'a Inputs<'a>, wishes: Wishes<'a>) -> Self {
        let Inputs { facts, classification, catalog, policy, .. } = *inputs;
        let usual = classification.output_tokens.saturating_mul(facts.choices.max(1));
        let expected_output_tokens = usual.min(wishes.needs.max_output_tokens.unwrap_or(u32::MAX));
        let tokens = wishes.needs.prompt_tokens.saturating_add(expected_output_tokens);
        let scale = Scale::new(facts, classification, policy, catalog, expected_output_tokens);
        let keep = Keep::new(policy.quality_weight(classification.difficulty, facts), catalog);
        Self { inputs, wishes, scale, keep, expected_output_tokens, tokens }
    }

    /// Neither the caller nor the operator names endpoints.
    fn says_nothing_of_endpoints(&self) -> bool {
        self.wishes.are_plain() && !self.inputs.policy.names_endpoints()
    }

    /// Whether an endpoint may and can answer, whatever its condition.
    fn admit(&self, endpoint: &Endpoint) -> Result<Rank, Exclusion> {
        let Inputs { policy, classification, .. } = *self.inputs;
        let rank = self.wishes.admit(endpoint)?.pinned(policy.pin(endpoint, classification.task));
        policy.admit(endpoint)?;
        let needs = &self.wishes.needs;
        let missing = || needs.hard.difference(endpoint.model.capabilities);
        endpoint.model.satisfies(needs).map_err(|unmet| Exclusion::unmet(unmet, missing()))?;
        Ok(rank)
    }

    #[inline]
    fn score(&self, position: usize, condition: &Condition) -> Score {
        let Inputs { catalog, policy, .. } = *self.inputs;
        let boost = if policy.boosts.is_empty() { 1.0 } else { policy.boost(&catalog.endpoints[position]) };
        self.scale.score(&catalog.rows[position], boost, condition)
    }

    /// Looks at the condition of an endpoint that is admitted.
    fn look(&self, position: usize, rank: Rank) -> Judged {
        let row = &self.inputs.catalog.rows[position];
        let condition = (self.inputs.condition)(position, self.tokens);
        let rank = self.wishes.measured(rank, row, &condition);
        let lacks = self.wishes.needs.hard.difference(row.capabilities.difference(condition.denied));
        let hold = match rank.is_pinned() {
            true => Hold::Free,
            false => self.keep.hold(row.shared_quality, &condition),
        };
        let shut = Exclusion::too_large(self.tokens, condition.most_tokens)
            .or_else(|| Exclusion::denied(lacks))
            .or_else(|| Exclusion::unavailable(condition.availability))
            .or_else(|| matches!(hold, Hold::Kept | Hold::Reserved).then_some(Exclusion::Kept));
        let score = self.score(position, &condition);
        Judged { rank, position: position as u32, score, hold, shut, lacks }
    }

    /// Those that could answer, in groups that are asked one after the other; and whether only guesses are left.
    fn look_at_all(&self, on: On<'_>) -> Result<([Vec<Ranked>; 4], bool), NoRoute> {
        let Inputs { catalog, policy, last_chance, .. } = *self.inputs;
        let mut found = Found::with_capacity(catalog.endpoints.len());
        let mut tally = Tally::default();
        for (position, endpoint) in catalog.endpoints.iter().enumerate() {
            let judged = match self.admit(endpoint) {
                Ok(rank) => self.look(position, rank),
                Err(exclusion) => {
                    tally.add(exclusion, self.wishes.needs.hard.difference(endpoint.model.capabilities));
                    on(position, Err(exclusion));
                    continue;
                }
            };
            found.add(judged.ranked(), judged.hold, judged.shut);
            match judged.shut {
                None => on(position, Ok(&judged.score)),
                Some(exclusion) => {
                    tally.add(exclusion, judged.lacks);
                    on(position, Err(exclusion));
                }
            }
        }
        found.groups(policy.reserve, last_chance).ok_or_else(|| tally.no_route())
    }
}

impl Judged {
    fn ranked(&self) -> Ranked {
        Ranked { rank: self.rank, score: self.score.total, position: self.position }
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
