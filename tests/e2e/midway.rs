//! After the first token: an upstream that fails is told in the stream, a client that leaves frees it.

use crate::client::{Event, chunks, text_of};
use crate::failover::is_clean;
use crate::harness::{Router, Setup, ask, streamed, with};
use crate::provider::{Provider, Transport};
use crate::script::{Gate, Script, Step};
use serde_json::json;
use std::time::Instant;

/// The provider starts a story and then does this: the stream ends with an error in band, nobody else is
/// asked. It waits until the story is with the client; before that a failure may be invisible.
async fn check_cut(then: fn(Script) -> Script, timeouts: &str) {
    let gate = Gate::new();
    let script = then(Script::stream().role().text("Once ").text("upon").gate(&gate));
    let first = Provider::start("alpha", [script]).await;
    let second = Provider::start("beta", [Script::answer("second")]).await;
    let router = Setup::new().provider(&first).provider(&second).timeouts(timeouts).start().await;
    let client = &mut router.client().await;
    let mut stream = client.chat_stream(&streamed(ask("hi"))).await;
    let mut events = Vec::new();
    while text_of(&events) != "Once upon" {
        events.extend(stream.next().await);
    }
    gate.open();
    events.extend(stream.events().await);
    assert_eq!(text_of(&events), "Once upon", "{events:?}");
    assert_eq!(events.last(), Some(&Event::Done));
    assert_eq!(events.iter().filter(|e| **e == Event::Done).count(), 1);
    let chunks = chunks(&events);
    let last = chunks.last().expect("an error chunk");
    assert!(last["error"]["code"].is_u64(), "an integer in both dialects: {last}");
    assert!(last["error"]["message"].as_str().is_some_and(|m| !m.is_empty()));
    assert_eq!(last["choices"][0]["finish_reason"], "error");
    assert_eq!(last["choices"][0]["delta"]["content"], "");
    assert!(chunks.iter().all(|c| c["id"] == last["id"]));
    assert!(second.requests().is_empty(), "never two answers in one");
}

fn started() -> Script {
    Script::stream().role().text("Once ").text("upon")
}

#[tokio::test]
async fn a_stream_cut_midway_ends_with_an_error() {
    check_cut(|story| story.step(Step::Cut), "").await;
}

#[tokio::test]
async fn a_stream_reset_midway_ends_with_an_error() {
    check_cut(|story| story.step(Step::Reset), "").await;
}

#[tokio::test]
async fn a_stream_that_ends_without_finishing_ends_with_an_error() {
    check_cut(|story| story.step(Step::End), "").await;
}

#[tokio::test]
async fn a_stream_that_stalls_midway_ends_with_an_error() {
    check_cut(|story| story.step(Step::Stall), "idle_ms = 300").await;
}

#[tokio::test]
async fn an_error_event_midway_ends_the_stream() {
    check_cut(|story| story.event(json!({"error": {"code": 502, "message": "oops"}})).step(Step::Stall), "")
        .await;
}

#[tokio::test]
async fn a_stream_past_the_total_time_ends_with_an_error() {
    check_cut(|story| story.step(Step::Stall), "total_ms = 1000").await;
}

#[tokio::test]
async fn a_stream_closed_right_after_its_finish_is_whole() {
    let provider = Provider::start("alpha", [started().finish("stop").step(Step::Cut)]).await;
    let router = Router::start(&[&provider]).await;
    let events = router.client().await.chat_stream(&streamed(ask("hi"))).await.events().await;
    assert_eq!(text_of(&events), "Once upon");
    is_clean(&events);
}

#[tokio::test]
async fn a_client_that_leaves_midway_frees_the_provider_at_once() {
    for transport in [Transport::Http1, Transport::H2c] {
        let provider = Provider::start_on(transport, "alpha", [started().step(Step::Stall)]).await;
        let router = Router::start(&[&provider]).await;
        let mut client = router.client().await;
        let mut stream = client.chat_stream(&streamed(ask("hi"))).await;
        assert!(matches!(stream.next_data().await, Some(Event::Data(_))));
        assert_eq!(provider.left(), 0);
        let leaving = Instant::now();
        drop(client);
        provider.was_left(1).await;
        assert!(leaving.elapsed().as_secs() < 5, "long before any timeout");
        let line = &router.accessed(1).await[0];
        assert!(line.to_string().contains("client"), "it says who ended it: {line}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_frees_the_provider_at_once() {
    for stream in [false, true] {
        let first = Provider::start("alpha", [Script::Silent]).await;
        let second = Provider::start("beta", [Script::answer("for nobody")]).await;
        let router = Router::start(&[&first, &second]).await;
        let mut client = router.client().await;
        let body = with(ask("hi"), json!({"stream": stream})).to_string();
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: router.test\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        client.send_raw(head.as_bytes()).await.expect("it reads");
        first.has_seen(1).await;
        drop(client);
        first.was_left(1).await;
        router.accessed(1).await;
        assert!(second.requests().is_empty(), "nobody is asked for a client that left");
    }
}
