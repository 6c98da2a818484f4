//! Whole answers that are of no use: they are not delivered while somebody else can be asked.

use super::exchange::{Exchange, Job, Step};
use super::failover::{self, Failure};
use crate::protocol::normalize::Shown;
use crate::routing::verdict::Effect;
use crate::upstream::Outcome;
use tokio::time::Instant;

impl Exchange {
    /// The answer is whole. One that is of no use is not delivered while somebody else can be asked.
    pub(super) fn complete(&mut self, out: Vec<u8>, now: Instant) -> Step {
        let Some(attempt) = &self.attempt else { return Step::Finish(out) };
        let Shown { able, flaw } = attempt.reply.shown(&self.job.facts.expected, &self.job.body);
        let now_ms = self.job.gateway.clock.ms_at(now);
        attempt.guard.shown(able);
        let Some(lacks) = flaw else { return Step::Finish(out) };
        if !self.committed() && self.begin_elsewhere(now) {
            return self.fail(Failure::Flawed(lacks), out);
        }
        if let Some(attempt) = &self.attempt {
            let took_ms = u32::try_from((now - attempt.started).as_millis()).unwrap_or(u32::MAX);
            attempt.guard.observe(Outcome::Failed { effect: Effect::Flaw(lacks), took_ms }, now_ms);
        }
        Step::Finish(out)
    }

    /// Whether others may be asked after the attempt under way.
    pub(super) fn has_others(&self) -> bool {
        let Job { gateway, choice, facts, .. } = &self.job;
        let last = self.tried.len() + 1 >= gateway.config.max_attempts || choice.is_spent();
        !last && !facts.preferences.no_fallbacks
    }

    /// Takes a place for another attempt, if there may be one and somebody has room.
    fn begin_elsewhere(&mut self, now: Instant) -> bool {
        if !self.has_others() || now >= self.deadline() {
            return false;
        }
        let now_ms = self.job.gateway.clock.ms_at(now);
        let begun = self.begin_next(now_ms);
        if begun.is_none() || !failover::may_retry(&self.job.gateway, false, now_ms) {
            return false;
        }
        self.job.first = begun;
        true
    }
}
