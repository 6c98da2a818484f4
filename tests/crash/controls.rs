//! The checks themselves: each must be able to find what it looks for.

use crate::accounts::Account;
use crate::audit::{Book, Row};
use crate::load::{Fate, Seen};
use std::collections::HashMap;

/// Two answers of 14 tokens in and 5 out, and what their client saw of them.
fn agreeing() -> (Book, Vec<Seen>, Vec<Account>) {
    let row = |id: &str, charge, amount, balance_after| Row {
        account: 1,
        charge,
        amount,
        balance_after,
        id: id.to_owned(),
        absorbed: 0,
        prompt_tokens: if charge { 14 } else { 0 },
        completion_tokens: if charge { 5 } else { 0 },
    };
    let rows = vec![
        row("grant", false, 100_000, 100_000),
        row("gen-1", true, -7_800, 92_200),
        row("gen-2", true, -7_800, 84_400),
    ];
    let accounts = HashMap::from([(1, (84_400, 1_000))]);
    let seen = |id: &str| Seen {
        account: 1,
        streamed: true,
        status: 200,
        id: Some(id.to_owned()),
        paid: Some(7_800),
        fate: Fate::Whole,
    };
    let book = Book { rows, accounts, leases: HashMap::from([(1, 1_000)]) };
    let account = Account { id: 1, key: String::new(), credited: 100_000 };
    (book, vec![seen("gen-1"), seen("gen-2")], vec![account])
}

/// What the audit says after `spoil` has changed something.
#[track_caller]
fn check(spoil: impl FnOnce(&mut Book, &mut Vec<Seen>), expect: &str) {
    let (mut book, mut seen, accounts) = agreeing();
    spoil(&mut book, &mut seen);
    let complaints = book.complaints(&seen, &accounts);
    assert!(
        complaints.iter().any(|complaint| complaint.contains(expect)),
        "{expect:?} is not in {complaints:?}"
    );
}

#[test]
fn a_ledger_that_agrees_is_not_complained_about() {
    let (book, seen, accounts) = agreeing();
    assert_eq!(book.complaints(&seen, &accounts), Vec::<String>::new());
}

#[test]
fn an_answer_that_is_missing_is_found() {
    check(|book, _| drop(book.rows.remove(2)), "gen-2 is missing");
}

#[test]
fn an_answer_that_is_there_twice_is_found() {
    check(|book, _| book.rows.push(book.rows[2].clone()), "gen-2 is there 2 times");
}

#[test]
fn another_amount_than_the_client_was_told_is_found() {
    check(|_, seen| seen[0].paid = Some(7_799), "gen-1 has -7800, and not -7799");
}

#[test]
fn another_account_than_the_one_that_asked_is_found() {
    check(|_, seen| seen[0].account = 2, "gen-1 has");
}

#[test]
fn a_charge_nobody_asked_for_is_found() {
    check(|_, seen| drop(seen.remove(1)), "1 charges of 0 requests");
}

#[test]
fn a_charge_of_a_refused_request_is_found() {
    let refuse = |_: &mut Book, seen: &mut Vec<Seen>| {
        seen[1].status = 503;
        seen[1].paid = None;
    };
    check(refuse, "gen-2 was refused and charged");
}

#[test]
fn a_charge_that_is_not_its_tokens_is_found() {
    check(|book, _| book.rows[1].completion_tokens = 4, "gen-1 charges 7800 for a use of 6800");
}

#[test]
fn sums_that_do_not_add_up_are_found() {
    check(|book, _| book.accounts.entry(1).or_default().0 += 1, "the balance of account 1 is 84401");
    check(|book, _| book.leases.clear(), "the lease of account 1 is 1000, and not 0");
    check(|book, _| book.rows[0].amount += 1, "after grant the balance is 100000, and adds up to 100001");
}
