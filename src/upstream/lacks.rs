//! What an endpoint's row promises and its replies deny: learned from refusals and from flawed answers,
//! believed for a while, then tried again.

use crate::catalog::{Capability, CapabilitySet};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Flawed answers in a row that come to a refusal.
const FLAWS: u64 = 3;
/// How long a lack is believed, milliseconds; four times as long each time it proves true again.
const BELIEVED_MS: u64 = 3_600_000;
/// The longest it is believed.
const LONGEST_MS: u64 = 24 * 3_600_000;

/// The capabilities an endpoint seems to lack.
#[derive(Debug)]
pub(super) struct Lacks {
    /// Those of which anything is known, one bit each: a look at most endpoints ends here.
    known: AtomicU64,
    each: [AtomicU64; Capability::ALL.len()],
}

impl Default for Lacks {
    fn default() -> Self {
        Self { known: AtomicU64::new(0), each: std::array::from_fn(|_| AtomicU64::new(0)) }
    }
}

/// What is known of one capability, packed in a word.
#[derive(Clone, Copy, Default)]
struct Lack {
    until_ms: u64,
    /// Flawed answers in a row.
    flaws: u64,
    /// How often it was learned without a good answer since.
    learned: u64,
}

impl Lacks {
    /// What it is believed to lack.
    pub(super) fn now(&self, now_ms: u64) -> CapabilitySet {
        let known = self.known.load(Relaxed);
        if known == 0 {
            return CapabilitySet::EMPTY;
        }
        let lacks = |c: &Capability| {
            known & bit(*c) != 0 && Lack::unpack(self.each[*c as usize].load(Relaxed)).until_ms > now_ms
        };
        Capability::ALL.iter().copied().filter(lacks).collect()
    }

    /// Its provider said so.
    pub(super) fn refused(&self, capability: Capability, now_ms: u64) {
        self.change(capability, |lack| lack.learn(now_ms));
    }

    /// An answer was not what the capability promises. One of several, or the first since it was tried again.
    pub(super) fn flawed(&self, capability: Capability, now_ms: u64) {
        self.change(capability, |lack| {
            let flaws = lack.flaws + 1;
            match flaws >= FLAWS || lack.learned > 0 {
                true => lack.learn(now_ms),
                false => Lack { flaws, ..lack },
            }
        });
    }

    /// An answer was what these promise.
    pub(super) fn shown(&self, capabilities: CapabilitySet) {
        let known = self.known.load(Relaxed);
        if known == 0 {
            return;
        }
        for capability in capabilities.iter().filter(|c| known & bit(*c) != 0) {
            self.each[capability as usize].store(0, Relaxed);
            self.known.fetch_and(!bit(capability), Relaxed);
        }
    }

    fn change(&self, capability: Capability, change: impl Fn(Lack) -> Lack) {
        let word = &self.each[capability as usize];
        let _ = word.fetch_update(Relaxed, Relaxed, |word| Some(change(Lack::unpack(word)).pack()));
        self.known.fetch_or(bit(capability), Relaxed);
    }
}

impl Lack {
    fn learn(self, now_ms: u64) -> Self {
        if self.until_ms > now_ms {
            // Requests that were under way together, or a last resort: nothing new.
            return self;
        }
        let for_ms = (BELIEVED_MS << (2 * self.learned.min(8))).min(LONGEST_MS);
        Self { until_ms: now_ms + for_ms, flaws: 0, learned: self.learned + 1 }
    }

    /// Milliseconds take 41 bits.
    fn pack(self) -> u64 {
        self.until_ms << 16 | self.flaws.min(255) << 8 | self.learned.min(255)
    }

    fn unpack(word: u64) -> Self {
        Self { until_ms: word >> 16, flaws: word >> 8 & 255, learned: word & 255 }
    }
}

fn bit(capability: Capability) -> u64 {
    1 << capability as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use Capability::{ImageInput, StructuredOutputs, Tools};

    const T: u64 = 1_787_400_000_000;

    fn set(capabilities: &[Capability]) -> CapabilitySet {
        capabilities.iter().copied().collect()
    }

    #[test]
    fn a_refusal_is_believed_for_an_hour_each_on_its_own() {
        let lacks = Lacks::default();
        lacks.refused(ImageInput, T);
        lacks.refused(Tools, T + 1_000);
        assert_eq!(lacks.now(T + 1_000), set(&[ImageInput, Tools]));
        assert_eq!(lacks.now(T + BELIEVED_MS), set(&[Tools]));
        assert_eq!(lacks.now(T + BELIEVED_MS + 1_000), CapabilitySet::EMPTY);
    }

    #[test]
    fn the_third_flawed_answer_in_a_row_comes_to_a_refusal() {
        let lacks = Lacks::default();
        for expect in [&[][..], &[], &[StructuredOutputs]] {
            lacks.flawed(StructuredOutputs, T);
            assert_eq!(lacks.now(T), set(expect));
        }
    }

    #[test]
    fn a_good_answer_between_takes_the_count_back() {
        let lacks = Lacks::default();
        for _ in 0..20 {
            lacks.flawed(Tools, T);
            lacks.flawed(Tools, T);
            lacks.shown(set(&[Tools, StructuredOutputs]));
        }
        assert_eq!(lacks.now(T), CapabilitySet::EMPTY);
    }

    #[test]
    fn tried_again_one_flaw_is_enough_and_it_is_believed_for_longer() {
        let (lacks, mut now) = (Lacks::default(), T);
        lacks.refused(Tools, now);
        for hours in [4, 16, 24, 24] {
            now += 24 * BELIEVED_MS;
            assert_eq!(lacks.now(now), CapabilitySet::EMPTY);
            lacks.flawed(Tools, now);
            assert_eq!(lacks.now(now + hours * BELIEVED_MS - 1), set(&[Tools]));
            assert_eq!(lacks.now(now + hours * BELIEVED_MS), CapabilitySet::EMPTY);
        }
        lacks.shown(set(&[Tools]));
        lacks.flawed(Tools, now);
        assert_eq!(lacks.now(now), CapabilitySet::EMPTY, "it begins anew");
    }

    #[test]
    fn what_is_believed_already_is_not_believed_for_longer() {
        let lacks = Lacks::default();
        (0..10).for_each(|i| lacks.refused(Tools, T + i));
        assert_eq!(lacks.now(T + BELIEVED_MS), CapabilitySet::EMPTY);
    }
}
