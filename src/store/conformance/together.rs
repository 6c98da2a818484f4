//! Several processes on one ledger.

use super::*;
use crate::accounts::{AccountId, KeyId, Slice, Wish};
use crate::store::{Credit, Lease, Outcome, Returned, Settle};
use std::sync::Barrier;

pub(super) fn two_processes_share_a_balance(store: &dyn Store, _: Dying<'_>) {
    let mut desk = Desk::new(store);
    let mut other = desk.beside();
    let first = desk.lease(600_000_000, 900_000_000);
    assert_eq!((first.amount, first.left), (ucr(600_000_000), ucr(400_000_000)));
    let second = other.lease(500_000_000, 500_000_000);
    assert_eq!((second.amount, second.left), (ucr(400_000_000), ucr(0)));
    assert_eq!(desk.lease(1, 1).amount, ucr(0));
    // Each pays from its own.
    assert_eq!(other.charge(charge("gen-1", 600_000_000)).charged, ucr(400_000_000));
    assert_eq!(desk.charge(charge("gen-2", 600_000_000)).charged, ucr(600_000_000));
    assert_eq!(desk.verify().balances, ucr(0));
}

pub(super) fn a_process_that_ends_gives_its_leases_back(store: &dyn Store, _: Dying<'_>) {
    let mut desk = Desk::new(store);
    let mut other = desk.beside();
    desk.lease(70, 70);
    other.lease(900, 900);
    other.requests(DAY, 10, None);
    let void = other.settle(None);
    other.one(void);
    drop(other);
    assert_eq!(desk.figures(), (GRANT, 70, GRANT, (DAY, 1)));
    assert_eq!(desk.writer.reap().expect("it looks"), 0);
    desk.verify();
}

pub(super) fn the_leases_of_a_dead_process_return_whole(store: &dyn Store, dying: Dying<'_>) {
    let mut desk = Desk::new(store);
    let second = Desk::named(store, 2);
    let lease = |account, day, requests| {
        let wish = Wish { account, day, requests, need: ucr(900), want: ucr(900), ..desk.wish() };
        Op::Lease(Lease { wish })
    };
    let used = Op::Settle(Box::new(Settle {
        account: desk.account,
        key: desk.key,
        day: DAY,
        charge: Some(charge("gen-1", 100)),
    }));
    dying(&[lease(desk.account, DAY, 10), lease(second.account, DAY, 10), used]);
    dying(&[lease(desk.account, DAY, 10)]);
    assert_eq!(desk.figures(), (GRANT - 100, 1_700, GRANT, (DAY, 20)));
    // Requests of a day that is over do not come back on the next.
    let mut living = second.beside();
    living.lease(5, 5);
    living.requests(DAY + 1, 3, None);
    assert_eq!(desk.writer.reap().expect("it looks"), 3);
    assert_eq!(desk.figures(), (GRANT - 100, 0, GRANT, (DAY, 1)));
    assert_eq!(living.figures(), (GRANT, 5, GRANT, (DAY + 1, 3)));
    assert_eq!(desk.writer.reap().expect("it looks"), 0);
    desk.verify();
}

pub(super) fn the_living_are_not_reaped(store: &dyn Store, _: Dying<'_>) {
    let mut desk = Desk::new(store);
    let mut other = desk.beside();
    other.lease(900, 900);
    desk.lease(70, 70);
    assert_eq!(desk.writer.reap().expect("it looks"), 0);
    assert_eq!(other.writer.reap().expect("it looks"), 0);
    assert_eq!(desk.figures().1, 970);
    desk.verify();
}

pub(super) fn two_processes_write_at_once(store: &dyn Store, _: Dying<'_>) {
    const BATCHES: usize = 40;
    let desk = Desk::new(store);
    let together = Barrier::new(2);
    std::thread::scope(|scope| {
        for name in ["a", "b"] {
            let (mut desk, together) = (desk.beside(), &together);
            scope.spawn(move || {
                #[expect(clippy::disallowed_methods, reason = "two threads of a test start together")]
                together.wait();
                desk.lease(0, 100_000);
                for batch in 0..BATCHES {
                    let charges = (0..5).map(|n| charge(&format!("gen-{name}-{batch}-{n}"), 100));
                    let ops: Vec<_> = charges.map(|charge| desk.settle(Some(charge))).collect();
                    let outcomes = desk.writer.apply(&ops).expect("applied");
                    assert!(outcomes.into_iter().all(|outcome| settled(outcome).charged == ucr(100)));
                }
            });
        }
    });
    assert_eq!(desk.figures(), (GRANT - 40_000, 0, GRANT, (DAY, 0)));
    assert_eq!(desk.verify().entries, 401);
}

/// Random operations of three processes on three accounts; batches that are applied twice, too.
pub(super) fn anything_in_any_order_adds_up(store: &dyn Store, dying: Dying<'_>) {
    let mut random = fastrand::Rng::with_seed(7);
    let mut desks: Vec<_> = [1, 2].map(|id| Desk::named(store, id)).into();
    desks.push(desks[0].beside());
    let mut charged = std::collections::BTreeSet::new();
    for round in 0..300 {
        let mut ops = Vec::new();
        for _ in 0..random.usize(1..8) {
            ops.push(any_op(&mut random));
        }
        let twice = random.bool();
        let writer = &mut desks[random.usize(..3)].writer;
        for _ in 0..=usize::from(twice) {
            let outcomes = writer.apply(&ops).expect("applied");
            for (op, outcome) in ops.iter().zip(outcomes) {
                if let (Op::Settle(settle), Outcome::Settled(_)) = (op, outcome) {
                    charged.extend(settle.charge.as_ref().map(|charge| charge.id.clone()));
                }
            }
        }
        match round % 50 {
            10 => dying(&[any_op(&mut random), any_op(&mut random)]),
            20 => drop(writer.reap().expect("it looks")),
            30 => desks[2] = desks[0].beside(),
            _ => {}
        }
        if round % 10 == 0 {
            desks[0].verify();
        }
    }
    assert!(desks[0].verify().entries > 200 && charged.len() > 200, "{} charges", charged.len());
    let mut reader = desks[0].reader();
    for id in charged {
        let of = |who| reader.generation(AccountId::from_random(who), &id).expect("it reads").is_some();
        assert_eq!((1..4).map(of).filter(|found| *found).count(), 1, "{id}");
    }
}

fn any_op(random: &mut fastrand::Rng) -> Op {
    let who = random.u64(1..4);
    let (account, key) =
        (AccountId::from_random(who), KeyId::from_random(if random.u8(..8) == 0 { 1 } else { who }));
    let day = DAY + random.u32(..4);
    let slice = Slice { day, funded: random.bool(), left: random.u32(..20) };
    let amount = |random: &mut fastrand::Rng| ucr(random.i64(-1_000..100_000_000));
    match random.u8(..10) {
        0..5 => {
            let one = charge(&format!("gen-{}", random.u32(..2_000)), random.i64(-10..20_000_000));
            let one = if random.bool() { with_key(random.u8(..40), one) } else { one };
            let charge = random.bool().then_some(one);
            Op::Settle(Box::new(Settle { account, key, day, charge }))
        }
        5 | 6 => {
            let (need, want) = (amount(random), amount(random));
            let (requests, day_limit) = (random.u32(..40), random.bool().then(|| random.u32(..100)));
            let wish = Wish { account, need, want, day, funded: false, requests, day_limit, returned: slice };
            Op::Lease(Lease { wish })
        }
        7 => Op::Return(Returned { account, amount: amount(random), slice }),
        8 => {
            let reference = format!("pay-{}", random.u8(..40));
            Op::Credit(Credit { account, amount: amount(random), reference, at_ms: NOW })
        }
        _ => Op::CreateAccount(Box::new(new_account(who, GRANT))),
    }
}
