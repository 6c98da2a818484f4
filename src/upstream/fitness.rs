//! Whether an endpoint's answers are what they should be, by group of tasks: some models break off long programs or
//! spoil tool calls in one language and do well at everything else.
//!
//! An outage says nothing of a task, and is remembered elsewhere and not for as long.

use super::health::Outcome;
use crate::catalog::TaskGroup;
use crate::routing::condition::{Cause, Fitness};
use crate::routing::verdict::Effect;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// Before any answer came, so many good ones are taken as seen: the first flaws change little.
const EXPECTED: f32 = 8.0;
/// The most answers that count; older ones make room.
const MOST: f32 = 48.0;
/// In this time an answer comes to count half.
const HALF_LIFE_S: f32 = 3.0 * 3_600.0;
/// Answers that break off together broke off for one reason.
const TOGETHER_S: u32 = 2;
/// Parts of an answer that are told apart.
const PARTS: f32 = 1024.0;

/// What was learned of one endpoint.
#[derive(Debug, Default)]
pub(super) struct Learned {
    /// Something was flawed, ever: a look at most endpoints ends here.
    flawed: AtomicBool,
    groups: [AtomicU64; TaskGroup::ALL.len()],
}

/// What the end of an attempt says of the endpoint's fitness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lesson {
    Good,
    /// No use: not in the shape that was asked for.
    Flawed,
    /// Empty, malformed, or broken off.
    Broken,
}

impl Learned {
    /// How fit it has shown itself.
    pub(super) fn now(&self, now_ms: u64) -> Fitness {
        let fitness = Fitness::default();
        if !self.flawed.load(Relaxed) {
            return fitness;
        }
        TaskGroup::ALL.into_iter().fold(fitness, |fitness, group| {
            let seen = Seen::unpack(self.groups[group as usize].load(Relaxed)).at(seconds(now_ms));
            fitness.with(group, (EXPECTED + seen.good) / (EXPECTED + seen.good + seen.bad))
        })
    }

    /// Learns from the end of an attempt at a task of a group; whether there was something to learn.
    pub(super) fn observe(&self, group: TaskGroup, outcome: &Outcome, now_ms: u64) -> bool {
        let Some(lesson) = lesson(outcome) else { return false };
        let now_s = seconds(now_ms);
        let word = &self.groups[group as usize];
        let _ =
            word.fetch_update(Relaxed, Relaxed, |word| Some(Seen::unpack(word).after(lesson, now_s).pack()));
        if lesson != Lesson::Good {
            self.flawed.store(true, Relaxed);
        }
        true
    }
}

fn lesson(outcome: &Outcome) -> Option<Lesson> {
    match outcome {
        Outcome::Alive => None,
        Outcome::Success { .. } => Some(Lesson::Good),
        Outcome::Failed { effect: Effect::Flaw(_), .. } => Some(Lesson::Flawed),
        Outcome::Failed {
            effect: Effect::Fail { cause: Cause::Truncated | Cause::Misbehaving, .. }, ..
        } => Some(Lesson::Broken),
        Outcome::Failed { .. } => None,
    }
}

/// Answers of one group, faded, packed in a word.
#[derive(Clone, Copy, Debug)]
struct Seen {
    good: f32,
    bad: f32,
    /// The last one was broken.
    broken: bool,
    /// When the last one came, seconds.
    at_s: u32,
}

impl Seen {
    fn age_s(self, now_s: u32) -> u32 {
        let age_s = now_s.wrapping_sub(self.at_s) & SECONDS;
        // Another thread's clock may be a little ahead.
        if age_s > SECONDS / 2 { 0 } else { age_s }
    }

    fn at(self, now_s: u32) -> Self {
        let left = (-(self.age_s(now_s) as f32) / HALF_LIFE_S).exp2();
        Self { good: self.good * left, bad: self.bad * left, ..self }
    }

    fn after(self, lesson: Lesson, now_s: u32) -> Self {
        let broken = lesson == Lesson::Broken;
        if broken && self.broken && self.age_s(now_s) < TOGETHER_S {
            return self;
        }
        let faded = self.at(now_s);
        let room = ((MOST - 1.0) / (faded.good + faded.bad)).min(1.0);
        let one = f32::from(u8::from(lesson == Lesson::Good));
        Self { good: faded.good * room + one, bad: faded.bad * room + (1.0 - one), broken, at_s: now_s }
    }

    /// The moment takes 31 bits and comes round in 68 years; the counts take 16 each.
    fn pack(self) -> u64 {
        let part = |count: f32| u64::from((count * PARTS).round() as u16);
        part(self.good) << 48 | part(self.bad) << 32 | u64::from(self.broken) << 31 | u64::from(self.at_s)
    }

    fn unpack(word: u64) -> Self {
        let count = |part: u64| f32::from(part as u16) / PARTS;
        Self {
            good: count(word >> 48),
            bad: count(word >> 32),
            broken: word >> 31 & 1 == 1,
            at_s: word as u32 & SECONDS,
        }
    }
}

/// The bits of a moment.
const SECONDS: u32 = u32::MAX >> 1;

fn seconds(now_ms: u64) -> u32 {
    (now_ms / 1000) as u32 & SECONDS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Capability, Task};
    use crate::routing::verdict::Scope;

    const T: u64 = 1_787_400_000_000;
    const HOUR_MS: u64 = 3_600_000;
    const GOOD: Outcome = Outcome::Success { ttft_ms: None, tokens: 9, duration_ms: 100 };
    const FLAWED: Outcome = Outcome::Failed { effect: Effect::Flaw(Capability::Tools), took_ms: 100 };

    fn fail(cause: Cause) -> Outcome {
        Outcome::Failed { effect: Effect::Fail { scope: Scope::Model, cause }, took_ms: 100 }
    }

    /// After these answers to code: how fit it is for that.
    fn after(outcomes: &[(Outcome, u32)]) -> (Learned, f32) {
        let learned = Learned::default();
        for (outcome, times) in outcomes {
            (0..*times).for_each(|_| _ = learned.observe(TaskGroup::Code, outcome, T));
        }
        let fit = learned.now(T).of(Task::Code);
        (learned, fit)
    }

    #[track_caller]
    fn check(outcomes: &[(Outcome, u32)], expect: f32) {
        let (learned, fit) = after(outcomes);
        assert!((fit - expect).abs() < 0.01, "{fit}, not {expect}");
        assert_eq!(learned.now(T).of(Task::Translation), 1.0, "the other tasks are as they were");
    }

    #[test]
    fn good_answers_change_nothing() {
        check(&[], 1.0);
        check(&[(GOOD, 1_000)], 1.0);
    }

    #[test]
    fn one_flaw_changes_little_and_many_much() {
        check(&[(FLAWED, 1)], 0.89);
        check(&[(FLAWED, 3)], 0.73);
        check(&[(FLAWED, 24)], 0.25);
        check(&[(GOOD, 40), (FLAWED, 1)], 0.98);
    }

    #[test]
    fn old_answers_make_room_for_new_ones() {
        let (_, after_many) = after(&[(GOOD, 100_000), (FLAWED, 100)]);
        assert!(after_many < 0.35, "{after_many}");
        let (_, and_well_again) = after(&[(GOOD, 100_000), (FLAWED, 100), (GOOD, 100)]);
        assert!(and_well_again > 0.85, "{and_well_again}");
    }

    #[test]
    fn what_was_learned_fades_within_hours() {
        let (learned, fit) = after(&[(FLAWED, 16)]);
        let later = |hours: u64| learned.now(T + hours * HOUR_MS).of(Task::Code);
        assert!((fit - 1.0 / 3.0).abs() < 0.01 && (later(3) - 0.5).abs() < 0.01, "{fit}, {}", later(3));
        assert!(later(24) > 0.98);
    }

    #[test]
    fn an_outage_says_nothing_of_a_task() {
        for cause in [Cause::Connect, Cause::ServerError, Cause::Timeout, Cause::RateLimited] {
            check(&[(fail(cause), 30)], 1.0);
        }
        check(&[(Outcome::Alive, 3)], 1.0);
    }

    #[test]
    fn answers_that_break_off_together_are_one_lesson() {
        check(&[(fail(Cause::Truncated), 30)], 0.89);
        let learned = Learned::default();
        for i in 0..8 {
            learned.observe(TaskGroup::Code, &fail(Cause::Truncated), T + i * 5_000);
        }
        let fit = learned.now(T + 40_000).of(Task::Code);
        assert!((fit - 0.5).abs() < 0.01, "one after the other they are many: {fit}");
    }

    #[test]
    fn clocks_that_differ_do_no_harm() {
        let (learned, _) = after(&[(FLAWED, 4)]);
        learned.observe(TaskGroup::Code, &GOOD, T - 60_000);
        let fit = learned.now(T - 60_000).of(Task::Code);
        assert!((0.5..0.8).contains(&fit), "{fit}");
    }
}
