//! What a decision costs: classifying a prompt, planning over small and large catalogs, and choosing an
//! endpoint with a place at it among 300, alone and from many threads at once.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use freeway::catalog::{
    Capability, Catalog, Endpoint, Limit, LimitScope, Model, Period, Provider, Quotas, Secret, Terms,
};
use freeway::protocol::facts::{PromptFeatures, RequestFacts, Role, Span, Text};
use freeway::routing::verdict::{Effect, Scope};
use freeway::routing::{Cause, Classification, Condition, Inputs, Policy, Task, classify, plan};
use freeway::snapshot::{Ask, Snapshot};
use freeway::upstream::{Outcome, Pool, Reading};
use std::hint::black_box;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

fn catalog(count: usize) -> Catalog {
    let providers: Vec<_> = (0..8)
        .map(|i| {
            let base = "https://api.example.com/v1".parse().expect("a base URL");
            let provider = Provider::new(&format!("provider{i}"), base);
            let terms = Terms { trains_on_prompts: Some(i % 2 == 0), ..Terms::default() };
            Arc::new(Provider { terms, ..provider })
        })
        .collect();
    let endpoint = |i: usize| {
        let mut model = Model { id: format!("vendor/model-{i}-instruct:free"), ..Model::default() };
        model.context_tokens = Some(32_768);
        model.quality = 0.3 + (i % 60) as f32 / 100.0;
        model.tokens_per_s = Some(20.0 + (i % 37) as f32 * 10.0);
        model.capabilities.insert(Capability::Tools);
        if i.is_multiple_of(3) {
            model.capabilities.insert(Capability::ImageInput);
        }
        let upstream = model.id.clone();
        Endpoint::new(Arc::clone(&providers[i % providers.len()]), model, upstream)
    };
    Catalog::new((0..count).map(endpoint).collect())
}

fn plans(c: &mut Criterion) {
    let mut group = c.benchmark_group("plan");
    for count in [10, 100, 1_000] {
        let catalog = catalog(count);
        let mut facts = RequestFacts { choices: 1, ..RequestFacts::default() };
        facts.requirements.hard.insert(Capability::Tools);
        facts.requirements.prompt_tokens = 500;
        let condition =
            |i: usize, _: u32| Condition { ttft_ms: 200.0 + (i % 91) as f32, ..Condition::default() };
        let policy = Policy::default();
        let mut seed = 0;
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            b.iter(|| {
                seed += 1;
                plan(black_box(&Inputs {
                    facts: &facts,
                    classification: Classification { task: Task::Qa, difficulty: 0.4, output_tokens: 250 },
                    catalog: &catalog,
                    condition: &condition,
                    at_best: None,
                    policy: &policy,
                    seed,
                    last_chance: false,
                    remembered: None,
                }))
            });
        });
    }
    group.finish();
}

fn classifications(c: &mut Criterion) {
    let mut group = c.benchmark_group("classify");
    let prose = "The committee met on Monday to discuss 3 proposals; nothing was decided, as usual. ";
    for bytes in [40, 400, 2_000, 200_000] {
        let mut body = format!("Summarize this: {}", prose.repeat(bytes / prose.len() + 1)).into_bytes();
        body.truncate(bytes);
        let span = Span { start: 0, end: body.len() as u32 };
        let features = PromptFeatures {
            messages: 1,
            user_turns: 1,
            user_bytes: body.len() as u32,
            texts: vec![Text { role: Role::User, message: 0, span }],
            ..PromptFeatures::default()
        };
        group.bench_function(BenchmarkId::from_parameter(bytes), |b| {
            b.iter(|| classify(black_box(&body), black_box(&features)));
        });
    }
    group.finish();
}

/// Unix ms when the decisions begin.
const NOW: u64 = 1_787_400_000_000;

/// 300 endpoints of ten providers, two keys each, with limits of every scope on requests and tokens by the
/// minute and the day, and with a history of answers and failures.
fn limited() -> Snapshot {
    let limit = |scope, per, requests, tokens| Limit {
        scope,
        per,
        requests: Some(requests),
        tokens: Some(tokens),
        window: None,
        pattern: None,
    };
    let limits = vec![
        limit(LimitScope::Model, Period::MINUTE, 1_000_000, 1_000_000_000),
        limit(LimitScope::Model, Period::Day, 100_000_000, 100_000_000_000),
        limit(LimitScope::Key, Period::MINUTE, 10_000_000, 1_000_000_000),
        limit(LimitScope::Account, Period::Day, 1_000_000_000, 100_000_000_000),
    ];
    let providers: Vec<_> = (0..10)
        .map(|i| {
            let base = "https://api.example.com/v1".parse().expect("a base URL");
            let quotas = Quotas { limits: limits.clone(), ..Quotas::default() };
            let keys = ["one", "two"].into_iter().filter_map(Secret::new).collect();
            Arc::new(Provider { quotas, keys, ..Provider::new(&format!("provider{i}"), base) })
        })
        .collect();
    let endpoints = catalog(300).endpoints;
    let endpoint = |(i, endpoint): (usize, &Arc<Endpoint>)| {
        let upstream = endpoint.upstream_model.clone();
        Endpoint::new(Arc::clone(&providers[i % providers.len()]), endpoint.model.clone(), upstream)
    };
    let catalog = Catalog::new(endpoints.iter().enumerate().map(endpoint).collect());
    let snapshot = Snapshot::new(catalog, &Pool::new());
    for (i, state) in snapshot.states.iter().enumerate() {
        let Ok(guard) = state.begin(1_000, NOW) else { continue };
        let (ttft_ms, tokens) = (Some(200 + (i as u32 % 91) * 10), 400);
        guard.observe(Outcome::Success { ttft_ms, tokens, duration_ms: 4_000 }, NOW);
    }
    snapshot
}

/// One decision: a plan, a place taken at the best endpoint, and given back.
fn decide(snapshot: &Snapshot, facts: &RequestFacts, seed: u64, now_ms: u64) {
    let classification = Classification { task: Task::Qa, difficulty: 0.4, output_tokens: 250 };
    let ask =
        Ask { facts, classification, policy: &Policy::default(), seed, last_chance: true, remembered: None };
    drop(black_box(snapshot.choose(&ask, now_ms)));
}

fn asked() -> RequestFacts {
    let mut facts = RequestFacts { choices: 1, ..RequestFacts::default() };
    facts.requirements.hard.insert(Capability::Tools);
    facts.requirements.prompt_tokens = 500;
    facts
}

/// How an endpoint of a pool that is not at its best fares.
#[derive(Clone, Copy, PartialEq)]
enum Fares {
    Well,
    /// It failed lately.
    Rests,
    /// Nine tenths of its own day are used by noon.
    Ahead,
}

/// The same, where endpoints fare like these by turns.
fn faring(by_turns: &[Fares]) -> Snapshot {
    let snapshot = limited();
    let failed = || {
        let effect = Effect::Fail { scope: Scope::Model, cause: Cause::Timeout };
        Outcome::Failed { effect, took_ms: 10 }
    };
    for (i, state) in snapshot.states.iter().enumerate() {
        match by_turns[i % by_turns.len()] {
            Fares::Well => {}
            Fares::Rests => {
                let guard = state.begin(1_000, NOW + 9_000);
                guard.into_iter().for_each(|guard| guard.observe(failed(), NOW + 9_000));
            }
            Fares::Ahead => {
                let readings: Vec<_> = state.readings(NOW).collect();
                let is_own = |r: &Reading| r.scope == LimitScope::Model && r.per == Period::Day;
                for (key, mut reading) in readings.into_iter().filter(|(_, r)| is_own(r)) {
                    reading.used = reading.limit.unwrap_or(0) / 10 * 9;
                    state.restore(key, &reading, NOW);
                }
            }
        }
    }
    snapshot
}

fn choices(c: &mut Criterion) {
    let (snapshot, facts) = (limited(), asked());
    let mut seed = 0;
    c.bench_function("choose/300", |b| {
        b.iter(|| {
            seed += 1;
            decide(&snapshot, &facts, seed, NOW + seed / 100);
        });
    });
    for threads in [1, 16] {
        percentiles("all open", &snapshot, &facts, threads);
    }
    use Fares::{Ahead, Rests, Well};
    percentiles("a third at rest, a third ahead", &faring(&[Rests, Ahead, Well]), &facts, 16);
    percentiles("none open, all ahead", &faring(&[Ahead]), &facts, 16);
}

/// Decisions measured one by one.
const DECISIONS: u64 = 200_000;

/// Prints how long single decisions take from so many threads at once, by the clock on the wall: with more
/// threads than processors that includes being put aside for others, so the time each thread was at work
/// is printed beside it, as the mean it amounts to.
fn percentiles(pool: &str, snapshot: &Snapshot, facts: &RequestFacts, threads: u64) {
    let start = Barrier::new(threads as usize);
    let each = DECISIONS / threads;
    let work = |thread: u64| {
        let mut times = Vec::with_capacity(each as usize);
        start_together(&start);
        for i in 0..each {
            let (seed, began) = (thread * each + i, Instant::now());
            decide(snapshot, facts, seed, NOW + 10_000 + i / 10);
            times.push(began.elapsed());
        }
        times
    };
    let began = Instant::now();
    let mut times: Vec<Duration> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("it decides")).collect()
    });
    let processors = std::thread::available_parallelism().map_or(1, usize::from).min(threads as usize);
    let work_us = began.elapsed().as_secs_f64() * 1e6 * processors as f64 / times.len() as f64;
    times.sort_unstable();
    let at = |share: f64| times[(times.len() as f64 * share) as usize].as_secs_f64() * 1e6;
    println!(
        "choose/300, {pool}, from {threads} threads: p50 {:.1} µs, p99 {:.1} µs, p99.9 {:.1} µs; \
         {work_us:.1} µs of a processor each",
        at(0.5),
        at(0.99),
        at(0.999)
    );
}

#[expect(
    clippy::disallowed_methods,
    reason = "these threads are the benchmark's own and have nothing else to do"
)]
fn start_together(barrier: &Barrier) {
    barrier.wait();
}

criterion_group!(benches, plans, classifications, choices);
criterion_main!(benches);
