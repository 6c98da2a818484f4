//! The keys of an account: made, listed, looked at, revoked.

use super::amount::{Credits, Usd};
use super::dates;
use super::fields::{Fields, invalid};
use super::query::Query;
use super::secrets::{self, Wanted};
use super::{Answer, Data, Desk, Reply, not_found, unexpected};
use crate::accounts::{AccountId, ApiKey, Caller, KeyId};
use crate::limits::Key;
use crate::money::MicroCredits;
use crate::protocol::Dialect;
use crate::protocol::errors::{ApiError, ErrorKind};
use crate::store::{KeyRecord, NewKey, Op, Outcome, Refusal};
use serde::Serialize;

/// Keys an account may make within 24 hours: revoked ones stay in the store.
const KEYS_A_DAY: u32 = 100;

/// A key in our own words.
#[derive(Serialize)]
pub(super) struct KeyView<'a> {
    object: &'static str,
    id: String,
    name: Option<&'a str>,
    hint: &'a str,
    created_at: u64,
    expires_at: Option<u64>,
    revoked_at: Option<u64>,
    limit_credits: Option<Credits>,
    limit_remaining_credits: Option<Credits>,
    spent_credits: Credits,
}

/// A key in OpenRouter's.
#[derive(Serialize)]
struct OpenRouterKey<'a> {
    hash: String,
    name: &'a str,
    label: &'a str,
    disabled: bool,
    limit: Option<Usd>,
    limit_remaining: Option<Usd>,
    limit_reset: Option<()>,
    include_byok_in_limit: bool,
    #[serde(flatten)]
    usage: KeyUsage,
    created_at: String,
    updated_at: Option<String>,
    expires_at: Option<String>,
    creator_user_id: String,
    workspace_id: String,
    external_user: Option<()>,
}

/// What a key has spent.
#[derive(Clone, Copy, Serialize)]
pub(super) struct KeyUsage {
    usage: Usd,
    usage_daily: Usd,
    usage_weekly: Usd,
    usage_monthly: Usd,
    byok_usage: u8,
    byok_usage_daily: u8,
    byok_usage_weekly: u8,
    byok_usage_monthly: u8,
}

/// A key at the only time it is shown whole.
#[derive(Serialize)]
pub(super) struct ShownKey<'a> {
    object: &'static str,
    id: String,
    key: &'a str,
    hint: &'a str,
}

#[derive(Serialize)]
struct Created<'a> {
    #[serde(flatten)]
    view: KeyView<'a>,
    key: &'a str,
}

#[derive(Serialize)]
struct CreatedOpenRouter<'a> {
    data: OpenRouterKey<'a>,
    key: &'a str,
}

#[derive(Serialize)]
struct List<T> {
    object: &'static str,
    data: Vec<T>,
}

#[derive(Serialize)]
struct Deleted {
    object: &'static str,
    id: String,
    deleted: bool,
}

#[derive(Serialize)]
struct DeletedOpenRouter {
    deleted: bool,
}

/// What the keys of an account have spent today, this week and this month.
pub(super) type Periods = Vec<(KeyId, [MicroCredits; 3])>;

impl Desk<'_> {
    pub(super) async fn list_keys(self, caller: &Caller) -> Answer {
        may_manage(caller)?;
        let mut query = Query::read(self.call.query)?;
        let all = flag(&mut query, "include_disabled")?;
        query.end()?;
        let account = caller.wallet.account();
        let (mut keys, periods) = self.keys_of(account).await?;
        keys.retain(|key| all || !is_over(key, self.call.now_ms));
        match self.call.dialect {
            Dialect::OpenAi => {
                Reply::json(200, &List { object: "list", data: keys.iter().map(KeyView::new).collect() })
            }
            Dialect::OpenRouter => {
                let row = |key| OpenRouterKey::new(key, &periods, self.call.now_ms);
                Reply::json(200, &Data { data: keys.iter().map(row).collect::<Vec<_>>() })
            }
        }
    }

    pub(super) async fn show_key(self, caller: &Caller, id: &str) -> Answer {
        may_manage(caller)?;
        Query::read(self.call.query)?.end()?;
        let id: KeyId = id.parse().map_err(|_| no_key())?;
        let (keys, periods) = self.keys_of(caller.wallet.account()).await?;
        let key = keys.iter().find(|key| key.id == id).ok_or_else(no_key)?;
        match self.call.dialect {
            Dialect::OpenAi => Reply::json(200, &KeyView::new(key)),
            Dialect::OpenRouter => {
                Reply::json(200, &Data { data: OpenRouterKey::new(key, &periods, self.call.now_ms) })
            }
        }
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
        self.api.new_keys.admit(Key::Account(account), KEYS_A_DAY, self.call.now_ms).map_err(|over| {
            let words = format!("{KEYS_A_DAY} keys were made within 24 hours; that is all");
            let seconds = u32::try_from(over.wait_ms.div_ceil(1000)).unwrap_or(u32::MAX);
            Box::new(ApiError::new(ErrorKind::QuotaExceeded, words).retry_after_s(seconds))
        })?;
        let (key, record) = self.make_key(account, wanted).await?;
        match self.call.dialect {
            Dialect::OpenAi => created(&key, &record),
            Dialect::OpenRouter => {
                let data = OpenRouterKey::new(&record, &Vec::new(), self.call.now_ms);
                Reply::json(201, &CreatedOpenRouter { data, key: key.reveal() })
            }
        }
    }

    pub(super) async fn revoke_key(self, caller: &Caller, id: &str) -> Answer {
        may_manage(caller)?;
        let id = self.revoke(id, Some(caller.wallet.account())).await?;
        match self.call.dialect {
            Dialect::OpenAi => deleted(id),
            Dialect::OpenRouter => Reply::json(200, &DeletedOpenRouter { deleted: true }),
        }
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

/// A key in our own words, with the key itself.
pub(super) fn created(key: &ApiKey, record: &KeyRecord) -> Answer {
    Reply::json(201, &Created { view: KeyView::new(record), key: key.reveal() })
}

/// A key is gone, in our own words.
pub(super) fn deleted(id: KeyId) -> Answer {
    Reply::json(200, &Deleted { object: "api_key.deleted", id: id.to_string(), deleted: true })
}

/// Keys in our own words.
pub(super) fn list(keys: &[KeyRecord]) -> Answer {
    Reply::json(200, &List { object: "list", data: keys.iter().map(KeyView::new).collect() })
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

fn is_over(key: &KeyRecord, now_ms: u64) -> bool {
    key.revoked_ms.is_some() || key.expires_ms.is_some_and(|end| end <= now_ms)
}

/// What may still be spent of a limit.
pub(super) fn remaining(key: &KeyRecord) -> Option<MicroCredits> {
    key.cap.map(|cap| cap.checked_sub(key.spent).unwrap_or_default().max(MicroCredits::ZERO))
}

impl<'a> KeyView<'a> {
    pub(super) fn new(key: &'a KeyRecord) -> Self {
        Self {
            object: "api_key",
            id: key.id.to_string(),
            name: key.name.as_deref(),
            hint: &key.hint,
            created_at: key.created_ms / 1000,
            expires_at: key.expires_ms.map(|ms| ms / 1000),
            revoked_at: key.revoked_ms.map(|ms| ms / 1000),
            limit_credits: key.cap.map(Credits),
            limit_remaining_credits: remaining(key).map(Credits),
            spent_credits: Credits(key.spent),
        }
    }
}

impl<'a> OpenRouterKey<'a> {
    fn new(key: &'a KeyRecord, periods: &Periods, now_ms: u64) -> Self {
        Self {
            hash: key.id.to_string(),
            name: key.name.as_deref().unwrap_or(&key.hint),
            label: &key.hint,
            disabled: is_over(key, now_ms),
            limit: key.cap.map(Usd),
            limit_remaining: remaining(key).map(Usd),
            limit_reset: None,
            include_byok_in_limit: false,
            usage: KeyUsage::new(key, periods),
            created_at: dates::rfc3339(key.created_ms),
            updated_at: key.revoked_ms.map(dates::rfc3339),
            expires_at: key.expires_ms.map(dates::rfc3339),
            creator_user_id: key.account.to_string(),
            workspace_id: key.account.to_string(),
            external_user: None,
        }
    }
}

impl KeyUsage {
    pub(super) fn new(key: &KeyRecord, periods: &Periods) -> Self {
        let [day, week, month] =
            periods.iter().find(|(id, _)| *id == key.id).map_or([MicroCredits::ZERO; 3], |(_, sums)| *sums);
        Self {
            usage: Usd(key.spent),
            usage_daily: Usd(day),
            usage_weekly: Usd(week),
            usage_monthly: Usd(month),
            byok_usage: 0,
            byok_usage_daily: 0,
            byok_usage_weekly: 0,
            byok_usage_monthly: 0,
        }
    }
}

impl<'a> ShownKey<'a> {
    pub(super) fn new(key: &'a ApiKey, made: &'a NewKey) -> Self {
        Self { object: "api_key", id: made.id.to_string(), key: key.reveal(), hint: &made.hint }
    }
}
