//! Requests of a day: leased in slices, like credits.

use super::*;
use crate::accounts::{Slice, Wish};
use crate::store::Lease;

pub(super) fn requests_of_a_day_are_limited_across_processes(store: &dyn Store, _: Dying<'_>) {
    let mut desk = Desk::new(store);
    let mut other = desk.beside();
    let first = desk.requests(DAY, 32, Some(50));
    assert_eq!((first.requests, first.day, first.day_used), (32, DAY, 32));
    let second = other.requests(DAY, 32, Some(50));
    assert_eq!((second.requests, second.day_used), (18, 50));
    assert_eq!(desk.requests(DAY, 32, Some(50)).requests, 0);
    // Counted all the same where there is no limit, and a lower limit is no debt.
    assert_eq!(desk.requests(DAY, 1_024, None).day_used, 1_074);
    assert_eq!(desk.requests(DAY, 1, Some(10)).requests, 0);
    assert_eq!(desk.figures(), (GRANT, 0, GRANT, (DAY, 1_074)));
}

pub(super) fn a_new_day_begins_at_none_and_no_day_comes_back(store: &dyn Store, _: Dying<'_>) {
    let mut desk = Desk::new(store);
    desk.requests(DAY, 10, Some(10));
    let next = desk.requests(DAY + 1, 4, Some(10));
    assert_eq!((next.day, next.requests, next.day_used), (DAY + 1, 4, 4));
    // A clock that is late by a day does not bring the old one back.
    let late = desk.requests(DAY, 10, Some(10));
    assert_eq!((late.day, late.requests, late.day_used), (DAY + 1, 6, 10));
    assert_eq!(desk.requests(DAY + 9, 1, Some(10)).day_used, 1);
}

pub(super) fn a_day_far_ahead_was_a_wrong_clock(store: &dyn Store, _: Dying<'_>) {
    let mut desk = Desk::new(store);
    desk.requests(DAY + 2, 7, Some(10));
    let right = desk.requests(DAY, 10, Some(10));
    assert_eq!((right.day, right.requests, right.day_used), (DAY, 3, 10));
    assert_eq!(desk.requests(DAY + 1, 1, Some(10)).day_used, 1);
}

pub(super) fn what_is_unused_of_a_day_goes_back(store: &dyn Store, _: Dying<'_>) {
    let mut desk = Desk::new(store);
    desk.requests(DAY, 10, None);
    desk.give_back(0, DAY, 4);
    assert_eq!(desk.figures().3, (DAY, 6));
    // Never more than were leased.
    desk.give_back(0, DAY, 100);
    assert_eq!(desk.figures().3, (DAY, 0));
    // Before others are granted, where they are exchanged.
    let mut other = desk.beside();
    other.requests(DAY, 3, None);
    desk.requests(DAY, 7, Some(10));
    let returned = Slice { day: DAY, funded: true, left: 5 };
    let wish = Wish { requests: 32, day_limit: Some(10), returned, ..desk.wish() };
    let grant = granted(desk.one(Op::Lease(Lease { wish })));
    assert_eq!((grant.requests, grant.day_used), (5, 10));
}

pub(super) fn requests_of_another_day_do_not_go_back(store: &dyn Store, _: Dying<'_>) {
    let mut desk = Desk::new(store);
    let mut other = desk.beside();
    desk.requests(DAY, 10, None);
    other.requests(DAY + 1, 5, None);
    desk.give_back(0, DAY, 10);
    desk.give_back(0, DAY + 1, 10);
    assert_eq!(desk.figures().3, (DAY + 1, 5));
    // A lease is of one day: what was left of the one before is not counted into the next.
    desk.requests(DAY + 1, 2, None);
    desk.give_back(0, DAY + 1, 10);
    assert_eq!(desk.figures().3, (DAY + 1, 5));
}

pub(super) fn a_settled_request_stays_used(store: &dyn Store, _: Dying<'_>) {
    let mut desk = Desk::new(store);
    desk.requests(DAY, 10, None);
    let void = desk.settle(None);
    let nothing = settled(desk.one(void.clone()));
    assert_eq!((nothing.charged, nothing.balance, nothing.key_spent), (ucr(0), ucr(GRANT), ucr(0)));
    desk.charge(charge("gen-1", 5));
    desk.give_back(0, DAY, 10);
    assert_eq!(desk.figures().3, (DAY, 2));
    // There is none to use, and none of another day.
    desk.one(void.clone());
    desk.requests(DAY + 1, 3, None);
    desk.one(void);
    desk.give_back(0, DAY + 1, 10);
    assert_eq!(desk.figures().3, (DAY + 1, 0));
    assert_eq!(desk.verify().entries, 2);
}
