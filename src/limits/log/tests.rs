use super::*;
use crate::accounts::AccountId;
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::RwLock;

const MINUTE_MS: u64 = 60_000;
/// Some day in 2026; its low half is near its end.
const NOON_MS: u64 = 414 * (1 << 32) - 30_000;

fn minute() -> SlidingLog {
    SlidingLog::new(MINUTE_MS, 1_000)
}

/// The address of this number.
fn v4(bits: u32) -> Key {
    Key::address(IpAddr::V4(Ipv4Addr::from_bits(bits)))
}

/// How many of `count` requests at `now_ms` are admitted.
fn admitted(log: &SlidingLog, key: Key, limit: u32, now_ms: u64, count: usize) -> usize {
    (0..count).filter(|_| log.admit(key, limit, now_ms).is_ok()).count()
}

#[test]
fn twenty_at_once_are_admitted_and_the_next_a_window_after_the_first() {
    let (log, key) = (minute(), v4(1));
    assert_eq!(admitted(&log, key, 20, NOON_MS, 40), 20);
    assert_eq!(log.admit(key, 20, NOON_MS + 100), Err(Over { limit: 20, wait_ms: MINUTE_MS - 100 }));
    assert!(log.admit(key, 20, NOON_MS + MINUTE_MS - 1).is_err());
    let standing = log.admit(key, 20, NOON_MS + MINUTE_MS).expect("all have left");
    assert_eq!(standing, Standing { limit: 20, remaining: 19, reset_ms: MINUTE_MS });
}

#[test]
fn no_minute_lets_a_burst_through_on_both_of_its_sides() {
    for offset_ms in [1, 10_000, 59_999] {
        let (log, key) = (minute(), v4(1));
        let minute_ms = NOON_MS / MINUTE_MS * MINUTE_MS + MINUTE_MS;
        assert_eq!(admitted(&log, key, 20, minute_ms - offset_ms, 20), 20);
        assert_eq!(admitted(&log, key, 20, minute_ms, 20), 0);
        assert_eq!(admitted(&log, key, 20, minute_ms + MINUTE_MS - offset_ms, 25), 20);
    }
}

#[test]
fn refused_requests_are_not_counted() {
    let (log, key) = (minute(), v4(1));
    assert_eq!(admitted(&log, key, 3, NOON_MS, 3), 3);
    assert_eq!(admitted(&log, key, 3, NOON_MS + MINUTE_MS - 1, 100), 0);
    assert_eq!(admitted(&log, key, 3, NOON_MS + MINUTE_MS, 4), 3);
}

#[test]
fn a_standing_tells_what_is_left_and_counts_nothing() {
    let (log, key) = (minute(), v4(1));
    let untouched = Standing { limit: 20, remaining: 20, reset_ms: 0 };
    assert_eq!(log.standing(key, 20, NOON_MS), untouched);
    assert_eq!(log.keys(), (0, 0));
    log.admit(key, 20, NOON_MS).expect("room");
    log.admit(key, 20, NOON_MS + 1_000).expect("room");
    let standing = log.standing(key, 20, NOON_MS + 2_000);
    assert_eq!(standing, Standing { limit: 20, remaining: 18, reset_ms: 58_000 });
    assert_eq!(log.standing(key, 20, NOON_MS + MINUTE_MS).remaining, 19);
    assert_eq!(log.standing(key, 20, NOON_MS + 2 * MINUTE_MS), untouched);
}

#[test]
fn what_is_noted_fills_the_window_and_is_never_refused() {
    let (log, key) = (minute(), v4(1));
    (0..30).for_each(|at| log.note(key, 20, NOON_MS + at));
    // The first ten have made room for the last.
    let over = log.admit(key, 20, NOON_MS + 30).expect_err("full");
    assert_eq!(over.wait_ms, MINUTE_MS - 20);
    log.note(v4(2), 0, NOON_MS);
    assert_eq!(log.standing(v4(2), 5, NOON_MS).remaining, 5);
}

#[test]
fn a_limit_may_change_from_one_request_to_the_next() {
    let (log, key) = (minute(), v4(1));
    (0..10).for_each(|at| {
        let _ = log.admit(key, 10, NOON_MS + at);
    });
    // Down: seven have to leave. Up: there is room.
    assert_eq!(log.admit(key, 4, NOON_MS + 10), Err(Over { limit: 4, wait_ms: MINUTE_MS - 4 }));
    assert!(log.admit(key, 4, NOON_MS + MINUTE_MS + 5).is_err());
    assert!(log.admit(key, 4, NOON_MS + MINUTE_MS + 6).is_ok());
    assert_eq!(admitted(&log, key, 11, NOON_MS + MINUTE_MS + 6, 20), 7);
    assert_eq!(log.admit(v4(2), 0, NOON_MS), Err(Over { limit: 0, wait_ms: MINUTE_MS }));
}

#[test]
fn addresses_and_accounts_do_not_disturb_each_other() {
    let log = minute();
    let network = Key::network(IpAddr::V4(Ipv4Addr::from_bits(9 << 8)));
    let v6 = Key::address(IpAddr::V6(Ipv6Addr::from_bits(1 << 64)));
    for key in [v4(1), v4(2), v6, network, Key::Account(AccountId::new(1)), Key::Account(AccountId::new(2))] {
        assert_eq!(admitted(&log, key, 5, NOON_MS, 9), 5, "{key:?}");
    }
}

#[test]
fn of_two_hundred_at_once_exactly_twenty_are_admitted() {
    let (log, key) = (minute(), v4(1));
    for round in 0..20 {
        let gate = RwLock::new(());
        let closed = gate.write().expect("not poisoned");
        let now_ms = NOON_MS + round * MINUTE_MS;
        let count = std::thread::scope(|scope| {
            let send = || {
                drop(gate.read());
                usize::from(log.admit(key, 20, now_ms).is_ok())
            };
            let threads: Vec<_> = (0..200).map(|_| scope.spawn(send)).collect();
            drop(closed);
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum::<usize>()
        });
        assert_eq!(count, 20);
    }
}

#[test]
fn a_time_that_was_overtaken_on_its_way_here_does_not_open_the_window() {
    let (log, key) = (minute(), v4(1));
    log.admit(key, 2, NOON_MS + 7).expect("room");
    log.admit(key, 2, NOON_MS).expect("room");
    assert_eq!(log.admit(key, 2, NOON_MS).expect_err("full").wait_ms, MINUTE_MS + 7);
    assert_eq!(admitted(&log, key, 2, NOON_MS + MINUTE_MS + 7, 3), 2);
}

#[test]
fn a_key_that_comes_back_after_months_starts_anew() {
    let (log, key) = (minute(), v4(1));
    for months in 0..5 {
        // About 50 days: the low half of the time is the same again.
        let now_ms = NOON_MS + months * (1 << 32);
        assert_eq!(admitted(&log, key, 20, now_ms, 40), 20);
    }
}

#[test]
fn idle_keys_make_room() {
    let log = SlidingLog::new(MINUTE_MS, 10);
    (0..10).for_each(|n| {
        let _ = log.admit(v4(n), 5, NOON_MS);
    });
    assert_eq!(log.keys(), (10, 0));
    log.admit(v4(10), 5, NOON_MS + MINUTE_MS).expect("room");
    assert_eq!(log.keys(), (1, 0));
    // One that came meanwhile stays.
    let later_ms = NOON_MS + MINUTE_MS + MINUTE_MS / 2;
    (11..20).for_each(|n| {
        let _ = log.admit(v4(n), 5, later_ms);
    });
    log.admit(v4(20), 5, NOON_MS + 2 * MINUTE_MS).expect("room");
    assert_eq!(log.keys(), (10, 0));
    assert_eq!(log.standing(v4(11), 5, NOON_MS + 2 * MINUTE_MS).remaining, 4);
}

#[test]
fn new_keys_of_a_full_log_share_buckets_under_the_same_limit() {
    let log = SlidingLog::new(MINUTE_MS, 2);
    let network = |n: u32, host: u32| v4(n << 16 | host);
    (0..2).for_each(|n| {
        let _ = log.admit(network(1, n), 5, NOON_MS);
    });
    assert_eq!((0..100).map(|host| admitted(&log, network(2, host), 5, NOON_MS, 3)).sum::<usize>(), 5);
    assert_eq!(admitted(&log, network(3, 0), 5, NOON_MS, 9), 5);
    assert_eq!(log.standing(network(2, 77), 5, NOON_MS).remaining, 0);
    // Who was known has what is left.
    assert_eq!(admitted(&log, network(1, 0), 5, NOON_MS, 9), 4);
    assert_eq!(log.keys(), (2, 2));
}

#[test]
fn a_key_that_gets_its_own_count_begins_with_its_buckets() {
    let log = SlidingLog::new(MINUTE_MS, 1);
    log.admit(v4(1 << 16), 5, NOON_MS).expect("room");
    let key = v4(2 << 16);
    assert_eq!(admitted(&log, key, 5, NOON_MS + 30_000, 9), 5);
    // The other has left: room for this one, which is known to have had its five.
    assert_eq!(admitted(&log, key, 5, NOON_MS + MINUTE_MS, 9), 0);
    assert_eq!(log.keys(), (1, 1));
    assert_eq!(admitted(&log, key, 5, NOON_MS + 30_000 + MINUTE_MS, 9), 5);
}

#[test]
fn a_flood_of_a_million_addresses_stays_within_bounds_and_spares_those_known() {
    let log = SlidingLog::new(MINUTE_MS, 100_000);
    let known: Vec<Key> = (0..100).map(|n| v4(0x0a00_0000 | n << 8)).collect();
    known.iter().for_each(|key| {
        let _ = log.admit(*key, 20, NOON_MS);
    });
    for n in 0..1_000_000_u32 {
        // From everywhere, half of them IPv6.
        let far = n.wrapping_mul(0x9e37_79b9) | 0x8000_0000;
        let v6 = Key::address(IpAddr::V6(Ipv6Addr::from_bits(u128::from(far) << 96)));
        let _ =
            log.admit(if n % 2 == 0 { v4(far) } else { v6 }, 20, NOON_MS + u64::from(n) * 59_000 / 1_000_000);
    }
    let (keys, buckets) = log.keys();
    assert!((90_000..=100_000).contains(&keys), "{keys}");
    assert!(buckets <= 2 << 16, "{buckets}");
    for key in known {
        assert_eq!(admitted(&log, key, 20, NOON_MS + 59_000, 30), 19);
    }
    // A window later one request is enough for its part to be swept.
    (0..2_000).for_each(|n| {
        let _ = log.admit(v4(n), 20, NOON_MS + 3 * MINUTE_MS);
    });
    assert!(log.keys().0 <= 2_000, "{:?}", log.keys());
}

/// Requests as their limiter should see them: times, and whether each was admitted.
#[derive(Default)]
struct Oracle(Vec<u64>);

impl Oracle {
    /// Reads all that was ever admitted.
    fn admit(&mut self, limit: u32, now_ms: u64, window_ms: u64) -> Result<(), u64> {
        let fits = |at: u64| self.0.iter().filter(|came| **came + window_ms > at).count() < limit as usize;
        if fits(now_ms) {
            self.0.push(now_ms);
            return Ok(());
        }
        Err((0..).find(|wait| fits(now_ms + wait)).expect("windows end"))
    }
}

fn pauses() -> impl Strategy<Value = Vec<(u64, u8)>> {
    let pause = prop_oneof![4 => 0..3_u64, 2 => 0..40_u64, 1 => 90..120_u64];
    proptest::collection::vec((pause, 0..3_u8), 1..200)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn it_agrees_with_a_reading_of_all_that_ever_came(pauses in pauses(), limit in 1..8_u32, window_ms in 1..100_u64) {
        let log = SlidingLog::new(window_ms, 3);
        let mut oracles: [Oracle; 3] = Default::default();
        let mut now_ms = NOON_MS;
        for (pause_ms, who) in pauses {
            now_ms += pause_ms;
            let (key, oracle) = (v4(who.into()), &mut oracles[usize::from(who)]);
            let (found, expected) = (log.admit(key, limit, now_ms), oracle.admit(limit, now_ms, window_ms));
            prop_assert_eq!(found.map(drop).map_err(|over| over.wait_ms), expected);
            let taken = oracle.0.iter().filter(|came| **came + window_ms > now_ms).count();
            prop_assert_eq!(log.standing(key, limit, now_ms).remaining as usize, limit as usize - taken);
        }
    }

    #[test]
    fn no_window_holds_more_than_the_limit_even_of_keys_that_share(
        pauses in pauses(),
        limit in 1..8_u32,
        window_ms in 1..100_u64,
        capacity in 0..3_usize,
    ) {
        let log = SlidingLog::new(window_ms, capacity);
        let mut admitted: [Vec<u64>; 3] = Default::default();
        let mut now_ms = NOON_MS;
        for (pause_ms, who) in pauses {
            now_ms += pause_ms;
            if log.admit(v4(who.into()), limit, now_ms).is_ok() {
                admitted[usize::from(who)].push(now_ms);
            }
        }
        for came in admitted {
            for (at, first) in came.iter().enumerate() {
                let within = came[at..].iter().filter(|later| **later < first + window_ms).count();
                prop_assert!(within <= limit as usize);
            }
        }
    }

    #[test]
    fn whoever_waits_as_long_as_told_is_admitted(pauses in pauses(), limit in 1..8_u32, window_ms in 1..100_u64) {
        let (log, key, mut now_ms) = (SlidingLog::new(window_ms, 10), v4(1), NOON_MS);
        for (pause_ms, _) in pauses {
            now_ms += pause_ms;
            if let Err(over) = log.admit(key, limit, now_ms) {
                prop_assert!(over.wait_ms >= 1);
                now_ms += over.wait_ms;
                prop_assert!(log.admit(key, limit, now_ms).is_ok());
            }
        }
    }
}
