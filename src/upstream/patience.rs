//! How long to wait for an endpoint that has timed out and not answered since.
//!
//! Nobody should wait the whole time again to find out that it is still silent: a few times the usual is enough,
//! and longer each time that proves too short, so that what has become slower comes back too.

/// So many times as long as usual.
const PATIENCE: f32 = 4.0;
/// The least time for a first token.
const LEAST_MS: u64 = 3_000;
/// The least time for a whole answer.
const LEAST_WHOLE_MS: u64 = 10_000;
/// Speed before any was measured, slower than most.
const USUAL_MS_PER_TOKEN: f32 = 25.0;
/// So often the time doubles.
const MOST_DOUBLINGS: u32 = 2;

/// What was measured of an endpoint, however long ago.
pub(super) struct Usual {
    /// Time to the first token.
    pub(super) ttft_ms: Option<f32>,
    /// Time for each token after it.
    pub(super) ms_per_token: Option<f32>,
}

/// Milliseconds to wait for the first token, or for a `whole` answer of about so many tokens, after
/// `timed_out` trials have timed out already.
pub(super) fn patience_ms(usual: &Usual, timed_out: u32, whole: Option<u32>) -> u64 {
    let ttft_ms = usual.ttft_ms.unwrap_or(0.0);
    let (least, usual_ms) = match whole {
        None => (LEAST_MS, ttft_ms),
        Some(tokens) => {
            let ms_per_token = usual.ms_per_token.unwrap_or(USUAL_MS_PER_TOKEN);
            (LEAST_WHOLE_MS, ttft_ms + tokens as f32 * ms_per_token)
        }
    };
    ((PATIENCE * usual_ms) as u64).max(least) << timed_out.min(MOST_DOUBLINGS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(ttft_ms: Option<f32>, timed_out: u32, whole: Option<u32>, expect: u64) {
        let usual = Usual { ttft_ms, ms_per_token: ttft_ms.map(|_| 20.0) };
        assert_eq!(patience_ms(&usual, timed_out, whole), expect);
    }

    #[test]
    fn it_is_a_few_times_the_usual() {
        check(Some(2_000.0), 0, None, 8_000);
        check(Some(2_000.0), 0, Some(500), 48_000);
        check(Some(200.0), 0, None, 3_000);
    }

    #[test]
    fn what_was_never_measured_has_a_few_seconds() {
        check(None, 0, None, 3_000);
        check(None, 0, Some(10), 10_000);
    }

    #[test]
    fn it_grows_with_each_trial_up_to_four_times() {
        for (timed_out, expect) in [(1, 6_000), (2, 12_000), (9, 12_000)] {
            check(None, timed_out, None, expect);
        }
    }
}
