use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

const LATE: u64 = u64::MAX;

/// A payload: whose it is, and what it needs.
type Waiting = (u8, u64);

fn queue() -> Queue<u8, Waiting> {
    Queue::new(Bounds { waiting: 1_000, per_account: 1_000 })
}

fn newcomer(account: u8, class: u64, cost: u32, deadline_ms: u64) -> Newcomer<u8> {
    Newcomer { account, class, cost, deadline_ms }
}

fn join(queue: &Queue<u8, Waiting>, account: u8, cost: u32) -> Ticket<u8> {
    queue.join(newcomer(account, 0, cost, LATE), (account, 0)).expect("room")
}

fn join_many(queue: &Queue<u8, Waiting>, account: u8, cost: u32, count: usize) {
    for _ in 0..count {
        join(queue, account, cost);
    }
}

/// Passes turns while there are `places`: the accounts served, in order.
fn serve(queue: &Queue<u8, Waiting>, mut places: usize) -> Vec<u8> {
    let mut order = Vec::new();
    queue.turns(0, |(account, _)| {
        if places == 0 {
            return Turn::Blocked;
        }
        places -= 1;
        order.push(*account);
        Turn::Served
    });
    order
}

#[test]
fn accounts_take_turns() {
    let queue = queue();
    for (account, wants) in [(1, 4), (2, 1), (3, 2)] {
        join_many(&queue, account, 1, wants);
    }
    assert_eq!(serve(&queue, 9), [1, 2, 3, 1, 3, 1, 1]);
    assert!(queue.is_empty());
}

#[test]
fn a_turn_that_found_no_place_is_not_lost() {
    let queue = queue();
    for account in [1, 2, 3] {
        join_many(&queue, account, 1, 3);
    }
    let one_by_one: Vec<u8> = (0..9).flat_map(|_| [serve(&queue, 0), serve(&queue, 1)].concat()).collect();
    assert_eq!(one_by_one, [1, 2, 3, 1, 2, 3, 1, 2, 3]);
}

#[test]
fn what_costs_three_is_served_as_often_as_three_that_cost_one() {
    let queue = queue();
    join_many(&queue, 1, 3, 3);
    join_many(&queue, 2, 1, 9);
    assert_eq!(serve(&queue, 8), [2, 2, 1, 2, 2, 2, 1, 2]);
}

#[test]
fn one_that_asks_ten_times_as_much_gets_no_more_than_its_share() {
    let queue = Queue::<u8, Waiting>::new(Bounds::default());
    let mut served = HashMap::new();
    for _ in 0..100 {
        // One place for two requests; the greedy one has always come first and has all its places taken.
        for _ in 0..10 {
            let _ = queue.join(newcomer(0, 0, 1, LATE), (0, 0));
        }
        for account in 1..10 {
            join(&queue, account, 1);
        }
        for account in serve(&queue, 10) {
            *served.entry(account).or_insert(0) += 1;
        }
    }
    assert!(served.values().all(|count| *count == 100), "{served:?}");
}

#[test]
fn what_others_leave_is_anybodys() {
    let queue = queue();
    join_many(&queue, 1, 1, 8);
    join(&queue, 2, 1);
    assert_eq!(serve(&queue, 6), [1, 2, 1, 1, 1, 1]);
}

#[test]
fn within_an_account_the_earliest_deadline_is_served_first() {
    let queue = queue();
    for deadline in [30, 10, 20, 10] {
        queue.join(newcomer(1, 0, 1, deadline), (1, deadline)).expect("room");
    }
    let mut order = Vec::new();
    queue.turns(0, |(_, deadline)| {
        order.push(*deadline);
        Turn::Served
    });
    assert_eq!(order, [10, 10, 20, 30]);
}

#[test]
fn whoever_has_waited_long_enough_is_handed_back_and_not_asked() {
    let queue = queue();
    for (account, deadline) in [(1, 30), (2, 10), (1, 20), (3, 21)] {
        queue.join(newcomer(account, 0, 1, deadline), (account, deadline)).expect("room");
    }
    let passed = queue.turns(20, |(_, deadline)| {
        assert!(*deadline > 20);
        Turn::Blocked
    });
    assert_eq!((passed.expired, passed.served), (vec![(2, 10), (1, 20)], 0));
    assert_eq!(queue.waiting(), 2);
}

#[test]
fn a_class_that_is_blocked_is_asked_once_a_pass_and_holds_up_no_other() {
    let queue = queue();
    for (account, class) in [(1, 7), (1, 8), (2, 7), (3, 7), (3, 8)] {
        queue.join(newcomer(account, class, 1, LATE), (account, class)).expect("room");
    }
    let mut asked = Vec::new();
    let passed = queue.turns(0, |waiting| {
        asked.push(*waiting);
        if waiting.1 == 7 { Turn::Blocked } else { Turn::Served }
    });
    assert_eq!((asked, passed.served), (vec![(1, 7), (1, 8), (3, 8)], 2));
    assert_eq!(queue.waiting(), 3);
}

#[test]
fn both_bounds_hold() {
    let queue = Queue::<u8, Waiting>::new(Bounds { waiting: 5, per_account: 2 });
    let try_join =
        |account| queue.join(newcomer(account, 0, 1, LATE), (account, 0)).map_err(|(full, _)| full);
    let first = try_join(1).expect("room");
    try_join(1).expect("room");
    assert_eq!(try_join(1), Err(Full::Account));
    for account in [2, 2, 3] {
        try_join(account).expect("room");
    }
    assert_eq!(try_join(4), Err(Full::Altogether));
    assert_eq!(queue.leave(&first), Some((1, 0)));
    try_join(4).expect("a place was given up");
}

#[test]
fn a_place_is_given_up_once() {
    let queue = queue();
    let tickets = [join(&queue, 1, 1), join(&queue, 2, 1)];
    assert_eq!(queue.leave(&tickets[0]), Some((1, 0)));
    assert_eq!(queue.leave(&tickets[0]), None);
    assert_eq!(serve(&queue, 1), [2]);
    assert_eq!(queue.leave(&tickets[1]), None);
}

#[test]
fn one_that_is_gone_costs_its_account_nothing() {
    let queue = queue();
    join_many(&queue, 1, 1, 3);
    join(&queue, 2, 1);
    let mut asked = Vec::new();
    let passed = queue.turns(0, |(account, _)| {
        asked.push(*account);
        if asked.len() <= 2 { Turn::Gone } else { Turn::Served }
    });
    assert_eq!((asked, passed.served), (vec![1, 1, 1, 2], 2));
}

#[test]
fn a_request_costs_more_the_longer_it_is() {
    for (tokens, expect) in [(0, 1), (8_191, 1), (8_192, 2), (131_072, 17)] {
        assert_eq!(cost(tokens), expect, "{tokens}");
    }
}

proptest! {
    /// While two accounts both want something, neither gets more than one request ahead of the other.
    #[test]
    fn nobody_gets_ahead_by_more_than_one_request(
        costs in prop::collection::vec((0_u8..5, 1_u32..40), 1..200),
        places in prop::collection::vec(0_usize..4, 1..400),
    ) {
        let queue = Queue::<u8, u32>::new(Bounds { waiting: 1_000, per_account: 1_000 });
        let mut wants = [0_u32; 5];
        for (account, cost) in &costs {
            queue.join(newcomer(*account, 0, *cost, LATE), u32::from(*account) << 8 | cost.clamp(&1, &MOST_COST))
                .expect("room");
            wants[usize::from(*account)] += 1;
        }
        let mut spent = [0_u32; 5];
        for mut places in places {
            queue.turns(0, |payload| {
                if places == 0 {
                    return Turn::Blocked;
                }
                places -= 1;
                let account = (*payload >> 8) as usize;
                wants[account] -= 1;
                spent[account] += *payload & 0xff;
                Turn::Served
            });
            let hungry: Vec<u32> = (0..5).filter(|a| wants[*a] > 0).map(|a| spent[a]).collect();
            if let (Some(least), Some(most)) = (hungry.iter().min(), hungry.iter().max()) {
                prop_assert!(most - least <= MOST_COST + 1, "{spent:?}");
            }
        }
    }

    /// Whatever others do, one that waits is served within as many places as there are turns before it.
    #[test]
    fn nobody_starves(others in 1_u8..20, cost in 1_u32..=MOST_COST, theirs in 1_u32..=MOST_COST) {
        let queue = queue();
        for account in 1..=others {
            join_many(&queue, account, theirs, 40);
        }
        join(&queue, 0, cost);
        let mut turns = 0;
        loop {
            let served = serve(&queue, 1);
            if served == [0] {
                break;
            }
            join(&queue, served[0], theirs);
            turns += 1;
            // In each round an account spends what a turn is worth, and has saved less than one request.
            let bound = u32::from(others) * (cost / theirs + 2);
            prop_assert!(turns <= bound, "{turns} turns, {bound} at most");
        }
    }

    /// What is counted is what is there, whoever comes and goes.
    #[test]
    fn places_are_conserved(steps in prop::collection::vec((0_u8..4, 0_u8..6, 0_u64..50), 1..300)) {
        let queue = Queue::<u8, ()>::new(Bounds { waiting: 20, per_account: 5 });
        let mut tickets = Vec::new();
        let (mut inside, mut now_ms) = (0, 0);
        for (step, account, amount) in steps {
            match step {
                0 | 1 => if let Ok(ticket) = queue.join(newcomer(account, amount % 3, 1, now_ms + amount), ()) {
                    tickets.push(ticket);
                    inside += 1;
                },
                2 => if let Some(ticket) = tickets.pop() {
                    inside -= usize::from(queue.leave(&ticket).is_some());
                },
                _ => {
                    now_ms += amount;
                    let mut places = amount % 4;
                    let passed = queue.turns(now_ms, |()| {
                        if places == 0 { return Turn::Blocked; }
                        places -= 1;
                        Turn::Served
                    });
                    inside -= passed.served + passed.expired.len();
                }
            }
            prop_assert_eq!(queue.waiting(), inside);
            prop_assert!(inside <= 20);
        }
    }
}
