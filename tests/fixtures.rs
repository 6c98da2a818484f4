//! Every provider's way to answer, for every kind of client, cut every which way by the network. What
//! comes out is read the way the strictest clients read it. See `tests/fixtures/README.md`.
#![allow(clippy::unwrap_used)]

use freeway::metering::{Measurement, estimate};
use freeway::money::Price;
use freeway::protocol::Dialect;
use freeway::protocol::errors::{ApiError, ErrorKind};
use freeway::protocol::normalize::{Bill, Fault, Identity, Reply, ReplyShape};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Our own estimate of every fixture's prompt, in tokens.
const PROMPT_ESTIMATE: u32 = 14;

const SHAPES: [ReplyShape; 5] = [
    ReplyShape { dialect: Dialect::OpenAi, stream: true, include_usage: false },
    ReplyShape { dialect: Dialect::OpenAi, stream: true, include_usage: true },
    ReplyShape { dialect: Dialect::OpenRouter, stream: true, include_usage: false },
    ReplyShape { dialect: Dialect::OpenAi, stream: false, include_usage: false },
    ReplyShape { dialect: Dialect::OpenRouter, stream: false, include_usage: false },
];

/// What became of an answer.
#[derive(Debug, PartialEq)]
struct Outcome {
    output: String,
    fault: Option<Fault>,
    committed: bool,
    measured: Measurement,
}

#[test]
fn every_fixture_is_told_as_expected_to_every_client() {
    let fixtures = fixtures();
    assert!(fixtures.len() >= 50, "only {} fixtures found", fixtures.len());
    for path in fixtures {
        let (answer, expect) = (std::fs::read(&path).unwrap(), expectation(&path));
        for shape in SHAPES {
            let name = format!("{} for {shape:?}", path.display());
            let whole = run(&path, shape, std::slice::from_ref(&answer));
            check(&name, shape, &whole, &expect);
            if path.extension().is_some_and(|e| e == "sse") {
                for size in [1, 2, 3, 7, 64] {
                    let pieces: Vec<Vec<u8>> = answer.chunks(size).map(<[u8]>::to_vec).collect();
                    assert_eq!(run(&path, shape, &pieces), whole, "{name} in pieces of {size}");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn any_chunking_of_a_stream_gives_one_output_and_one_measurement(
        which in any::<prop::sample::Index>(),
        shape in prop::sample::select(&SHAPES[..]),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..30),
    ) {
        let streams: Vec<PathBuf> =
            fixtures().into_iter().filter(|p| p.extension().is_some_and(|e| e == "sse")).collect();
        let path = which.get(&streams);
        let answer = std::fs::read(path).unwrap();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(answer.len() + 1)).collect();
        cuts.extend([0, answer.len()]);
        cuts.sort_unstable();
        let pieces: Vec<Vec<u8>> = cuts.windows(2).map(|w| answer[w[0]..w[1]].to_vec()).collect();
        prop_assert_eq!(run(path, shape, &pieces), run(path, shape, &[answer]));
    }
}

fn fixtures() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut found = Vec::new();
    for folder in std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()) {
        if !folder.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            let is_answer = name.starts_with("stream-") || name.starts_with("reply-");
            if is_answer && !name.ends_with(".expect.json") {
                found.push(file);
            }
        }
    }
    found.sort();
    found
}

fn expectation(path: &Path) -> Value {
    let text = std::fs::read_to_string(path.with_extension("expect.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn run(path: &Path, shape: ReplyShape, pieces: &[Vec<u8>]) -> Outcome {
    let identity = Identity {
        id: "gen-1".to_owned(),
        created: 7,
        model: "our/model".to_owned(),
        provider: "Ours".to_owned(),
    };
    let mut reply = Reply::new(Arc::new(identity), shape);
    let mut out = Vec::new();
    let is_stream = path.extension().is_some_and(|e| e == "sse");
    let fed = pieces.iter().try_for_each(|piece| {
        let progress = if is_stream { reply.sse(piece, &mut out) } else { reply.json(piece, &mut out) };
        progress.map(|_| ())
    });
    let fault = fed.and_then(|()| reply.end(&mut out)).err();
    let counted = reply.meter().pending_text().map(estimate::count);
    let measured = reply.meter().measure(PROMPT_ESTIMATE, counted);
    match &fault {
        None => {
            let Measurement { usage, source } = measured;
            reply.finish(
                &Bill { usage, source, cost: Price::default().charge(&usage), own_key: false },
                None,
                &mut out,
            );
        }
        Some(_) if reply.is_committed() && shape.stream => {
            reply.abort(&ApiError::new(ErrorKind::ProviderFailed, "the provider broke off"), &mut out);
        }
        Some(_) => {}
    }
    let output = String::from_utf8(out).unwrap();
    Outcome { output, fault, committed: reply.is_committed(), measured }
}

fn check(name: &str, shape: ReplyShape, outcome: &Outcome, expect: &Value) {
    if let Some(fault) = expect["fault"].as_str() {
        let (word, status) = match outcome.fault.as_ref().expect(name) {
            Fault::ErrorEvent(error) => ("error", error.status),
            Fault::Empty => ("empty", None),
            Fault::Truncated => ("truncated", None),
            Fault::Malformed | Fault::TooLong | Fault::FinishedWithError => ("other", None),
        };
        assert_eq!((word, json!(status)), (fault, expect["status"].clone()), "{name}");
        assert_eq!(json!(outcome.committed), expect["committed"], "{name}");
        match outcome.committed && shape.stream {
            true => assert_eq!(read_stream(name, shape, &outcome.output).finish_reason(0), "error", "{name}"),
            false => assert_eq!(outcome.output, "", "{name}"),
        }
        return;
    }
    assert_eq!(outcome.fault, None, "{name}");
    let Measurement { usage, source } = outcome.measured;
    let measured = json!({
        "prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens,
        "cached_tokens": usage.cached_tokens, "reasoning_tokens": usage.reasoning_tokens,
        "source": source.name(),
    });
    assert_eq!(measured, expect["usage"], "{name}");
    let read = match shape.stream {
        true => read_stream(name, shape, &outcome.output),
        false => read_body(name, &outcome.output),
    };
    assert_eq!(read.choices(), expect["choices"], "{name}: {}", outcome.output);
    let wants_usage = !shape.stream || shape.include_usage || shape.dialect == Dialect::OpenRouter;
    assert_eq!(read.usage.is_some(), wants_usage, "{name}");
    if let Some(told) = read.usage {
        assert_eq!(told["completion_tokens"], usage.completion_tokens, "{name}");
        assert_eq!(told["prompt_tokens_details"]["cached_tokens"], usage.cached_tokens, "{name}");
        assert_eq!(told["completion_tokens_details"]["reasoning_tokens"], usage.reasoning_tokens, "{name}");
    }
}

/// What a client has read.
#[derive(Default)]
struct Read {
    choices: BTreeMap<u64, ReadChoice>,
    usage: Option<Value>,
}

#[derive(Default)]
struct ReadChoice {
    role: bool,
    content: String,
    reasoning: String,
    calls: BTreeMap<u64, ReadCall>,
    finish: Option<(String, Value)>,
}

#[derive(Default)]
struct ReadCall {
    id: String,
    name: String,
    arguments: String,
}

impl Read {
    fn finish_reason(&self, index: u64) -> &str {
        &self.choices[&index].finish.as_ref().unwrap().0
    }

    /// In the words of the expectations.
    fn choices(&self) -> Value {
        let choice = |choice: &ReadChoice| {
            let (finish, native) = choice.finish.clone().unwrap();
            let mut shown = json!({
                "content": if choice.calls.is_empty() { json!(choice.content) } else { Value::Null },
                "reasoning": if choice.reasoning.is_empty() { Value::Null } else { json!(choice.reasoning) },
                "finish_reason": finish,
                "native_finish_reason": native,
            });
            if !choice.calls.is_empty() {
                let call = |call: &ReadCall| {
                    assert!(!call.id.is_empty());
                    let arguments: Value = serde_json::from_str(&call.arguments).unwrap();
                    json!({ "name": call.name, "arguments": arguments })
                };
                shown["tool_calls"] = choice.calls.values().map(call).collect();
            }
            shown
        };
        self.choices.values().map(choice).collect()
    }
}

/// Reads a stream as strictly as `@openrouter/sdk` and the Vercel AI SDK do, joining deltas as the
/// OpenAI clients do.
fn read_stream(name: &str, shape: ReplyShape, output: &str) -> Read {
    let events = output.strip_suffix("data: [DONE]\n\n").expect(name);
    let mut read = Read::default();
    for event in events.split_terminator("\n\n") {
        let json = event.strip_prefix("data: ").expect(name);
        assert!(!json.contains(['\n', '\r']) && json != "[DONE]", "{name}");
        let chunk: Map<String, Value> = serde_json::from_str(json).expect(name);
        assert!(read.usage.is_none(), "{name}: the usage is in the last chunk");
        identity(name, &chunk, "chat.completion.chunk");
        for absent_or_set in ["usage", "system_fingerprint", "service_tier"] {
            assert_ne!(chunk.get(absent_or_set), Some(&Value::Null), "{name}");
        }
        let choices = chunk["choices"].as_array().expect(name);
        read.usage = chunk.get("usage").map(|usage| strict_usage(name, usage));
        let usage_alone = read.usage.is_some() && shape.dialect == Dialect::OpenAi;
        assert_eq!(choices.is_empty(), usage_alone, "{name}: {json}");
        for choice in choices {
            let index = choice["index"].as_u64().expect(name);
            read_delta(name, read.choices.entry(index).or_default(), choice);
        }
        let error = chunk.get("error");
        assert!(error.is_none_or(|error| error["code"].is_u64()), "{name}");
    }
    read
}

fn read_delta(name: &str, read: &mut ReadChoice, choice: &Value) {
    let delta = choice["delta"].as_object().expect(name);
    match delta.get("role") {
        Some(role) => assert!(role == "assistant" && !std::mem::replace(&mut read.role, true), "{name}"),
        None => assert!(read.role, "{name}: the first delta has the role"),
    }
    let text = |key: &str| delta.get(key).map_or("", |text| text.as_str().expect(name));
    read.content += text("content");
    read.reasoning += text("reasoning");
    assert_eq!(text("reasoning"), text("reasoning_content"), "{name}");
    if let Some(calls) = delta.get("tool_calls") {
        for call in calls.as_array().expect(name) {
            let joined = read.calls.entry(call["index"].as_u64().expect(name)).or_default();
            joined.id += call["id"].as_str().unwrap_or_default();
            joined.name += call["function"]["name"].as_str().unwrap_or_default();
            joined.arguments += call["function"]["arguments"].as_str().unwrap_or_default();
        }
    }
    match &choice.as_object().unwrap()["finish_reason"] {
        Value::Null => assert!(read.finish.is_none(), "{name}"),
        reason => {
            let finish = (reason.as_str().expect(name).to_owned(), choice["native_finish_reason"].clone());
            assert!(read.finish.is_none() || read.finish.as_ref() == Some(&finish), "{name}");
            read.finish = Some(finish);
        }
    }
}

fn read_body(name: &str, output: &str) -> Read {
    let body: Map<String, Value> = serde_json::from_str(output).expect(name);
    identity(name, &body, "chat.completion");
    assert!(body.contains_key("system_fingerprint"), "{name}");
    let mut read = Read { usage: Some(strict_usage(name, &body["usage"])), ..Read::default() };
    for choice in body["choices"].as_array().expect(name) {
        let message = choice["message"].as_object().expect(name);
        assert!(message["role"] == "assistant" && message.contains_key("content"), "{name}");
        assert_ne!(message.get("tool_calls"), Some(&Value::Null), "{name}");
        let text = |key: &str| message.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut calls = BTreeMap::new();
        for (number, call) in
            message.get("tool_calls").and_then(Value::as_array).into_iter().flatten().enumerate()
        {
            let part = |value: &Value| value.as_str().expect(name).to_owned();
            calls.insert(
                number as u64,
                ReadCall {
                    id: part(&call["id"]),
                    name: part(&call["function"]["name"]),
                    arguments: part(&call["function"]["arguments"]),
                },
            );
        }
        let reason = choice["finish_reason"].as_str().expect(name).to_owned();
        read.choices.insert(
            choice["index"].as_u64().expect(name),
            ReadChoice {
                role: true,
                content: text("content"),
                reasoning: text("reasoning"),
                calls,
                finish: Some((reason, choice["native_finish_reason"].clone())),
            },
        );
    }
    read
}

fn identity(name: &str, answer: &Map<String, Value>, object: &str) {
    let told = ["id", "object", "created", "model", "provider"].map(|key| answer[key].clone());
    assert_eq!(told, [json!("gen-1"), json!(object), json!(7), json!("our/model"), json!("Ours")], "{name}");
    assert!(!answer.contains_key("x_groq"), "{name}");
}

fn strict_usage(name: &str, usage: &Value) -> Value {
    let count = |value: &Value| value.as_u64().expect(name);
    let sum = count(&usage["prompt_tokens"]) + count(&usage["completion_tokens"]);
    assert_eq!(count(&usage["total_tokens"]), sum, "{name}");
    count(&usage["prompt_tokens_details"]["cached_tokens"]);
    count(&usage["completion_tokens_details"]["reasoning_tokens"]);
    assert!(usage["cost"].is_number(), "{name}");
    usage.clone()
}
