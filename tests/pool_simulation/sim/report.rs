//! What a run comes to, as figures and as a row of a table.

use super::engine::{Ending, Record};
use super::trace::Request;
use super::world::{Route, TOP_TIER, World};

/// The figures of one run.
#[derive(Clone, Debug)]
pub struct Report {
    pub strategy: &'static str,
    /// Of the pool's capacity so much was asked for.
    pub load: f64,
    /// Answers a minute.
    pub goodput: f64,
    /// Answers, of what the pool could have given at most.
    pub share: f64,
    /// Answers, of what was asked for.
    pub ok: f64,
    /// Upstream 429s for 1,000 requests of clients.
    pub upstream_429: f64,
    /// Attempts for each answer.
    pub attempts: f64,
    /// Requests that ended in a 429, of all.
    pub client_429: f64,
    /// Requests that ended in another error, of all.
    pub failed: f64,
    /// From the request to the first token, waiting included: half were faster, and 99 of 100.
    pub ttft_ms: [u64; 2],
    /// Hard requests answered by top-tier models, of those that came in the first quarter of the time and in
    /// the last.
    pub hard: [f64; 2],
    /// The same of the easy ones.
    pub easy: [f64; 2],
    /// Answers of each account, of what it asked for.
    pub accounts: Vec<f64>,
}

impl Report {
    pub fn of(
        world: &World,
        strategy: &'static str,
        load: f64,
        bound: f64,
        requests: &[Request],
        records: &[Record],
    ) -> Self {
        let all = requests.len().max(1) as f64;
        let count = |ending| records.iter().filter(|r| r.ending == Some(ending)).count() as f64;
        let answered = count(Ending::Answered);
        let attempts: u32 = records.iter().map(|r| r.attempts).sum();
        let refused: u32 = records.iter().map(|r| r.refused).sum();
        let tier = |hard| [0, 3].map(|quarter| top_tier(world, requests, records, hard, quarter));
        Self {
            strategy,
            load,
            goodput: answered * 60_000.0 / world.length_ms as f64,
            share: answered / bound,
            ok: answered / all,
            upstream_429: f64::from(refused) * 1_000.0 / all,
            attempts: f64::from(attempts) / answered.max(1.0),
            client_429: count(Ending::RateLimited) / all,
            failed: count(Ending::Failed) / all,
            ttft_ms: [0.5, 0.99].map(|share| percentile(records, share)),
            hard: tier(true),
            easy: tier(false),
            accounts: accounts(requests, records),
        }
    }

    pub const HEAD: &str = "\
| load | strategy | answers/min | of what the pool could | OK % | upstream 429 per 1,000 | attempts per answer | \
client 429 % | client 5xx % | TTFT p50 / p99 | hard by top tier, first / last quarter | easy by top tier |
|---|---|---|---|---|---|---|---|---|---|---|---|";

    /// A row of a table with that head.
    pub fn row(&self) -> String {
        let percent = |share: f64| share * 100.0;
        let seconds = |ms: u64| ms as f64 / 1_000.0;
        let pair = |[a, b]: [f64; 2]| format!("{:.1} / {:.1}", percent(a), percent(b));
        format!(
            "| {:.1} | {} | {:.1} | {:.1} % | {:.1} | {:.1} | {:.2} | {:.1} | {:.2} | {:.2} / {:.2} s | {} | {} |",
            self.load,
            self.strategy,
            self.goodput,
            percent(self.share),
            percent(self.ok),
            self.upstream_429,
            self.attempts,
            percent(self.client_429),
            percent(self.failed),
            seconds(self.ttft_ms[0]),
            seconds(self.ttft_ms[1]),
            pair(self.hard),
            pair(self.easy),
        )
    }
}

fn percentile(records: &[Record], share: f64) -> u64 {
    let answered = records.iter().filter(|r| r.ending == Some(Ending::Answered));
    let mut times: Vec<_> = answered.map(|r| r.ttft_ms).collect();
    times.sort_unstable();
    times
        .get(((times.len() as f64 * share) as usize).min(times.len().saturating_sub(1)))
        .copied()
        .unwrap_or(0)
}

fn top_tier(world: &World, requests: &[Request], records: &[Record], hard: bool, quarter: u64) -> f64 {
    let is_in = |r: &Request| (r.at_ms - world.start_ms) * 4 / world.length_ms == quarter;
    let pairs = requests.iter().zip(records).filter(|(request, _)| request.hard == hard && is_in(request));
    let (mut all, mut top) = (0.0, 0.0);
    for (_, record) in pairs {
        let strong = |route: Route| world.model(route).quality >= TOP_TIER;
        all += 1.0;
        top +=
            f64::from(u8::from(record.ending == Some(Ending::Answered) && record.route.is_some_and(strong)));
    }
    top / f64::max(all, 1.0)
}

fn accounts(requests: &[Request], records: &[Record]) -> Vec<f64> {
    let count = requests.iter().map(|request| request.account + 1).max().unwrap_or(0);
    let mut shares = vec![(0.0, 0.0); count];
    for (request, record) in requests.iter().zip(records) {
        let (all, answered) = &mut shares[request.account];
        *all += 1.0;
        *answered += f64::from(u8::from(record.ending == Some(Ending::Answered)));
    }
    shares.into_iter().map(|(all, answered)| answered / f64::max(all, 1.0)).collect()
}
