//! New ids and keys, from the system's random numbers.

use crate::accounts::{AccountId, ApiKey, KeyId};
use crate::money::MicroCredits;
use crate::protocol::errors::{ApiError, ErrorKind};
use crate::store::NewKey;

/// What is chosen for a new key.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub(super) name: Option<String>,
    pub(super) cap: Option<MicroCredits>,
    pub(super) expires_ms: Option<u64>,
}

/// A new account's id.
pub(super) fn account_id() -> Result<AccountId, Box<ApiError>> {
    getrandom::u64().map(AccountId::from_random).map_err(no_randomness)
}

/// A new key of an account: as its owner sees it once, and as it is stored.
pub(super) fn key(account: AccountId, wanted: Wanted, at_ms: u64) -> Result<(ApiKey, NewKey), Box<ApiError>> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(no_randomness)?;
    let key = ApiKey::from_random(&bytes);
    let id = getrandom::u64().map(KeyId::from_random).map_err(no_randomness)?;
    let Wanted { name, cap, expires_ms } = wanted;
    let (hash, hint) = (key.hash(), key.hint());
    Ok((key, NewKey { id, account, hash, hint, name, cap, expires_ms, at_ms }))
}

fn no_randomness(error: getrandom::Error) -> Box<ApiError> {
    tracing::error!(%error, "the system gives no random numbers");
    Box::new(ApiError::new(ErrorKind::Internal, "no random numbers"))
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
