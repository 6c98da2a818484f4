//! What a streamed event costs: 1,000 events through decoding, normalisation and metering, arriving in
//! odd pieces. The target is below 2 µs an event.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use freeway::money::Price;
use freeway::protocol::Dialect;
use freeway::protocol::normalize::{Bill, Identity, Reply, ReplyShape};
use std::hint::black_box;
use std::sync::Arc;

const EVENTS: usize = 1000;

/// An OpenRouter stream: about 330 bytes an event, most with one word.
fn stream() -> Vec<u8> {
    let event = |delta: &str, finish: &str| {
        format!(
            concat!(
                r#"data: {{"id":"gen-1773502407-NpIIQ87J9N9tdSLJTtt5","provider":"Google AI Studio","#,
                r#""model":"google/gemma-4-31b-it:free","object":"chat.completion.chunk","created":1773502407,"#,
                r#""choices":[{{"index":0,"delta":{{"role":"assistant","content":"{}"}},"finish_reason":{},"#,
                r#""native_finish_reason":null,"logprobs":null}}],"system_fingerprint":null}}"#,
                "\n\n",
            ),
            delta, finish
        )
    };
    let words = [" the", " capital", "\\n\\n", " of", " \\\"France\\\"", " is", " Paris", "।"];
    let mut stream = String::from(": OPENROUTER PROCESSING\n\n");
    for i in 0..EVENTS - 2 {
        stream += &event(words[i % words.len()], "null");
    }
    stream += &event("", "\"stop\"");
    stream += "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":14,\"completion_tokens\":998,\"total_tokens\":1012}}\n\n";
    (stream + "data: [DONE]\n\n").into_bytes()
}

fn relay(identity: &Arc<Identity>, shape: ReplyShape, stream: &[u8], piece: usize) -> usize {
    let mut reply = Reply::new(identity.clone(), shape);
    let mut out = Vec::new();
    let mut sent = 0;
    for chunk in stream.chunks(piece) {
        reply.sse(chunk, &mut out).expect("a good stream");
        sent += out.len();
        out.clear();
    }
    let measured = reply.meter().measure(14, None);
    let cost = Price::default().charge(&measured.usage);
    reply.finish(
        &Bill { usage: measured.usage, source: measured.source, cost, own_key: false },
        None,
        &mut out,
    );
    sent + out.len()
}

fn metering(c: &mut Criterion) {
    let identity = Arc::new(Identity {
        id: "gen-0123456789abcdef".to_owned(),
        created: 1_773_502_407,
        model: "google/gemma-4-31b-it:free".to_owned(),
        provider: "Google AI Studio".to_owned(),
    });
    let stream = stream();
    let mut group = c.benchmark_group("metering");
    group.throughput(Throughput::Elements(EVENTS as u64));
    for (name, dialect, streams) in [
        ("openai", Dialect::OpenAi, true),
        ("openrouter", Dialect::OpenRouter, true),
        ("gathered", Dialect::OpenAi, false),
    ] {
        let shape = ReplyShape { dialect, stream: streams, include_usage: false };
        for piece in [97, 1447, 16_384] {
            group.bench_with_input(BenchmarkId::new(name, piece), &piece, |b, &piece| {
                b.iter(|| relay(&identity, shape, black_box(&stream), piece));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, metering);
criterion_main!(benches);
