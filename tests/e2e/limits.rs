//! Bounds on what clients may send, and how early they are told.

use crate::client::Client;
use crate::client_h2::H2Client;
use crate::harness::{Router, Setup, ask, within};
use crate::provider::Provider;
use crate::script::Script;
use serde_json::json;

async fn small() -> (Provider, Router) {
    let provider = Provider::start("alpha", [Script::answer("Yes.")]).await;
    let setup = Setup::new().provider(&provider).config("[server]\nmax_body_bytes = 10000");
    let router = setup.timeouts("read_body_ms = 500").start().await;
    (provider, router)
}

fn is_too_large(answer: &crate::client::Answer) {
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (413, &json!("payload_too_large")));
}

#[tokio::test]
async fn the_body_limit_is_exact() {
    let (provider, router) = small().await;
    let body = |size: usize| {
        let empty = ask("").to_string().len();
        ask(&"a".repeat(size - empty)).to_string()
    };
    assert_eq!(body(10_000).len(), 10_000);
    let mut client = router.client().await;
    assert_eq!(client.post("/v1/chat/completions", &[], body(10_000)).await.status, 200);
    is_too_large(&client.post("/v1/chat/completions", &[], body(10_001)).await);
    assert_eq!(provider.requests().len(), 1);
}

#[tokio::test]
async fn a_body_too_large_by_its_length_is_refused_before_it_is_sent() {
    let (provider, router) = small().await;
    for expect in ["", "expect: 100-continue\r\n"] {
        let mut client = router.client().await;
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: r\r\n{expect}content-length: 1000000000\r\n\r\n"
        );
        client.send_raw(head.as_bytes()).await.expect("it reads");
        is_too_large(&client.answer().await);
    }
    assert!(provider.requests().is_empty());
}

#[tokio::test]
async fn a_chunked_body_too_large_is_refused_before_it_ends() {
    let (provider, router) = small().await;
    let mut client = router.client().await;
    client
        .send_raw(b"POST /v1/chat/completions HTTP/1.1\r\nhost: r\r\ntransfer-encoding: chunked\r\n\r\n")
        .await
        .expect("it reads");
    let chunk = format!("1000\r\n{}\r\n", "a".repeat(0x1000));
    for _ in 0..3 {
        client.send_raw(chunk.as_bytes()).await.expect("it reads");
    }
    // The last chunk is never sent.
    is_too_large(&client.answer().await);
    assert!(provider.requests().is_empty());
}

#[tokio::test]
async fn a_large_body_over_http2_is_refused_with_an_answer() {
    let (provider, router) = small().await;
    let client = H2Client::connect(router.addr).await;
    is_too_large(&client.post("/v1/chat/completions", vec![b'a'; 2 << 20]).await);
    assert_eq!(client.post("/v1/chat/completions", ask("hi").to_string()).await.status, 200);
    assert_eq!(provider.requests().len(), 1);
}

#[tokio::test]
async fn a_body_that_never_comes_is_given_up() {
    let (provider, router) = small().await;
    let mut client = router.client().await;
    client
        .send_raw(b"POST /v1/chat/completions HTTP/1.1\r\nhost: r\r\ncontent-length: 100\r\n\r\n{\"model\":")
        .await
        .expect("it reads");
    let answer = client.answer().await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (408, &json!("request_timeout")));
    assert!(provider.requests().is_empty());
}

#[tokio::test]
async fn a_client_that_leaves_while_uploading_costs_nothing() {
    let (provider, router) = small().await;
    let mut client = router.client().await;
    client
        .send_raw(b"POST /v1/chat/completions HTTP/1.1\r\nhost: r\r\ncontent-length: 100\r\n\r\n{\"model\":")
        .await
        .expect("it reads");
    drop(client);
    router.accessed(1).await;
    assert!(provider.requests().is_empty());
    assert_eq!(router.client().await.chat(&ask("hi")).await.status, 200);
}

#[tokio::test]
async fn garbage_and_endless_heads_do_no_harm() {
    let (_provider, mut router) = small().await;
    let endless = format!("GET /health HTTP/1.1\r\nx: {}", "a".repeat(4 << 20));
    let many = format!("GET /health HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(100_000));
    for raw in [&"\0".repeat(30), "HELLO WORLD, THIS IS NO HTTP\r\n\r\n", &endless, &many] {
        let mut client = Client::connect(router.addr).await;
        // It may close while we still send.
        let _ = client.send_raw(raw.as_bytes()).await;
        if raw.len() < 100 {
            client.closed().await;
        }
    }
    assert!(router.is_alive());
    assert_eq!(router.client().await.chat(&ask("hi")).await.status, 200);
}

#[tokio::test]
async fn conflicting_lengths_are_refused() {
    let (provider, router) = small().await;
    let body = ask("hi").to_string();
    let smuggling = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: r\r\ncontent-length: {}\r\ncontent-length: 5\r\n\r\n{body}",
        body.len()
    );
    let mut client = router.client().await;
    client.send_raw(smuggling.as_bytes()).await.expect("it reads");
    within("a refusal or the end", client.closed()).await;
    assert!(provider.requests().is_empty());
}
