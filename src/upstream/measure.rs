//! A running mean in one atomic word.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A sample's least weight: the mean follows some ten samples.
const LEAST_WEIGHT: f32 = 0.15;
/// Samples this far apart share the weight by 1 : 2 (`1 - 1/e`); after a pause the newest counts most.
const FADE_S: f32 = 60.0;

/// An exponentially weighted mean of positive samples and the second of the last one.
#[derive(Debug, Default)]
pub(super) struct Mean(AtomicU64);

impl Mean {
    /// Takes a sample. Samples that are no positive finite number count as the smallest one.
    pub(super) fn add(&self, sample: f32, now_ms: u64) {
        let sample = if sample.is_finite() { sample.max(f32::MIN_POSITIVE) } else { f32::MIN_POSITIVE };
        let _ = self.0.fetch_update(Relaxed, Relaxed, |word| {
            let mean = match unpack(word) {
                None => sample,
                Some((mean, at_s)) => {
                    let gap = seconds(now_ms).saturating_sub(at_s) as f32;
                    let weight = (1.0 - (-gap / FADE_S).exp()).max(LEAST_WEIGHT);
                    mean + (sample - mean) * weight
                }
            };
            Some(pack(mean, seconds(now_ms)))
        });
    }

    /// The mean and the age of its last sample in seconds; `None` before the first.
    pub(super) fn get(&self, now_ms: u64) -> Option<(f32, u32)> {
        unpack(self.0.load(Relaxed)).map(|(mean, at_s)| (mean, seconds(now_ms).saturating_sub(at_s)))
    }
}

/// Unix seconds fit until 2106.
fn seconds(now_ms: u64) -> u32 {
    u32::try_from(now_ms / 1000).unwrap_or(u32::MAX)
}

fn pack(mean: f32, at_s: u32) -> u64 {
    u64::from(mean.to_bits()) << 32 | u64::from(at_s)
}

/// No positive number has the bits 0, so the initial word is "nothing yet".
fn unpack(word: u64) -> Option<(f32, u32)> {
    let bits = (word >> 32) as u32;
    (bits != 0).then(|| (f32::from_bits(bits), word as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_known_before_the_first_sample() {
        assert_eq!(Mean::default().get(5_000), None);
    }

    #[test]
    fn the_mean_follows_its_samples() {
        let mean = Mean::default();
        mean.add(100.0, 1_000);
        assert_eq!(mean.get(4_000), Some((100.0, 3)));
        (0..40).for_each(|_| mean.add(500.0, 1_000));
        let (now, _) = mean.get(1_000).expect("measured");
        assert!((now - 500.0).abs() < 5.0, "{now}");
    }

    #[test]
    fn after_a_pause_the_newest_sample_counts_most() {
        let mean = Mean::default();
        mean.add(100.0, 0);
        mean.add(500.0, 600_000);
        assert!(mean.get(600_000).expect("measured").0 > 499.0);
    }

    #[test]
    fn odd_samples_do_no_harm() {
        let mean = Mean::default();
        for odd in [f32::NAN, f32::INFINITY, -1.0, 0.0] {
            mean.add(odd, 10);
        }
        let (value, _) = mean.get(10).expect("measured");
        assert!(value.is_finite() && value >= 0.0);
    }
}
