//! Keys as they are shown: in our own words under `/v1`, in OpenRouter's under `/api/v1`.

use super::amount::{Credits, Usd};
use super::dates;
use super::{Answer, Data, Reply};
use crate::accounts::{ApiKey, KeyId};
use crate::money::MicroCredits;
use crate::protocol::Dialect;
use crate::store::{KeyRecord, NewKey};
use serde::Serialize;

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

/// Keys, in the words of a dialect.
pub(super) fn list_in(dialect: Dialect, keys: &[KeyRecord], periods: &Periods, now_ms: u64) -> Answer {
    match dialect {
        Dialect::OpenAi => list(keys),
        Dialect::OpenRouter => {
            let row = |key| OpenRouterKey::new(key, periods, now_ms);
            Reply::json(200, &Data { data: keys.iter().map(row).collect::<Vec<_>>() })
        }
    }
}

/// One key, in the words of a dialect.
pub(super) fn one_in(dialect: Dialect, key: &KeyRecord, periods: &Periods, now_ms: u64) -> Answer {
    match dialect {
        Dialect::OpenAi => Reply::json(200, &KeyView::new(key)),
        Dialect::OpenRouter => Reply::json(200, &Data { data: OpenRouterKey::new(key, periods, now_ms) }),
    }
}

/// A new key, in the words of a dialect.
pub(super) fn created_in(dialect: Dialect, key: &ApiKey, record: &KeyRecord, now_ms: u64) -> Answer {
    match dialect {
        Dialect::OpenAi => created(key, record),
        Dialect::OpenRouter => {
            let data = OpenRouterKey::new(record, &Vec::new(), now_ms);
            Reply::json(201, &CreatedOpenRouter { data, key: key.reveal() })
        }
    }
}

/// A key is gone, in the words of a dialect.
pub(super) fn deleted_in(dialect: Dialect, id: KeyId) -> Answer {
    match dialect {
        Dialect::OpenAi => deleted(id),
        Dialect::OpenRouter => Reply::json(200, &DeletedOpenRouter { deleted: true }),
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

/// Whether it is revoked or has ended.
pub(super) fn is_over(key: &KeyRecord, now_ms: u64) -> bool {
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
