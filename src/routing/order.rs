//! The order of those that may be asked: by the caller's orders, then by score, then by the seed.

use super::plan::Candidate;
use super::preferences::Rank;
use crate::catalog::{Catalog, Row};
use std::cmp::Ordering;

/// An endpoint that may be asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ranked {
    pub(super) rank: Rank,
    pub(super) score: f32,
    pub(super) position: u32,
}

/// Position of those at rest among the groups of [`super::found::Found::groups`].
pub(super) const AT_REST: usize = 3;

/// What decides between two endpoints. Never equal for two of them.
pub(super) struct Order<'a> {
    pub(super) seed: u64,
    pub(super) rows: &'a [Row],
}

impl<'a> Order<'a> {
    pub(super) fn new(seed: u64, catalog: &'a Catalog) -> Self {
        Self { seed, rows: &catalog.rows }
    }

    /// The better one is the lesser.
    pub(super) fn compare(&self, a: &Ranked, b: &Ranked) -> Ordering {
        let by_order = a.rank.cmp(&b.rank).then(b.score.total_cmp(&a.score));
        by_order.then_with(|| mix(self.seed, a.position).cmp(&mix(self.seed, b.position)))
    }

    pub(super) fn same_provider(&self, a: &Ranked, b: &Ranked) -> bool {
        self.rows[a.position as usize].provider == self.rows[b.position as usize].provider
    }

    /// The best `most`, group by group.
    pub(super) fn candidates(&self, groups: [Vec<Ranked>; 4], most: usize) -> Vec<Candidate> {
        let mut candidates = Vec::with_capacity(most);
        for (at, mut group) in groups.into_iter().enumerate() {
            let room = most - candidates.len();
            if room == 0 {
                break;
            }
            let mut rest = Vec::new();
            if group.len() > room {
                group.select_nth_unstable_by(room - 1, |a, b| self.compare(a, b));
                rest = group.split_off(room);
            }
            group.sort_unstable_by(|a, b| self.compare(a, b));
            self.spread(&mut group, &rest);
            candidates.extend(group.iter().map(|ranked| ranked.candidate(at == AT_REST)));
        }
        candidates
    }

    /// When one provider holds every place, the third goes to the best endpoint of another: a provider that is
    /// down or out of quota must not use up all attempts.
    fn spread(&self, best: &mut Vec<Ranked>, rest: &[Ranked]) {
        if !self.is_one_provider(best) {
            return;
        }
        let others = rest.iter().filter(|other| !self.same_provider(other, &best[0]));
        if let Some(other) = others.min_by(|a, b| self.compare(a, b)).copied() {
            best.pop();
            best.insert(2, other);
        }
    }

    /// Whether one provider holds every place, and there is a third to give away.
    pub(super) fn is_one_provider(&self, best: &[Ranked]) -> bool {
        let [first, _, _, ..] = best else { return false };
        best.iter().all(|ranked| self.same_provider(ranked, first))
    }
}

impl Ranked {
    fn candidate(&self, resting: bool) -> Candidate {
        Candidate { endpoint: self.position, score: self.score, resting }
    }
}

/// A different order of equals for each seed (the finalizer of SplitMix64).
fn mix(seed: u64, position: u32) -> u64 {
    let mut z = seed ^ u64::from(position).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
