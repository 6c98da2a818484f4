//! What is changed by hand: accounts, keys, payments.

use super::{SimKey, Summary, World, pick};
use freeway::accounts::{AccountId, ApiKey, KeyId};
use freeway::money::MicroCredits;
use freeway::store::{Credit, NewAccount, NewKey, Op, Outcome, StoreError};
use std::pin::pin;
use std::task::{Context, Waker};

impl World {
    pub(super) async fn populate(&mut self) {
        for n in 0..self.rng.i64(1..=3) {
            let account = AccountId::new(n + 1);
            let grant = pick(&mut self.rng, &[0, 30_000, 5_000_000, 60_000_000, 300_000_000, 1_000_000_000]);
            let new = NewAccount {
                id: account,
                name: None,
                reference: Some(format!("person-{n}")),
                grant: MicroCredits::new(grant),
                key: None,
                at_ms: self.now_ms,
            };
            self.account_ids.push(account);
            let op = Op::CreateAccount(Box::new(new));
            self.write(0, op).await.expect("nothing fails yet");
            for _ in 0..self.rng.usize(1..=2) {
                self.create_key(0, account).await;
            }
        }
    }

    pub(super) async fn pay(&mut self, at: usize) {
        let account = self.account_ids[self.rng.usize(..self.account_ids.len())];
        let again = !self.top_ups.is_empty() && self.rng.u8(..3) == 0;
        let reference = if again {
            let n = self.rng.usize(..self.top_ups.len());
            self.top_ups.keys().nth(n).expect("there are more").clone()
        } else {
            format!("payment-{}", self.top_ups.len())
        };
        let amount = pick(&mut self.rng, &[1, 4_000_000, 70_000_000, 1_500_000_000]);
        let (account, amount, _) = *self.top_ups.entry(reference.clone()).or_insert((account, amount, false));
        let credit = Credit {
            account,
            amount: MicroCredits::new(amount),
            reference: reference.clone(),
            at_ms: self.now_ms,
        };
        if let Ok(Outcome::Credited { .. }) = self.write(at, Op::Credit(credit)).await {
            self.top_ups.get_mut(&reference).expect("entered above").2 = true;
        }
    }

    pub(super) async fn change_keys(&mut self, at: usize) {
        let account = self.account_ids[self.rng.usize(..self.account_ids.len())];
        if self.rng.bool() {
            self.create_key(at, account).await;
        } else {
            let key = self.keys[self.rng.usize(..self.keys.len())].id;
            let _ = self.write(at, Op::RevokeKey { key, account: None, at_ms: self.now_ms }).await;
        }
    }

    pub(super) async fn create_key(&mut self, at: usize, account: AccountId) {
        let mut bytes = [0; 32];
        self.rng.fill(&mut bytes);
        let (key, id) = (ApiKey::from_random(&bytes), KeyId::new(self.keys.len() as i64 + 1));
        let cap = pick(&mut self.rng, &[None, None, Some(1_000_000), Some(20_000_000)]);
        let new = NewKey {
            id,
            account,
            hash: key.hash(),
            hint: key.hint(),
            name: None,
            cap: cap.map(MicroCredits::new),
            expires_ms: None,
            at_ms: self.now_ms,
        };
        self.keys.push(SimKey { id, account, key, has_cap: cap.is_some() });
        let _ = self.write(at, Op::CreateKey(Box::new(new))).await;
    }

    /// A change by hand, with what else is waiting.
    pub(super) async fn write(&mut self, at: usize, op: Op) -> Result<Outcome, StoreError> {
        let ledger = self.process(at).ledger.clone();
        self.note(format_args!("process {at} writes {op:?}"));
        let mut writing = pin!(ledger.write(op));
        let polled = writing.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending(), "its commit is still to come");
        // One at a time is written while commits fail.
        let mut summary = Summary::default();
        while self.process(at).writer.waiting() > 0 {
            self.writing = true;
            self.commit(at, &mut summary).expect("refusals are not judged now");
            self.writing = false;
        }
        writing.await
    }
}
