//! Inspecting and rewriting a request: a short chat, a long one, and one with a large image.

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use freeway::catalog::{Capability, Endpoint, FieldProfile, Model, OutputLimitField, Provider};
use freeway::protocol::inspect::inspect;
use freeway::protocol::rewrite::rewrite;
use std::hint::black_box;
use std::sync::Arc;

/// Prose with the escapes that prose has.
const PARAGRAPH: &str = "The proxy reads each request once, decides what it needs, and sends it on.\\n\\n\
     \\\"Why once?\\\" you may ask: because a prompt may be long, and every pass costs time.\\n";

/// A chat of about `bytes`, with the parameters that clients usually send.
fn chat(bytes: usize, bytes_per_message: usize) -> Bytes {
    let mut messages = vec![r#"{"role":"system","content":"You are a helpful assistant."}"#.to_owned()];
    let text = PARAGRAPH.repeat(bytes_per_message.div_ceil(PARAGRAPH.len()));
    for turn in 0..bytes / text.len() {
        let role = if turn % 2 == 0 { "user" } else { "assistant" };
        messages.push(format!(r#"{{"role":"{role}","content":"{text}"}}"#));
    }
    let messages = messages.join(",");
    let fields =
        r#""temperature":0.7,"max_tokens":512,"stream":true,"stream_options":{"include_usage":true}"#;
    format!(r#"{{"model":"auto","messages":[{messages}],{fields}}}"#).into()
}

fn image(bytes: usize) -> Bytes {
    let data = "iVBORw0KGgoAAAANSUhEUgAA/+xyz0123456789abcdefghijklmnopqrstuvwxy".repeat(bytes / 64);
    format!(
        r#"{{"model":"auto","messages":[{{"role":"user","content":[{{"type":"text","text":"What is this?"}},{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{data}"}}}}]}}]}}"#
    )
    .into()
}

fn endpoint() -> Endpoint {
    let base = "https://api.groq.com/openai/v1".parse().expect("a base URL");
    let provider = Provider {
        profile: FieldProfile {
            output_limit: OutputLimitField::MaxCompletionTokens,
            strip: vec!["logprobs".into(), "logit_bias".into(), "top_logprobs".into()],
            strip_message_names: true,
            ..FieldProfile::default()
        },
        ..Provider::new("groq", base)
    };
    let capabilities = Capability::ALL.iter().copied().collect();
    let model = Model { id: "llama".into(), capabilities, ..Model::default() };
    Endpoint::new(Arc::new(provider), model, "llama-3.3-70b-versatile".into())
}

fn bench(c: &mut Criterion) {
    let bodies = [
        ("1kB", chat(1 << 10, 160)),
        ("64kB", chat(64 << 10, 400)),
        ("64kB_pretty", pretty(&chat(64 << 10, 400))),
        ("2MB_image", image(2 << 20)),
    ];
    let mut group = c.benchmark_group("inspect");
    for (name, body) in &bodies {
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(*name, |b| b.iter(|| inspect(black_box(body)).expect("a sound body")));
    }
    group.finish();

    let endpoint = endpoint();
    let mut group = c.benchmark_group("rewrite");
    for (name, body) in &bodies {
        let facts = inspect(body).expect("a sound body");
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(*name, |b| b.iter(|| rewrite(black_box(body), &facts, &endpoint)));
    }
    group.finish();
}

fn pretty(body: &Bytes) -> Bytes {
    let value: serde_json::Value = serde_json::from_slice(body).expect("sound JSON");
    serde_json::to_vec_pretty(&value).expect("a value can be written").into()
}

criterion_group!(benches, bench);
criterion_main!(benches);
