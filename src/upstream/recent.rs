//! What became of an endpoint's attempts in the last minutes.

use super::health::Outcome;
use super::quota::Sliding;
use crate::routing::verdict::Effect;

/// How far back it goes, seconds.
pub const RECENT_S: u32 = 300;

/// Attempts that ended lately, and those that failed.
#[derive(Debug)]
pub(super) struct Recent {
    attempts: Sliding,
    failures: Sliding,
}

impl Default for Recent {
    fn default() -> Self {
        Self { attempts: Sliding::new(RECENT_S), failures: Sliding::new(RECENT_S) }
    }
}

impl Recent {
    /// Counts an attempt that has ended. That a request was not for the endpoint is no failure of it.
    pub(super) fn note(&self, outcome: &Outcome, now_ms: u64) {
        let failed = match outcome {
            Outcome::Alive => return,
            Outcome::Success { .. } => false,
            Outcome::Failed { effect, .. } => {
                use Effect::{Cool, DisableKey, DropModel, Fail, Flaw, LearnMissing};
                matches!(
                    effect,
                    Cool { .. } | Fail { .. } | DisableKey(_) | DropModel | LearnMissing(_) | Flaw(_)
                )
            }
        };
        self.attempts.add(1, now_ms);
        if failed {
            self.failures.add(1, now_ms);
        }
    }

    /// Attempts and failures.
    pub(super) fn counts(&self, now_ms: u64) -> (u64, u64) {
        (self.attempts.used(now_ms), self.failures.used(now_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::condition::Cause;

    const T: u64 = 1_787_400_000_000;

    #[test]
    fn failures_of_the_endpoint_are_counted_for_five_minutes() {
        let recent = Recent::default();
        let failed = |effect| Outcome::Failed { effect, took_ms: 5 };
        let whole = Outcome::Success { ttft_ms: None, tokens: 3, duration_ms: 9 };
        let gone = failed(Effect::DisableKey(Cause::BadKey));
        for outcome in [Outcome::Alive, whole, gone, failed(Effect::None)] {
            recent.note(&outcome, T);
        }
        assert_eq!(recent.counts(T + 299_000), (3, 1));
        assert_eq!(recent.counts(T + 304_000), (0, 0));
    }
}
