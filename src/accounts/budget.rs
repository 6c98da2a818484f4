//! The spending cap of one key.

use crate::money::MicroCredits;
use std::sync::atomic::{AtomicI64, Ordering::AcqRel, Ordering::Acquire, Ordering::Release};

/// What a key has spent and may spend. Outlives a look at the store, so that open reservations count.
#[derive(Debug)]
pub struct Budget {
    /// `i64::MAX` for none.
    cap: AtomicI64,
    /// Posted charges as last heard; never less than heard before.
    posted: AtomicI64,
    /// Reserved and not settled.
    held: AtomicI64,
}

impl Budget {
    pub(super) fn new(cap: Option<MicroCredits>, posted: MicroCredits) -> Self {
        let budget = Self { cap: AtomicI64::new(0), posted: AtomicI64::new(0), held: AtomicI64::new(0) };
        budget.heard(cap, posted);
        budget
    }

    /// Takes note of what the store says.
    pub(super) fn heard(&self, cap: Option<MicroCredits>, posted: MicroCredits) {
        self.cap.store(cap.map_or(i64::MAX, MicroCredits::get), Release);
        self.posted.fetch_max(posted.get(), AcqRel);
    }

    /// What may still be reserved; `None` without a cap.
    pub fn room(&self) -> Option<MicroCredits> {
        let cap = self.cap.load(Acquire);
        (cap != i64::MAX).then(|| MicroCredits::new((cap - self.spoken_for()).max(0)))
    }

    pub(super) fn hold(&self, amount: MicroCredits) -> bool {
        let (cap, posted) = (self.cap.load(Acquire), self.posted.load(Acquire));
        let add = |held: i64| {
            let held = held.checked_add(amount.get())?;
            (cap == i64::MAX || posted.saturating_add(held) <= cap).then_some(held)
        };
        self.held.fetch_update(AcqRel, Acquire, add).is_ok()
    }

    /// Ends a reservation; `posted` is all the key has spent, once a charge is durable. Posted first:
    /// in between the amount counts twice rather than not at all.
    pub(super) fn release(&self, held: MicroCredits, posted: Option<MicroCredits>) {
        if let Some(posted) = posted {
            self.posted.fetch_max(posted.get(), AcqRel);
        }
        self.held.fetch_sub(held.get(), AcqRel);
    }

    fn spoken_for(&self) -> i64 {
        self.posted.load(Acquire).saturating_add(self.held.load(Acquire))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ucr(amount: i64) -> MicroCredits {
        MicroCredits::new(amount)
    }

    #[test]
    fn what_is_reserved_and_what_is_posted_count_against_the_cap() {
        let budget = Budget::new(Some(ucr(100)), ucr(30));
        assert!(budget.hold(ucr(50)) && !budget.hold(ucr(21)));
        budget.release(ucr(50), Some(ucr(60)));
        assert_eq!(budget.room(), Some(ucr(40)));
    }

    #[test]
    fn without_a_cap_anything_goes() {
        let budget = Budget::new(None, ucr(30));
        assert!(budget.hold(ucr(i64::MAX / 2)) && budget.room().is_none());
    }

    #[test]
    fn a_cap_that_was_lowered_leaves_no_room() {
        let budget = Budget::new(Some(ucr(100)), ucr(30));
        budget.heard(Some(ucr(20)), ucr(10));
        assert_eq!(budget.room(), Some(ucr(0)));
        assert!(!budget.hold(ucr(1)));
    }
}
