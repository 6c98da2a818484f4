//! Silence and slow readers: comments keep clients alive, a slow client holds its provider back.

use crate::client::{Event, chunks, text_of};
use crate::harness::{Router, Setup};
use crate::provider::Provider;
use crate::script::{Gate, Script, Step};
use crate::streaming::{check_shape, plain};

#[tokio::test]
async fn silence_before_the_first_token_is_filled_with_comments() {
    let gate = Gate::new();
    let script =
        Script::stream().raw(": upstream comment\n\n").gate(&gate).text("Yes.").finish("stop").done();
    let provider = Provider::start("alpha", [script]).await;
    let router = Setup::new().provider(&provider).timeouts("keepalive_comment_ms = 50").start().await;
    let mut client = router.client().await;
    let mut stream = client.chat_stream(&plain()).await;
    for _ in 0..3 {
        let event = stream.next().await;
        assert!(matches!(&event, Some(Event::Comment(c)) if !c.contains("upstream")), "{event:?}");
    }
    gate.open();
    let events = stream.events().await;
    assert_eq!(text_of(&events), "Yes.");
    assert_eq!(events.last(), Some(&Event::Done));
}

#[tokio::test]
async fn silence_between_tokens_is_filled_with_comments() {
    let gate = Gate::new();
    let provider =
        Provider::start("alpha", [Script::stream().text("Yes").gate(&gate).text(".").finish("stop").done()])
            .await;
    let router = Setup::new().provider(&provider).timeouts("keepalive_comment_ms = 50").start().await;
    let mut client = router.client().await;
    let mut stream = client.chat_stream(&plain()).await;
    assert!(matches!(stream.next_data().await, Some(Event::Data(_))));
    assert!(matches!(stream.next().await, Some(Event::Comment(_))));
    gate.open();
    assert_eq!(text_of(&stream.events().await), ".");
}

#[tokio::test]
async fn after_comments_a_total_failure_is_told_in_the_stream() {
    let gate = Gate::new();
    let script = Script::stream().gate(&gate).step(Step::Cut);
    let provider = Provider::start("alpha", [script]).await;
    let router = Setup::new().provider(&provider).timeouts("keepalive_comment_ms = 50").start().await;
    let mut client = router.client().await;
    let mut stream = client.chat_stream(&plain()).await;
    assert_eq!(stream.status, 200);
    assert!(matches!(stream.next().await, Some(Event::Comment(_))));
    gate.open();
    let events = stream.events().await;
    let chunks = chunks(&events);
    assert_eq!(events.last(), Some(&Event::Done));
    assert!(chunks.len() == 1 && chunks[0]["error"]["code"].is_u64(), "{events:?}");
}

#[tokio::test]
async fn failover_during_comments_stays_one_stream() {
    let gate = Gate::new();
    let first = Provider::start("alpha", [Script::stream().role().gate(&gate).step(Step::Cut)]).await;
    let second = Provider::start("beta", [Script::answer("second")]).await;
    let router =
        Setup::new().provider(&first).provider(&second).timeouts("keepalive_comment_ms = 50").start().await;
    let mut client = router.client().await;
    let mut stream = client.chat_stream(&plain()).await;
    assert!(matches!(stream.next().await, Some(Event::Comment(_))));
    gate.open();
    let events = stream.events().await;
    let data: Vec<_> = events.into_iter().filter(|e| !matches!(e, Event::Comment(_))).collect();
    check_shape(&data);
    assert_eq!(text_of(&data), "second");
}

#[tokio::test]
async fn a_client_that_reads_nothing_holds_the_provider_back() {
    let megabyte = "y".repeat(1 << 20);
    let mut script = Script::stream();
    for _ in 0..64 {
        script = script.text(&megabyte);
    }
    let provider = Provider::start("alpha", [script.finish("stop").done()]).await;
    let router = Router::start(&[&provider]).await;
    let mut client = router.client().await;
    let mut stream = client.chat_stream(&plain()).await;
    assert!(matches!(stream.next_data().await, Some(Event::Data(_))));
    let sent = provider.is_held_back().await >> 20;
    assert!(sent < 48, "{sent} MB taken for a reader that reads nothing");
    let peak = router.peak_memory_mb();
    assert!(peak < 128, "{peak} MB held for it");
    let events = stream.events().await;
    assert_eq!(events.last(), Some(&Event::Done));
    assert_eq!(text_of(&events).len(), 63 << 20);
}
