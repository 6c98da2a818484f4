//! Limits by the minute and by the day: exact, whoever asks in whatever way.

use crate::client::{Answer, Client};
use crate::harness::{Setup, ask, streamed, with, within};
use crate::money::{Bank, GRANT, paid_with};
use crate::provider::Provider;
use crate::script::Script;
use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};

/// What a funded account has.
const RICH: &str = "1000.000001";

fn number(answer: &Answer, header: &str) -> u64 {
    let value = answer.header(header).unwrap_or_else(|| panic!("no {header}: {answer:?}"));
    value.parse().unwrap_or_else(|_| panic!("{header}: {value}"))
}

/// `X-RateLimit-Limit` and `-Remaining`.
fn standing(answer: &Answer) -> (u64, u64) {
    (number(answer, "x-ratelimit-limit"), number(answer, "x-ratelimit-remaining"))
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64
}

fn is_minute_refusal(answer: &Answer, limit: u64) {
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (429, &json!("rate_limit_exceeded")));
    let wait = number(answer, "retry-after");
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!((standing(answer), answer.header("x-should-retry")), ((limit, 0), None));
    let reset = number(answer, "x-ratelimit-reset");
    assert!(reset > now_ms() - 1_000 && reset <= now_ms() + 61_000, "{reset}");
}

#[tokio::test]
async fn twenty_in_a_minute_and_no_more() {
    let provider = Provider::start("alpha", [Script::answer("Hi there.")]).await;
    let (router, bank) = paid_with(&[&provider], "").await;
    let purse = bank.open(GRANT);
    let client = &mut router.client().await;
    for admitted in 1..=20 {
        let request = if admitted % 2 == 0 { ask("hi") } else { streamed(ask("hi")) };
        let answer = client.chat_as(&purse.key, &request).await;
        assert_eq!((answer.status, standing(&answer)), (200, (20, 20 - admitted)));
        let reset = number(&answer, "x-ratelimit-reset");
        assert!(reset > now_ms() - 60_000 && reset <= now_ms() + 60_000, "{reset}");
    }
    for _ in 0..3 {
        is_minute_refusal(&client.chat_as(&purse.key, &ask("hi")).await, 20);
    }
    assert_eq!(provider.requests().len(), 20);
    assert_eq!(bank.entries(&purse).len(), 20, "what is refused costs nothing");
    assert!(router.metrics().await.contains("freeway_refused_total{kind=\"minute\"} 3"));
}

#[tokio::test]
async fn what_is_refused_does_not_count_and_a_failed_upstream_does() {
    let failing = Script::error(500, "server_error", "oops");
    let provider = Provider::start("alpha", [failing, Script::answer("Hi there.")]).await;
    let (router, bank) = paid_with(&[&provider], "free_per_minute = 2").await;
    let (purse, poor) = (bank.open(GRANT), bank.open("0"));
    let client = &mut router.client().await;
    let refusals = [
        (400, json!({"messages": []})),
        (404, with(ask("hi"), json!({"model": "nobody/knows"}))),
        (404, with(ask("hi"), json!({"provider": {"only": ["nobody"]}}))),
    ];
    for (status, request) in refusals {
        let answer = client.chat_as(&purse.key, &request).await;
        assert_eq!((answer.status, standing(&answer)), (status, (2, 2)), "{request}");
    }
    assert_eq!(client.chat_as(&poor.key, &ask("hi")).await.status, 402);
    let answer = client.chat_as(&purse.key, &ask("hi")).await;
    assert_eq!((answer.status, standing(&answer)), (502, (2, 1)));
    let answer = client.chat_as(&purse.key, &ask("hi")).await;
    assert_eq!((answer.status, standing(&answer)), (200, (2, 0)));
}

#[tokio::test]
async fn two_hundred_at_once_are_twenty() {
    let provider = Provider::start("alpha", [Script::answer("Hi there.")]).await;
    let (router, bank) = paid_with(&[&provider], "").await;
    let purse = bank.open(GRANT);
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let (addr, key) = (router.addr, purse.key.clone());
        let request = with(ask("hi"), json!({"max_tokens": 10}));
        asking.spawn(async move { Client::connect(addr).await.chat_as(&key, &request).await.status });
    }
    let mut admitted = 0;
    while let Some(status) = within("an answer", asking.join_next()).await {
        match status.expect("it ends") {
            200 => admitted += 1,
            other => assert_eq!(other, 429),
        }
    }
    assert_eq!((admitted, provider.requests().len()), (20, 20));
    assert_eq!(bank.entries(&purse).len(), 20);
}

#[tokio::test]
async fn accounts_of_the_free_tier_share_the_limit_of_their_address() {
    let provider = Provider::start("alpha", [Script::answer("Hi there.")]).await;
    let (router, bank) = paid_with(&[&provider], "free_per_minute = 4").await;
    let purses = [bank.open(GRANT), bank.open(GRANT)];
    let client = &mut router.client().await;
    for purse in purses.iter().cycle().take(4) {
        assert_eq!(client.chat_as(&purse.key, &ask("hi")).await.status, 200);
    }
    for purse in &purses {
        is_minute_refusal(&client.chat_as(&purse.key, &ask("hi")).await, 4);
    }
}

/// What is left after a request that says it comes from `address`, by a proxy that is trusted or not.
async fn left(trusted: &str, addresses: &[&str]) -> Vec<u64> {
    let provider = Provider::start("alpha", [Script::answer("Hi there.")]).await;
    let setup = Setup::new().provider(&provider).accounts().limits("free_per_minute = 4");
    let router = setup.config(&format!("[server]\ntrusted_proxies = {trusted}")).start().await;
    let bank = Bank::of(&router);
    let bearer = format!("Bearer {}", bank.open(GRANT).key);
    let client = &mut router.client().await;
    let mut left = Vec::new();
    for address in addresses {
        let headers = [("authorization", bearer.as_str()), ("x-forwarded-for", *address)];
        let answer = client.post("/v1/chat/completions", &headers, ask("hi").to_string()).await;
        assert_eq!(answer.status, 200);
        left.push(standing(&answer).1);
    }
    left
}

#[tokio::test]
async fn a_forwarded_address_counts_only_from_a_trusted_proxy() {
    let addresses = ["192.0.2.1", "192.0.2.2", "198.51.100.9, 192.0.2.1"];
    assert_eq!(left("[]", &addresses).await, [3, 2, 1], "the client's own text changes nothing");
    assert_eq!(left("[\"127.0.0.0/8\"]", &addresses).await, [3, 3, 2], "the right-most hop it was seen from");
}

#[tokio::test]
async fn an_account_is_funded_above_a_thousand_credits_and_not_at_them() {
    let provider = Provider::start("alpha", [Script::answer("Hi there.")]).await;
    let (router, bank) = paid_with(&[&provider], "free_per_minute = 1\nfunded_per_day = 3").await;
    let purse = bank.open(RICH);
    let just_not = bank.open(GRANT);
    let client = &mut router.client().await;
    let refused = with(ask("hi"), json!({"model": "nobody/knows"}));
    for (purse, expect) in [(&purse, (3, 3)), (&just_not, (1, 1))] {
        let answer = client.chat_as(&purse.key, &refused).await;
        assert_eq!((answer.status, standing(&answer)), (404, expect));
    }
    let first = client.chat_as(&purse.key, &ask("hi")).await;
    assert_eq!((first.status, standing(&first)), (200, (3, 2)));
    // The charge has made it one of the free tier, whose minute its first request counts in, too.
    is_minute_refusal(&client.chat_as(&purse.key, &ask("hi")).await, 1);
}

#[tokio::test]
async fn the_request_after_the_days_last_is_refused_until_midnight() {
    let provider = Provider::start("alpha", [Script::answer("Hi there.")]).await;
    let (router, bank) = paid_with(&[&provider], "free_per_minute = 1\nfunded_per_day = 3").await;
    let purse = bank.open("2000");
    let keys = [purse.key.clone(), bank.another_key(&purse, None).key];
    let client = &mut router.client().await;
    for (i, request) in [ask("hi"), streamed(ask("hi")), ask("hi")].iter().enumerate() {
        let answer = client.chat_as(&keys[i % 2], request).await;
        assert_eq!((answer.status, standing(&answer)), (200, (3, 2 - i as u64)));
    }
    for key in &keys {
        let answer = client.chat_as(key, &ask("hi")).await;
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (429, &json!("quota_exceeded")));
        assert_eq!((standing(&answer), answer.header("x-should-retry")), ((3, 0), Some("false")));
        let midnight = number(&answer, "x-ratelimit-reset");
        assert_eq!(midnight % 86_400_000, 0);
        let wait = number(&answer, "retry-after") * 1_000;
        assert!(now_ms() + wait + 1_000 >= midnight && wait <= 86_400_000, "{wait}");
    }
    assert_eq!(provider.requests().len(), 3);
    assert!(router.metrics().await.contains("freeway_refused_total{kind=\"day\"} 2"));
}

#[tokio::test]
async fn a_hundred_at_once_on_two_keys_are_the_days_ten() {
    let provider = Provider::start("alpha", [Script::answer("Hi there.")]).await;
    let (router, bank) = paid_with(&[&provider], "funded_per_day = 10").await;
    let purse = bank.open("2000");
    let keys = [purse.key.clone(), bank.another_key(&purse, None).key];
    let mut asking = tokio::task::JoinSet::new();
    for i in 0..100 {
        let (addr, key) = (router.addr, keys[i % 2].clone());
        asking.spawn(async move { Client::connect(addr).await.chat_as(&key, &ask("hi")).await.status });
    }
    let mut admitted = 0;
    while let Some(status) = within("an answer", asking.join_next()).await {
        match status.expect("it ends") {
            200 => admitted += 1,
            other => assert_eq!(other, 429),
        }
    }
    assert_eq!((admitted, provider.requests().len()), (10, 10));
}

#[tokio::test]
async fn the_tighter_of_two_limits_is_told() {
    let provider = Provider::start("alpha", [Script::answer("Hi there.")]).await;
    let (router, bank) = paid_with(&[&provider], "free_per_minute = 5\nfree_per_day = 2").await;
    let purse = bank.open(GRANT);
    let client = &mut router.client().await;
    for left in [1, 0] {
        assert_eq!(standing(&client.chat_as(&purse.key, &ask("hi")).await), (2, left));
    }
    let answer = client.chat_as(&purse.key, &ask("hi")).await;
    assert_eq!((answer.status, answer.json()["error"]["code"].as_str()), (429, Some("quota_exceeded")));
}
