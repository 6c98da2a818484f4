//! What a reader finds.

use super::*;
use crate::protocol::usage::{Usage, UsageSource};
use crate::store::{Charge, Ended, EntryKind, Generation, NewAccount};

const DAY_MS: u64 = 86_400_000;

pub(super) fn accounts_come_in_pages(store: &dyn Store, _: Dying<'_>) {
    let mut desk = Desk::new(store);
    for id in [5, 3, 9] {
        desk.one(Op::CreateAccount(Box::new(new_account(id, 1))));
    }
    let mut reader = desk.reader();
    let mut page = |after, limit| -> Vec<i64> {
        let found = reader.accounts(after, limit).expect("it reads");
        found.iter().map(|account| account.id.get()).collect()
    };
    assert_eq!(page(None, 2), [1, 3]);
    assert_eq!(page(Some(crate::accounts::AccountId::new(3)), 10), [5, 9]);
    assert_eq!(page(None, 0), [0_i64; 0]);
}

pub(super) fn entries_come_latest_first(store: &dyn Store, _: Dying<'_>) {
    let mut desk = Desk::new(store);
    let mut other = Desk::named(store, 2);
    for id in ["gen-1", "gen-2", "gen-3"] {
        desk.charge(charge(id, 10));
        other.charge(charge(&format!("{id}-other"), 10));
    }
    let mut reader = desk.reader();
    let page = reader.entries(desk.account, None, 2).expect("it reads");
    assert_eq!(page.iter().map(|entry| entry.id.as_str()).collect::<Vec<_>>(), ["gen-3", "gen-2"]);
    let rest = reader.entries(desk.account, Some(page[1].sequence), 10).expect("it reads");
    let [first, grant] = rest.as_slice() else { panic!("{rest:?}") };
    assert_eq!((first.kind, first.amount, first.balance), (EntryKind::Charge, ucr(-10), ucr(GRANT - 10)));
    assert_eq!(first.generation.as_ref().map(|generation| generation.charged), Some(ucr(10)));
    assert_eq!((grant.kind, grant.amount, grant.balance), (EntryKind::Grant, ucr(GRANT), ucr(GRANT)));
    assert_eq!((grant.at_ms, first.at_ms, &grant.generation), (NOW, NOW + 20, &None));
}

pub(super) fn nobody_sees_anothers_generation(store: &dyn Store, _: Dying<'_>) {
    let mut desk = Desk::new(store);
    let other = Desk::named(store, 2);
    desk.charge(charge("gen-1", 10));
    let find = |account, id: &str| desk.reader().generation(account, id).expect("it reads").is_some();
    assert!(find(desk.account, "gen-1"));
    assert!(!find(other.account, "gen-1"));
    assert!(!find(desk.account, "gen-2"));
    let grant = format!("grant:{}", desk.account);
    assert!(!find(desk.account, &grant));
}

pub(super) fn activity_is_summed_by_day_model_and_provider(store: &dyn Store, _: Dying<'_>) {
    let mut desk = Desk::new(store);
    Desk::named(store, 2).charge(charge("gen-other", 1_000));
    let on = |id, day: u64, model: &str, provider: &str| Charge {
        model: model.to_owned(),
        provider: provider.to_owned(),
        created_ms: NOW + day * DAY_MS,
        ..charge(id, 10)
    };
    for charge in [
        on("1", 1, "b", "x"),
        on("2", 0, "b", "y"),
        on("3", 0, "b", "x"),
        on("4", 0, "a", "y"),
        on("5", 0, "b", "x"),
        on("6", 2, "a", "x"),
    ] {
        desk.charge(charge);
    }
    let mut reader = desk.reader();
    let found = reader.activity(desk.account, NOW, NOW + 2 * DAY_MS).expect("it reads");
    let rows: Vec<_> =
        found.iter().map(|r| (r.day - DAY, r.model.as_str(), r.provider.as_str(), r.requests)).collect();
    assert_eq!(rows, [(0, "a", "y", 1), (0, "b", "x", 2), (0, "b", "y", 1), (1, "b", "x", 1)]);
    let two = &found[1];
    assert_eq!(
        (two.prompt_tokens, two.completion_tokens, two.reasoning_tokens, two.cached_tokens),
        (28, 6, 2, 4)
    );
    assert_eq!(two.charged, ucr(20));
    // A charge is of the time when its answer ended, 20 ms later; the end of the span is left out.
    let mut count = |from, to| reader.activity(desk.account, from, to).expect("it reads").len();
    assert_eq!((count(NOW + 20, NOW + 21), count(NOW + 21, NOW + DAY_MS), count(NOW, NOW + 20)), (3, 0, 0));
}

pub(super) fn what_was_spent_is_summed_since_any_time(store: &dyn Store, _: Dying<'_>) {
    let mut desk = Desk::new(store);
    for (id, created_ms) in [("gen-1", NOW), ("gen-2", NOW + 100), ("gen-3", NOW + 200)] {
        desk.charge(Charge { created_ms, took_ms: 0, ..charge(id, 10) });
    }
    let mut reader = desk.reader();
    let spent = reader.spent_by_key(desk.account, [NOW + 201, NOW + 200, NOW + 1]).expect("it reads");
    assert_eq!(spent, [(desk.key, [ucr(0), ucr(10), ucr(20)])]);
    let nobody = crate::accounts::AccountId::from_random(99);
    assert_eq!(reader.spent_by_key(nobody, [0; 3]).expect("it reads"), []);
}

pub(super) fn an_account_is_found_by_its_reference(store: &dyn Store, _: Dying<'_>) {
    let mut desk = Desk::new(store);
    let new = NewAccount { reference: Some("signup:1".to_owned()), ..new_account(8, 5) };
    desk.one(Op::CreateAccount(Box::new(new.clone())));
    let mut reader = desk.reader();
    let found = reader.account_by_reference("signup:1").expect("it reads").expect("it is there");
    assert_eq!((found.id, found.balance), (new.id, ucr(5)));
    assert_eq!(reader.account_by_reference("signup:2").expect("it reads"), None);
}

pub(super) fn everything_of_a_charge_is_kept(store: &dyn Store, _: Dying<'_>) {
    let mut desk = Desk::new(store);
    let usage =
        Usage { prompt_tokens: u32::MAX, completion_tokens: 7, cached_tokens: 6, reasoning_tokens: 5 };
    let sparse = Charge {
        usage,
        source: UsageSource::Estimated,
        ended: Ended::Upstream,
        reason: None,
        streamed: false,
        first_token_ms: None,
        took_ms: u32::MAX,
        ..charge("gen-1", 0)
    };
    desk.charge(sparse);
    desk.charge(charge("gen-2", 30));
    let find = |id: &str| desk.reader().generation(desk.account, id).expect("it reads").expect("it is there");
    let kept = Generation {
        id: "gen-1".to_owned(),
        key: desk.key,
        model: "m".to_owned(),
        provider: "p".to_owned(),
        usage,
        source: UsageSource::Estimated,
        charged: ucr(0),
        absorbed: ucr(0),
        ended: Ended::Upstream,
        reason: None,
        streamed: false,
        created_ms: NOW,
        first_token_ms: None,
        took_ms: u32::MAX,
    };
    assert_eq!(find("gen-1"), kept);
    let second = find("gen-2");
    assert_eq!(
        (second.reason.as_deref(), second.first_token_ms, second.took_ms),
        (Some("stop"), Some(5), 20)
    );
    assert_eq!(
        (second.source, second.ended, second.streamed),
        (UsageSource::Reported, Ended::Complete, true)
    );
}
