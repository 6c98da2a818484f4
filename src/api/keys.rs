//! The keys of an account: made, listed, looked at, revoked.

use super::dates;
use super::fields::{Fields, invalid};
use super::key_views::{self, Periods, is_over};
use super::query::Query;
use super::secrets::{self, Wanted};
use super::{Answer, Desk, not_found, too_often, unexpected};
use crate::accounts::{AccountId, ApiKey, Caller, KeyId};
use crate::limits::Key;
use crate::money::MicroCredits;
use crate::protocol::Dialect;
use crate::protocol::errors::{ApiError, ErrorKind};
use crate::store::{KeyRecord, Op, Outcome, Refusal};

/// Keys an account may make within 24 hours: revoked ones stay in the store.
const KEYS_A_DAY: u32 = 100;

impl Desk<'_> {
    pub(super) async fn list_keys(self, caller: &Caller) -> Answer {
        may_manage(caller)?;
        let mut query = Query::read(self.call.query)?;
        let all = flag(&mut query, "include_disabled")?;
        query.end()?;
        let account = caller.wallet.account();
        let (mut keys, periods) = self.keys_of(account).await?;
        keys.retain(|key| all || !is_over(key, self.call.now_ms));
        key_views::list_in(self.call.dialect, &keys, &periods, self.call.now_ms)
    }

    pub(super) async fn show_key(self, caller: &Caller, id: &str) -> Answer {
        may_manage(caller)?;
        Query::read(self.call.query)?.end()?;
        let id: KeyId = id.parse().map_err(|_| no_key())?;
        let (keys, periods) = self.keys_of(caller.wallet.account()).await?;
        let key = keys.iter().find(|key| key.id == id).ok_or_else(no_key)?;
        key_views::one_in(self.call.dialect, key, &periods, self.call.now_ms)
    }

    pub(super) async fn create_key(self, caller: &Caller) -> Answer {
        may_manage(caller)?;
        let mut fields = Fields::read(self.call.body)?;
        let cap = match self.call.dialect {
            Dialect::OpenAi => fields.credits("limit_credits")?,
            Dialect::OpenRouter => {
                fields.ignore("include_byok_in_limit");
                fields.usd("limit")?
            }
        };
        let wanted = self.wanted_key(fields, cap)?;
        let account = caller.wallet.account();
        self.check_writable()?;
        self.api.new_keys.admit(Key::Account(account), KEYS_A_DAY, self.call.now_ms).map_err(|over| {
            too_often(&over, format!("{KEYS_A_DAY} keys were made within 24 hours; that is all"))
        })?;
        let (key, record) = self.make_key(account, wanted).await?;
        key_views::created_in(self.call.dialect, &key, &record, self.call.now_ms)
    }

    pub(super) async fn revoke_key(self, caller: &Caller, id: &str) -> Answer {
        may_manage(caller)?;
        let id = self.revoke(id, Some(caller.wallet.account())).await?;
        key_views::deleted_in(self.call.dialect, id)
    }

    /// Name and expiry, which all bodies spell the same, and nothing else.
    pub(super) fn wanted_key(
        self,
        mut fields: Fields,
        cap: Option<MicroCredits>,
    ) -> Result<Wanted, Box<ApiError>> {
        let name = fields.name("name")?;
        let expires_ms = fields.moment_ms("expires_at")?;
        if expires_ms.is_some_and(|end| end <= self.call.now_ms) {
            return Err(invalid("expires_at", "must be in the future"));
        }
        fields.end()?;
        Ok(Wanted { name, cap, expires_ms })
    }

    pub(super) async fn make_key(
        self,
        account: AccountId,
        wanted: Wanted,
    ) -> Result<(ApiKey, KeyRecord), Box<ApiError>> {
        let (key, new) = secrets::key(account, wanted, self.call.now_ms)?;
        match self.change(Op::CreateKey(Box::new(new))).await? {
            Outcome::Key(record) => Ok((key, record)),
            Outcome::Refused(Refusal::NoAccount) => Err(not_found("there is no such account")),
            _ => Err(unexpected()),
        }
    }

    pub(super) async fn revoke(self, id: &str, account: Option<AccountId>) -> Result<KeyId, Box<ApiError>> {
        let key: KeyId = id.parse().map_err(|_| no_key())?;
        match self.change(Op::RevokeKey { key, account, at_ms: self.call.now_ms }).await? {
            Outcome::Done => Ok(key),
            Outcome::Refused(_) => Err(no_key()),
            _ => Err(unexpected()),
        }
    }

    /// All keys of an account, and what each has spent lately.
    pub(super) async fn keys_of(
        self,
        account: AccountId,
    ) -> Result<(Vec<KeyRecord>, Periods), Box<ApiError>> {
        let since = dates::periods_ms(self.today());
        self.look(move |reader| Ok((reader.keys(account)?, reader.spent_by_key(account, since)?))).await
    }
}

/// A key that is limited could otherwise make itself one that is not.
fn may_manage(caller: &Caller) -> Result<(), Box<ApiError>> {
    if caller.budget.room().is_none() && caller.expires_ms.is_none() {
        return Ok(());
    }
    let words =
        "a key with a limit or an expiry cannot manage keys; use one of the account's that has neither";
    Err(Box::new(ApiError::new(ErrorKind::PermissionDenied, words)))
}

fn no_key() -> Box<ApiError> {
    not_found("there is no such key")
}

fn flag(query: &mut Query, name: &str) -> Result<bool, Box<ApiError>> {
    match query.take(name)?.as_deref() {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(invalid(name, "must be true or false")),
    }
}
