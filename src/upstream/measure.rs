//! Running measurements in atomic words.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A sample's least weight: the mean follows some ten samples.
const LEAST_WEIGHT: f32 = 0.15;
/// Samples this far apart share the weight by 1 : 2 (`1 - 1/e`); after a pause the newest counts most.
const FADE_S: f32 = 60.0;
/// What a bad sample adds to the mean fades at this pace (to 1/e).
const PEAK_FADE_S: f32 = 20.0;
/// Below this nothing is worth keeping apart from the mean.
const NO_EXCESS: f32 = 1e-3;

/// An exponentially weighted mean of positive samples and the moment of the last one.
#[derive(Debug, Default)]
pub(super) struct Mean(AtomicU64);

impl Mean {
    /// Takes a sample. Samples that are no positive finite number count as the smallest one.
    pub(super) fn add(&self, sample: f32, now_ms: u64) {
        self.add_to(sample, sample, now_ms);
    }

    /// The same, where before the first sample the mean is `prior`.
    pub(super) fn add_to(&self, prior: f32, sample: f32, now_ms: u64) {
        let sample = positive(sample);
        let _ = self.0.fetch_update(Relaxed, Relaxed, |word| {
            let mean = match unpack(word, now_ms) {
                None => positive(prior + (sample - prior) * LEAST_WEIGHT),
                Some((mean, age_s)) => {
                    let weight = (1.0 - (-age_s / FADE_S).exp()).max(LEAST_WEIGHT);
                    mean + (sample - mean) * weight
                }
            };
            Some(pack(mean, now_ms))
        });
    }

    /// Forgets all samples.
    pub(super) fn forget(&self) {
        self.0.store(0, Relaxed);
    }

    /// The mean and the age of its last sample in seconds; `None` before the first.
    pub(super) fn get(&self, now_ms: u64) -> Option<(f32, f32)> {
        unpack(self.0.load(Relaxed), now_ms)
    }
}

/// A duration, of which a bad sample counts at once and a better one only in time (peak-EWMA): the mean of
/// its samples, and above it what is left of the worst of late.
///
/// It fades without samples too, since whoever is slow is not asked.
#[derive(Debug, Default)]
pub(super) struct Worst {
    mean: Mean,
    excess: AtomicU64,
}

impl Worst {
    /// Takes a sample.
    pub(super) fn add(&self, sample: f32, now_ms: u64) {
        let sample = positive(sample);
        self.mean.add(sample, now_ms);
        let excess = sample - self.mean.get(now_ms).map_or(sample, |(mean, _)| mean);
        let _ = self.excess.fetch_update(Relaxed, Relaxed, |word| {
            (excess > faded(word, now_ms).max(NO_EXCESS)).then(|| pack(excess, now_ms))
        });
    }

    /// What to expect now and the age of the last sample in seconds; `None` before the first.
    pub(super) fn get(&self, now_ms: u64) -> Option<(f32, f32)> {
        let (mean, age_s) = self.mean.get(now_ms)?;
        Some((mean + faded(self.excess.load(Relaxed), now_ms), age_s))
    }

    /// The same without the worst of late: [`get`](Self::get) is this or more.
    pub(super) fn least(&self, now_ms: u64) -> Option<(f32, f32)> {
        self.mean.get(now_ms)
    }

    /// What it is otherwise, however long ago it was measured.
    pub(super) fn usual(&self, now_ms: u64) -> Option<f32> {
        self.mean.get(now_ms).map(|(mean, _)| mean)
    }
}

/// A value that is looked at anew a few times a second.
#[derive(Debug)]
pub(super) struct Seen {
    word: AtomicU64,
    /// Not the same for all, or all would be looked at together.
    fresh_s: f32,
}

impl Seen {
    /// Of nothing yet, for what has this name.
    pub(super) fn of(name: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        let fresh_s = 0.1 + (hasher.finish() % 200) as f32 / 1_000.0;
        Self { word: AtomicU64::new(0), fresh_s }
    }

    /// What was seen; `None` where that is too long ago.
    pub(super) fn get(&self, now_ms: u64) -> Option<f32> {
        let (value, age_s) = unpack(self.word.load(Relaxed), now_ms)?;
        (age_s < self.fresh_s).then_some(if value > f32::MIN_POSITIVE { value } else { 0.0 })
    }

    /// Takes down what is seen now, and gives it back.
    pub(super) fn note(&self, value: f32, now_ms: u64) -> f32 {
        self.word.store(pack(positive(value), now_ms), Relaxed);
        value
    }
}

fn faded(word: u64, now_ms: u64) -> f32 {
    unpack(word, now_ms).map_or(0.0, |(excess, age_s)| excess * (-age_s / PEAK_FADE_S).exp())
}

fn positive(sample: f32) -> f32 {
    if sample.is_finite() { sample.max(f32::MIN_POSITIVE) } else { f32::MIN_POSITIVE }
}

/// A tick is 50 ms, so that the 32 bits of a moment come round after almost seven years.
const TICK_MS: u64 = 50;

fn tick(now_ms: u64) -> u32 {
    (now_ms / TICK_MS) as u32
}

fn pack(value: f32, now_ms: u64) -> u64 {
    u64::from(value.to_bits()) << 32 | u64::from(tick(now_ms))
}

/// The value and its age in seconds. No positive number has the bits 0, so the initial word is "nothing yet".
fn unpack(word: u64, now_ms: u64) -> Option<(f32, f32)> {
    let bits = (word >> 32) as u32;
    // Another thread's clock may be a little ahead.
    let age = tick(now_ms).wrapping_sub(word as u32).cast_signed().max(0);
    (bits != 0).then(|| (f32::from_bits(bits), age as f32 * (TICK_MS as f32 / 1000.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: u64 = 1_787_400_000_000;

    #[track_caller]
    fn close(value: Option<(f32, f32)>, expect: f32) {
        let (value, _) = value.expect("measured");
        assert!((value / expect - 1.0).abs() < 0.02, "{value}, not {expect}");
    }

    #[test]
    fn nothing_is_known_before_the_first_sample() {
        assert_eq!((Mean::default().get(T), Worst::default().get(T)), (None, None));
    }

    #[test]
    fn the_mean_follows_its_samples() {
        let mean = Mean::default();
        mean.add(100.0, T);
        assert_eq!(mean.get(T + 3_000), Some((100.0, 3.0)));
        (0..40).for_each(|_| mean.add(500.0, T));
        close(mean.get(T), 500.0);
    }

    #[test]
    fn after_a_pause_the_newest_sample_counts_most() {
        let mean = Mean::default();
        mean.add(100.0, T);
        mean.add(500.0, T + 600_000);
        close(mean.get(T + 600_000), 500.0);
    }

    #[test]
    fn a_slow_sample_counts_at_once_and_fades_in_a_minute() {
        let ttft = Worst::default();
        (0..100).for_each(|i| ttft.add(200.0, T + i * 100));
        let now = T + 10_000;
        ttft.add(5_000.0, now);
        close(ttft.get(now), 5_000.0);
        let later = ttft.get(now + 60_000).expect("measured").0;
        assert!((900.0..1_200.0).contains(&later), "the mean has had one slow sample: {later}");
        close(ttft.usual(now).map(|usual| (usual, 0.0)), 920.0);
    }

    #[test]
    fn quick_samples_bring_it_back_in_time_and_not_at_once() {
        let ttft = Worst::default();
        ttft.add(200.0, T);
        ttft.add(5_000.0, T + 1_000);
        let mut now = T + 1_000;
        for _ in 0..10 {
            now += 100;
            ttft.add(200.0, now);
        }
        assert!(ttft.get(now).expect("measured").0 > 3_500.0, "{ttft:?}");
        for _ in 0..600 {
            now += 100;
            ttft.add(200.0, now);
        }
        assert!(ttft.get(now).expect("measured").0 < 500.0, "{ttft:?}");
    }

    #[test]
    fn what_was_seen_is_looked_at_anew_a_few_times_a_second() {
        let seen = Seen::of("a/m");
        assert_eq!(seen.get(T), None);
        assert_eq!((seen.note(0.25, T), seen.get(T + 50)), (0.25, Some(0.25)));
        assert_eq!(seen.get(T + 300), None);
        assert_eq!((seen.note(0.0, T), seen.get(T)), (0.0, Some(0.0)));
    }

    #[test]
    fn odd_samples_and_clocks_do_no_harm() {
        let (mean, worst) = (Mean::default(), Worst::default());
        for odd in [f32::NAN, f32::INFINITY, -1.0, 0.0] {
            mean.add(odd, T);
            worst.add(odd, T - 500);
        }
        for (value, age) in [mean.get(T - 1_000), worst.get(T - 1_000)].into_iter().flatten() {
            assert!(value.is_finite() && value >= 0.0 && age == 0.0);
        }
    }
}
