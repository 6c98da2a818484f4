use super::*;
use crate::catalog::ProviderProfile;

const T: u64 = 1_787_400_000_000;

fn quotas(limits: &str) -> Quotas {
    let text = format!("slug = \"p\"\nbase_url = \"http://h\"\nlimits = [{limits}]");
    let profile: ProviderProfile = toml::from_str(&text).expect("a profile");
    profile.provider(Vec::new(), None, &|_| None).expect("usable").quotas
}

fn quota(limits: &str) -> Quota {
    Quota::new(&quotas(limits), LimitScope::Model, Some("m"))
}

fn taken(tokens: u32) -> Taken {
    Taken { at_ms: T, requests: 1, tokens }
}

fn used(quota: &Quota) -> Vec<u64> {
    quota.meters.iter().map(|meter| meter.used(T)).collect()
}

#[test]
fn all_is_taken_or_nothing() {
    let quota = quota(r#"{ per = "minute", requests = 5, tokens = 1000 }, { per = "day", requests = 2 }"#);
    assert_eq!(quota.take(&taken(400)), Ok(()));
    assert_eq!(quota.take(&taken(601)).map_err(|(_, cause)| cause), Err(Cause::RateLimited));
    assert_eq!(quota.take(&taken(600)), Ok(()));
    let before = used(&quota);
    let (wait, cause) = quota.take(&taken(0)).expect_err("the day is spent");
    assert_eq!((wait, cause), (12 * 3_600_000, Cause::QuotaSpent));
    assert_eq!(used(&quota), before);
}

#[test]
fn what_was_not_used_is_given_back() {
    let quota = quota(r#"{ per = "minute", requests = 1, tokens = 1000 }"#);
    assert_eq!(quota.take(&taken(900)), Ok(()));
    quota.correct(&taken(900), 1, 100);
    assert_eq!(quota.room(900, T).shut.map(|(_, cause)| cause), Some(Cause::RateLimited));
    quota.correct(&Taken { tokens: 100, ..taken(0) }, 0, 0);
    assert_eq!(quota.room(1_000, T).shut, None);
    assert!(used(&quota).iter().all(|used| *used == 0));
}

#[test]
fn the_room_is_that_of_the_tightest_limit() {
    let quota = quota(r#"{ per = "minute", requests = 10, tokens = 1000 }, { per = "day", requests = 4 }"#);
    assert_eq!(quota.take(&taken(100)), Ok(()));
    let room = quota.room(500, T);
    assert!((room.share - 0.4).abs() < 1e-6, "{room:?}");
    assert!((room.ahead - (0.25 - 0.5)).abs() < 1e-3, "a quarter is used at noon: {room:?}");
    assert_eq!(quota.room(2_000, T).shut, Some((u64::MAX, Cause::RateLimited)), "it never fits");
    assert_eq!(quota.room(2_000, T).most_tokens, 1_000);
    quota.refused(Unit::Tokens, Period::MINUTE, None, T);
    assert_eq!(quota.room(500, T).most_tokens, 1_000, "what is learned from a refusal passes");
}

#[test]
fn a_later_limit_wins_where_it_covers_the_model() {
    let limits = r#"{ per = "day", requests = 20 }, { per = "day", requests = 500, match = "flash*" }"#;
    let limit = |model: &str| {
        let quota = Quota::new(&quotas(limits), LimitScope::Model, Some(model));
        quota.meter(Unit::Requests, Period::Day).and_then(Meter::said)
    };
    assert_eq!((limit("flash-lite"), limit("pro")), (Some(500), Some(20)));
}

#[test]
fn a_provider_is_believed_downward_only() {
    let quota = quota(r#"{ per = "minute", requests = 30 }"#);
    let observed = |remaining| Observed {
        unit: Unit::Requests,
        per: Period::MINUTE,
        scope: LimitScope::Model,
        limit: Some(30),
        remaining: Some(remaining),
        resets_in_ms: None,
    };
    quota.observe(&observed(3), T);
    quota.observe(&observed(25), T);
    let meter = quota.meter(Unit::Requests, Period::MINUTE).expect("counted");
    assert_eq!(meter.used(T), 27);
}

#[test]
fn a_limit_nobody_wrote_down_is_learned() {
    let quota = quota("");
    (0..7).for_each(|_| assert_eq!(quota.take(&taken(10)), Ok(())));
    assert_eq!(quota.room(10, T), Room::OPEN);
    quota.refused(Unit::Requests, Period::MINUTE, None, T);
    assert_eq!(quota.room(10, T).shut.map(|(_, cause)| cause), Some(Cause::RateLimited));
    quota.refused(Unit::Tokens, Period::Day, Some(50), T);
    assert_eq!(quota.room(10, T).shut.map(|(_, cause)| cause), Some(Cause::QuotaSpent));
}

#[test]
fn what_was_used_survives_a_restart_until_it_is_over() {
    let limits = r#"{ per = "minute", requests = 5 }, { per = "day", requests = 9 }"#;
    let before = quota(limits);
    (0..4).for_each(|_| assert_eq!(before.take(&taken(10)), Ok(())));
    let kept: Vec<Reading> = before.readings(LimitScope::Model, T).collect();
    let restored = |now_ms| {
        let after = quota(limits);
        kept.iter().for_each(|reading| after.restore(reading, now_ms));
        [Period::MINUTE, Period::Day]
            .map(|per| after.meter(Unit::Requests, per).expect("counted").used(now_ms))
    };
    assert_eq!(restored(T + 1_000), [4, 4]);
    assert_eq!(restored(T + 90_000), [0, 4]);
    assert_eq!(restored(T + 13 * 3_600_000), [0, 0]);
}

#[test]
fn sixteen_threads_take_no_more_than_there_is() {
    let quota =
        quota(r#"{ per = "minute", requests = 300, tokens = 20000 }, { per = "day", requests = 250 }"#);
    let got = std::sync::atomic::AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..100 {
                    got.fetch_add(u32::from(quota.take(&taken(70)).is_ok()), Relaxed);
                }
            });
        }
    });
    let got = got.into_inner();
    assert!((1..=250).contains(&got));
    let requests = quota.meter(Unit::Requests, Period::Day).expect("counted").used(T);
    let tokens = quota.meter(Unit::Tokens, Period::MINUTE).expect("counted").used(T);
    assert_eq!((requests, tokens), (u64::from(got), 70 * u64::from(got)));
}
