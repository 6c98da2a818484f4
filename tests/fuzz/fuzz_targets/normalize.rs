//! Whatever a provider sends, a client gets a well-formed answer: nothing before the first token, events
//! of one line each, every chunk JSON and signed alike, `[DONE]` once and last; and the same for any
//! chunking, which goes for what the answer shows of its model, too.
#![no_main]

use freeway::metering::Measurement;
use freeway::money::Price;
use freeway::protocol::Dialect;
use freeway::protocol::errors::{ApiError, ErrorKind};
use freeway::protocol::inspect::inspect;
use freeway::protocol::normalize::{Bill, Identity, Progress, Reply, ReplyShape, Shown};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use serde_json::value::RawValue;
use std::sync::Arc;

#[derive(Debug, PartialEq)]
struct Outcome {
    output: Vec<u8>,
    fault: Option<String>,
    measured: Measurement,
    shown: Shown,
}

/// What the answer is judged by.
const REQUEST: &[u8] = br##"{"messages":[{"role":"user","content":"hi"}],
    "tools":[{"type":"function","function":{"name":"f"}}],
    "response_format":{"type":"json_schema","json_schema":{"name":"s","schema":
        {"type":"object","properties":{"a":{"anyOf":[{"$ref":"#"},{"type":"integer"}]}},"required":["a"]}}}}"##;

fn run<'a>(shape: ReplyShape, is_stream: bool, pieces: impl Iterator<Item = &'a [u8]>) -> Outcome {
    let identity = Identity {
        id: "gen-1".to_owned(),
        created: 7,
        model: "our/model".to_owned(),
        provider: "Ours".to_owned(),
    };
    let mut reply = Reply::new(Arc::new(identity), shape);
    reply.watch();
    let mut output = Vec::new();
    let mut feed = |piece: &[u8]| {
        let progress =
            if is_stream { reply.sse(piece, &mut output)? } else { reply.json(piece, &mut output)? };
        assert!(progress != Progress::Held || output.is_empty(), "nothing before the first token");
        Ok(())
    };
    let fed = pieces.into_iter().try_for_each(&mut feed);
    let fault = fed.and_then(|()| reply.end(&mut output)).err();
    assert!(shape.stream || output.is_empty(), "a body comes out at the end");
    assert!(reply.is_committed() || output.is_empty());
    let Measurement { usage, source } = reply.meter().measure(14, None);
    let expected = inspect(REQUEST).expect("a valid request").expected;
    let shown = if fault.is_none() { reply.shown(&expected, REQUEST) } else { Shown::default() };
    match &fault {
        None => {
            reply.finish(&Bill { usage, source, cost: Price::default().charge(&usage), own_key: false }, None, &mut output)
        }
        Some(_) => reply.abort(&ApiError::new(ErrorKind::ProviderFailed, "it broke off"), &mut output),
    }
    let closed = output.len();
    reply.abort(&ApiError::new(ErrorKind::Internal, "again"), &mut output);
    assert_eq!(output.len(), closed, "an answer is closed once");
    Outcome {
        output,
        fault: fault.map(|fault| format!("{fault:?}")),
        measured: Measurement { usage, source },
        shown,
    }
}

fn check(shape: ReplyShape, outcome: &Outcome) {
    let output = std::str::from_utf8(&outcome.output).expect("output is UTF-8");
    if !shape.stream {
        let Ok(body) = serde_json::from_str::<Value>(output) else {
            serde_json::from_str::<&RawValue>(output).expect("a body is JSON");
            return;
        };
        assert_eq!(body.get("error").is_some(), outcome.fault.is_some());
        assert_eq!(body.get("usage").is_some(), outcome.fault.is_none());
        return;
    }
    let events = output.strip_suffix("data: [DONE]\n\n").expect("[DONE] is last");
    for event in events.split_terminator("\n\n") {
        let json = event.strip_prefix("data: ").expect("an event is its data");
        assert!(!json.contains(['\n', '\r']), "data is one line");
        let Ok(chunk) = serde_json::from_str::<Value>(json) else {
            // Half a surrogate pair and deep nesting pass through, which `Value` refuses.
            serde_json::from_str::<&RawValue>(json).expect("a chunk is JSON");
            continue;
        };
        assert_eq!((&chunk["id"], &chunk["model"]), (&"gen-1".into(), &"our/model".into()));
        for choice in chunk["choices"].as_array().expect("a chunk has choices") {
            assert!(choice["index"].is_u64() && choice["delta"].is_object());
            assert!(choice.as_object().is_some_and(|choice| choice.contains_key("finish_reason")));
            assert_ne!(choice["delta"].get("role"), Some(&Value::Null));
        }
    }
}

fuzz_target!(|answer: &[u8]| {
    // The length chooses the client, so that `tests/fixtures/*` are seeds as they stand.
    let options = answer.len();
    let shape = ReplyShape {
        dialect: if options & 1 == 0 { Dialect::OpenAi } else { Dialect::OpenRouter },
        stream: options % 3 != 0,
        include_usage: options & 2 == 0,
    };
    if answer.starts_with(b"{") || answer.starts_with(b"[") {
        check(shape, &run(shape, false, std::iter::once(answer)));
        return;
    }
    let whole = run(shape, true, std::iter::once(answer));
    check(shape, &whole);
    assert_eq!(run(shape, true, answer.chunks(options % 61 + 2)), whole);
    assert_eq!(run(shape, true, answer.chunks(1)), whole);
});
