//! What every store has to do, as tests of any: each runs on a store of its own, as [`suite`] lists them.

mod by_hand;
mod days;
mod desk;
mod lookups;
mod money;
mod together;

pub(super) use desk::*;

use super::{Op, Store};

/// Applies operations in a process that then dies: nothing it holds is given back or cleaned up.
pub(super) type Dying<'a> = &'a dyn Fn(&[Op]);

/// A test, by its name.
pub(super) type Test = (&'static str, fn(&dyn Store, Dying<'_>));

macro_rules! tests {
    ($($room:ident: $($name:ident),+;)+) => {
        /// All tests.
        pub(super) const SUITE: &[Test] = &[$($((stringify!($name), $room::$name),)+)+];
    };
}

tests! {
    money: a_charge_is_posted, a_charge_applied_twice_is_charged_once, no_lease_takes_all_but_what_is_needed,
        what_is_given_back_is_there_for_others, a_charge_goes_no_further_than_the_balance,
        a_key_spends_no_more_than_its_cap, an_idempotency_key_is_charged_once, an_idempotency_key_is_forgotten,
        one_refusal_does_not_disturb_the_others, an_absurd_charge_changes_nothing;
    days: requests_of_a_day_are_limited_across_processes, a_new_day_begins_at_none_and_no_day_comes_back,
        a_day_far_ahead_was_a_wrong_clock, what_is_unused_of_a_day_goes_back,
        requests_of_another_day_do_not_go_back, a_settled_request_stays_used;
    by_hand: an_account_is_opened_once, a_grant_of_nothing_leaves_no_entry, keys_are_made_and_revoked,
        a_key_ends_when_it_says, a_payment_is_credited_once, sums_that_do_not_fit_are_refused,
        the_revision_counts_changes_by_hand_only;
    lookups: accounts_come_in_pages, entries_come_latest_first, nobody_sees_anothers_generation,
        activity_is_summed_by_day_model_and_provider, what_was_spent_is_summed_since_any_time, an_account_is_found_by_its_reference,
        everything_of_a_charge_is_kept;
    together: two_processes_share_a_balance, a_process_that_ends_gives_its_leases_back,
        the_leases_of_a_dead_process_return_whole, the_living_are_not_reaped,
        two_processes_write_at_once, anything_in_any_order_adds_up;
}
