//! What is run: the table of all cases, memory of idle streams, and a soak.

use crate::client::{self, Connection, Seen, Window, quantile};
use crate::mock;
use crate::process::Process;
use crate::report::{self, Row};
use crate::requests;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// One line of the table.
struct Case {
    name: &'static str,
    request: Vec<u8>,
    connections: usize,
    /// Ceilings: CPU as a ratio to the bare proxy, and p50 above it in microseconds.
    cpu_target: Option<f64>,
    p50_target_us: Option<f64>,
    /// Connections begin over so long a time.
    spread: Duration,
}

fn cases() -> Vec<Case> {
    let case = |name, request, connections, cpu_target, p50_target_us| Case {
        name,
        request,
        connections,
        cpu_target,
        p50_target_us,
        spread: Duration::ZERO,
    };
    let streams = case("streams", requests::small(true), 500, Some(1.5), None);
    vec![
        case("1kb", requests::small(false), 64, Some(1.4), None),
        case("32kb", requests::conversation(), 64, Some(1.4), None),
        case("2mb", requests::image(), 8, Some(1.2), None),
        case("1kb-c1", requests::small(false), 1, None, Some(60.0)),
        case("32kb-c1", requests::conversation(), 1, None, None),
        Case { spread: mock::STREAM, ..streams },
    ]
}

/// Every case in alternating rounds: what disturbs the machine for a while disturbs all alike.
pub(crate) async fn all(quick: bool, only: &[String]) {
    let (rounds, time) = if quick { (3, Duration::from_secs(1)) } else { (5, Duration::from_secs(3)) };
    let mock = Process::mock("paced");
    let bare = Process::bare(&mock);
    let freeway = Process::freeway(&mock);
    let targets = [&mock, &bare, &freeway];
    let idle: Vec<_> = targets.iter().map(|t| t.memory_kb().0).collect();
    for case in cases() {
        if !only.is_empty() && !only.iter().any(|name| name == case.name) {
            continue;
        }
        let request = Arc::new(case.request);
        let mut rows = [Vec::new(), Vec::new(), Vec::new()];
        for round in 0..rounds {
            for turn in 0..targets.len() {
                let at = (round + turn) % targets.len();
                rows[at].push(measure(targets[at], &request, case.connections, case.spread, time).await);
            }
        }
        let names = targets.map(|t| t.name);
        report::case(case.name, request.len(), case.connections, &names, &rows);
        report::targets(&rows[1], &rows[2], case.cpu_target, case.p50_target_us);
    }
    println!("\nmemory, MB          started  after all    highest   (targets: 25 started, 64 after all)");
    for (target, idle) in targets.iter().zip(idle).skip(1) {
        let (now, highest) = target.memory_kb();
        println!("{:<16}{:>11.1}{:>11.1}{:>11.1}", target.name, mb(idle), mb(now), mb(highest));
    }
}

pub(crate) async fn measure(
    target: &Process,
    request: &Arc<Vec<u8>>,
    connections: usize,
    spread: Duration,
    time: Duration,
) -> Row {
    // Filling the pools does not count.
    let from = Instant::now() + spread + Duration::from_millis(400);
    let window = Window { from, until: from + time };
    let clock = async {
        tokio::time::sleep_until(window.from.into()).await;
        let before = target.cpu_s();
        tokio::time::sleep_until(window.until.into()).await;
        target.cpu_s() - before
    };
    let (seen, cpu_s) = tokio::join!(client::load(target.addr, request, connections, spread, window), clock);
    row(&seen, cpu_s, time)
}

fn row(seen: &Seen, cpu_s: f64, time: Duration) -> Row {
    let units = if seen.events > 0 { seen.events } else { seen.requests };
    Row {
        per_s: units as f64 / time.as_secs_f64(),
        p50_us: quantile(&seen.latency_us, 0.5),
        p99_us: quantile(&seen.latency_us, 0.99),
        hold_p50_us: quantile(&seen.hold_us, 0.5),
        hold_p99_us: quantile(&seen.hold_us, 0.99),
        cpu_s_per_1000: cpu_s * 1_000.0 / units as f64,
        streams: seen.events > 0,
    }
}

fn mb(kb: u64) -> f64 {
    kb as f64 / 1024.0
}

/// Memory of streams that have begun and say nothing more.
pub(crate) async fn idle_streams(count: usize) {
    let mock = Process::mock("idle");
    println!("{count} idle streams          before   with them  each, kB   ended");
    for target in [Process::bare(&mock), Process::freeway(&mock)] {
        let request = requests::small(true);
        // Whatever is allocated once is there before.
        hold(&target, &request, 100).await;
        let before = target.memory_kb().0;
        let streams = hold(&target, &request, count).await;
        let with = target.memory_kb().0;
        drop(streams);
        // Streams end when their clients leave; a new one is served after that.
        hold(&target, &request, 1).await;
        let each = with.saturating_sub(before) as f64 / count as f64;
        let ended = mb(target.memory_kb().0);
        println!("{:<22}{:>9.1} MB{:>9.1} MB{each:>9.1}{ended:>9.1} MB", target.name, mb(before), mb(with));
    }
    println!("target: below 64 kB each");
}

async fn hold(target: &Process, request: &[u8], count: usize) -> Vec<Connection> {
    let mut streams = Vec::with_capacity(count);
    for _ in 0..count {
        let mut connection = Connection::open(target.addr).await;
        connection.begin_stream(request).await;
        streams.push(connection);
    }
    streams
}

/// Memory over very many requests, one in eight a stream.
pub(crate) async fn soak(requests: u64) {
    /// Gives up here, whatever was asked for.
    const LONGEST: Duration = Duration::from_secs(45 * 60);
    let mock = Process::mock("unpaced");
    let freeway = Process::freeway(&mock);
    let done = Arc::new(AtomicU64::new(0));
    let deadline = Instant::now() + LONGEST;
    let mut tasks = JoinSet::new();
    for number in 0..64 {
        let (addr, done) = (freeway.addr, done.clone());
        tasks.spawn(async move {
            let request = requests::small(number % 8 == 0);
            let mut connection = Connection::open(addr).await;
            while done.fetch_add(1, Ordering::Relaxed) < requests && Instant::now() < deadline {
                connection.exchange(&request, None, &mut Seen::default()).await;
            }
        });
    }
    println!("requests       memory, MB   highest");
    let mut samples = Vec::new();
    for step in 1..=10 {
        while done.load(Ordering::Relaxed) < requests * step / 10 && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let (now, highest) = freeway.memory_kb();
        println!("{:>9}{:>14.1}{:>12.1}", requests * step / 10, mb(now), mb(highest));
        samples.push(mb(now));
    }
    while let Some(connection) = tasks.join_next().await {
        connection.expect("no connection fails");
    }
    println!("growth from a fifth to the end: {:+.1} MB", samples[9] - samples[1]);
}
