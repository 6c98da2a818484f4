//! The ledger in memory and the one in SQLite are given the same operations, and say the same.

use crate::backing::Backing;
use crate::memory::Memory;
use crate::world::pick;
use freeway::accounts::{AccountId, KeyHash, KeyId, Slice, Wish};
use freeway::money::MicroCredits;
use freeway::protocol::usage::{Usage, UsageSource};
use freeway::store::{
    Charge, Credit, Ended, Idempotency, Lease, NewAccount, NewKey, Op, Returned, Settle, Writer,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const ROUNDS: usize = 60;
const OPS: usize = 12;

/// A process of both.
struct Twin {
    memory: Box<dyn Writer>,
    sqlite: Box<dyn Writer>,
    killed: Arc<AtomicBool>,
    boot: u64,
}

#[test]
fn both_stores_say_the_same() {
    for seed in 0..60 {
        let rng = &mut fastrand::Rng::with_seed(seed);
        let memory = Backing::Memory(Memory::new(None));
        let sqlite = Backing::sqlite();
        let mut twins: [Twin; 2] = std::array::from_fn(|_| Twin::start(&memory, &sqlite));
        let mut readers = (memory.reader(), sqlite.reader());
        for _ in 0..ROUNDS {
            let at = rng.usize(..2);
            match rng.u8(..20) {
                0 => {
                    twins[at].killed.store(true, Ordering::Release);
                    memory.crash(twins[at].boot);
                    twins[at] = Twin::start(&memory, &sqlite);
                }
                1 => twins[at] = Twin::start(&memory, &sqlite),
                2 => {
                    let returned = twins[at].memory.reap().expect("it can");
                    assert_eq!(twins[at].sqlite.reap().expect("it can"), returned, "seed {seed}");
                }
                _ => {
                    let ops: Vec<Op> = (0..rng.usize(1..OPS)).map(|_| op(rng)).collect();
                    let expected = twins[at].memory.apply(&ops).expect("memory");
                    let found = twins[at].sqlite.apply(&ops).expect("a disk");
                    for ((op, expected), found) in ops.iter().zip(expected).zip(found) {
                        assert_eq!(found, expected, "seed {seed}: {op:?}");
                    }
                }
            }
            for n in 1..=3 {
                let account = AccountId::new(n);
                let expected = readers.0.account(account).expect("memory");
                assert_eq!(readers.1.account(account).expect("a disk"), expected, "seed {seed}");
                let expected = readers.0.keys(account).expect("memory");
                assert_eq!(readers.1.keys(account).expect("a disk"), expected, "seed {seed}");
            }
        }
    }
}

impl Twin {
    fn start(memory: &Backing, sqlite: &Backing) -> Self {
        let killed = Arc::default();
        let writer = |backing: &Backing| backing.open(&killed).0.writer().expect("it opens");
        Self { memory: writer(memory), sqlite: writer(sqlite), boot: memory.last_boot(), killed }
    }
}

fn op(rng: &mut fastrand::Rng) -> Op {
    let account = AccountId::new(rng.i64(1..=4));
    let key = KeyId::new(rng.i64(1..=5));
    let amount = MicroCredits::new(pick(rng, &[0, 1, 1_000, 5_000_000, 100_000_000]));
    let day = 20_500 + pick(rng, &[0, 0, 0, 1, 2, 5]);
    let slice = Slice { day, funded: true, left: rng.u32(..8) };
    match rng.u8(..16) {
        0 => Op::CreateAccount(Box::new(NewAccount {
            id: AccountId::new(rng.i64(1..=3)),
            name: rng.bool().then(|| "somebody".to_owned()),
            reference: Some(format!("person-{}", rng.u8(..4))),
            grant: MicroCredits::new(pick(rng, &[0, 7, 300_000_000])),
            key: None,
            at_ms: 1,
        })),
        1 => Op::CreateKey(Box::new(NewKey {
            id: key,
            account,
            hash: KeyHash::new([rng.u8(..6); 32]),
            hint: "cm_…".to_owned(),
            name: None,
            cap: pick(rng, &[None, None, Some(6_000_000)]).map(MicroCredits::new),
            expires_ms: None,
            at_ms: 2,
        })),
        2 => Op::RevokeKey { key, account: rng.bool().then_some(account), at_ms: 3 },
        3 => Op::Credit(Credit {
            account,
            amount: MicroCredits::new(pick(rng, &[-1, 0, 9_000_000, i64::MAX])),
            reference: format!("payment-{}", rng.u8(..9)),
            at_ms: 4,
        }),
        4 | 5 => Op::Return(Returned { account, amount, slice }),
        6..10 => Op::Lease(Lease {
            wish: Wish {
                account,
                need: amount,
                want: MicroCredits::new(amount.get().max(100_000_000)),
                day,
                funded: true,
                requests: pick(rng, &[0, 0, 4, 32]),
                day_limit: pick(rng, &[None, Some(40)]),
                returned: if rng.bool() { slice } else { Slice::default() },
            },
        }),
        10 => Op::Probe,
        _ => Op::Settle(Box::new(settle(rng, account, key, day, amount))),
    }
}

fn settle(rng: &mut fastrand::Rng, account: AccountId, key: KeyId, day: u32, amount: MicroCredits) -> Settle {
    let charge = (rng.u8(..4) > 0).then(|| {
        // Every id has one owner and one idempotency key, as ids that are drawn have.
        let n = rng.u8(..200);
        let id = format!("gen-{account}-{n}");
        let idempotency = n.is_multiple_of(3).then_some([n % 4; 32]);
        Charge {
            id,
            amount,
            absorbed: MicroCredits::ZERO,
            usage: Usage { prompt_tokens: 3, completion_tokens: 4, ..Usage::default() },
            source: UsageSource::Estimated,
            ended: Ended::Complete,
            reason: None,
            model: "model".to_owned(),
            provider: "provider".to_owned(),
            streamed: false,
            created_ms: 10,
            first_token_ms: None,
            took_ms: 1,
            idempotency: idempotency.map(|key| Idempotency { key, body: key, expires_ms: 1_000_000 }),
        }
    });
    Settle { account, key, day, charge }
}
