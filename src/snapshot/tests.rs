//! Choosing and failing over with the real states, on a clock that the test moves.

use super::*;
use crate::catalog::{Endpoint, Model, Provider};
use crate::routing::Task;
use crate::routing::condition::Cause;
use crate::routing::verdict::{Effect, Scope};
use crate::upstream::Outcome;

const T: u64 = 1_787_400_000_000;

/// Endpoints at providers of their own, the first the best by far.
fn snapshot(endpoints: usize) -> Snapshot {
    let endpoint = |i: usize| {
        let base = "http://127.0.0.1:1/v1".parse().expect("a URL");
        let provider = Arc::new(Provider::new(&format!("p{i}"), base));
        let quality = if i == 0 { 0.9 } else { 0.5 };
        let id = format!("m{i}");
        let model = Model { id: id.clone(), quality, tokens_per_s: Some(100.0), ..Model::default() };
        Endpoint::new(provider, model, id)
    };
    let catalog = Catalog::new((0..endpoints).map(endpoint).collect());
    Snapshot::new(catalog, &Pool::new())
}

/// Asks once; whom, in order, until one answers that is not `down`.
fn ask(snapshot: &Snapshot, now_ms: u64, down: &dyn Fn(usize) -> Option<Cause>) -> Vec<usize> {
    let facts = RequestFacts { choices: 1, ..RequestFacts::default() };
    let classification = Classification { task: Task::Qa, difficulty: 0.5, output_tokens: 250 };
    let policy = Policy::default();
    let ask =
        Ask { facts: &facts, classification, policy: &policy, seed: 0, last_chance: true, remembered: None };
    let Begun { mut choice, position, guard } = snapshot.choose(&ask, now_ms).expect("a route");
    let (mut next, mut asked) = (Some((position, guard)), Vec::new());
    while let Some((position, mut guard)) = next {
        guard.sent();
        asked.push(position);
        let Some(cause) = down(position) else {
            let ok = Outcome::Success { ttft_ms: Some(300), tokens: 50, duration_ms: 900 };
            guard.observe(ok, now_ms + 900);
            break;
        };
        let scope = if cause == Cause::Connect { Scope::Provider } else { Scope::Model };
        guard.observe(Outcome::Failed { effect: Effect::Fail { scope, cause }, took_ms: 0 }, now_ms);
        drop(guard);
        next = choice.begin_next(snapshot, now_ms, |_| false);
    }
    asked
}

/// The best endpoint is down for an hour, then well again, with a request every half second.
#[track_caller]
fn check_hour(cause: Cause, most_failures: usize) {
    let snapshot = snapshot(5);
    let (from, to) = (T + 600_000, T + 4_200_000);
    let (mut failures, mut back) = (0, None);
    for now in (T..to + 120_000).step_by(500) {
        let is_down = (from..to).contains(&now);
        let asked = ask(&snapshot, now, &|position| (is_down && position == 0).then_some(cause));
        assert!(asked.len() <= 2, "the next one answers");
        failures += usize::from(is_down && asked[0] == 0);
        match (now < to, asked[0]) {
            (false, 0) => back = back.or(Some(now - to)),
            (false, _) => assert!(back.is_none(), "{cause:?}: it stays once it is back"),
            (true, _) => {}
        }
    }
    let back = back.expect("it comes back");
    assert!(back < 60_000, "{cause:?}: back after {back} ms");
    assert!(failures <= most_failures, "{cause:?}: {failures} failures");
}

#[test]
fn the_best_endpoint_is_left_while_it_is_down_and_is_back_within_a_minute() {
    check_hour(Cause::Timeout, 82);
    check_hour(Cause::ServerError, 84);
    check_hour(Cause::Connect, 84);
    check_hour(Cause::Overloaded, 84);
}

#[test]
fn when_all_are_at_rest_each_request_still_finds_one() {
    let snapshot = snapshot(5);
    for now in (T..T + 600_000).step_by(100) {
        assert!(!ask(&snapshot, now, &|_| Some(Cause::ServerError)).is_empty());
    }
    assert_eq!(ask(&snapshot, T + 600_000, &|_| None).len(), 1, "and the first that is well answers");
}

#[test]
fn one_that_is_well_is_not_left_alone_with_a_need_of_many() {
    let snapshot = snapshot(30);
    let down = |position: usize| (position > 0).then_some(Cause::Timeout);
    for position in 1..30 {
        let guard = snapshot.states[position].begin(0, T).expect("open");
        let effect = Effect::Fail { scope: Scope::Model, cause: Cause::Timeout };
        guard.observe(Outcome::Failed { effect, took_ms: 0 }, T);
    }
    assert_eq!(ask(&snapshot, T, &down), [0]);
    let asked = ask(&snapshot, T, &|position| (position == 0).then_some(Cause::ServerError));
    assert_eq!(asked.len(), 2, "another is asked although it is at rest: {asked:?}");
}
