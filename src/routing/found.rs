//! Those that could answer, by what speaks against each.

use super::keep::Hold;
use super::order::Ranked;
use super::plan::Exclusion;

/// Endpoints in groups.
#[derive(Default)]
pub(super) struct Found {
    /// Nothing speaks against them.
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

/// What is back within this is only busy: the window of a minute.
const MOMENTS_MS: u64 = 61_000;

/// Of the endpoints that can answer at most this many are at rest for one that is not.
const MOST_AT_REST: usize = 10;

impl Found {
    /// With room for so many.
    pub(super) fn with_capacity(most: usize) -> Self {
        Self { open: Vec::with_capacity(most), ..Self::default() }
    }

    pub(super) fn add(&mut self, ranked: Ranked, hold: Hold, shut: Option<Exclusion>) {
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
    pub(super) fn groups(mut self, reserve: bool, last_chance: bool) -> Option<([Vec<Ranked>; 4], bool)> {
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
