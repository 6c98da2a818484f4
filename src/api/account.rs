//! An account as its owner sees it: balance, limits, the key in use.

use super::amount::{Credits, Usd};
use super::dates;
use super::key_views::{KeyUsage, remaining};
use super::query::Query;
use super::{Answer, Data, Desk, Reply, not_found};
use crate::accounts::{Caller, Tiers, Wallet};
use crate::protocol::errors::ApiError;
use crate::store::{AccountRecord, KeyRecord};
use serde::Serialize;

/// OpenRouter's keys must have this text.
const RATE_LIMIT_NOTE: &str = "This field is deprecated and safe to ignore.";
/// What stands for "no limit" where only a whole number may stand.
const UNLIMITED: i64 = -1;

/// An account.
#[derive(Serialize)]
pub(super) struct AccountView {
    object: &'static str,
    id: String,
    name: Option<String>,
    created_at: u64,
    balance_credits: Credits,
    balance_usd: Usd,
    credited_credits: Credits,
    spent_credits: Credits,
    tier: &'static str,
    limits: LimitsView,
}

/// What an account may use.
#[derive(Serialize)]
struct LimitsView {
    requests_per_minute: Option<u32>,
    /// What the minute's requests are counted by.
    per_minute_of: &'static str,
    requests_per_day: Option<u32>,
    requests_today: u32,
}

#[derive(Serialize)]
struct CreditsView {
    total_credits: Usd,
    total_usage: Usd,
}

/// The key in use, as OpenRouter tells it.
#[derive(Serialize)]
struct OwnKey<'a> {
    label: &'a str,
    name: Option<&'a str>,
    limit: Option<Usd>,
    limit_remaining: Option<Usd>,
    limit_reset: Option<()>,
    #[serde(flatten)]
    usage: KeyUsage,
    include_byok_in_limit: bool,
    is_free_tier: bool,
    is_management_key: bool,
    is_provisioning_key: bool,
    creator_user_id: String,
    organization_id: Option<()>,
    workspace_id: Option<()>,
    allowed_data_regions: [&'static str; 1],
    expires_at: Option<String>,
    free_model_daily_requests: DailyRequests,
    rate_limit: RateLimit,
}

#[derive(Serialize)]
struct DailyRequests {
    used: i64,
    limit: i64,
    remaining: i64,
}

#[derive(Serialize)]
struct RateLimit {
    requests: i64,
    interval: &'static str,
    note: &'static str,
}

impl Desk<'_> {
    pub(super) async fn own_account(self, caller: &Caller) -> Answer {
        Query::read(self.call.query)?.end()?;
        let record = self.record_of(caller).await?;
        Reply::json(200, &self.view(&record, Some(&caller.wallet)))
    }

    pub(super) async fn credits(self, caller: &Caller) -> Answer {
        Query::read(self.call.query)?.end()?;
        let record = self.record_of(caller).await?;
        let (total_credits, total_usage) = (Usd(record.credited), Usd(spent(&record)));
        Reply::json(200, &Data { data: CreditsView { total_credits, total_usage } })
    }

    pub(super) async fn own_key(self, caller: &Caller) -> Answer {
        Query::read(self.call.query)?.end()?;
        let record = self.record_of(caller).await?;
        let (keys, periods) = self.keys_of(record.id).await?;
        let key = keys.iter().find(|key| key.id == caller.key).ok_or_else(gone)?;
        let usage = KeyUsage::new(key, &periods);
        let today = requests_today(&record, Some(&caller.wallet), self.today());
        Reply::json(200, &Data { data: OwnKey::new(&record, key, usage, &self.ledger.rules().tiers, today) })
    }

    pub(super) fn view(&self, record: &AccountRecord, wallet: Option<&Wallet>) -> AccountView {
        let tiers = &self.ledger.rules().tiers;
        let funded = tiers.is_funded(record.balance);
        let cells = tiers.cells(funded);
        AccountView {
            object: "account",
            id: record.id.to_string(),
            name: record.name.clone(),
            created_at: record.created_ms / 1000,
            balance_credits: Credits(record.balance),
            balance_usd: Usd(record.balance),
            credited_credits: Credits(record.credited),
            spent_credits: Credits(spent(record)),
            tier: if funded { "funded" } else { "free" },
            limits: LimitsView {
                requests_per_minute: cells.per_minute,
                per_minute_of: if funded { "account" } else { "address" },
                requests_per_day: cells.per_day,
                requests_today: requests_today(record, wallet, self.today()),
            },
        }
    }

    async fn record_of(&self, caller: &Caller) -> Result<AccountRecord, Box<ApiError>> {
        let account = caller.wallet.account();
        self.look(move |reader| reader.account(account)).await?.ok_or_else(gone)
    }
}

/// Charged, in all.
fn spent(record: &AccountRecord) -> crate::money::MicroCredits {
    record.credited.checked_sub(record.balance).unwrap_or_default()
}

/// Requests of the day. The store counts those leased to a process as used; the wallet knows how many of
/// ours are not.
fn requests_today(record: &AccountRecord, wallet: Option<&Wallet>, today: u32) -> u32 {
    match (wallet.filter(|wallet| wallet.day() == today), record.day) {
        (Some(wallet), _) => wallet.day_used(today),
        (None, (day, used)) if day == today => used,
        (None, _) => 0,
    }
}

fn gone() -> Box<ApiError> {
    not_found("the account or the key is gone")
}

impl<'a> OwnKey<'a> {
    fn new(
        record: &AccountRecord,
        key: &'a KeyRecord,
        usage: KeyUsage,
        tiers: &Tiers,
        requests_today: u32,
    ) -> Self {
        let funded = tiers.is_funded(record.balance);
        let cells = tiers.cells(funded);
        let or_unlimited = |limit: Option<u32>| limit.map_or(UNLIMITED, i64::from);
        Self {
            label: &key.hint,
            name: key.name.as_deref(),
            limit: key.cap.map(Usd),
            limit_remaining: remaining(key).map(Usd),
            limit_reset: None,
            usage,
            include_byok_in_limit: false,
            is_free_tier: !funded,
            is_management_key: false,
            is_provisioning_key: false,
            creator_user_id: record.id.to_string(),
            organization_id: None,
            workspace_id: None,
            allowed_data_regions: ["global"],
            expires_at: key.expires_ms.map(dates::rfc3339),
            free_model_daily_requests: DailyRequests {
                used: requests_today.into(),
                limit: or_unlimited(cells.per_day),
                remaining: or_unlimited(cells.per_day.map(|limit| limit.saturating_sub(requests_today))),
            },
            rate_limit: RateLimit {
                requests: or_unlimited(cells.per_minute),
                interval: "1m",
                note: RATE_LIMIT_NOTE,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::{AccountId, Cells, KeyId};
    use crate::money::MicroCredits;
    use serde_json::{Value, json};

    const ID: u64 = 7;

    fn record() -> AccountRecord {
        AccountRecord {
            id: AccountId::from_random(ID),
            name: None,
            created_ms: 1_000,
            balance: MicroCredits::new(999_994_200),
            leased: MicroCredits::ZERO,
            credited: MicroCredits::new(1_000_000_000),
            day: (3, 5),
        }
    }

    fn key() -> KeyRecord {
        KeyRecord {
            id: KeyId::from_random(1),
            account: AccountId::from_random(ID),
            hint: "cm_abcd…ef01".to_owned(),
            name: None,
            created_ms: 1_000,
            expires_ms: None,
            revoked_ms: None,
            cap: Some(MicroCredits::new(100_000_000)),
            spent: MicroCredits::new(5_800),
        }
    }

    fn shown(tiers: &Tiers) -> Value {
        let key = key();
        let periods = vec![(key.id, [5_800, 5_800, 5_800].map(MicroCredits::new))];
        let own = OwnKey::new(&record(), &key, KeyUsage::new(&key, &periods), tiers, 5);
        serde_json::to_value(serde_json::value::to_raw_value(&own).expect("JSON")).expect("JSON")
    }

    #[test]
    fn a_key_is_told_in_dollars() {
        let own = shown(&Tiers::default());
        assert_eq!((&own["limit"], &own["usage"]), (&json!(1), &json!(0.000_058)));
        assert_eq!(own["limit_remaining"], json!(0.999_942));
        assert_eq!(own["is_free_tier"], true);
        assert_eq!(own["free_model_daily_requests"], json!({"used": 5, "limit": -1, "remaining": -1}));
        assert_eq!(own["rate_limit"]["requests"], 20);
    }

    #[test]
    fn the_days_requests_left_are_told_where_they_are_limited() {
        let free = Cells { per_minute: None, per_day: Some(50) };
        let own = shown(&Tiers { free, ..Tiers::default() });
        assert_eq!(own["free_model_daily_requests"], json!({"used": 5, "limit": 50, "remaining": 45}));
        assert_eq!(own["rate_limit"]["requests"], -1);
    }

    #[test]
    fn yesterdays_requests_are_not_todays() {
        assert_eq!((requests_today(&record(), None, 3), requests_today(&record(), None, 4)), (5, 0));
    }
}
