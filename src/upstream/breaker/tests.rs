use super::*;

const T: u64 = 1_000_000;

fn failing(times: u32) -> (Breaker, u64) {
    let (breaker, mut now) = (Breaker::default(), T);
    for _ in 0..times {
        breaker.failure(Cause::ServerError, 0, now);
        now += breaker.closed_for(now).map_or(0, |(ms, _)| ms);
    }
    (breaker, now)
}

/// Fails at the end of each rest; the rests in seconds.
#[track_caller]
fn check(cause: Cause, expect: [u64; 7]) {
    let (breaker, mut now) = (Breaker::default(), T);
    let rests = expect.map(|_| {
        breaker.failure(cause, 0, now);
        let (ms, why) = breaker.closed_for(now).expect("resting");
        assert_eq!(why, cause);
        now += ms;
        ms / 1000
    });
    assert_eq!(rests, expect, "{cause:?}");
}

#[test]
fn what_cannot_be_reached_is_tried_again_within_a_minute() {
    check(Cause::ServerError, [1, 2, 30, 45, 45, 45, 45]);
    check(Cause::Connect, [1, 2, 30, 45, 45, 45, 45]);
    check(Cause::Overloaded, [1, 2, 30, 45, 45, 45, 45]);
}

#[test]
fn a_timeout_ejects_at_once() {
    check(Cause::Timeout, [30, 45, 45, 45, 45, 45, 45]);
}

#[test]
fn a_broken_model_is_left_alone_for_longer_and_longer() {
    check(Cause::Misbehaving, [1, 2, 30, 300, 1_200, 3_600, 3_600]);
}

#[test]
fn streams_that_break_off_eject_at_once_only_if_none_has_ever_come_to_its_end() {
    check(Cause::Truncated, [300, 1_200, 3_600, 3_600, 3_600, 3_600, 3_600]);
    let proven = Breaker::default();
    proven.success(T - 1);
    let mut now = T;
    for expect in [1_000, 2_000, 300_000] {
        proven.failure(Cause::Truncated, 0, now);
        assert_eq!(proven.closed_for(now), Some((expect, Cause::Truncated)));
        now += expect;
    }
}

#[test]
fn half_open_admits_one_trial_at_a_time() {
    let (breaker, now) = failing(3);
    let trial = breaker.enter(now).expect("free").expect("half-open");
    assert!(breaker.enter(now).is_err());
    assert!(breaker.closed_for(now).is_some());
    breaker.release(&trial);
    assert!(breaker.enter(now).expect("free again").is_some());
}

#[test]
fn after_its_first_failure_it_is_tried_by_one_request_before_others_follow() {
    let (breaker, now) = failing(1);
    assert!(breaker.enter(now).expect("free").is_some());
    assert!(breaker.enter(now).is_err());
}

#[test]
fn a_success_closes_it() {
    let (breaker, now) = failing(5);
    breaker.success(now);
    assert!(breaker.enter(now).expect("closed").is_none());
    breaker.failure(Cause::ServerError, 0, now + 10);
    assert_eq!(breaker.closed_for(now + 10), Some((1_000, Cause::ServerError)));
}

#[test]
fn a_success_during_a_rest_ends_it() {
    let breaker = Breaker::default();
    breaker.failure(Cause::Timeout, 0, T);
    breaker.success(T + 1_000);
    assert_eq!(breaker.closed_for(T + 1_000), None);
    breaker.failure(Cause::ServerError, 0, T + 2_000);
    assert_eq!(breaker.closed_for(T + 2_000), Some((1_000, Cause::ServerError)), "it begins anew");
}

#[test]
fn a_trial_that_never_ends_is_replaced_and_cannot_release_its_successor() {
    let (breaker, now) = failing(3);
    let lost = breaker.enter(now).expect("free").expect("half-open");
    let later = now + TRIAL_MS;
    assert!(breaker.enter(later).expect("free").is_some());
    breaker.release(&lost);
    assert!(breaker.enter(later + 1).is_err());
}

#[test]
fn a_failure_that_overlaps_a_success_is_chance() {
    for cause in [Cause::Timeout, Cause::ServerError, Cause::Truncated] {
        let busy = Breaker::default();
        for i in 0..20 {
            busy.success(T + i);
            busy.failure(cause, 10_000, T + i);
        }
        assert_eq!((busy.closed_for(T), busy.in_doubt()), (None, false));
    }
}

#[test]
fn one_outage_counts_once_however_many_requests_it_hits() {
    let breaker = Breaker::default();
    (0..50).for_each(|i| breaker.failure(Cause::ServerError, 100, T + i));
    assert_eq!(breaker.closed_for(T), Some((1_000, Cause::ServerError)));
    breaker.failure(Cause::ServerError, 3_000, T + 2_000);
    assert_eq!(breaker.closed_for(T + 2_000), None, "it had begun before");
}

#[test]
fn it_is_known_how_often_trials_have_timed_out() {
    let breaker = Breaker::default();
    assert_eq!(breaker.timed_out(), None);
    breaker.failure(Cause::Timeout, 0, T);
    assert_eq!(breaker.timed_out(), Some(0));
    breaker.failure(Cause::Timeout, 0, T + 30_000);
    assert_eq!(breaker.timed_out(), Some(1));
    breaker.success(T + 100_000);
    assert_eq!(breaker.timed_out(), None);
    assert_eq!(failing(4).0.timed_out(), None, "errors come quickly");
}

#[test]
fn a_later_moment_wins_and_times_are_bounded() {
    let until = Until::default();
    until.extend(T + 100, Cause::QuotaSpent);
    until.extend(T + 50, Cause::Timeout);
    assert_eq!(until.left(T), Some((100, Cause::QuotaSpent)));
    assert_eq!(until.left(T + 100), None);
    until.extend(u64::MAX, Cause::BadKey);
    assert!(until.left(T).is_some());
}

#[test]
fn every_cause_survives_packing() {
    for byte in 0..=Cause::Truncated as u8 {
        assert_eq!(cause_of(byte) as u8, byte);
    }
}
