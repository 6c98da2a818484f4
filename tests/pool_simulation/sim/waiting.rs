//! The queue itself, driven as the proxy drives it: joined when only limits stand in the way, passed over
//! whenever something may have become free, left when patience ends.

use super::compare::PATIENCE_MS;
use super::trace::Request;
use freeway::queue::{Bounds, Newcomer, Queue, Turn, cost};
use freeway::snapshot::Begun;
use std::collections::HashMap;

/// Between two passes at least, and who was told that nothing is free for longer than this is asked again
/// after it. The program looks more often; over a day that would be most of the work.
const REST_MS: u64 = 250;
const LOOK_AGAIN_MS: u64 = 1_000;
/// What comes free within this may come free at any moment.
const ANY_MOMENT_MS: u64 = 1_000;

/// Requests that wait for a place, and those whose turn has come.
pub struct Waiting {
    queue: Queue<usize, Waiter>,
    due_ms: u64,
    passed_ms: u64,
    /// By request: its place, or none where its patience has ended.
    called: HashMap<usize, Option<Begun>>,
}

struct Waiter {
    id: usize,
    deadline_ms: u64,
    not_before_ms: u64,
}

/// What a waiting request finds.
pub enum Look {
    Placed(Box<Begun>),
    /// Nothing for so many milliseconds.
    NotBefore(u64),
    Never,
}

impl Default for Waiting {
    fn default() -> Self {
        Self { queue: Queue::new(Bounds::default()), due_ms: 0, passed_ms: 0, called: HashMap::new() }
    }
}

impl Waiting {
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether it makes sense to wait so long.
    pub fn in_time(free_in_ms: u64) -> bool {
        free_in_ms <= PATIENCE_MS
    }

    /// Whether there was room.
    pub fn join(&mut self, id: usize, request: &Request, now_ms: u64) -> bool {
        let deadline_ms = now_ms + PATIENCE_MS;
        let newcomer = Newcomer {
            account: request.account,
            class: class(request),
            cost: cost(request.estimate + request.answer),
            deadline_ms,
        };
        let joined = self.queue.join(newcomer, Waiter { id, deadline_ms, not_before_ms: 0 }).is_ok();
        self.kick(now_ms);
        joined
    }

    /// Something may have become free.
    pub fn kick(&mut self, now_ms: u64) {
        self.due_ms = self.due_ms.min(now_ms.max(self.passed_ms + REST_MS));
    }

    /// When to pass turns.
    pub fn due_ms(&self) -> Option<u64> {
        (!self.is_empty()).then_some(self.due_ms)
    }

    /// Passes turns: the requests that are called.
    pub fn pass(&mut self, now_ms: u64, mut look: impl FnMut(usize) -> Look) -> Vec<usize> {
        let mut soonest_ms = u64::MAX;
        let mut called = Vec::new();
        let mut ask = |waiter: &Waiter| match now_ms < waiter.not_before_ms {
            true => Look::NotBefore(waiter.not_before_ms - now_ms),
            false => look(waiter.id),
        };
        let passed = self.queue.turns(now_ms, |waiter| match ask(waiter) {
            Look::Placed(begun) => {
                called.push((waiter.id, Some(*begun)));
                Turn::Served
            }
            Look::NotBefore(ms) if ms <= (waiter.deadline_ms - now_ms).max(ANY_MOMENT_MS) => {
                soonest_ms = soonest_ms.min(ms).min(waiter.deadline_ms - now_ms);
                waiter.not_before_ms = now_ms + ms.min(LOOK_AGAIN_MS);
                Turn::Blocked
            }
            Look::NotBefore(_) | Look::Never => {
                called.push((waiter.id, None));
                Turn::Gone
            }
        });
        called.extend(passed.expired.into_iter().map(|waiter| (waiter.id, None)));
        self.passed_ms = now_ms;
        self.due_ms = now_ms + soonest_ms.clamp(REST_MS, PATIENCE_MS);
        let ids = called.iter().map(|(id, _)| *id).collect();
        self.called.extend(called);
        ids
    }

    /// What a request was called for.
    pub fn called(&mut self, id: usize) -> Option<Option<Begun>> {
        self.called.remove(&id)
    }
}

/// The same for requests that need the same and are about as long, as the proxy tells them apart.
fn class(request: &Request) -> u64 {
    let step = |tokens: u32| (f64::from(tokens.max(1)).log2() * 4.0) as u64;
    let difficulty = (request.difficulty * 16.0) as u64;
    let needs = u64::from(request.tools) * 2 + u64::from(request.image);
    ((step(request.estimate) * 16 + request.task as u64) * 16 + difficulty) * 4 + needs
}
