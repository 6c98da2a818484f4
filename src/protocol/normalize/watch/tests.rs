use super::*;
use crate::protocol::Dialect;
use crate::protocol::inspect::inspect;
use crate::protocol::normalize::{Identity, Reply, ReplyShape};
use serde_json::json;
use std::sync::Arc;

const WEATHER: &str = r#""tools":[{"type":"function","function":{"name":"weather","parameters":{}}},
    {"type":"function","function":{"name":"time"}}]"#;
const SCHEMA: &str = r#""response_format":{"type":"json_schema","json_schema":{"name":"a","schema":
    {"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}}"#;
const ANY: &str = r#""response_format":{"type":"json_object"}"#;

fn reply(stream: bool) -> Reply {
    let (id, provider) = ("gen-1".to_owned(), "p".to_owned());
    let identity = Identity { id, created: 1, model: "m".to_owned(), provider };
    let shape = ReplyShape { dialect: Dialect::OpenAi, stream, include_usage: false };
    let mut reply = Reply::new(Arc::new(identity), shape);
    reply.watch();
    reply
}

/// A message in answer to a request with these fields: what it shows, whole and in pieces.
#[track_caller]
fn check(fields: &str, message: &Value, able: &[Capability], flaw: Option<Capability>) {
    let request = format!(r#"{{"messages":[{{"role":"user","content":"hi"}}],{fields}}}"#);
    let facts = inspect(request.as_bytes()).expect("a valid request");
    let expect = Shown { able: able.iter().copied().collect(), flaw };
    let finish = if message["tool_calls"].is_null() { "stop" } else { "tool_calls" };
    let body = json!({"choices": [{"index": 0, "message": message, "finish_reason": finish}]}).to_string();
    for stream in [false, true] {
        let mut whole = reply(stream);
        whole.json(body.as_bytes(), &mut Vec::new()).expect("an answer");
        assert_eq!(whole.shown(&facts.expected, request.as_bytes()), expect, "{message}");
        let mut pieces = reply(stream);
        for delta in pieces_of(message) {
            let event = json!({"choices": [{"index": 0, "delta": delta, "finish_reason": null}]});
            pieces.sse(format!("data: {event}\n\n").as_bytes(), &mut Vec::new()).expect("an event");
        }
        let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]});
        pieces.sse(format!("data: {end}\n\ndata: [DONE]\n\n").as_bytes(), &mut Vec::new()).expect("an end");
        assert_eq!(pieces.shown(&facts.expected, request.as_bytes()), expect, "{message} in pieces");
    }
}

/// The message as deltas of a few characters each.
fn pieces_of(message: &Value) -> Vec<Value> {
    let split = |text: &Value| -> Vec<String> {
        let chars: Vec<char> = text.as_str().unwrap_or_default().chars().collect();
        chars.chunks(5).map(|piece| piece.iter().collect()).collect()
    };
    let mut deltas: Vec<Value> = split(&message["content"]).iter().map(|t| json!({"content": t})).collect();
    if !message["refusal"].is_null() {
        deltas.push(json!({"refusal": message["refusal"]}));
    }
    for (index, call) in message["tool_calls"].as_array().into_iter().flatten().enumerate() {
        let mut first = call.clone();
        first["index"] = json!(index);
        let arguments = split(&call["function"]["arguments"]);
        if first.get("function").is_some() {
            first["function"]["arguments"] = json!("");
        }
        deltas.push(json!({"tool_calls": [first]}));
        let fragment = |t| json!({"tool_calls": [{"index": index, "function": {"arguments": t}}]});
        deltas.extend(arguments.iter().map(fragment));
    }
    deltas
}

fn says(text: &str) -> Value {
    json!({"role": "assistant", "content": text})
}

fn calls(name: &str, arguments: &str) -> Value {
    let call = json!({"id": "c1", "type": "function", "function": {"name": name, "arguments": arguments}});
    json!({"role": "assistant", "content": null, "tool_calls": [call]})
}

#[test]
fn a_call_that_can_be_run_shows_that_tools_work() {
    check(WEATHER, &calls("weather", r#"{"city":"Rome"}"#), &[Capability::Tools], None);
    check(WEATHER, &calls("time", ""), &[Capability::Tools], None);
}

#[test]
fn a_call_that_cannot_be_run_is_a_flaw() {
    for arguments in [r#"{"city":"Ro"#, "city=Rome", "[1]", r#""{}""#] {
        check(WEATHER, &calls("weather", arguments), &[], Some(Capability::Tools));
    }
    check(WEATHER, &calls("functions.weather", "{}"), &[], Some(Capability::Tools));
}

#[test]
fn text_is_no_flaw_where_the_model_is_free_to_choose() {
    check(WEATHER, &says("I would rather not."), &[], None);
    check(&format!(r#"{WEATHER},"tool_choice":"none""#), &says("No."), &[], None);
}

#[test]
fn a_call_that_was_required_has_to_be_made() {
    let required = format!(r#"{WEATHER},"tool_choice":"required""#);
    let both = [Capability::Tools, Capability::ToolChoice];
    check(&required, &says("No."), &[], Some(Capability::ToolChoice));
    check(&required, &calls("time", "{}"), &both, None);
    let forced = format!(r#"{WEATHER},"tool_choice":{{"type":"function","function":{{"name":"time"}}}}"#);
    check(&forced, &calls("time", "{}"), &both, None);
    check(&forced, &calls("weather", "{}"), &[], Some(Capability::ToolChoice));
}

#[test]
fn tools_that_are_not_the_clients_are_not_looked_into() {
    let search = r#""tools":[{"type":"openrouter:web_search"},{"type":"function","function":{"name":"f"}}],
        "tool_choice":"required""#;
    check(search, &says("Found it."), &[], None);
    check(search, &calls("web_search", "{}"), &[Capability::Tools, Capability::ToolChoice], None);
}

#[test]
fn prose_in_the_place_of_json_is_a_flaw() {
    for text in ["Sure! Here it is.", "```json\n{\"city\":\"Rome\"}\n```", "{\"city\":\"Ro", "\"Rome\""] {
        check(ANY, &says(text), &[], Some(Capability::ResponseFormat));
        check(SCHEMA, &says(text), &[], Some(Capability::StructuredOutputs));
    }
    check(ANY, &says(" {\"a\": 1}\n"), &[Capability::ResponseFormat], None);
}

#[test]
fn json_has_to_keep_the_schema() {
    let both = [Capability::ResponseFormat, Capability::StructuredOutputs];
    check(SCHEMA, &says(r#"{"city":"Rome"}"#), &both, None);
    for text in [r#"{"city":7}"#, r#"{"town":"Rome"}"#, "[]"] {
        check(SCHEMA, &says(text), &[], Some(Capability::StructuredOutputs));
    }
}

#[test]
fn a_call_may_stand_where_json_was_asked_for() {
    check(&format!("{WEATHER},{SCHEMA}"), &calls("time", "{}"), &[Capability::Tools], None);
}

#[test]
fn a_refusal_is_no_flaw() {
    check(SCHEMA, &json!({"role": "assistant", "content": "", "refusal": "I can't."}), &[], None);
}

#[test]
fn an_answer_cut_for_its_length_is_no_flaw_and_neither_is_a_very_long_one() {
    let request = format!(r#"{{"messages":[{{"role":"user","content":"hi"}}],{ANY}}}"#);
    let facts = inspect(request.as_bytes()).expect("a valid request");
    for (text, finish) in [("{\"a\":".to_owned(), "length"), ("x".repeat(MAX_WATCHED + 1), "stop")] {
        let body = json!({"choices": [{"message": says(&text), "finish_reason": finish}]}).to_string();
        let mut reply = reply(false);
        reply.json(body.as_bytes(), &mut Vec::new()).expect("an answer");
        assert_eq!(reply.shown(&facts.expected, request.as_bytes()), Shown::default());
    }
}
