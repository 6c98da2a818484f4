use super::*;
use crate::catalog::{Capability, Endpoint, Model, Period, Provider, Unit};
use crate::routing::verdict::Learned;
use crate::upstream::Pool;

const T: u64 = 1_787_400_000_000;

fn state_with(max_concurrency: Option<u32>) -> Arc<EndpointState> {
    let base = "http://127.0.0.1:1/v1".parse().expect("a URL");
    let provider = Provider { max_concurrency, ..Provider::new("p", base) };
    let model = Model { id: "m".to_owned(), ..Model::default() };
    Pool::new().state(&Endpoint::new(Arc::new(provider), model, "m".to_owned()))
}

fn state() -> Arc<EndpointState> {
    state_with(None)
}

fn fail(state: &EndpointState, effect: Effect, now_ms: u64) {
    state.observe(0, Outcome::Failed { effect, took_ms: 10 }, now_ms);
}

fn error(cause: Cause) -> Effect {
    Effect::Fail { scope: Scope::Model, cause }
}

fn wait(state: &EndpointState, now_ms: u64) -> u64 {
    match state.condition(0, now_ms).availability {
        Availability::Cooling { for_ms, .. } => for_ms,
        Availability::Open => 0,
        Availability::Disabled(cause) => panic!("disabled: {cause:?}"),
    }
}

#[test]
fn a_new_endpoint_is_open_and_unmeasured() {
    assert_eq!(state().condition(0, T), Condition::default());
}

#[test]
fn requests_under_way_are_counted_until_their_guard_goes() {
    let state = state();
    let one = state.begin(0, T).expect("open");
    let two = state.begin(0, T).expect("open");
    assert_eq!(state.condition(0, T).in_flight, 2);
    drop((one, two));
    assert_eq!((state.condition(0, T).in_flight, state.lanes[0].key.in_flight()), (0, 0));
}

#[test]
fn the_providers_concurrency_limit_is_kept() {
    let state = state_with(Some(2));
    let held: Vec<_> = (0..2).map(|_| state.begin(0, T).expect("room")).collect();
    let full = Availability::Cooling { for_ms: 1_000, cause: Cause::Busy };
    assert_eq!(state.begin(0, T).err(), Some(full));
    assert_eq!(state.begin_regardless(0, T).err(), Some(full));
    drop(held);
    assert!(state.begin(0, T).is_ok());
    assert_eq!(state.lanes[0].key.in_flight(), 0);
}

#[test]
fn many_threads_never_exceed_the_limit_and_leave_nothing_behind() {
    let state = state_with(Some(2));
    let (inside, most, admitted) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    let Ok(guard) = state.begin(0, T) else { continue };
                    most.fetch_max(inside.fetch_add(1, Relaxed) + 1, Relaxed);
                    admitted.fetch_add(1, Relaxed);
                    std::thread::yield_now();
                    inside.fetch_sub(1, Relaxed);
                    drop(guard);
                }
            });
        }
    });
    assert!(most.load(Relaxed) <= 2 && admitted.load(Relaxed) > 0, "{most:?} of {admitted:?}");
    assert_eq!((state.lanes[0].key.in_flight(), state.condition(0, T).in_flight), (0, 0));
}

#[test]
fn an_ejected_endpoint_may_still_be_a_last_resort() {
    let state = state();
    fail(&state, error(Cause::Timeout), T);
    assert!(state.begin(0, T).is_err());
    assert!(state.begin_regardless(0, T).is_ok());
    let told = Effect::Cool {
        scope: Scope::Model,
        for_ms: 9_000,
        cause: Cause::RateLimited,
        guessed: false,
        learned: None,
    };
    fail(&state, told, T);
    assert!(state.begin_regardless(0, T).is_err(), "what the provider said holds");
}

#[test]
fn after_its_rest_one_request_tries_and_its_success_reopens() {
    let state = state();
    fail(&state, error(Cause::Timeout), T);
    let later = T + wait(&state, T);
    let trial = state.begin(0, later).expect("half-open");
    assert!(state.begin(0, later).is_err());
    state.observe(0, Outcome::Alive, later);
    assert!(state.begin(0, later).is_ok(), "others need not wait for the end of the stream");
    drop(trial);
    assert_eq!(wait(&state, later), 0);
}

#[test]
fn a_failed_trial_prolongs_the_rest_and_a_lost_one_frees_its_place() {
    let state = state();
    fail(&state, error(Cause::Timeout), T);
    let later = T + wait(&state, T);
    drop(state.begin(0, later).expect("half-open"));
    let trial = state.begin(0, later).expect("free again");
    assert!(trial.is_trial());
    fail(&state, error(Cause::Timeout), later);
    drop(trial);
    assert_eq!(wait(&state, later), 45_000);
}

/// Asks once a second, all attempts failing in one way until `recovered`; when it first answers again.
fn first_answer_after(recovered: u64, cause: Cause) -> u64 {
    let state = state();
    (0..)
        .map(|i| T + i * 1_000)
        .find(|&now| {
            let Ok(guard) = state.begin(0, now) else { return false };
            let well = now >= recovered;
            let answered = Outcome::Success { ttft_ms: Some(200), tokens: 20, duration_ms: 400 };
            let failed = Outcome::Failed { effect: error(cause), took_ms: 0 };
            guard.observe(if well { answered } else { failed }, now);
            well
        })
        .expect("it comes back")
}

#[test]
fn after_a_bad_hour_a_healthy_endpoint_is_back_within_a_minute() {
    for cause in [Cause::Connect, Cause::Timeout, Cause::ServerError, Cause::Overloaded] {
        for more in (0..60_000).step_by(7_000) {
            let recovered = T + 3_600_000 + more;
            let late = first_answer_after(recovered, cause) - recovered;
            assert!(late < 60_000, "{cause:?}: {late} ms");
        }
    }
}

#[test]
fn an_endpoint_that_fails_now_and_then_under_load_stays() {
    let state = state();
    for i in 0..3_600 {
        let now = T + i * 1_000;
        let held: Vec<_> = (0..4).map(|_| state.begin(0, now).expect("open")).collect();
        let ok = Outcome::Success { ttft_ms: Some(300), tokens: 50, duration_ms: 900 };
        held[..3].iter().for_each(|guard| guard.observe(ok, now + 900));
        let cause = [Cause::ServerError, Cause::Misbehaving, Cause::Truncated][i as usize % 3];
        held[3].observe(Outcome::Failed { effect: error(cause), took_ms: 950 }, now + 950);
    }
}

#[test]
fn streams_that_break_off_eject_although_each_had_begun_well() {
    let state = state();
    state.observe(0, Outcome::Success { ttft_ms: Some(200), tokens: 20, duration_ms: 400 }, T);
    let mut now = T + 1_000;
    for expect in [1_000, 2_000, 300_000] {
        let guard = state.begin(0, now).expect("open");
        guard.observe(Outcome::Alive, now + 300);
        guard.observe(Outcome::Failed { effect: error(Cause::Truncated), took_ms: 500 }, now + 500);
        drop(guard);
        assert_eq!(wait(&state, now + 500), expect);
        now += 500 + expect;
        if expect < 10_000 {
            let whole = Outcome::Success { ttft_ms: None, tokens: 20, duration_ms: 100 };
            state.observe(0, whole, now);
            assert!(state.begin(0, now).expect("open").is_trial(), "a whole body says nothing of streams");
        }
    }
    let whole = Outcome::Success { ttft_ms: Some(200), tokens: 20, duration_ms: 400 };
    state.observe(0, whole, now);
    assert!(!state.begin(0, now).expect("open").is_trial());
}

#[test]
fn empty_answers_eject_although_the_host_is_alive() {
    let state = state();
    let mut now = T;
    for expect in [1_000, 2_000, 30_000, 300_000] {
        state.observe(0, Outcome::Alive, now);
        fail(&state, error(Cause::Misbehaving), now + 100);
        assert_eq!(wait(&state, now + 100), expect);
        now += 100 + expect;
    }
}

#[test]
fn a_trial_after_a_timeout_is_given_a_few_times_the_usual_time() {
    let state = state();
    assert_eq!(state.begin(0, T).expect("open").patience_ms(None, T), None);
    let usual = Outcome::Success { ttft_ms: Some(2_000), tokens: 100, duration_ms: 4_000 };
    state.observe(0, usual, T);
    let mut now = T + 3_600_000;
    fail(&state, error(Cause::Timeout), now);
    let patience = |whole, now| state.begin_regardless(0, now).expect("regardless").patience_ms(whole, now);
    assert_eq!((patience(None, now), patience(Some(500), now)), (Some(8_000), Some(48_000)));
    for expect in [16_000, 32_000, 32_000] {
        now += wait(&state, now);
        fail(&state, error(Cause::Timeout), now);
        assert_eq!(patience(None, now), Some(expect), "longer each time it was too short");
    }
    state.observe(0, Outcome::Alive, now);
    assert_eq!(patience(None, now), None);
}

#[test]
fn a_trial_of_an_endpoint_never_measured_is_given_three_seconds() {
    let state = state();
    fail(&state, error(Cause::Timeout), T);
    let guard = state.begin_regardless(0, T).expect("regardless");
    assert_eq!((guard.patience_ms(None, T), guard.patience_ms(Some(10), T)), (Some(3_000), Some(10_000)));
}

#[test]
fn a_rate_limited_model_is_left_alone_exactly_as_long_as_it_said() {
    let state = state();
    let told = Effect::Cool {
        scope: Scope::Model,
        for_ms: 5_289,
        cause: Cause::RateLimited,
        guessed: false,
        learned: None,
    };
    fail(&state, told, T);
    assert!(state.begin(0, T + 5_288).is_err());
    assert!(state.begin(0, T + 5_289).is_ok());
    assert_eq!(state.condition(0, T).success, 1.0, "a limit is no failure");
}

#[test]
fn guessed_waits_double_up_to_five_minutes_until_a_success() {
    let state = state();
    let guess = Effect::Cool {
        scope: Scope::Model,
        for_ms: 60_000,
        cause: Cause::RateLimited,
        guessed: true,
        learned: None,
    };
    let mut now = T;
    let mut waits = Vec::new();
    for _ in 0..4 {
        fail(&state, guess, now);
        waits.push(wait(&state, now) / 1000);
        now += wait(&state, now);
    }
    assert_eq!(waits, [60, 120, 240, 300]);
    state.observe(0, Outcome::Alive, now);
    fail(&state, guess, now);
    assert_eq!(wait(&state, now), 60_000);
}

#[test]
fn a_vanished_model_is_out_for_a_while_or_until_its_row_changes() {
    let state = state();
    state.listed(1);
    fail(&state, Effect::DropModel, T);
    state.listed(1);
    assert_eq!(state.begin(0, T + 599_999).err(), Some(Availability::Disabled(Cause::ModelGone)));
    assert!(state.begin(0, T + 600_000).is_ok());
    state.listed(2);
    assert!(state.begin(0, T).is_ok());
}

#[test]
fn a_lack_is_learned_from_a_refusal_or_from_answers_and_leaves_it_well_otherwise() {
    let state = state();
    fail(&state, Effect::LearnMissing(Capability::ImageInput), T);
    (0..3).for_each(|_| fail(&state, Effect::Flaw(Capability::Tools), T));
    let both = CapabilitySet::EMPTY.with(Capability::ImageInput).with(Capability::Tools);
    assert_eq!(state.missing(T), both);
    let guard = state.begin(0, T).expect("it is well otherwise");
    assert!(!guard.is_trial());
    guard.shown(both);
    assert_eq!(state.missing(T), CapabilitySet::EMPTY);
}

#[test]
fn speed_is_measured_without_the_wait_for_the_first_token() {
    let state = state();
    state.observe(0, Outcome::Success { ttft_ms: Some(500), tokens: 100, duration_ms: 1_500 }, T);
    let c = state.condition(0, T);
    assert_eq!((c.ttft_ms, c.tokens_per_s.round()), (500.0, 100.0));
    state.observe(0, Outcome::Success { ttft_ms: None, tokens: 2, duration_ms: 1 }, T);
    assert_eq!(state.condition(0, T).tokens_per_s.round(), 100.0, "two tokens say nothing");
}

#[test]
fn old_measurements_and_old_failures_are_forgotten() {
    let state = state();
    state.observe(0, Outcome::Success { ttft_ms: Some(500), tokens: 100, duration_ms: 1_500 }, T);
    (0..20).for_each(|_| fail(&state, error(Cause::ServerError), T));
    assert!(state.condition(0, T).success < 0.1);
    let later = state.condition(0, T + (STALE_S as u64 + 1) * 1000);
    assert!(later.success > 0.9 && later.ttft_ms == 0.0 && later.tokens_per_s == 0.0, "{later:?}");
}

#[test]
fn what_a_refusal_has_shown_to_be_too_much_is_less_than_was_used() {
    let state = state();
    let learned = Some(Learned { unit: Unit::Requests, per: Period::MINUTE, limit: None });
    let (scope, cause) = (Scope::Model, Cause::RateLimited);
    let effect = Effect::Cool { scope, for_ms: 20_000, cause, guessed: false, learned };
    let begin = |at| state.begin(10, at).expect("room");
    let mut sent: Vec<_> = (0..4).map(|_| begin(T)).collect();
    sent.iter_mut().for_each(InFlight::sent);
    let mut refused = sent.remove(3);
    refused.observe(Outcome::Failed { effect, took_ms: 5 }, T);
    refused.refused();
    drop((refused, sent));
    let limits = |at| state.readings(at).find_map(|(_, reading)| reading.limit);
    assert_eq!(limits(T), Some(3), "three were answered");
    let later = T + 20_000;
    assert_eq!(wait(&state, later) / 1_000, 40, "and three in a minute there are");
}

#[test]
fn the_first_request_that_is_refused_shows_no_limit() {
    let state = state();
    let learned = Some(Learned { unit: Unit::Requests, per: Period::MINUTE, limit: None });
    let (scope, cause) = (Scope::Model, Cause::RateLimited);
    let effect = Effect::Cool { scope, for_ms: 20_000, cause, guessed: false, learned };
    let mut only = state.begin(10, T).expect("room");
    only.sent();
    only.observe(Outcome::Failed { effect, took_ms: 5 }, T);
    drop(only);
    assert_eq!(wait(&state, T), 20_000, "whether or not it counts");
}
