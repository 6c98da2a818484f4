//! An account to try things on, and short words for what is tried.

use crate::accounts::{AccountId, ApiKey, Grant, KeyId, Slice, Wish};
use crate::money::MicroCredits;
use crate::protocol::usage::{Usage, UsageSource};
use crate::store::{
    Charge, Ended, Idempotency, Lease, NewAccount, NewKey, Op, Outcome, Reader, Returned, Settle, Settled,
    Store, Verification, Writer,
};

/// A store with an account of 1,000 credits.
pub(in crate::store) struct Desk<'s> {
    pub(in crate::store) store: &'s dyn Store,
    pub(in crate::store) writer: Box<dyn Writer>,
    pub(in crate::store) account: AccountId,
    pub(in crate::store) key: KeyId,
}

pub(in crate::store) const GRANT: i64 = 1_000_000_000;
pub(in crate::store) const DAY: u32 = 20_000;
pub(in crate::store) const NOW: u64 = DAY as u64 * 86_400_000;

pub(in crate::store) fn ucr(amount: i64) -> MicroCredits {
    MicroCredits::new(amount)
}

pub(in crate::store) fn new_account(id: u64, grant: i64) -> NewAccount {
    let account = AccountId::from_random(id);
    let key = new_key(id, account);
    NewAccount { id: account, name: None, reference: None, grant: ucr(grant), key: Some(key), at_ms: NOW }
}

pub(in crate::store) fn secret(id: u64) -> ApiKey {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&id.to_be_bytes());
    ApiKey::from_random(&bytes)
}

pub(in crate::store) fn new_key(id: u64, account: AccountId) -> NewKey {
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

pub(in crate::store) fn charge(id: &str, amount: i64) -> Charge {
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
    pub(in crate::store) fn new(store: &'s dyn Store) -> Self {
        Self::named(store, 1)
    }

    /// Another account, and another process.
    pub(in crate::store) fn named(store: &'s dyn Store, id: u64) -> Self {
        let mut writer = store.writer().expect("a writer");
        let new = new_account(id, GRANT);
        let (account, key) = (new.id, new.key.as_ref().expect("it has one").id);
        writer.apply(&[Op::CreateAccount(Box::new(new))]).expect("it is opened");
        Self { store, writer, account, key }
    }

    pub(in crate::store) fn reader(&self) -> Box<dyn Reader> {
        self.store.reader().expect("a reader")
    }

    pub(in crate::store) fn one(&mut self, op: Op) -> Outcome {
        one(self.writer.as_mut(), op)
    }

    pub(in crate::store) fn lease(&mut self, need: i64, want: i64) -> Grant {
        let wish = Wish { need: ucr(need), want: ucr(want), ..self.wish() };
        granted(self.one(Op::Lease(Lease { wish })))
    }

    pub(in crate::store) fn wish(&self) -> Wish {
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

    /// Asks for requests of a day only.
    pub(in crate::store) fn requests(&mut self, day: u32, requests: u32, day_limit: Option<u32>) -> Grant {
        let wish = Wish { day, requests, day_limit, ..self.wish() };
        granted(self.one(Op::Lease(Lease { wish })))
    }

    pub(in crate::store) fn give_back(&mut self, amount: i64, day: u32, left: u32) -> Outcome {
        let slice = Slice { day, funded: false, left };
        self.one(Op::Return(Returned { account: self.account, amount: ucr(amount), slice }))
    }

    pub(in crate::store) fn settle(&self, charge: Option<Charge>) -> Op {
        Op::Settle(Box::new(Settle { account: self.account, key: self.key, day: DAY, charge }))
    }

    pub(in crate::store) fn charge(&mut self, charge: Charge) -> Settled {
        let op = self.settle(Some(charge));
        settled(self.one(op))
    }

    /// As it comes from another process.
    pub(in crate::store) fn beside(&self) -> Self {
        let writer = self.store.writer().expect("a second writer");
        Self { store: self.store, writer, account: self.account, key: self.key }
    }

    /// Balance, leased, credited, and requests of the day.
    pub(in crate::store) fn figures(&self) -> (i64, i64, i64, (u32, u32)) {
        let account = self.reader().account(self.account).expect("it reads").expect("it is there");
        (account.balance.get(), account.leased.get(), account.credited.get(), account.day)
    }

    /// Everything adds up.
    #[track_caller]
    pub(in crate::store) fn verify(&self) -> Verification {
        let verification = self.reader().verify(&mut |_| {}).expect("it reads");
        assert_eq!(verification.discrepancies, []);
        verification
    }
}

pub(in crate::store) fn one(writer: &mut dyn Writer, op: Op) -> Outcome {
    writer.apply(&[op]).expect("it is applied").remove(0)
}

#[track_caller]
pub(in crate::store) fn granted(outcome: Outcome) -> Grant {
    match outcome {
        Outcome::Granted(grant) => grant,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
pub(in crate::store) fn settled(outcome: Outcome) -> Settled {
    match outcome {
        Outcome::Settled(settled) => settled,
        other => panic!("{other:?}"),
    }
}

/// With an idempotency key that is remembered for a minute after the charge.
pub(in crate::store) fn with_key(key: u8, charge: Charge) -> Charge {
    let expires_ms = charge.created_ms + 60_000;
    Charge { idempotency: Some(Idempotency { key: [key; 32], body: [9; 32], expires_ms }), ..charge }
}
