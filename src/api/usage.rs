//! Usage by day, OpenAI's way: a page of buckets.

use super::amount::{Credits, Usd};
use super::dates::DAY_S;
use super::fields::invalid;
use super::history::MAX_DAYS;
use super::query::Query;
use super::{Answer, Desk, Reply};
use crate::accounts::Caller;
use crate::money::MicroCredits;
use crate::protocol::errors::ApiError;
use crate::store::ActivityRow;
use serde::Serialize;

/// Buckets of a page when nobody says, and at most; OpenAI's figures for days.
const DEFAULT_BUCKETS: u64 = 7;
const MAX_BUCKETS: u64 = 31;
/// What a page's name begins with.
const PAGE_PREFIX: &str = "page_";

/// What is asked for: days since 1970, the last one not included.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    /// The first day of this page.
    from: u64,
    /// The end of this page.
    to: u64,
    /// Where the last page ends.
    end: u64,
    /// Nothing later counts, Unix seconds.
    end_s: u64,
    by_model: bool,
}

#[derive(Serialize)]
struct UsagePage {
    object: &'static str,
    data: Vec<Bucket>,
    has_more: bool,
    next_page: Option<String>,
}

#[derive(Serialize)]
struct Bucket {
    object: &'static str,
    start_time: u64,
    end_time: u64,
    results: Vec<Sums>,
}

#[derive(Serialize)]
struct Sums {
    object: &'static str,
    input_tokens: u64,
    output_tokens: u64,
    input_cached_tokens: u64,
    input_audio_tokens: u64,
    output_audio_tokens: u64,
    output_reasoning_tokens: u64,
    num_model_requests: u64,
    project_id: Option<()>,
    user_id: Option<()>,
    api_key_id: Option<()>,
    model: Option<String>,
    batch: Option<()>,
    service_tier: Option<()>,
    charged_credits: Credits,
    cost_usd: Usd,
}

impl Desk<'_> {
    pub(super) async fn usage(self, caller: &Caller) -> Answer {
        let asked = Asked::read(self.call.query, self.call.now_ms / 1000)?;
        let account = caller.wallet.account();
        let [from_ms, to_ms] = [asked.from * DAY_S, (asked.to * DAY_S).min(asked.end_s)].map(|s| s * 1000);
        let rows = self.look(move |reader| reader.activity(account, from_ms, to_ms)).await?;
        Reply::json(200, &UsagePage::new(&asked, &rows))
    }
}

impl Asked {
    fn read(query: &str, now_s: u64) -> Result<Self, Box<ApiError>> {
        let mut query = Query::read(query)?;
        let end_s = query.number("end_time", 1..=u64::from(u32::MAX))?.unwrap_or(now_s + 1);
        let default_start = end_s.saturating_sub(DEFAULT_BUCKETS * DAY_S);
        let start_s = query.number("start_time", 0..=u64::from(u32::MAX))?.unwrap_or(default_start);
        if start_s >= end_s {
            return Err(invalid("start_time", "must be before end_time"));
        }
        let (start, end) = (start_s / DAY_S, end_s.div_ceil(DAY_S));
        if end - start > u64::from(MAX_DAYS) {
            return Err(invalid("start_time", format!("must be at most {MAX_DAYS} days before end_time")));
        }
        if query.take("bucket_width")?.is_some_and(|width| width != "1d") {
            return Err(invalid("bucket_width", "must be 1d"));
        }
        let groups = query.take_all("group_by");
        if groups.iter().flat_map(|group| group.split(',')).any(|group| group != "model") {
            return Err(invalid("group_by", "must be model, or left out"));
        }
        let limit = query.number("limit", 1..=MAX_BUCKETS)?.unwrap_or(DEFAULT_BUCKETS);
        let page = query.take("page")?;
        query.end()?;
        let from = match page {
            None => start,
            Some(page) => {
                let day = page.strip_prefix(PAGE_PREFIX).and_then(|day| day.parse().ok());
                let day = day.filter(|day| (start..end).contains(day));
                day.ok_or_else(|| invalid("page", "must be the next_page of an earlier page"))?
            }
        };
        Ok(Self { from, to: end.min(from + limit), end, end_s, by_model: !groups.is_empty() })
    }
}

impl UsagePage {
    /// The buckets of a page from the rows of its days.
    fn new(asked: &Asked, rows: &[ActivityRow]) -> Self {
        let bucket = |day: u64| {
            let of_day: Vec<_> = rows.iter().filter(|row| u64::from(row.day) == day).collect();
            Bucket {
                object: "bucket",
                start_time: day * DAY_S,
                end_time: (day + 1) * DAY_S,
                results: results(&of_day, asked.by_model),
            }
        };
        let has_more = asked.to < asked.end;
        Self {
            object: "page",
            data: (asked.from..asked.to).map(bucket).collect(),
            has_more,
            next_page: has_more.then(|| format!("{PAGE_PREFIX}{}", asked.to)),
        }
    }
}

/// One sum, or one for each model in the order of their names; none where nothing was used.
fn results(rows: &[&ActivityRow], by_model: bool) -> Vec<Sums> {
    let mut models: Vec<Option<&str>> =
        rows.iter().map(|row| by_model.then_some(row.model.as_str())).collect();
    models.sort_unstable();
    models.dedup();
    let sums = |model: Option<&str>| {
        let of_model = rows.iter().filter(|row| model.is_none_or(|model| row.model == model));
        of_model.fold(Sums::of(model), Sums::with)
    };
    models.into_iter().map(sums).collect()
}

impl Sums {
    fn of(model: Option<&str>) -> Self {
        Self {
            object: "organization.usage.completions.result",
            input_tokens: 0,
            output_tokens: 0,
            input_cached_tokens: 0,
            input_audio_tokens: 0,
            output_audio_tokens: 0,
            output_reasoning_tokens: 0,
            num_model_requests: 0,
            project_id: None,
            user_id: None,
            api_key_id: None,
            model: model.map(str::to_owned),
            batch: None,
            service_tier: None,
            charged_credits: Credits(MicroCredits::ZERO),
            cost_usd: Usd(MicroCredits::ZERO),
        }
    }

    fn with(mut self, row: &&ActivityRow) -> Self {
        self.input_tokens += row.prompt_tokens;
        self.output_tokens += row.completion_tokens;
        self.input_cached_tokens += row.cached_tokens;
        self.output_reasoning_tokens += row.reasoning_tokens;
        self.num_model_requests += row.requests;
        // A day's charges are far below what would not fit.
        let sum = self.charged_credits.0.checked_add(row.charged).unwrap_or(self.charged_credits.0);
        self.charged_credits = Credits(sum);
        self.cost_usd = Usd(sum);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    const NOW_S: u64 = 100 * DAY_S + 5;

    fn asked(query: &str) -> Asked {
        Asked::read(query, NOW_S).unwrap_or_else(|error| panic!("{error:?}"))
    }

    fn row(day: u32, model: &str, provider: &str) -> ActivityRow {
        ActivityRow {
            day,
            model: model.to_owned(),
            provider: provider.to_owned(),
            requests: 1,
            prompt_tokens: 14,
            completion_tokens: 3,
            charged: MicroCredits::new(5_800),
            ..ActivityRow::default()
        }
    }

    fn shown(page: &UsagePage) -> Value {
        serde_json::from_str(&serde_json::to_string(page).expect("JSON")).expect("JSON")
    }

    #[test]
    fn without_parameters_the_last_days_are_shown() {
        let asked = asked("");
        assert_eq!((asked.from, asked.to, asked.end), (93, 100, 101));
    }

    #[test]
    fn pages_cover_every_day_once() {
        let range = "start_time=0&end_time=864000&bucket_width=1d&limit=4";
        let mut days = Vec::new();
        let mut page = String::new();
        loop {
            let asked = asked(&format!("{range}&{page}"));
            let shown = UsagePage::new(&asked, &[]);
            days.extend(shown.data.iter().map(|bucket| bucket.start_time / DAY_S));
            assert_eq!(shown.has_more, shown.next_page.is_some());
            match shown.next_page {
                Some(next) => page = format!("page={next}"),
                None => break,
            }
        }
        assert_eq!(days, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn sums_are_by_day_or_by_day_and_model() {
        let rows = [row(1, "b", "x"), row(1, "a", "x"), row(1, "a", "y"), row(2, "a", "x")];
        let together = shown(&UsagePage::new(&asked("start_time=0&end_time=259200"), &rows));
        assert_eq!(together["data"][0]["results"], serde_json::json!([]));
        assert_eq!(together["data"][1]["results"][0]["num_model_requests"], 3);
        assert_eq!(together["data"][1]["results"][0]["charged_credits"], 0.0174);
        assert_eq!(together["data"][2]["results"][0]["input_tokens"], 14);
        let apart = shown(&UsagePage::new(&asked("start_time=0&end_time=259200&group_by[]=model"), &rows));
        let results = &apart["data"][1]["results"];
        assert_eq!((&results[0]["model"], &results[0]["num_model_requests"]), (&"a".into(), &2.into()));
        assert_eq!((&results[1]["model"], &results[1]["output_tokens"]), (&"b".into(), &3.into()));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            ("start_time=x", "start_time"),
            ("start_time=-1", "start_time"),
            ("start_time=9&end_time=9", "start_time"),
            ("start_time=0&end_time=31708800", "start_time"),
            ("bucket_width=1h", "bucket_width"),
            ("group_by=user_id", "group_by"),
            ("limit=0", "limit"),
            ("limit=32", "limit"),
            ("page=page_1", "page"),
            ("page=x", "page"),
            ("colour=red", "colour"),
        ];
        for (query, param) in cases {
            let error = Asked::read(query, NOW_S).expect_err(query);
            assert_eq!(error.param.as_deref(), Some(param), "{query}");
        }
        assert!(Asked::read("start_time=0&end_time=31622400", NOW_S).is_ok(), "366 days");
    }
}
