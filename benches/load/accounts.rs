//! What charging costs: Freeway with its durable ledger beside Freeway in open mode.

use crate::mock;
use crate::process::Process;
use crate::report::{self, Row};
use crate::requests;
use crate::runs::measure;
use std::sync::Arc;
use std::time::Duration;

/// Requests a second with the ledger, as a share of those without.
const TARGET: f64 = 0.8;

/// Alternating rounds, as everywhere here.
pub(crate) async fn run(quick: bool) {
    let (rounds, time) = if quick { (3, Duration::from_secs(1)) } else { (5, Duration::from_secs(3)) };
    let mock = Process::mock("paced");
    let open = Process::freeway(&mock);
    let (charging, key) = Process::freeway_with_accounts(&mock);
    let cases = [
        ("1kb", requests::small(false), 64, Duration::ZERO),
        ("1kb-c1", requests::small(false), 1, Duration::ZERO),
        ("streams", requests::small(true), 500, mock::STREAM),
    ];
    for (name, request, connections, spread) in cases {
        let keyed = Arc::new(requests::with_key(&request, &key));
        let mut rows = [Vec::new(), Vec::new()];
        for round in 0..rounds {
            for turn in 0..2 {
                let at = (round + turn) % 2;
                let target = [&open, &charging][at];
                rows[at].push(measure(target, &keyed, connections, spread, time).await);
            }
        }
        report::pair(name, connections, ["open", "accounts"], &rows);
        if connections == 64 {
            let share = report::ratio(&rows[1], &rows[0], |r: &Row| r.per_s);
            let verdict = if share >= TARGET { "kept" } else { "MISSED" };
            println!("target: at least {TARGET:.2} of open mode's requests: {share:.2}, {verdict}");
        }
    }
    for (name, what) in [
        ("freeway_ledger_wait_seconds", "end of an answer waits for its charge"),
        ("freeway_ledger_commit_seconds", "one commit"),
    ] {
        let buckets = charging.histogram(name);
        let [p50, p99] = [0.5, 0.99].map(|rank| 1e3 * quantile(&buckets, rank));
        println!("{what}: p50 below {p50:.2} ms, p99 below {p99:.2} ms, of {}", total(&buckets));
    }
}

fn total(buckets: &[(f64, u64)]) -> u64 {
    buckets.last().map_or(0, |(_, count)| *count)
}

/// The upper bound of the bucket that holds the value of this rank.
fn quantile(buckets: &[(f64, u64)], rank: f64) -> f64 {
    let wanted = total(buckets) as f64 * rank;
    buckets.iter().find(|(_, count)| *count as f64 >= wanted).map_or(f64::NAN, |(bound, _)| *bound)
}
