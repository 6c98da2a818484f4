//! New ids and keys, from the system's random numbers.

use crate::accounts::{AccountId, ApiKey, KeyId};
use crate::money::MicroCredits;
use crate::protocol::errors::{ApiError, ErrorKind};
use crate::store::NewKey;

/// What is chosen for a new key.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) name: Option<String>,
    pub(crate) cap: Option<MicroCredits>,
    pub(crate) expires_ms: Option<u64>,
}

/// The system gives no random numbers.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no random numbers: {0}")]
pub(crate) struct NoRandomness(getrandom::Error);

impl From<NoRandomness> for Box<ApiError> {
    fn from(error: NoRandomness) -> Self {
        tracing::error!("{error}");
        Box::new(ApiError::new(ErrorKind::Internal, "no random numbers"))
    }
}

/// A new account's id.
pub(crate) fn account_id() -> Result<AccountId, NoRandomness> {
    getrandom::u64().map(AccountId::from_random).map_err(NoRandomness)
}

/// A new key of an account: as its owner sees it once, and as it is stored.
pub(crate) fn key(account: AccountId, wanted: Wanted, at_ms: u64) -> Result<(ApiKey, NewKey), NoRandomness> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(NoRandomness)?;
    let key = ApiKey::from_random(&bytes);
    let id = getrandom::u64().map(KeyId::from_random).map_err(NoRandomness)?;
    let Wanted { name, cap, expires_ms } = wanted;
    let (hash, hint) = (key.hash(), key.hint());
    Ok((key, NewKey { id, account, hash, hint, name, cap, expires_ms, at_ms }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_alike() {
        let account = account_id().expect("random");
        let made = || key(account, Wanted::default(), 1).expect("random");
        let ((a, new_a), (b, new_b)) = (made(), made());
        assert_ne!(a.reveal(), b.reveal());
        assert_ne!(new_a.id, new_b.id);
        assert_eq!(new_a.hash, a.hash());
        assert!(!format!("{new_a:?}").contains(a.reveal()), "the key itself is not stored");
    }
}
