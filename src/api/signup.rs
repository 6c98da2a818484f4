//! Signing up: an account, its grant and its first key, to whoever asks, within bounds.

use super::amount::Credits;
use super::fields::{Fields, invalid};
use super::key_views::ShownKey;
use super::secrets::{self, Wanted};
use super::{Answer, Desk, Reply, too_often, unexpected};
use crate::accounts::ApiKey;
use crate::limits::Key;
use crate::protocol::errors::{ApiError, ErrorKind};
use crate::store::{AccountRecord, NewAccount, NewKey, Op, Outcome};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::net::IpAddr;

/// Longest `Idempotency-Key`, bytes.
const LONGEST_IDEMPOTENCY_KEY: usize = 255;
/// References of accounts their owners opened begin so; the operator's do not.
pub(super) const REFERENCE_PREFIX: &str = "signup:";

/// Who signs up.
#[derive(Clone, Copy, Debug)]
pub struct Applicant<'a> {
    /// From where.
    pub address: IpAddr,
    /// The `Idempotency-Key` header.
    pub idempotency_key: Option<&'a [u8]>,
}

/// An account that was opened, with its first key.
#[derive(Serialize)]
pub(super) struct Opened<'a> {
    object: &'static str,
    id: String,
    name: Option<&'a str>,
    created_at: u64,
    balance_credits: Credits,
    key: ShownKey<'a>,
}

/// What a repeated call is told.
#[derive(Serialize)]
pub(super) struct Known {
    object: &'static str,
    id: String,
    key: Option<()>,
    message: &'static str,
}

impl Desk<'_> {
    pub(super) async fn sign_up(self, applicant: Applicant<'_>) -> Answer {
        let limit = self.ledger.rules().signups_per_day.filter(|limit| *limit > 0).ok_or_else(|| {
            let words = "signing up is switched off here; ask the operator for an account";
            Box::new(ApiError::new(ErrorKind::PermissionDenied, words))
        })?;
        let mut fields = Fields::read(self.call.body)?;
        let name = fields.name("name")?;
        fields.end()?;
        let reference = applicant.idempotency_key.map(|key| reference(applicant.address, key)).transpose()?;
        if let Some(reference) = reference.clone()
            && let Some(account) = self.look(move |reader| reader.account_by_reference(&reference)).await?
        {
            return known(&account);
        }
        let network = Key::network(applicant.address);
        self.check_writable()?;
        self.api.signups.admit(network, limit, self.call.now_ms).map_err(|over| {
            let words =
                format!("{limit} accounts were opened from this network within 24 hours; that is all");
            too_often(&over, words)
        })?;
        let grant = self.ledger.rules().grant;
        self.open(NewAccountWish { name, reference, grant }).await
    }

    /// Opens an account with its first key, unless its reference is known.
    pub(super) async fn open(self, wish: NewAccountWish) -> Answer {
        let id = secrets::account_id()?;
        let at_ms = self.call.now_ms;
        let (key, new_key) = secrets::key(id, Wanted::default(), at_ms)?;
        let NewAccountWish { name, reference, grant } = wish;
        let account = NewAccount { id, name, reference, grant, key: Some(new_key.clone()), at_ms };
        match self.change(Op::CreateAccount(Box::new(account))).await? {
            Outcome::Account { account, new: true } => opened(&account, &key, &new_key),
            Outcome::Account { account, new: false } => known(&account),
            _ => Err(unexpected()),
        }
    }
}

/// What a new account is to have.
pub(super) struct NewAccountWish {
    pub(super) name: Option<String>,
    pub(super) reference: Option<String>,
    pub(super) grant: crate::money::MicroCredits,
}

/// The header names an account only together with the address it came from: others may choose the same one.
fn reference(address: IpAddr, key: &[u8]) -> Result<String, Box<ApiError>> {
    if !(1..=LONGEST_IDEMPOTENCY_KEY).contains(&key.len()) {
        let words = format!("must have 1 to {LONGEST_IDEMPOTENCY_KEY} bytes");
        return Err(invalid("Idempotency-Key", words));
    }
    let hash =
        Sha256::new().chain_update(address.to_canonical().to_string()).chain_update([0]).chain_update(key);
    let mut reference = REFERENCE_PREFIX.to_owned();
    for byte in hash.finalize() {
        // Writing to a string cannot fail.
        let _ = write!(reference, "{byte:02x}");
    }
    Ok(reference)
}

fn opened(account: &AccountRecord, key: &ApiKey, made: &NewKey) -> Answer {
    let opened = Opened {
        object: "account",
        id: account.id.to_string(),
        name: account.name.as_deref(),
        created_at: account.created_ms / 1000,
        balance_credits: Credits(account.balance),
        key: ShownKey::new(key, made),
    };
    Reply::json(201, &opened)
}

fn known(account: &AccountRecord) -> Answer {
    let known = Known {
        object: "account",
        id: account.id.to_string(),
        key: None,
        message: "this account was opened by an earlier call, and its key was shown then; \
                  nothing was done now",
    };
    Reply::json(200, &known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_hides_the_header_and_belongs_to_an_address() {
        let of = |address: &str, key: &str| reference(address.parse().expect("an address"), key.as_bytes());
        let one = of("10.0.0.1", "k").expect("short");
        assert_eq!(one.len(), "signup:".len() + 64);
        assert_eq!(of("::ffff:10.0.0.1", "k").expect("short"), one, "the same address");
        assert_ne!(of("10.0.0.2", "k").expect("short"), one);
        assert_ne!(of("10.0.0.1", "l").expect("short"), one);
        assert!(of("10.0.0.1", &"k".repeat(256)).is_err() && of("10.0.0.1", "").is_err());
    }
}
