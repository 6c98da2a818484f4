//! Accounts, keys and top-ups.

use super::*;
use crate::accounts::{AccountId, KeyId};
use crate::money::MicroCredits;
use crate::store::{Credit, NewAccount, NewKey, Outcome, Refusal};

fn opened(outcome: Outcome) -> (AccountId, i64, bool) {
    match outcome {
        Outcome::Account { account, new } => (account.id, account.balance.get(), new),
        other => panic!("{other:?}"),
    }
}

pub(super) fn an_account_is_opened_once(store: &dyn Store, _: Dying<'_>) {
    let mut desk = Desk::new(store);
    let reference = Some("customer 7".to_owned());
    let new = NewAccount { name: Some("Seven".to_owned()), reference, ..new_account(7, 500) };
    let create = |new: &NewAccount| Op::CreateAccount(Box::new(new.clone()));
    assert_eq!(opened(desk.one(create(&new))), (new.id, 500, true));
    // The same, applied again.
    assert_eq!(opened(desk.one(create(&new))), (new.id, 500, true));
    // The same reference: the account there is, without another grant or key.
    let again = NewAccount { reference: new.reference.clone(), ..new_account(8, 900) };
    assert_eq!(opened(desk.one(create(&again))), (new.id, 500, false));
    let mut reader = desk.reader();
    assert_eq!(reader.account(again.id).expect("it reads"), None);
    assert_eq!(reader.key(&secret(8).hash(), NOW).expect("it reads"), None);
    let account = reader.account(new.id).expect("it reads").expect("it is there");
    assert_eq!((account.name.as_deref(), account.created_ms), (Some("Seven"), NOW));
    let known = reader.key(&secret(7).hash(), NOW).expect("it reads").expect("it is there");
    assert_eq!((known.account, known.balance, known.cap), (new.id, ucr(500), None));
    // Accounts without a reference are all different.
    assert!(opened(desk.one(create(&new_account(9, 1)))).2);
    assert_eq!(desk.verify().entries, 3);
}

pub(super) fn a_grant_of_nothing_leaves_no_entry(store: &dyn Store, _: Dying<'_>) {
    let mut desk = Desk::new(store);
    for (id, grant) in [(2, 0), (3, -5)] {
        let new = NewAccount { key: None, ..new_account(id, grant) };
        assert_eq!(opened(desk.one(Op::CreateAccount(Box::new(new.clone())))), (new.id, 0, true));
        assert_eq!(desk.reader().keys(new.id).expect("it reads"), []);
    }
    assert_eq!(desk.verify().entries, 1);
}

pub(super) fn keys_are_made_and_revoked(store: &dyn Store, _: Dying<'_>) {
    let mut desk = Desk::new(store);
    let (ours, theirs) = (desk.account, AccountId::from_random(99));
    let new =
        NewKey { name: Some("laptop".to_owned()), cap: Some(ucr(70)), at_ms: NOW + 1, ..new_key(2, ours) };
    let create = Op::CreateKey(Box::new(new.clone()));
    let Outcome::Key(made) = desk.one(create.clone()) else { panic!("no key") };
    assert_eq!((made.id, made.account, made.hint.as_str()), (new.id, ours, new.hint.as_str()));
    assert_eq!((made.cap, made.spent, made.revoked_ms), (Some(ucr(70)), MicroCredits::ZERO, None));
    assert_eq!(desk.one(create), Outcome::Key(made.clone()), "applied again");
    let same_hash = NewKey { id: KeyId::from_random(3), ..new.clone() };
    assert_eq!(desk.one(Op::CreateKey(Box::new(same_hash))), Outcome::Refused(Refusal::NoKey));
    let nobodys = Op::CreateKey(Box::new(new_key(4, theirs)));
    assert_eq!(desk.one(nobodys), Outcome::Refused(Refusal::NoAccount));

    let revoke = |key, account| Op::RevokeKey { key, account, at_ms: NOW + 5 };
    let refused = Outcome::Refused(Refusal::NoKey);
    assert_eq!(desk.one(revoke(new.id, Some(theirs))), refused);
    assert_eq!(desk.one(revoke(KeyId::from_random(99), None)), refused);
    assert!(desk.reader().key(&new.hash, NOW).expect("it reads").is_some());
    assert_eq!(desk.one(revoke(new.id, Some(ours))), Outcome::Done);
    assert_eq!(desk.reader().key(&new.hash, NOW).expect("it reads"), None);
    assert_eq!(desk.one(Op::RevokeKey { key: new.id, account: None, at_ms: NOW + 9 }), Outcome::Done);
    let keys = desk.reader().keys(ours).expect("it reads");
    assert_eq!(
        keys.iter().map(|key| (key.id, key.revoked_ms)).collect::<Vec<_>>(),
        [(desk.key, None), (new.id, Some(NOW + 5))]
    );
    // What was under way is still charged.
    desk.key = new.id;
    assert_eq!(desk.charge(charge("gen-1", 30)).charged, ucr(30));
    desk.verify();
}

pub(super) fn a_key_ends_when_it_says(store: &dyn Store, _: Dying<'_>) {
    let mut desk = Desk::new(store);
    let new = NewKey { expires_ms: Some(NOW + 100), ..new_key(2, desk.account) };
    desk.one(Op::CreateKey(Box::new(new.clone())));
    let key = |now| desk.reader().key(&new.hash, now).expect("it reads");
    assert_eq!(key(NOW + 99).map(|known| (known.key, known.expires_ms)), Some((new.id, Some(NOW + 100))));
    assert_eq!(key(NOW + 100), None);
    assert_eq!(desk.reader().key(&secret(99).hash(), NOW).expect("it reads"), None);
}

pub(super) fn a_payment_is_credited_once(store: &dyn Store, _: Dying<'_>) {
    let mut desk = Desk::new(store);
    let other = Desk::named(store, 2);
    let credit = |account, amount| {
        Op::Credit(Credit { account, amount: ucr(amount), reference: "pay-1".to_owned(), at_ms: NOW })
    };
    let credited = |balance, new| Outcome::Credited { balance: ucr(balance), new };
    assert_eq!(desk.one(credit(desk.account, 500)), credited(GRANT + 500, true));
    assert_eq!(desk.one(credit(desk.account, 500)), credited(GRANT + 500, false));
    assert_eq!(desk.one(credit(desk.account, 900)), credited(GRANT + 500, false));
    assert_eq!(desk.one(credit(other.account, 500)), Outcome::Refused(Refusal::OtherAccount));
    assert_eq!(desk.figures(), (GRANT + 500, 0, GRANT + 500, (0, 0)));
    // A charge may be named as a payment is.
    assert_eq!(desk.charge(charge("pay-1", 5)).charged, ucr(5));
    let top_up = desk.reader().entries(desk.account, None, 10).expect("it reads").remove(1);
    assert_eq!((top_up.id.as_str(), top_up.amount, top_up.balance), ("pay-1", ucr(500), ucr(GRANT + 500)));
    assert_eq!(desk.verify().entries, 4);
}

pub(super) fn sums_that_do_not_fit_are_refused(store: &dyn Store, _: Dying<'_>) {
    let mut desk = Desk::new(store);
    for amount in [i64::MAX, i64::MAX - GRANT + 1, 0, -1, i64::MIN] {
        let reference = "pay-1".to_owned();
        let credit = Credit { account: desk.account, amount: ucr(amount), reference, at_ms: NOW };
        assert_eq!(desk.one(Op::Credit(credit)), Outcome::Refused(Refusal::TooMuch), "{amount}");
    }
    let reference = "pay-2".to_owned();
    let all = Credit { account: desk.account, amount: ucr(i64::MAX - GRANT), reference, at_ms: NOW };
    assert_eq!(desk.one(Op::Credit(all)), Outcome::Credited { balance: ucr(i64::MAX), new: true });
    assert_eq!(desk.lease(0, i64::MAX).amount, ucr(i64::MAX / 2 + 1));
    assert_eq!(desk.charge(charge("gen-1", i64::MAX)).balance, MicroCredits::ZERO);
    desk.verify();
}

pub(super) fn the_revision_counts_changes_by_hand_only(store: &dyn Store, _: Dying<'_>) {
    let mut desk = Desk::new(store);
    let credit = Credit { account: desk.account, amount: ucr(1), reference: "pay-1".to_owned(), at_ms: NOW };
    let by_hand = [
        Op::CreateAccount(Box::new(new_account(2, 5))),
        Op::CreateKey(Box::new(new_key(3, desk.account))),
        Op::RevokeKey { key: KeyId::from_random(3), account: None, at_ms: NOW },
        Op::Credit(credit),
    ];
    let mut before = desk.reader().revision().expect("it reads");
    for op in by_hand {
        desk.one(op.clone());
        let after = desk.reader().revision().expect("it reads");
        assert!(after > before, "{op:?}");
        // Nothing is changed the second time.
        desk.one(op);
        assert_eq!(desk.reader().revision().expect("it reads"), after);
        before = after;
    }
    desk.lease(5, 5);
    desk.charge(charge("gen-1", 5));
    desk.give_back(0, 0, 0);
    assert_eq!(desk.one(Op::Probe), Outcome::Done);
    assert_eq!(desk.reader().revision().expect("it reads"), before);
}
