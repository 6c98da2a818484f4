use super::*;
use crate::catalog::{Endpoint, Model, Provider};
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
    let told = Effect::Cool { scope: Scope::Model, for_ms: 9_000, cause: Cause::RateLimited, guessed: false };
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
fn a_failed_trial_doubles_the_rest_and_a_lost_one_frees_its_place() {
    let state = state();
    fail(&state, error(Cause::Timeout), T);
    let later = T + wait(&state, T);
    drop(state.begin(0, later).expect("half-open"));
    let trial = state.begin(0, later).expect("free again");
    fail(&state, error(Cause::Timeout), later);
    drop(trial);
    assert_eq!(wait(&state, later), 60_000);
}

#[test]
fn a_rate_limited_model_is_left_alone_exactly_as_long_as_it_said() {
    let state = state();
    let told = Effect::Cool { scope: Scope::Model, for_ms: 5_289, cause: Cause::RateLimited, guessed: false };
    fail(&state, told, T);
    assert!(state.begin(0, T + 5_288).is_err());
    assert!(state.begin(0, T + 5_289).is_ok());
    assert_eq!(state.condition(0, T).success, 1.0, "a limit is no failure");
}

#[test]
fn guessed_waits_double_up_to_five_minutes_until_a_success() {
    let state = state();
    let guess =
        Effect::Cool { scope: Scope::Model, for_ms: 60_000, cause: Cause::RateLimited, guessed: true };
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
fn a_vanished_model_is_out_until_it_is_listed_again() {
    let state = state();
    fail(&state, Effect::DropModel, T);
    assert_eq!(state.begin(0, T + 1_000_000).err(), Some(Availability::Disabled(Cause::ModelGone)));
    state.relisted();
    assert!(state.begin(0, T).is_ok());
}

#[test]
fn a_learnt_lack_expires() {
    let state = state();
    fail(&state, Effect::LearnMissing(Capability::ImageInput), T);
    fail(&state, Effect::LearnMissing(Capability::Tools), T + 1);
    let both = CapabilitySet::EMPTY.with(Capability::ImageInput).with(Capability::Tools);
    assert_eq!(state.missing(T + 2), both);
    let later = T + 1 + MISSING_MS;
    assert_eq!(state.missing(later), CapabilitySet::EMPTY);
    fail(&state, Effect::LearnMissing(Capability::Seed), later);
    assert_eq!(state.missing(later), CapabilitySet::EMPTY.with(Capability::Seed));
    assert!(state.begin(0, later).is_ok(), "it is well otherwise");
}

#[test]
fn speed_is_measured_without_the_wait_for_the_first_token() {
    let state = state();
    state.observe(0, Outcome::Success { ttft_ms: Some(500), tokens: 100, duration_ms: 1_500 }, T);
    let c = state.condition(0, T);
    assert_eq!((c.ttft_ms, c.tokens_per_s), (500.0, 100.0));
    state.observe(0, Outcome::Success { ttft_ms: None, tokens: 2, duration_ms: 1 }, T);
    assert_eq!(state.condition(0, T).tokens_per_s, 100.0, "two tokens say nothing");
}

#[test]
fn old_measurements_and_old_failures_are_forgotten() {
    let state = state();
    state.observe(0, Outcome::Success { ttft_ms: Some(500), tokens: 100, duration_ms: 1_500 }, T);
    (0..20).for_each(|_| fail(&state, error(Cause::ServerError), T));
    assert!(state.condition(0, T).success < 0.1);
    let later = state.condition(0, T + u64::from(STALE_S) * 1000);
    assert!(later.success > 0.9 && later.ttft_ms == 0.0 && later.tokens_per_s == 0.0, "{later:?}");
}
