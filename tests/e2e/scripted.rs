//! The scripted provider and the raw clients, without a proxy between them.

use crate::client::{Client, Event};
use crate::client_h2::H2Client;
use crate::harness::{ask, streamed};
use crate::provider::{Provider, Transport};
use crate::script::{Gate, Script, Step};

#[tokio::test]
async fn a_provider_answers_as_it_is_asked_and_records_it() {
    let provider = Provider::start("alpha", [Script::answer("one"), Script::answer("two")]).await;
    let client = &mut Client::connect(provider.addr).await;
    assert_eq!(client.chat(&ask("hi")).await.text(), "one");
    let stream = client.chat(&streamed(ask("hi"))).await;
    assert_eq!((stream.text().as_str(), stream.events().last()), ("two", Some(&Event::Done)));
    assert_eq!(provider.requests()[0].json(), ask("hi"));
    assert_eq!(provider.requests()[1].connection, 0, "kept alive");
}

#[tokio::test]
async fn the_same_over_http2() {
    let provider = Provider::start_on(Transport::H2c, "alpha", [Script::answer("one")]).await;
    let client = H2Client::connect(provider.addr).await;
    assert_eq!(client.post("/v1/chat/completions", ask("hi").to_string()).await.text(), "one");
    let stream = client.post("/v1/chat/completions", streamed(ask("hi")).to_string()).await;
    assert_eq!((stream.text().as_str(), stream.events().last()), ("one", Some(&Event::Done)));
}

#[tokio::test]
async fn gates_hold_and_leaving_is_noticed() {
    let gate = Gate::new();
    let script = Script::stream().text("a").gate(&gate).text("b").dribbled().step(Step::Stall);
    let provider = Provider::start("alpha", [script]).await;
    let mut client = Client::connect(provider.addr).await;
    let mut stream = client.chat_stream(&streamed(ask("hi"))).await;
    assert!(matches!(stream.next().await, Some(Event::Data(_))));
    gate.open();
    assert!(matches!(stream.next().await, Some(Event::Data(_))));
    drop(client);
    provider.was_left(1).await;
}
