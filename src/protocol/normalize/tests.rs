use super::*;
use crate::metering::Measurement;
use crate::money::Price;
use crate::protocol::errors::ErrorKind;
use serde_json::Value;

const OPENAI: ReplyShape = ReplyShape { dialect: Dialect::OpenAi, stream: true, include_usage: false };
const OPENAI_USAGE: ReplyShape = ReplyShape { include_usage: true, ..OPENAI };
const OPENROUTER: ReplyShape = ReplyShape { dialect: Dialect::OpenRouter, ..OPENAI };
const WHOLE: ReplyShape = ReplyShape { stream: false, ..OPENAI };

fn reply(shape: ReplyShape) -> Reply {
    let identity =
        Identity { id: "gen-1".to_owned(), created: 7, model: "m".to_owned(), provider: "P".to_owned() };
    Reply::new(Arc::new(identity), shape)
}

fn bill(reply: &Reply) -> Bill {
    let Measurement { usage, source } = reply.meter().measure(10, None);
    Bill { usage, source, cost: Price::default().charge(&usage), own_key: false }
}

/// Feeds a stream to its end; the client's output, or the fault.
fn run(shape: ReplyShape, stream: &str) -> (Result<(), Fault>, String) {
    let mut reply = reply(shape);
    let mut out = Vec::new();
    let result = reply.sse(stream.as_bytes(), &mut out).and_then(|_| reply.end(&mut out));
    if result.is_ok() {
        let bill = bill(&reply);
        reply.finish(&bill, None, &mut out);
    }
    (result, String::from_utf8(out).expect("UTF-8"))
}

fn run_json(shape: ReplyShape, body: &str) -> (Result<Progress, Fault>, String) {
    let mut reply = reply(shape);
    let mut out = Vec::new();
    let result = reply.json(body.as_bytes(), &mut out);
    if result.is_ok() {
        let bill = bill(&reply);
        reply.finish(&bill, None, &mut out);
    }
    (result, String::from_utf8(out).expect("UTF-8"))
}

/// A stream of one event per line.
fn events(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("data: {line}\n\n")).collect()
}

/// The chunks of a client's stream, with what every chunk has taken off; `[DONE]` must be last.
fn chunks(out: &str) -> Vec<String> {
    let rest = out.strip_suffix("data: [DONE]\n\n").expect("[DONE] is last");
    assert!(!rest.contains("[DONE]"), "{out}");
    let head =
        r#"data: {"id":"gen-1","object":"chat.completion.chunk","created":7,"model":"m","provider":"P","#;
    rest.split_terminator("\n\n").map(|c| c.strip_prefix(head).expect(c).to_owned()).collect()
}

/// The chunks an OpenAI client without `include_usage` gets for a stream of these events.
#[track_caller]
fn check(lines: &[&str], expect: &[&str]) {
    let (result, out) = run(OPENAI, &events(lines));
    assert_eq!(result, Ok(()), "{out}");
    assert_eq!(chunks(&out), expect);
}

#[track_caller]
fn check_fault(lines: &[&str], fault: &Fault, chunks_before: usize) {
    let (result, out) = run(OPENAI, &events(lines));
    assert_eq!(result.as_ref(), Err(fault), "{out}");
    assert_eq!(out.matches("data: ").count(), chunks_before, "{out}");
}

const HI: &str = r#"{"choices":[{"index":0,"delta":{"content":"Hi"}}]}"#;
const HI_OUT: &str =
    r#""choices":[{"index":0,"delta":{"role":"assistant","content":"Hi"},"finish_reason":null}]}"#;
const STOP: &str = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
const STOP_OUT: &str =
    r#""choices":[{"index":0,"delta":{},"finish_reason":"stop","native_finish_reason":"stop"}]}"#;

#[test]
fn a_role_chunk_is_held_and_its_role_sent_once_with_the_first_token() {
    let role = r#"{"id":"x","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#;
    let hi = r#"{"choices":[{"index":0,"delta":{"role":null,"content":"Hi"},"finish_reason":null}]}"#;
    check(
        &[role, hi, HI, STOP, "[DONE]"],
        &[HI_OUT, r#""choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}"#, STOP_OUT],
    );
}

#[test]
fn nothing_comes_out_before_the_first_token() {
    let mut reply = reply(OPENROUTER);
    let mut out = Vec::new();
    let held =
        ": PROCESSING\n\ndata: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
    assert_eq!(reply.sse(held.as_bytes(), &mut out), Ok(Progress::Held));
    assert!(out.is_empty());
    assert_eq!(reply.sse(events(&[HI]).as_bytes(), &mut out), Ok(Progress::Committed));
    assert!(!out.is_empty());
    assert_eq!(reply.sse(b"data:[DONE]\n\n", &mut out), Ok(Progress::Finished));
}

#[test]
fn nulls_that_strict_clients_reject_are_left_out() {
    let event = r#"{"system_fingerprint":null,"service_tier":null,"usage":null,"choices":[{"index":0,
        "delta":{"role":"","content":"Hi","tool_calls":null,"refusal":null,"reasoning":null}}]}"#;
    check(&[&event.replace('\n', ""), STOP, "[DONE]"], &[HI_OUT, STOP_OUT]);
}

#[test]
fn unknown_members_survive_as_written() {
    let event = r#"{"x_top":{ "a" : 1.50 },"choices":[{"index":0,"x_choice":"\u00e9","delta":{"content":"Hi","x_delta":[1, 2]}}]}"#;
    check(
        &[event, STOP],
        &[
            r#""x_top":{ "a" : 1.50 },"choices":[{"index":0,"delta":{"role":"assistant","content":"Hi","x_delta":[1, 2]},"x_choice":"\u00e9","finish_reason":null}]}"#,
            STOP_OUT,
        ],
    );
}

#[test]
fn a_value_over_several_lines_stays_on_one() {
    let stream =
        "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\",\"x\":[1,\ndata: 2]}}]}\n\ndata: [DONE]\n\n";
    let (result, out) = run(OPENAI, stream);
    assert_eq!(result, Ok(()));
    assert!(out.contains("\"x\":[1, 2]"), "{out}");
}

#[test]
fn reasoning_is_readable_under_both_names() {
    let event = r#"{"choices":[{"index":0,"delta":{"reasoning_content":"Hm"}}]}"#;
    check(
        &[event, STOP],
        &[
            r#""choices":[{"index":0,"delta":{"role":"assistant","reasoning_content":"Hm","reasoning":"Hm"},"finish_reason":null}]}"#,
            STOP_OUT,
        ],
    );
}

#[test]
fn an_empty_reasoning_does_not_hide_the_other() {
    let event = r#"{"choices":[{"index":0,"delta":{"reasoning":"","reasoning_content":"Hm"}}]}"#;
    check(
        &[event, STOP],
        &[
            r#""choices":[{"index":0,"delta":{"role":"assistant","reasoning":"Hm","reasoning_content":"Hm"},"finish_reason":null}]}"#,
            STOP_OUT,
        ],
    );
}

#[test]
fn content_in_parts_becomes_text_and_reasoning() {
    let event = r#"{"choices":[{"index":0,"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"Hm"}]},{"type":"text","text":"Hi"}]}}]}"#;
    check(
        &[event, STOP],
        &[
            r#""choices":[{"index":0,"delta":{"role":"assistant","content":"Hi","reasoning":"Hm","reasoning_content":"Hm"},"finish_reason":null}]}"#,
            STOP_OUT,
        ],
    );
}

#[test]
fn a_tool_call_ends_in_tool_calls_whatever_the_provider_says() {
    let call =
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"function":{"name":"f","arguments":"{}"}}]}}]}"#;
    let stop = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"STOP"}]}"#;
    check(
        &[call, stop],
        &[
            r#""choices":[{"index":0,"delta":{"role":"assistant","tool_calls":[{"index":0,"id":"call_1_0_0","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":null}]}"#,
            r#""choices":[{"index":0,"delta":{},"finish_reason":"tool_calls","native_finish_reason":"STOP"}]}"#,
        ],
    );
}

#[test]
fn the_finish_is_sent_once_when_it_is_repeated_with_the_usage() {
    let usage = r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":"stop"}],"usage":{"prompt_tokens":14,"completion_tokens":3}}"#;
    check(&[HI, STOP, usage, "[DONE]"], &[HI_OUT, STOP_OUT]);
}

#[test]
fn a_choice_left_open_is_ended_by_done() {
    check(
        &[HI, "[DONE]"],
        &[
            HI_OUT,
            r#""choices":[{"index":0,"delta":{},"finish_reason":"stop","native_finish_reason":null}]}"#,
        ],
    );
}

#[test]
fn nothing_follows_done() {
    check(&[HI, STOP, "[DONE]", HI, "[DONE]"], &[HI_OUT, STOP_OUT]);
}

#[test]
fn the_usage_chunk_is_each_dialects_own() {
    let usage = r#"{"choices":[],"usage":{"prompt_tokens":14,"completion_tokens":3,"total_tokens":17}}"#;
    let stream = events(&[HI, STOP, usage, "[DONE]"]);
    let last = |shape| {
        let chunk = chunks(&run(shape, &stream).1).pop().expect("a chunk");
        serde_json::from_str::<Value>(&format!("{{{chunk}")).expect("JSON")
    };
    assert_eq!(last(OPENAI)["usage"], Value::Null);
    let openai = last(OPENAI_USAGE);
    assert_eq!((&openai["choices"], &openai["usage"]["total_tokens"]), (&Value::Array(vec![]), &17.into()));
    let openrouter = last(OPENROUTER);
    assert_eq!(openrouter["choices"][0]["finish_reason"], "stop");
    assert_eq!(openrouter["usage"]["cost"].to_string(), "0.000058");
    assert_eq!(openrouter["usage"]["prompt_tokens_details"]["cached_tokens"], 0);
}

#[test]
fn metadata_comes_with_the_last_chunk_or_the_body() {
    let metadata = RawValue::from_string(r#"{"attempt":1}"#.to_owned()).expect("JSON");
    for shape in [OPENAI, OPENAI_USAGE, OPENROUTER, WHOLE] {
        let mut reply = reply(shape);
        let mut out = Vec::new();
        reply.sse(events(&[HI, STOP, "[DONE]"]).as_bytes(), &mut out).expect("fine");
        let bill = bill(&reply);
        reply.finish(&bill, Some(&metadata), &mut out);
        let out = String::from_utf8(out).expect("UTF-8");
        assert_eq!(out.matches(r#""openrouter_metadata":{"attempt":1}"#).count(), 1, "{out}");
        let naive_clients_survive = shape != OPENAI || !out.contains(r#""choices":[]"#);
        assert!(naive_clients_survive, "{out}");
    }
}

#[test]
fn failures_before_the_first_token_leave_no_trace() {
    let role = r#"{"choices":[{"index":0,"delta":{"role":"assistant"}}]}"#;
    let blank = r#"{"choices":[{"index":0,"delta":{"content":""},"finish_reason":""}]}"#;
    check_fault(&[], &Fault::Empty, 0);
    check_fault(&[role], &Fault::Empty, 0);
    check_fault(&[role, blank, "[DONE]"], &Fault::Empty, 0);
    check_fault(&["{\"choices\":"], &Fault::Malformed, 0);
    check_fault(&["\"hello\""], &Fault::Malformed, 0);
    let error = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"error"}]}"#;
    check_fault(&[role, error], &Fault::FinishedWithError, 0);
}

#[test]
fn an_answer_that_stops_before_it_has_said_anything_is_empty() {
    let role = r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#;
    check_fault(&[role, STOP, "[DONE]"], &Fault::Empty, 0);
    check_fault(&[role, STOP], &Fault::Empty, 0);
    let whole = |finish: &str| {
        let body = format!(r#"{{"choices":[{{"message":{{"content":""}},"finish_reason":"{finish}"}}]}}"#);
        run_json(WHOLE, &body).0
    };
    assert_eq!(whole("stop"), Err(Fault::Empty));
    assert_eq!(whole("length"), Ok(Progress::Finished), "reasoning nobody sees may have used all of it up");
    assert_eq!(whole("content_filter"), Ok(Progress::Finished));
}

#[test]
fn of_several_choices_one_may_stop_before_it_has_said_anything() {
    let second = r#"{"choices":[{"index":1,"delta":{"content":"Ho"}}]}"#;
    let stop = r#"{"choices":[{"index":1,"delta":{},"finish_reason":"stop"}]}"#;
    let (result, out) = run(OPENAI, &events(&[STOP, second, stop, "[DONE]"]));
    assert_eq!(result, Ok(()));
    assert_eq!(out.matches(r#""finish_reason":"stop""#).count(), 2, "{out}");
    let (_, body) = run(WHOLE, &events(&[STOP, second, stop, "[DONE]"]));
    assert_eq!(body.matches(r#""finish_reason":"stop""#).count(), 2, "{body}");
}

#[test]
fn an_error_is_recognised_in_every_shape() {
    let whole = |error| (error, error);
    for (event, error) in [
        whole(r#"{"error":{"code":429,"message":"slow down"}}"#),
        whole(r#"{"error":"slow down","choices":[]}"#),
        whole(r#"{"object":"error","message":"x","code":"1300"}"#),
        whole(r#"{"success":false,"errors":[{"code":4006}]}"#),
        whole(r#"{"status":429,"title":"Too Many Requests"}"#),
        whole(r#"{"detail":"no"}"#),
        whole(r#"[{"error":{"code":429}}]"#),
        (
            r#"{"choices":[{"index":0,"error":{"code":502},"delta":{"content":"x"}}]}"#,
            r#"{"error":{"code":502}}"#,
        ),
        (r#"{"choices":[],"x_groq":{"error":"oops"}}"#, r#"{"error":"oops"}"#),
    ] {
        for (lines, before) in [(vec![event], 0), (vec![HI, event], 1)] {
            let fault = Fault::ErrorEvent(UpstreamError::parse(error.as_bytes()));
            check_fault(&lines, &fault, before);
        }
    }
    check(&[r#"{"error":null,"choices":[{"index":0,"delta":{"content":"Hi"}}]}"#, STOP], &[HI_OUT, STOP_OUT]);
}

#[test]
fn an_end_without_done_is_clean_only_after_the_finish() {
    check(&[HI, STOP], &[HI_OUT, STOP_OUT]);
    check_fault(&[HI], &Fault::Truncated, 1);
    let second = r#"{"choices":[{"index":1,"delta":{"content":"Yo"}}]}"#;
    check_fault(&[HI, second, STOP], &Fault::Truncated, 3);
    let (result, _) = run(OPENAI, &format!("{}data: {{\"choi", events(&[HI])));
    assert_eq!(result, Err(Fault::Truncated));
}

#[test]
fn a_broken_stream_ends_in_an_error_chunk_and_done() {
    let mut reply = reply(OPENAI);
    let mut out = Vec::new();
    reply.sse(events(&[HI]).as_bytes(), &mut out).expect("fine");
    assert_eq!(reply.end(&mut out), Err(Fault::Truncated));
    let error = ApiError::new(ErrorKind::ProviderFailed, "the provider broke off");
    reply.abort(&error, &mut out);
    reply.abort(&error, &mut out);
    let chunks = chunks(&String::from_utf8(out).expect("UTF-8"));
    assert_eq!(
        chunks[1..],
        [
            r#""error":{"code":502,"message":"the provider broke off","metadata":{"error_type":"provider_unavailable"}},"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}"#
        ]
    );
}

#[test]
fn a_whole_body_has_every_member_strict_clients_ask_for() {
    let (result, out) = run_json(
        WHOLE,
        r#"{"id":"x","model":"theirs","x_top":1,"choices":[{"message":{"content":"Hi","tool_calls":null,"x":2},"finish_reason":"end_turn"}]}"#,
    );
    assert_eq!(result, Ok(Progress::Finished));
    let (body, _) = out.split_once(",\"usage\":").expect("usage");
    assert_eq!(
        body,
        concat!(
            r#"{"id":"gen-1","object":"chat.completion","created":7,"model":"m","provider":"P","#,
            r#""system_fingerprint":null,"service_tier":null,"x_top":1,"choices":[{"index":0,"#,
            r#""message":{"role":"assistant","content":"Hi","refusal":null,"reasoning":null,"x":2},"#,
            r#""logprobs":null,"finish_reason":"stop","native_finish_reason":"end_turn"}]"#
        )
    );
}

#[test]
fn a_message_with_only_tool_calls_has_null_content() {
    let (_, out) = run_json(
        WHOLE,
        r#"{"choices":[{"message":{"content":"","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"stop"}]}"#,
    );
    assert!(out.contains(r#""content":null"#) && out.contains(r#""finish_reason":"tool_calls""#), "{out}");
    assert!(
        out.contains(
            r#""tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]"#
        )
    );
}

#[test]
fn bodies_that_are_no_answer_are_faults() {
    let fault = |body| run_json(WHOLE, body).0.expect_err(body);
    assert_eq!(fault(""), Fault::Malformed);
    assert_eq!(fault("<html>"), Fault::Malformed);
    assert_eq!(fault("{}"), Fault::Malformed);
    assert_eq!(fault(r#"{"choices":[]}"#), Fault::Empty);
    assert_eq!(fault(r#"{"choices":[{"message":{"content":""},"finish_reason":null}]}"#), Fault::Empty);
    assert!(matches!(fault(r#"{"error":{"message":"x"}}"#), Fault::ErrorEvent(_)));
    assert!(matches!(fault(r#"[{"error":{"code":429}}]"#), Fault::ErrorEvent(_)));
}

#[test]
fn a_body_becomes_a_stream_for_clients_that_asked_for_one() {
    let body =
        r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}"#;
    let (result, out) = run_json(OPENAI, body);
    assert_eq!(result, Ok(Progress::Finished));
    assert_eq!(
        chunks(&out),
        [
            r#""choices":[{"index":0,"delta":{"role":"assistant","content":"Hi"},"finish_reason":"stop","native_finish_reason":"stop"}]}"#
        ]
    );
}

#[test]
fn a_stream_becomes_a_body_for_clients_that_asked_for_one() {
    let lines = [
        r#"{"choices":[{"index":0,"delta":{"reasoning":"H"},"logprobs":{"content":[{"token":"a"}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"reasoning":"m","content":"\ud83d"},"logprobs":{"content":[{"token":"b"}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"\ude00","annotations":[1]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"annotations":[2],"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{"}}]}}]}"#,
        r#"{"system_fingerprint":"fp","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"}"}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
    ];
    let (result, out) = run(WHOLE, &events(&lines));
    assert_eq!(result, Ok(()));
    let body: Value = serde_json::from_str(&out).expect("JSON");
    let choice = &body["choices"][0];
    assert_eq!(choice["message"]["content"], "\u{1F600}");
    assert_eq!(choice["message"]["reasoning"], "Hm");
    assert_eq!(choice["message"]["annotations"].to_string(), "[1,2]");
    assert_eq!(choice["logprobs"].to_string(), r#"{"content":[{"token":"a"},{"token":"b"}]}"#);
    assert_eq!(
        choice["message"]["tool_calls"].to_string(),
        r#"[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]"#
    );
    assert_eq!((&choice["finish_reason"], &body["system_fingerprint"]), (&"tool_calls".into(), &"fp".into()));
}

#[test]
fn an_answer_gathered_beyond_the_limit_is_refused() {
    let mut reply = reply(WHOLE);
    let event = format!(r#"{{"choices":[{{"delta":{{"content":"{}"}}}}]}}"#, "x".repeat(8 << 20));
    let feed = |_| reply.sse(events(&[&event]).as_bytes(), &mut Vec::new());
    let results: Vec<_> = (0..5).map(feed).collect();
    assert_eq!(results.last(), Some(&Err(Fault::TooLong)));
    assert!(results[..3].iter().all(Result::is_ok));
}

#[test]
fn a_megabyte_in_one_event_is_no_trouble() {
    let event = format!(r#"{{"choices":[{{"delta":{{"content":"{}"}}}}]}}"#, "é".repeat(1 << 19));
    let (result, out) = run(OPENAI, &events(&[&event, STOP]));
    assert_eq!(result, Ok(()));
    assert!(out.len() > 1 << 20);
}

#[test]
fn the_state_of_a_stream_is_small() {
    assert!(size_of::<Reply>() < 512, "{}", size_of::<Reply>());
    assert!(size_of::<Choice>() < 128, "{}", size_of::<Choice>());
}

#[test]
fn the_end_of_a_stream_can_be_kept_back() {
    let second = r#"{"choices":[{"index":1,"delta":{"content":"Ho"}}]}"#;
    let stop = r#"{"choices":[{"index":1,"delta":{},"finish_reason":"stop"}]}"#;
    let mut kept = reply(OPENAI_USAGE);
    kept.keep_end_back();
    let mut out = Vec::new();
    let feed = |reply: &mut Reply, lines: &[&str], out: &mut Vec<u8>| {
        reply.sse(events(lines).as_bytes(), out).expect("no fault");
        out.windows(6).filter(|bytes| bytes == b"data: ").count()
    };
    assert_eq!(feed(&mut kept, &[HI, STOP], &mut out), 1, "the only choice has ended");
    assert_eq!(feed(&mut kept, &[second], &mut out), 3, "there was another");
    assert_eq!(feed(&mut kept, &[stop, "[DONE]"], &mut out), 3);
    kept.end(&mut out).expect("whole");
    let told = bill(&kept);
    kept.finish(&told, None, &mut out);
    let (_, expect) = run(OPENAI_USAGE, &events(&[HI, STOP, second, stop, "[DONE]"]));
    assert_eq!(String::from_utf8(out).expect("UTF-8"), expect, "nothing is lost or moved");
}

#[test]
fn a_stream_can_be_cut_for_its_length() {
    let mut reply = reply(OPENAI_USAGE);
    let mut out = Vec::new();
    let stream = events(&[HI, HI, HI]);
    let mut rest = stream.as_bytes();
    let progress = reply.sse_until(&mut rest, &mut out, |meter| meter.delivered_bytes() > 2);
    assert_eq!((progress, rest.len()), (Ok(Progress::Committed), stream.len() / 3));
    reply.cut(1, &mut out);
    assert_eq!(reply.finish_reason(), Some("length"));
    let bill = bill(&reply);
    reply.finish(&bill, None, &mut out);
    let out = String::from_utf8(out).expect("UTF-8");
    let chunks = chunks(&out);
    assert!(
        chunks[2].contains(r#""delta":{},"finish_reason":"length","native_finish_reason":null"#),
        "{out}"
    );
    assert!(chunks[3].contains(r#""completion_tokens":1,"#), "{out}");
}
