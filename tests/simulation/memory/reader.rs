//! Looking things up, as far as the simulation does.

use super::{Line, Memory};
use freeway::accounts::{AccountId, KeyHash, KeyId, KnownKey};
use freeway::money::MicroCredits;
use freeway::store::{
    AccountRecord, ActivityRow, Entry, Generation, KeyRecord, Reader, Receipt, StoreError, Verification,
};

impl Reader for Memory {
    fn key(&mut self, hash: &KeyHash, now_ms: u64) -> Result<Option<KnownKey>, StoreError> {
        let state = self.state();
        let key = state.keys.values().find(|(key, known)| {
            let valid = key.revoked_ms.is_none() && key.expires_ms.is_none_or(|end| end > now_ms);
            known == hash.as_bytes() && valid
        });
        Ok(key.map(|(key, _)| KnownKey {
            key: key.id,
            account: key.account,
            balance: state.accounts[&key.account].balance,
            expires_ms: key.expires_ms,
            cap: key.cap,
            spent: key.spent,
        }))
    }

    fn revision(&mut self) -> Result<u64, StoreError> {
        Ok(self.state().revision)
    }

    fn account(&mut self, account: AccountId) -> Result<Option<AccountRecord>, StoreError> {
        Ok(self.state().accounts.get(&account).cloned())
    }

    fn accounts(&mut self, _: Option<AccountId>, _: usize) -> Result<Vec<AccountRecord>, StoreError> {
        Ok(self.state().accounts.values().cloned().collect())
    }

    fn keys(&mut self, account: AccountId) -> Result<Vec<KeyRecord>, StoreError> {
        let state = self.state();
        let keys = state.keys.values().filter(|(key, _)| key.account == account);
        Ok(keys.map(|(key, _)| key.clone()).collect())
    }

    /// Latest first, without the answers.
    fn entries(&mut self, account: AccountId, _: Option<i64>, _: usize) -> Result<Vec<Entry>, StoreError> {
        let state = self.state();
        let lines = state.ledger.iter().enumerate().rev().filter(|(_, line)| line.account == account);
        let entry = |(at, line): (usize, &Line)| Entry {
            sequence: at as i64,
            id: line.id.trim_start_matches("topup:").to_owned(),
            kind: line.kind,
            amount: MicroCredits::new(line.amount),
            balance: MicroCredits::new(line.balance),
            at_ms: 0,
            generation: None,
        };
        Ok(lines.map(entry).collect())
    }

    fn generation(&mut self, _: AccountId, _: &str) -> Result<Option<Generation>, StoreError> {
        Err(not_simulated())
    }

    fn activity(&mut self, _: AccountId, _: u64, _: u64) -> Result<Vec<ActivityRow>, StoreError> {
        Err(not_simulated())
    }

    fn account_by_reference(&mut self, _: &str) -> Result<Option<AccountRecord>, StoreError> {
        Err(not_simulated())
    }

    fn spent_by_key(
        &mut self,
        _: AccountId,
        _: [u64; 3],
    ) -> Result<Vec<(KeyId, [MicroCredits; 3])>, StoreError> {
        Err(not_simulated())
    }

    fn receipt(&mut self, _: AccountId, _: &[u8; 32], _: u64) -> Result<Option<Receipt>, StoreError> {
        Err(not_simulated())
    }

    /// The checks after each step say more.
    fn verify(&mut self, _: &mut dyn FnMut(u64)) -> Result<Verification, StoreError> {
        Ok(Verification::default())
    }
}

fn not_simulated() -> StoreError {
    StoreError::Failed("not simulated".to_owned())
}
