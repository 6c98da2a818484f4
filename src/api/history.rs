//! What moved an account's balance, entry by entry; and its usage by day and model, OpenRouter's way.

use super::amount::{Credits, Usd};
use super::dates;
use super::fields::invalid;
use super::generation::provider_name;
use super::page::{DEFAULT_LIMIT, MAX_LIMIT, Page, cursor};
use super::query::Query;
use super::{Answer, Data, Desk, Reply};
use crate::accounts::{AccountId, Caller};
use crate::catalog::Catalog;
use crate::store::{ActivityRow, Entry};
use serde::Serialize;

/// Days of activity when none is asked for.
const ACTIVITY_DAYS: u32 = 30;
/// How far back one can look.
pub(super) const MAX_DAYS: u32 = 366;

/// A row of OpenRouter's activity.
#[derive(Serialize)]
struct Activity<'a> {
    date: String,
    model: &'a str,
    model_permaslug: &'a str,
    endpoint_id: String,
    provider_name: &'a str,
    usage: Usd,
    byok_usage_inference: u8,
    requests: u64,
    prompt_tokens: u64,
    completion_tokens: u64,
    reasoning_tokens: u64,
}

/// An entry of the ledger.
#[derive(Serialize)]
struct Transaction {
    object: &'static str,
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    amount_credits: Credits,
    balance_credits: Credits,
    created_at: u64,
    generation: Option<Charged>,
}

/// What a charge was for.
#[derive(Serialize)]
struct Charged {
    model: String,
    provider: String,
    key: String,
    prompt_tokens: u32,
    completion_tokens: u32,
    usage_source: &'static str,
    ended: &'static str,
}

impl Desk<'_> {
    pub(super) async fn activity(self, caller: &Caller) -> Answer {
        let mut query = Query::read(self.call.query)?;
        let today = self.today();
        let (from, to) = match query.take("date")? {
            None => (today.saturating_sub(ACTIVITY_DAYS - 1), today + 1),
            Some(date) => {
                let day = dates::day_of_date(&date).filter(|day| *day <= today && today - *day < MAX_DAYS);
                let words =
                    || format!("must be a day of the last {MAX_DAYS}, in UTC, as in {}", dates::date(today));
                let day = day.ok_or_else(|| invalid("date", words()))?;
                (day, day + 1)
            }
        };
        query.end()?;
        let [from_ms, to_ms] = [from, to].map(|day| u64::from(day) * dates::DAY_MS);
        let account = caller.wallet.account();
        let mut rows = self.look(move |reader| reader.activity(account, from_ms, to_ms)).await?;
        rows.sort_by_key(|row| std::cmp::Reverse(row.day));
        let data: Vec<_> = rows.iter().map(|row| Activity::new(row, self.call.catalog)).collect();
        Reply::json(200, &Data { data })
    }

    pub(super) async fn own_transactions(self, caller: &Caller) -> Answer {
        self.transactions(caller.wallet.account()).await
    }

    pub(super) async fn transactions(self, account: AccountId) -> Answer {
        let mut query = Query::read(self.call.query)?;
        let limit = query.number("limit", 1..=MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT) as usize;
        let before: Option<i64> = cursor(query.take("after")?)?;
        query.end()?;
        let entries = self.look(move |reader| reader.entries(account, before, limit + 1)).await?;
        let page = Page::new(entries, limit, |entry: &Entry| entry.sequence.to_string(), Transaction::new);
        Reply::json(200, &page)
    }
}

impl<'a> Activity<'a> {
    fn new(row: &'a ActivityRow, catalog: &'a Catalog) -> Self {
        Self {
            date: dates::date(row.day),
            model: &row.model,
            model_permaslug: &row.model,
            endpoint_id: format!("{}/{}", row.provider, row.model),
            provider_name: provider_name(&row.provider, catalog),
            usage: Usd(row.charged),
            byok_usage_inference: 0,
            requests: row.requests,
            prompt_tokens: row.prompt_tokens,
            completion_tokens: row.completion_tokens,
            reasoning_tokens: row.reasoning_tokens,
        }
    }
}

impl Transaction {
    fn new(entry: Entry) -> Self {
        let charged = |of: crate::store::Generation| Charged {
            key: of.key.to_string(),
            prompt_tokens: of.usage.prompt_tokens,
            completion_tokens: of.usage.completion_tokens,
            usage_source: of.source.name(),
            ended: of.ended.name(),
            model: of.model,
            provider: of.provider,
        };
        Self {
            object: "transaction",
            id: entry.id,
            kind: entry.kind.name(),
            amount_credits: Credits(entry.amount),
            balance_credits: Credits(entry.balance),
            created_at: entry.at_ms / 1000,
            generation: entry.generation.map(charged),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::generation::tests::generation;
    use super::*;
    use crate::money::MicroCredits;
    use crate::store::{Ended, EntryKind};

    #[test]
    fn a_charge_is_told_with_what_it_was_for() {
        let entry = Entry {
            sequence: 9,
            id: "gen-1-a".to_owned(),
            kind: EntryKind::Charge,
            amount: MicroCredits::new(-5_800),
            balance: MicroCredits::new(999_994_200),
            at_ms: 2_000,
            generation: Some(generation(Ended::Complete, "stop")),
        };
        let text = serde_json::to_string(&Transaction::new(entry)).expect("JSON");
        assert!(
            text.contains(r#""type":"charge","amount_credits":-0.0058,"balance_credits":999.9942"#),
            "{text}"
        );
        assert!(text.contains(r#""prompt_tokens":14"#), "{text}");
        assert!(!text.contains('9') || !text.contains(r#""sequence""#));
    }

    #[test]
    fn a_day_of_activity_is_told_in_dollars() {
        let row = ActivityRow {
            day: 1,
            model: "alpha/chat:free".to_owned(),
            provider: "alpha".to_owned(),
            requests: 2,
            prompt_tokens: 28,
            completion_tokens: 6,
            charged: MicroCredits::new(11_600),
            ..ActivityRow::default()
        };
        let text = serde_json::to_string(&Activity::new(&row, &Catalog::default())).expect("JSON");
        assert!(text.contains(r#""date":"1970-01-02""#) && text.contains(r#""usage":0.000116"#), "{text}");
    }
}
