use super::*;
use crate::accounts::{Accounts, Grant, KeyHash, KeyId, KnownKey, Unaffordable};
use crate::money::Price;

const TODAY: u32 = 20_000;
const ALL: Exhausted = Exhausted { credits: true, requests: Some((TODAY, true)) };
const NOTHING: Exhausted = Exhausted { credits: false, requests: None };

const fn ucr(amount: i64) -> MicroCredits {
    MicroCredits::new(amount)
}

fn caller(balance: i64, cap: Option<i64>) -> Arc<Caller> {
    let known = KnownKey {
        key: KeyId::new(2),
        account: AccountId::new(1),
        balance: ucr(balance),
        expires_ms: None,
        cap: cap.map(ucr),
        spent: ucr(0),
    };
    Accounts::default().remember(&KeyHash::new([1; 32]), &known, 0, 0)
}

/// The lease `wish` asks for, from a store that holds `left` more than that.
fn granted(caller: &Caller, wish: &Wish, amount: i64, left: i64) {
    let balance = caller.wallet.balance();
    let (day, requests, funded) = (wish.day, wish.requests, wish.funded);
    let grant =
        Grant { amount: ucr(amount), balance, left: ucr(left), day, requests, funded, day_used: requests };
    caller.wallet.grant(&grant);
}

/// 100 tokens of prompt and `limit` of answer: 20,000 and 1,000 each.
fn worst(limit: Option<u32>) -> Worst {
    Worst::new(Price::default(), 18, 1, limit, 4096)
}

fn wish(step: Step) -> Wish {
    match step {
        Step::TopUp(wish) => wish,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_first_request_leases_credits_and_requests_at_once() {
    let caller = caller(1_000_000_000, None);
    let tiers = Tiers::default();
    let wish = wish(step(&caller, &worst(Some(10)), &tiers, TODAY, NOTHING));
    assert_eq!((wish.need, wish.want, wish.requests), (ucr(30_000), LEASE, COUNTED_SLICE));
    granted(&caller, &wish, 100_000_000, 900_000_000);
    let Step::Held(reservation, fit) = step(&caller, &worst(Some(10)), &tiers, TODAY, NOTHING) else {
        panic!("there is enough")
    };
    assert_eq!((fit.amount, caller.wallet.free()), (ucr(30_000), ucr(99_970_000)));
    drop(reservation);
    assert_eq!(caller.wallet.free(), ucr(100_000_000));
    assert_eq!(caller.wallet.day_used(TODAY), 1, "a voided request still counts");
}

#[test]
fn a_request_that_is_rejected_counts_nowhere() {
    let caller = caller(1_000_000_000, None);
    let wish = wish(step(&caller, &worst(None), &Tiers::default(), TODAY, NOTHING));
    granted(&caller, &wish, 100_000_000, 0);
    let Step::Held(reservation, _) = step(&caller, &worst(None), &Tiers::default(), TODAY, NOTHING) else {
        panic!("there is enough")
    };
    reservation.reject();
    assert_eq!((caller.wallet.free(), caller.wallet.day_used(TODAY)), (ucr(100_000_000), 0));
}

#[test]
fn what_is_not_affordable_is_refused_only_once_the_store_has_nothing_left() {
    let caller = caller(25_000, None);
    let tiers = Tiers::default();
    let wish = wish(step(&caller, &worst(Some(10)), &tiers, TODAY, NOTHING));
    granted(&caller, &wish, 25_000, 0);
    assert!(matches!(step(&caller, &worst(Some(10)), &tiers, TODAY, NOTHING), Step::TopUp(_)));
    let refused = step(&caller, &worst(Some(10)), &tiers, TODAY, ALL);
    let short = Unaffordable { needed: ucr(30_000), max_output_tokens: 5 };
    assert!(matches!(refused, Step::Refused(Refused::Credits(s)) if s == short), "{refused:?}");
    // Without a limit of its own the request gets what there is.
    let Step::Held(_held, fit) = step(&caller, &worst(None), &tiers, TODAY, ALL) else {
        panic!("five tokens")
    };
    assert_eq!((fit.max_output_tokens, fit.clamped), (5, true));
}

#[test]
fn a_cap_refuses_before_anything_is_leased() {
    let caller = caller(1_000_000_000, Some(29_999));
    let refused = step(&caller, &worst(Some(10)), &Tiers::default(), TODAY, NOTHING);
    assert!(
        matches!(refused, Step::Refused(Refused::Cap(short)) if short.max_output_tokens == 9),
        "{refused:?}"
    );
}

#[test]
fn a_funded_account_ends_its_day_at_its_limit() {
    let caller = caller(2_000_000_000, None);
    let tiers = Tiers::default();
    let asked = wish(step(&caller, &worst(Some(1)), &tiers, TODAY, NOTHING));
    assert_eq!((asked.requests, asked.day_limit, asked.funded), (LIMITED_SLICE, Some(1_000), true));
    granted(&caller, &Wish { requests: 1, ..asked }, 100_000_000, 0);
    let first = step(&caller, &worst(Some(1)), &tiers, TODAY, NOTHING);
    assert!(matches!(first, Step::Held(..)));
    assert!(matches!(step(&caller, &worst(Some(1)), &tiers, TODAY, NOTHING), Step::TopUp(_)));
    let refused = step(&caller, &worst(Some(1)), &tiers, TODAY, ALL);
    assert!(matches!(refused, Step::Refused(Refused::Day { limit: 1_000 })), "{refused:?}");
    let tomorrow = wish(step(&caller, &worst(Some(1)), &tiers, TODAY + 1, ALL));
    assert_eq!(tomorrow.day, TODAY + 1);
}

#[test]
fn a_clock_set_back_does_not_reopen_a_day() {
    let caller = caller(2_000_000_000, None);
    let asked = wish(step(&caller, &worst(Some(1)), &Tiers::default(), TODAY, NOTHING));
    granted(&caller, &asked, 100_000_000, 0);
    let Step::Held(held, _) = step(&caller, &worst(Some(1)), &Tiers::default(), TODAY - 1, NOTHING) else {
        panic!("of today's slice")
    };
    assert_eq!(held.day(), TODAY);
}

#[test]
fn leasing_ahead_stops_when_the_store_has_nothing() {
    let caller = caller(1_000_000_000, None);
    let tiers = Tiers::default();
    assert_eq!(ahead(&caller, &tiers, TODAY), None, "nothing is known yet");
    let asked = wish(step(&caller, &worst(None), &tiers, TODAY, NOTHING));
    granted(&caller, &asked, 10_000_000, 5);
    assert!(ahead(&caller, &tiers, TODAY).is_some());
    granted(&caller, &asked, 0, 0);
    assert_eq!(ahead(&caller, &tiers, TODAY), None);
}
