//! Streams: each event at once, well-formed for the strictest clients, whatever the upstream's spelling.

use crate::client::{Event, chunks, text_of};
use crate::harness::{Router, ask, streamed, with};
use crate::provider::{Provider, Transport};
use crate::script::{Gate, Script, Step, chunk, completion};
use serde_json::{Value, json};

/// All events the client gets when a lone provider plays this script.
async fn events_of(script: Script, request: Value) -> Vec<Event> {
    let provider = Provider::start("alpha", [script]).await;
    let router = Router::start(&[&provider]).await;
    router.client().await.chat_stream(&request).await.events().await
}

pub fn plain() -> Value {
    streamed(ask("hi"))
}

/// The rules every stream keeps; returns its chunks.
pub fn check_shape(events: &[Event]) -> Vec<Value> {
    assert_eq!(events.last(), Some(&Event::Done), "{events:?}");
    assert_eq!(events.iter().filter(|e| **e == Event::Done).count(), 1);
    let chunks = chunks(events);
    assert!(chunks[0]["id"].as_str().is_some_and(|id| id.starts_with("gen-")));
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    for chunk in &chunks {
        for key in ["id", "created", "model", "object", "provider"] {
            assert_eq!(chunk[key], chunks[0][key], "one {key} for all chunks");
        }
        assert_eq!(chunk["object"], "chat.completion.chunk");
        assert!(!chunk["model"].is_null() && chunk["created"].is_u64());
        assert!(chunk.get("system_fingerprint") != Some(&Value::Null), "omitted, not null");
        assert!(chunk.get("usage") != Some(&Value::Null), "omitted, not null");
        for choice in chunk["choices"].as_array().expect("always there") {
            assert!(choice.get("finish_reason").is_some(), "null, not omitted: {chunk}");
            let delta = choice["delta"].as_object().expect("a delta");
            assert!(delta.get("role").is_none_or(|role| role == "assistant"));
            assert!(delta.get("tool_calls") != Some(&Value::Null));
        }
    }
    chunks
}

#[tokio::test]
async fn every_event_reaches_the_client_before_the_next_is_sent() {
    for transport in [Transport::Http1, Transport::H2c] {
        let gate = Gate::new();
        let words: Vec<String> = (0..50).map(|n| format!("w{n} ")).collect();
        let script = words.iter().fold(Script::stream().role(), |s, word| s.text(word).gate(&gate));
        let provider = Provider::start_on(transport, "alpha", [script.finish("stop").done()]).await;
        let router = Router::start(&[&provider]).await;
        let mut client = router.client().await;
        let mut stream = client.chat_stream(&plain()).await;
        assert_eq!(stream.status, 200);
        assert!(stream.header("content-type").is_some_and(|t| t.starts_with("text/event-stream")));
        let mut text = String::new();
        for word in &words {
            while !text.ends_with(word.as_str()) {
                let Some(Event::Data(chunk)) = stream.next_data().await else { panic!("it ended at {text}") };
                text.push_str(chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default());
            }
            // Only now may the provider go on.
            gate.open();
        }
        assert_eq!(stream.events().await.last(), Some(&Event::Done));
        assert_eq!(text, words.concat());
    }
}

#[tokio::test]
async fn a_plain_stream_has_one_identity_one_role_one_end() {
    let events = events_of(Script::answer("Paris is the capital."), plain()).await;
    let chunks = check_shape(&events);
    assert_eq!(text_of(&events), "Paris is the capital.");
    assert_eq!(chunks[0]["model"], "alpha/chat:free");
    assert!(chunks.iter().all(|c| c.get("usage").is_none()), "nobody asked for usage");
    assert!(chunks.iter().all(|c| c["choices"].as_array().is_some_and(|c| !c.is_empty())));
    let finished = chunks.iter().filter(|c| c["choices"][0]["finish_reason"] == "stop").count();
    assert_eq!(finished, 1);
}

#[tokio::test]
async fn usage_comes_once_before_the_end_when_asked_for() {
    let request = with(plain(), json!({"stream_options": {"include_usage": true}}));
    let events = events_of(Script::answer("Paris."), request).await;
    let chunks = check_shape(&events);
    let (last, before) = chunks.split_last().expect("chunks");
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"]["prompt_tokens"], 14);
    assert_eq!(last["usage"]["completion_tokens"], 3);
    assert_eq!(last["usage"]["total_tokens"], 17);
    assert!(last["usage"]["prompt_tokens_details"]["cached_tokens"].is_u64());
    assert!(last["usage"]["completion_tokens_details"]["reasoning_tokens"].is_u64());
    assert!(before.iter().all(|c| c.get("usage").is_none()));
    assert!(before.iter().any(|c| c["choices"][0]["finish_reason"] == "stop"), "after the finish");
}

#[tokio::test]
async fn the_other_dialect_always_has_usage_with_a_choice() {
    let provider = Provider::start("alpha", [Script::answer("Paris.")]).await;
    let router = Router::start(&[&provider]).await;
    let answer = router.client().await.post("/api/v1/chat/completions", &[], plain().to_string()).await;
    let chunks = check_shape(&answer.events());
    let with_usage: Vec<_> = chunks.iter().filter(|c| c.get("usage").is_some()).collect();
    assert_eq!(with_usage.len(), 1);
    assert_eq!(with_usage[0], chunks.last().expect("chunks"));
    assert_eq!(with_usage[0]["choices"].as_array().map(Vec::len), Some(1));
    assert_eq!(with_usage[0]["usage"]["total_tokens"], 17);
}

#[tokio::test]
async fn the_provider_is_always_asked_for_usage() {
    let provider = Provider::start("alpha", [Script::answer("Yes.")]).await;
    let router = Router::start(&[&provider]).await;
    let client = &mut router.client().await;
    for request in [plain(), with(plain(), json!({"stream_options": {"include_usage": false}}))] {
        assert_eq!(client.chat(&request).await.status, 200);
    }
    for seen in provider.requests() {
        assert_eq!(seen.json()["stream_options"], json!({"include_usage": true}));
    }
    assert_eq!(client.chat(&ask("whole")).await.status, 200);
    let whole = provider.requests().pop().expect("one").json();
    assert!(
        whole.get("stream_options").is_none() && whole["stream"] != json!(true),
        "a whole answer is asked for"
    );
}

/// This upstream wire gives the same as the plain one.
async fn check_same(what: &str, script: Script) {
    let events = events_of(script, plain()).await;
    check_shape(&events);
    assert_eq!(text_of(&events), "Grüße 🎈 on", "{what}");
    assert!(!events.iter().any(|e| matches!(e, Event::Comment(c) if c.contains("upstream"))), "{what}");
}

fn greeting() -> Script {
    Script::stream().role().text("Grüße ").text("🎈 on").finish("stop").usage(5, 4)
}

#[tokio::test]
async fn any_segments_give_the_same_stream() {
    check_same("whole events", greeting().done()).await;
    check_same("one byte a segment", greeting().done().dribbled()).await;
}

#[tokio::test]
async fn any_spelling_of_event_streams_is_read() {
    let text = |t: &str| chunk(json!({"content": t}), None);
    let end = chunk(json!({}), Some("stop"));
    let crlf = format!(
        "data: {}\r\n\r\ndata: {}\r\n\r\ndata: {end}\r\n\r\ndata: [DONE]\r\n\r\n",
        text("Grüße "),
        text("🎈 on")
    );
    check_same("CRLF", Script::stream().raw(crlf).step(Step::End)).await;
    let bare =
        format!("\u{feff}data:{}\n\ndata:{}\n\ndata:{end}\n\ndata:[DONE]\n\n", text("Grüße "), text("🎈 on"));
    check_same("no space, BOM", Script::stream().raw(bare).step(Step::End)).await;
    let fields = format!(
        ": upstream comment\n\nid: 7\nretry: 10\nevent: message\ndata: {}\n\nid: 8\n\nevent: ping\n\n\
         data: {}\n: upstream again\n\ndata: {end}\n\ndata: [DONE]\n\n",
        text("Grüße "),
        text("🎈 on")
    );
    check_same("fields clients die of", Script::stream().raw(fields).step(Step::End)).await;
    let unfinished = format!("data: {}\n\ndata: {}\n\ndata: {end}", text("Grüße "), text("🎈 on"));
    check_same("no blank line at the end", Script::stream().raw(unfinished).step(Step::End)).await;
}

#[tokio::test]
async fn strict_clients_get_what_their_schema_demands() {
    let event = |delta: Value, finish: Option<Value>| {
        let mut event = json!({
            "id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "system_fingerprint": null,
            "usage": null, "choices": [{"index": 0, "delta": delta}],
        });
        if let Some(finish) = finish {
            event["choices"][0]["finish_reason"] = finish;
        }
        event
    };
    let script = Script::stream()
        .event(event(json!({"role": null, "content": null, "tool_calls": null}), None))
        .event(event(json!({"role": "", "content": "Grüße "}), None))
        .event(event(json!({"role": "assistant", "content": "🎈 on", "tool_calls": null}), None))
        .event(event(json!({}), Some(json!("stop"))));
    check_same("nulls everywhere", script.done()).await;
}

#[tokio::test]
async fn a_repeated_finish_with_usage_is_told_once() {
    let mut repeated = chunk(json!({"content": "", "role": "assistant"}), Some("stop"));
    repeated["usage"] = crate::script::usage(5, 4);
    let events = events_of(Script::stream().text("Hi").finish("stop").event(repeated).done(), plain()).await;
    let chunks = check_shape(&events);
    assert_eq!(chunks.iter().filter(|c| c["choices"][0]["finish_reason"] == "stop").count(), 1);
    assert_eq!(text_of(&events), "Hi");
}

#[tokio::test]
async fn an_event_of_a_megabyte_passes() {
    let long = "lorem ipsum ".repeat(90_000);
    let events = events_of(Script::stream().text(&long).finish("stop").done(), plain()).await;
    check_shape(&events);
    assert_eq!(text_of(&events), long);
}

#[tokio::test]
async fn an_event_without_end_is_refused() {
    let endless = "x".repeat(64 << 20);
    let first =
        Provider::start("alpha", [Script::stream().raw(format!("data: {endless}")).step(Step::Stall)]).await;
    let second = Provider::start("beta", [Script::answer("second")]).await;
    let router = Router::start(&[&first, &second]).await;
    assert_eq!(router.client().await.chat(&plain()).await.text(), "second");
}

#[tokio::test]
async fn tool_calls_stream_with_the_right_finish() {
    let call = |index: Option<u32>, id: &str, arguments: &str| {
        let mut call =
            json!({"id": id, "type": "function", "function": {"name": "weather", "arguments": arguments}});
        if let Some(index) = index {
            call["index"] = json!(index);
        }
        chunk(json!({"tool_calls": [call]}), None)
    };
    let script =
        Script::stream().role().event(call(None, "call_1", "{\"city\":\"Paris\"}")).finish("stop").done();
    let tool =
        json!([{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]);
    let events = events_of(script, with(plain(), json!({"tools": tool}))).await;
    let chunks = check_shape(&events);
    let calls: Vec<_> =
        chunks.iter().filter(|c| c["choices"][0]["delta"].get("tool_calls").is_some()).collect();
    assert_eq!(calls.len(), 1);
    let call = &calls[0]["choices"][0]["delta"]["tool_calls"][0];
    assert_eq!((&call["index"], &call["function"]["arguments"]), (&json!(0), &json!("{\"city\":\"Paris\"}")));
    let finish = chunks.iter().find(|c| !c["choices"][0]["finish_reason"].is_null()).expect("a finish");
    assert_eq!(finish["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(finish["choices"][0]["native_finish_reason"], "stop");
}

#[tokio::test]
async fn reasoning_counts_as_a_first_token_and_is_kept() {
    let script = Script::stream()
        .event(chunk(json!({"role": "assistant", "reasoning_content": "Hmm."}), None))
        .text("Yes.")
        .finish("stop")
        .done();
    let events = events_of(script, plain()).await;
    let chunks = check_shape(&events);
    let delta = &chunks[0]["choices"][0]["delta"];
    assert_eq!((&delta["reasoning"], &delta["reasoning_content"]), (&json!("Hmm."), &json!("Hmm.")));
    assert_eq!(text_of(&events), "Yes.");
}

#[tokio::test]
async fn unknown_members_of_events_survive() {
    let mut event = chunk(json!({"content": "Hi", "new_thing": {"n": 1.5}}), None);
    event["choices"][0]["extra"] = json!([1, 2]);
    let events = events_of(Script::stream().event(event).finish("stop").done(), plain()).await;
    let chunks = check_shape(&events);
    assert_eq!(chunks[0]["choices"][0]["delta"]["new_thing"], json!({"n": 1.5}));
    assert_eq!(chunks[0]["choices"][0]["extra"], json!([1, 2]));
}

#[tokio::test]
async fn a_whole_answer_becomes_a_stream_for_a_streaming_client() {
    let events = events_of(Script::json(200, completion("All at once.")), plain()).await;
    check_shape(&events);
    assert_eq!(text_of(&events), "All at once.");
}

#[tokio::test]
async fn a_stream_becomes_a_whole_answer_for_a_plain_client() {
    let script = greeting().done();
    let provider = Provider::start("alpha", [script]).await;
    let router = Router::start(&[&provider]).await;
    let answer = router.client().await.chat(&ask("hi")).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(answer.text(), "Grüße 🎈 on");
    assert_eq!(answer.json()["usage"]["completion_tokens"], 4);
    assert_eq!(answer.json()["choices"][0]["finish_reason"], "stop");
}
