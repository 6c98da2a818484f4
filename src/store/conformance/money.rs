//! Leasing, charging, giving back.

use super::*;
use crate::accounts::{AccountId, KeyId};
use crate::money::MicroCredits;
use crate::store::{Charge, Ended, Lease, NewKey, Outcome, Refusal, Settle, Settled};

pub(super) fn a_charge_is_posted(store: &dyn Store, _: Dying<'_>) {
    let mut desk = Desk::new(store);
    assert_eq!(desk.lease(5_000, 100_000_000).amount, ucr(100_000_000));
    let settled = desk.charge(charge("gen-1", 5_800));
    let expect =
        Settled { charged: ucr(5_800), balance: ucr(GRANT - 5_800), key_spent: ucr(5_800), replayed: false };
    assert_eq!(settled, expect);
    assert_eq!(desk.figures(), (GRANT - 5_800, 100_000_000 - 5_800, GRANT, (DAY, 0)));
    let verification = desk.verify();
    assert_eq!((verification.entries, verification.accounts), (2, 1));
    assert_eq!((verification.charged, verification.credited), (ucr(5_800), ucr(GRANT)));
    assert_eq!((verification.balances, verification.leased), (ucr(GRANT - 5_800), ucr(100_000_000 - 5_800)));
}

pub(super) fn a_charge_applied_twice_is_charged_once(store: &dyn Store, _: Dying<'_>) {
    let mut desk = Desk::new(store);
    desk.lease(0, 10_000);
    desk.requests(DAY, 5, None);
    let op = desk.settle(Some(with_key(1, charge("gen-1", 700))));
    // In one batch, and in a later one.
    let outcomes = desk.writer.apply(&[op.clone(), op.clone()]).expect("applied");
    let again = desk.one(op);
    assert_eq!((&outcomes[0], &outcomes[1]), (&again, &again));
    // What it charged is what it charged, whatever is due by now.
    assert_eq!(desk.charge(charge("gen-1", 900)).charged, ucr(700));
    assert_eq!(desk.figures(), (GRANT - 700, 9_300, GRANT, (DAY, 5)));
    // Only one of the five requests was used.
    desk.give_back(0, DAY, 5);
    assert_eq!(desk.figures().3, (DAY, 1));
    assert_eq!(desk.verify().entries, 2);
}

pub(super) fn no_lease_takes_all_but_what_is_needed(store: &dyn Store, _: Dying<'_>) {
    #[track_caller]
    fn check(desk: &mut Desk<'_>, available: i64, need: i64, want: i64, amount: i64) {
        let grant = desk.lease(need, want);
        assert_eq!((grant.amount, grant.left), (ucr(amount), ucr(available - amount)));
        assert_eq!(grant.balance, ucr(100));
        desk.give_back(amount, 0, 0);
    }
    let mut desk = Desk::new(store);
    desk.charge(charge("gen-1", GRANT - 100));
    check(&mut desk, 100, 0, 40, 40);
    check(&mut desk, 100, 0, 60, 50);
    check(&mut desk, 100, 70, 80, 70);
    check(&mut desk, 100, 100, 200, 100);
    check(&mut desk, 100, 101, 200, 100);
    check(&mut desk, 100, 0, 0, 0);
    check(&mut desk, 100, -5, -5, 0);
    desk.lease(99, 99);
    check(&mut desk, 1, 0, 10, 1);
    desk.lease(1, 1);
    check(&mut desk, 0, 5, 5, 0);
    desk.verify();
}

pub(super) fn what_is_given_back_is_there_for_others(store: &dyn Store, _: Dying<'_>) {
    let mut desk = Desk::new(store);
    desk.lease(1_000, 1_000);
    assert_eq!(desk.give_back(400, 0, 0), Outcome::Done);
    assert_eq!(desk.figures().1, 600);
    // Never more than there is, and nothing of another process.
    let mut other = desk.beside();
    other.lease(50, 50);
    desk.give_back(10_000, 0, 0);
    desk.give_back(10_000, 0, 0);
    desk.give_back(-10_000, 0, 0);
    assert_eq!(desk.figures().1, 50);
    let nobody = AccountId::from_random(99);
    desk.account = nobody;
    assert_eq!(desk.give_back(1, 0, 0), Outcome::Refused(Refusal::NoAccount));
    desk.verify();
}

pub(super) fn a_charge_goes_no_further_than_the_balance(store: &dyn Store, _: Dying<'_>) {
    let mut desk = Desk::new(store);
    let mut other = desk.beside();
    desk.lease(300, 300);
    other.lease(GRANT - 500, GRANT - 500);
    // The lease first, then what nobody has leased, and no more.
    assert_eq!(desk.charge(charge("gen-1", 400)).charged, ucr(400));
    assert_eq!(desk.figures(), (GRANT - 400, GRANT - 500, GRANT, (DAY, 0)));
    let due = Charge { absorbed: ucr(5), ..charge("gen-2", 400) };
    assert_eq!(desk.charge(due).charged, ucr(100));
    let found = desk.reader().generation(desk.account, "gen-2").expect("it reads").expect("it is there");
    assert_eq!((found.charged, found.absorbed), (ucr(100), ucr(305)));
    assert_eq!(desk.charge(charge("gen-3", 1)).charged, MicroCredits::ZERO);
    assert_eq!(other.charge(charge("gen-4", GRANT)).balance, MicroCredits::ZERO);
    assert_eq!(desk.figures(), (0, 0, GRANT, (DAY, 0)));
    desk.verify();
}

pub(super) fn a_key_spends_no_more_than_its_cap(store: &dyn Store, _: Dying<'_>) {
    let mut desk = Desk::new(store);
    let capped = NewKey { cap: Some(ucr(1_000)), ..new_key(2, desk.account) };
    desk.key = capped.id;
    desk.one(Op::CreateKey(Box::new(capped)));
    desk.lease(10_000, 10_000);
    assert_eq!(desk.charge(charge("gen-1", 900)).charged, ucr(900));
    let last = desk.charge(charge("gen-2", 900));
    assert_eq!((last.charged, last.key_spent), (ucr(100), ucr(1_000)));
    assert_eq!(desk.charge(charge("gen-3", 900)).charged, MicroCredits::ZERO);
    let found = desk.reader().generation(desk.account, "gen-2").expect("it reads").expect("it is there");
    assert_eq!(found.absorbed, ucr(800));
    desk.verify();
}

pub(super) fn an_idempotency_key_is_charged_once(store: &dyn Store, _: Dying<'_>) {
    let mut desk = Desk::new(store);
    desk.lease(10_000, 10_000);
    let first = with_key(1, Charge { ended: Ended::Client, ..charge("gen-1", 700) });
    assert!(!desk.charge(first.clone()).replayed);
    let second = with_key(1, charge("gen-2", 800));
    let replay = desk.charge(second.clone());
    assert_eq!((replay.charged, replay.replayed), (MicroCredits::ZERO, true));
    // Both applied again say the same.
    assert_eq!(desk.charge(second), replay);
    assert!(!desk.charge(first).replayed);
    let found = desk.reader().generation(desk.account, "gen-2").expect("it reads").expect("it is there");
    assert_eq!((found.charged, found.absorbed), (MicroCredits::ZERO, ucr(800)));
    let receipt = desk.reader().receipt(desk.account, &[1; 32], NOW).expect("it reads").expect("it is there");
    assert_eq!((receipt.id.as_str(), receipt.body, receipt.partial), ("gen-1", [9; 32], true));
    assert_eq!((receipt.charged, receipt.usage.prompt_tokens), (ucr(700), 14));
    // Another's key of the same name is another key.
    let mut other = Desk::named(store, 2);
    assert_eq!(other.reader().receipt(other.account, &[1; 32], NOW).expect("it reads"), None);
    assert_eq!(other.charge(with_key(1, charge("gen-3", 5))).charged, ucr(5));
    desk.verify();
}

pub(super) fn an_idempotency_key_is_forgotten(store: &dyn Store, _: Dying<'_>) {
    let mut desk = Desk::new(store);
    desk.charge(with_key(1, charge("gen-1", 700)));
    let receipt =
        |desk: &Desk<'_>, now| desk.reader().receipt(desk.account, &[1; 32], now).expect("it reads");
    assert!(receipt(&desk, NOW + 59_999).is_some());
    assert_eq!(receipt(&desk, NOW + 60_000), None);
    let later = Charge { created_ms: NOW + 60_000, ..charge("gen-2", 800) };
    assert_eq!(desk.charge(with_key(1, later)).charged, ucr(800));
    assert_eq!(receipt(&desk, NOW + 60_001).map(|receipt| receipt.id), Some("gen-2".to_owned()));
    desk.verify();
}

pub(super) fn one_refusal_does_not_disturb_the_others(store: &dyn Store, _: Dying<'_>) {
    let mut desk = Desk::new(store);
    let (account, key, day) = (desk.account, desk.key, DAY);
    let nobody = AccountId::from_random(99);
    let no_key = KeyId::from_random(99);
    let settle =
        |account, key, id| Op::Settle(Box::new(Settle { account, key, day, charge: Some(charge(id, 10)) }));
    let lost = Lease { wish: crate::accounts::Wish { account: nobody, ..desk.wish() } };
    let outcomes = desk
        .writer
        .apply(&[
            settle(account, key, "gen-1"),
            settle(nobody, key, "gen-2"),
            settle(account, no_key, "gen-3"),
            Op::Lease(lost),
            Op::RevokeKey { key: no_key, account: None, at_ms: NOW },
            settle(account, key, "gen-4"),
        ])
        .expect("applied");
    let refused = |refusal| Outcome::Refused(refusal);
    assert_eq!(
        outcomes[1..5],
        [Refusal::NoAccount, Refusal::NoKey, Refusal::NoAccount, Refusal::NoKey].map(refused)
    );
    assert_eq!(settled(outcomes[5].clone()).balance, ucr(GRANT - 20));
    assert_eq!(desk.verify().entries, 3);
}

pub(super) fn an_absurd_charge_changes_nothing(store: &dyn Store, _: Dying<'_>) {
    let mut desk = Desk::new(store);
    let absurd = Charge { absorbed: ucr(-7), ..charge("gen-1", -1_000) };
    assert_eq!(desk.charge(absurd).charged, MicroCredits::ZERO);
    assert_eq!(desk.charge(charge("gen-2", i64::MAX)).balance, MicroCredits::ZERO);
    assert_eq!(desk.figures().0, 0);
    desk.verify();
}
