//! What every store has to do, as tests of any.

use super::{
    Charge, Credit, Ended, Idempotency, Lease, NewAccount, NewKey, Op, Outcome, Reader, Refusal, Returned,
    Settle, Settled, Store, Verification, Writer,
};
use crate::accounts::{AccountId, ApiKey, Grant, KeyHash, KeyId, Slice, Wish};
use crate::money::MicroCredits;
use crate::protocol::usage::{Usage, UsageSource};

/// A store with an account of 1,000 credits.
pub(super) struct Desk<'s> {
    pub(super) store: &'s dyn Store,
    pub(super) writer: Box<dyn Writer>,
    pub(super) account: AccountId,
    pub(super) key: KeyId,
}

pub(super) const GRANT: i64 = 1_000_000_000;
pub(super) const DAY: u32 = 20_000;
pub(super) const NOW: u64 = DAY as u64 * 86_400_000;

pub(super) fn ucr(amount: i64) -> MicroCredits {
    MicroCredits::new(amount)
}

pub(super) fn new_account(id: u64, grant: i64) -> NewAccount {
    let account = AccountId::from_random(id);
    let key = new_key(id, account);
    NewAccount { id: account, name: None, reference: None, grant: ucr(grant), key: Some(key), at_ms: NOW }
}

pub(super) fn secret(id: u64) -> ApiKey {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&id.to_be_bytes());
    ApiKey::from_random(&bytes)
}

pub(super) fn new_key(id: u64, account: AccountId) -> NewKey {
    let key = secret(id);
    NewKey {
        id: KeyId::from_random(id),
        account,
        hash: key.hash(),
        hint: key.hint(),
        name: None,
        cap: None,
        expires_ms: None,
        at_ms: NOW,
    }
}

pub(super) fn charge(id: &str, amount: i64) -> Charge {
    Charge {
        id: id.to_owned(),
        amount: ucr(amount),
        absorbed: MicroCredits::ZERO,
        usage: Usage { prompt_tokens: 14, completion_tokens: 3, cached_tokens: 2, reasoning_tokens: 1 },
        source: UsageSource::Reported,
        ended: Ended::Complete,
        reason: Some("stop"),
        model: "m".to_owned(),
        provider: "p".to_owned(),
        streamed: true,
        created_ms: NOW,
        first_token_ms: Some(5),
        took_ms: 20,
        idempotency: None,
    }
}

impl<'s> Desk<'s> {
    pub(super) fn new(store: &'s dyn Store) -> Self {
        let mut writer = store.writer().expect("a writer");
        let new = new_account(1, GRANT);
        let (account, key) = (new.id, new.key.as_ref().expect("it has one").id);
        writer.apply(&[Op::CreateAccount(Box::new(new))]).expect("it is opened");
        Self { store, writer, account, key }
    }

    pub(super) fn reader(&self) -> Box<dyn Reader> {
        self.store.reader().expect("a reader")
    }

    pub(super) fn one(&mut self, op: Op) -> Outcome {
        one(self.writer.as_mut(), op)
    }

    pub(super) fn lease(&mut self, need: i64, want: i64) -> Grant {
        let wish = Wish { need: ucr(need), want: ucr(want), ..self.wish() };
        granted(self.one(Op::Lease(Lease { wish })))
    }

    pub(super) fn wish(&self) -> Wish {
        Wish {
            account: self.account,
            need: MicroCredits::ZERO,
            want: MicroCredits::ZERO,
            day: DAY,
            funded: false,
            requests: 0,
            day_limit: None,
            returned: Slice::default(),
        }
    }

    pub(super) fn settle(&self, charge: Option<Charge>) -> Op {
        Op::Settle(Box::new(Settle { account: self.account, key: self.key, day: DAY, charge }))
    }

    pub(super) fn charge(&mut self, charge: Charge) -> Settled {
        let op = self.settle(Some(charge));
        settled(self.one(op))
    }

    /// Balance, leased, credited, and requests of the day.
    pub(super) fn figures(&self) -> (i64, i64, i64, (u32, u32)) {
        let account = self.reader().account(self.account).expect("it reads").expect("it is there");
        (account.balance.get(), account.leased.get(), account.credited.get(), account.day)
    }

    /// Everything adds up.
    #[track_caller]
    pub(super) fn verify(&self) -> Verification {
        let verification = self.reader().verify(&mut |_| {}).expect("it reads");
        assert_eq!(verification.discrepancies, []);
        verification
    }
}

pub(super) fn one(writer: &mut dyn Writer, op: Op) -> Outcome {
    writer.apply(&[op]).expect("it is applied").remove(0)
}

#[track_caller]
pub(super) fn granted(outcome: Outcome) -> Grant {
    match outcome {
        Outcome::Granted(grant) => grant,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
pub(super) fn settled(outcome: Outcome) -> Settled {
    match outcome {
        Outcome::Settled(settled) => settled,
        other => panic!("{other:?}"),
    }
}

pub(super) fn a_charge_is_posted(desk: &mut Desk<'_>) {
    assert_eq!(desk.lease(5_000, 100_000_000).amount, ucr(100_000_000));
    let settled = desk.charge(charge("gen-1", 5_800));
    let expect =
        Settled { charged: ucr(5_800), balance: ucr(GRANT - 5_800), key_spent: ucr(5_800), replayed: false };
    assert_eq!(settled, expect);
    assert_eq!(desk.figures(), (GRANT - 5_800, 100_000_000 - 5_800, GRANT, (DAY, 0)));
    let found = desk.reader().generation(desk.account, "gen-1").expect("it reads").expect("it is there");
    assert_eq!((found.charged, found.key, found.ended), (ucr(5_800), desk.key, Ended::Complete));
    let verification = desk.verify();
    assert_eq!((verification.entries, verification.accounts), (2, 1));
    assert_eq!((verification.charged, verification.credited), (ucr(5_800), ucr(GRANT)));
    assert_eq!((verification.balances, verification.leased), (ucr(GRANT - 5_800), ucr(100_000_000 - 5_800)));
}
