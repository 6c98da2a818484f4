//! A model that is no longer served, although it is still listed.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// How long a model is left alone after its first "no such model", about one refresh of the lists; each further
/// one doubles that, so that a row which stays listed for weeks costs a few failed calls and not one each time.
const FIRST_MS: u64 = 10 * 60_000;
/// No longer than this.
const LONGEST_MS: u64 = 24 * 3_600_000;

/// Whether a model is gone.
#[derive(Debug, Default)]
pub(super) struct Gone {
    until_ms: AtomicU64,
    /// How often in a row.
    times: AtomicU32,
    /// What its row said last.
    row: AtomicU64,
}

impl Gone {
    /// The provider said that there is no such model.
    pub(super) fn note(&self, now_ms: u64) {
        // Answers to requests that went out together are one.
        if self.is(now_ms) {
            return;
        }
        let doublings = self.times.fetch_add(1, Relaxed).min(16);
        self.until_ms.store(now_ms + (FIRST_MS << doublings).min(LONGEST_MS), Relaxed);
    }

    /// It answered.
    pub(super) fn answered(&self) {
        self.until_ms.store(0, Relaxed);
        self.times.store(0, Relaxed);
    }

    /// The provider lists it, with a row of this fingerprint: another row may be another model.
    pub(super) fn listed(&self, row: u64) {
        let before = self.row.swap(row, Relaxed);
        if before != row && before != 0 {
            self.answered();
        }
    }

    /// Whether it is not to be called yet.
    pub(super) fn is(&self, now_ms: u64) -> bool {
        now_ms < self.until_ms.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: u64 = 1_787_400_000_000;

    #[test]
    fn a_model_that_stays_gone_is_asked_less_and_less_often() {
        let gone = Gone::default();
        let mut now = T;
        let mut pauses = Vec::new();
        for _ in 0..10 {
            gone.note(now);
            gone.note(now + 5);
            let until = gone.until_ms.load(Relaxed);
            assert!(gone.is(until - 1) && !gone.is(until));
            pauses.push((until - now) / 60_000);
            now = until;
        }
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 1_280, 1_440, 1_440]);
    }

    #[test]
    fn the_same_row_again_changes_nothing_and_another_one_brings_it_back() {
        let gone = Gone::default();
        gone.listed(1);
        gone.note(T);
        gone.listed(1);
        assert!(gone.is(T));
        gone.listed(2);
        assert!(!gone.is(T));
        gone.note(T);
        assert!(!gone.is(T + FIRST_MS), "it begins anew");
    }

    #[test]
    fn an_answer_forgives_all() {
        let gone = Gone::default();
        gone.note(T);
        gone.answered();
        assert!(!gone.is(T));
    }
}
