//! The candidates without a look at the condition of every endpoint.
//!
//! What an endpoint is and what its condition is at best bound its score from above. Those with the best bounds are
//! looked at first, until no bound of the others beats the last place. What is found is what a look at all
//! of them finds.

use super::keep::Hold;
use super::order::{Order, Ranked};
use super::preferences::Rank;
use super::{AtBest, Judge};
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// After so many looks for each place a look at all of them costs hardly more.
const LOOKS_A_PLACE: usize = 6;

/// The open endpoints that a plan of `most` candidates is made of, and the best of another provider where one
/// holds all places. `None` where that takes a look at all endpoints: too few of them are open, or too many
/// alike.
pub(super) fn shortlist(
    judge: &Judge<'_>,
    at_best: &dyn Fn(usize) -> AtBest,
    order: &Order<'_>,
    most: usize,
) -> Option<Vec<Ranked>> {
    let mut search = Search { judge, bounds: bounds(judge, at_best), looks_left: LOOKS_A_PLACE * most };
    let mut best: Vec<Ranked> = Vec::with_capacity(LOOKS_A_PLACE * most);
    while let Some(found) = search.next(best.get(most - 1), |_| true)? {
        let at = best.partition_point(|known| order.compare(known, &found) == Ordering::Less);
        best.insert(at, found);
    }
    let rest = (best.len() >= most).then(|| best.split_off(most))?;
    if !order.is_one_provider(&best) {
        return Some(best);
    }
    let is_other = |ranked: &Ranked| !order.same_provider(ranked, &best[0]);
    let mut other = rest.into_iter().find(is_other);
    while let Some(found) = search.next(other.as_ref(), is_other)? {
        if other.is_none_or(|known| order.compare(&found, &known) == Ordering::Less) {
            other = Some(found);
        }
    }
    best.extend(other);
    Some(best)
}

/// The endpoints that have not been looked at.
struct Search<'a> {
    judge: &'a Judge<'a>,
    bounds: BinaryHeap<Bound>,
    looks_left: usize,
}

impl Search<'_> {
    /// The next open one that is `wanted`, if any can still beat `last`. The outer `None`: there were too many
    /// looks.
    fn next(&mut self, last: Option<&Ranked>, wanted: impl Fn(&Ranked) -> bool) -> Option<Option<Ranked>> {
        while let Some(Bound(bound)) = self.bounds.peek() {
            if last.is_some_and(|last| is_beaten(bound, last)) {
                break;
            }
            let bound = *bound;
            self.bounds.pop();
            if !wanted(&bound) {
                continue;
            }
            self.looks_left = self.looks_left.checked_sub(1)?;
            let judged = self.judge.look(bound.position as usize, bound.rank);
            if judged.shut.is_none() && judged.hold == Hold::Free {
                return Some(Some(judged.ranked()));
            }
        }
        Some(None)
    }
}

/// Whether whatever is behind a bound comes after `last`. Equals may not: the seed decides.
fn is_beaten(bound: &Ranked, last: &Ranked) -> bool {
    bound.rank.cmp(&last.rank).then(last.score.total_cmp(&bound.score)) == Ordering::Greater
}

/// The best an endpoint can turn out to be; the best of all is the greatest.
struct Bound(Ranked);

impl Ord for Bound {
    fn cmp(&self, other: &Self) -> Ordering {
        let (Self(a), Self(b)) = (self, other);
        b.rank.cmp(&a.rank).then(a.score.total_cmp(&b.score))
    }
}

impl PartialOrd for Bound {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Bound {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Bound {}

/// Bounds of all that can answer.
fn bounds(judge: &Judge<'_>, at_best: &dyn Fn(usize) -> AtBest) -> BinaryHeap<Bound> {
    let catalog = judge.inputs.catalog;
    let plain = judge.says_nothing_of_endpoints();
    let mut bounds = Vec::with_capacity(catalog.rows.len());
    for (position, row) in catalog.rows.iter().enumerate() {
        if !row.satisfies(&judge.wishes.needs) {
            continue;
        }
        let rank = match plain {
            true => Rank::LAST,
            false => match judge.admit(&catalog.endpoints[position]) {
                Ok(rank) => rank,
                Err(_) => continue,
            },
        };
        let score = judge.score(position, &at_best(position).condition()).total;
        bounds.push(Bound(Ranked { rank, score, position: position as u32 }));
    }
    bounds.into()
}
