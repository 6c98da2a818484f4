//! What a decision costs: classifying a prompt, and planning over small and large catalogs.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use freeway::catalog::{Capability, Catalog, Endpoint, Model, Provider, Terms};
use freeway::protocol::facts::{PromptFeatures, RequestFacts, Role, Span, Text};
use freeway::routing::{Classification, Condition, Inputs, Policy, Task, classify, plan};
use std::hint::black_box;
use std::sync::Arc;

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
                    classification: Classification { task: Task::Qa, complexity: 0.4 },
                    catalog: &catalog,
                    condition: &condition,
                    policy: &policy,
                    seed,
                    last_chance: false,
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

criterion_group!(benches, plans, classifications);
criterion_main!(benches);
