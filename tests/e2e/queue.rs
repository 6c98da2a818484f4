//! Waiting for a place where all are taken, instead of being refused.

use crate::client::{Answer, Client};
use crate::harness::{Account, Router, Setup, ask, within};
use crate::provider::Provider;
use crate::script::{Gate, Script};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const CHAT: &str = "/v1/chat/completions";
/// One request at a time.
const ONE_AT_A_TIME: &str = "max_concurrency = 1";

/// A provider under these limits, which answers everything.
async fn limited(limits: &str) -> (Provider, Router) {
    let provider = Provider::start("alpha", [Script::answer("Yes.")]).await;
    let setup = Setup::new().env("FREEWAY_LOG", "trace").each(limits).provider(&provider);
    let router = setup.start().await;
    (provider, router)
}

/// A provider that takes one request at a time, and a request that keeps it busy until the gate opens.
async fn busy(setup: Setup) -> (Provider, Router, Gate, JoinSet<Answer>) {
    let gate = Gate::new();
    let held = Script::stream().role().gate(&gate).text("held").finish("stop").done();
    let provider = Provider::start("alpha", [held, Script::answer("Yes.")]).await;
    let router = setup.each(ONE_AT_A_TIME).provider(&provider).start().await;
    let mut client = router.client().await;
    let mut running = JoinSet::new();
    running.spawn(async move { client.chat(&ask("hold")).await });
    provider.has_seen(1).await;
    (provider, router, gate, running)
}

async fn patient(client: &mut Client, wait_ms: u64) -> Answer {
    let wait = wait_ms.to_string();
    client.post(CHAT, &[("x-max-queue-ms", wait.as_str())], ask("hi").to_string()).await
}

fn waited_ms(answer: &Answer) -> Option<u64> {
    answer.header("x-freeway-queue-ms").map(|ms| ms.parse().expect("milliseconds"))
}

fn retry_after_s(answer: &Answer) -> u64 {
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (429, &json!("rate_limit_exceeded")));
    answer.header("retry-after").and_then(|s| s.parse().ok()).expect("whole seconds")
}

/// Waits until the metrics have this line.
async fn metric(router: &Router, line: &str) {
    within(line, async {
        while !router.metrics().await.lines().any(|l| l == line) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_request_that_finds_its_limit_reached_waits_and_is_answered() {
    let (provider, router) = limited("limits = [{ per = \"2s\", requests = 1 }]").await;
    let client = &mut router.client().await;
    let first = client.chat(&ask("canary-of-the-queue")).await;
    assert_eq!((first.status, waited_ms(&first)), (200, None), "nobody waits without need");
    let second = client.chat(&ask("canary-of-the-queue")).await;
    assert_eq!(second.text(), "Yes.");
    assert!(waited_ms(&second).is_some_and(|ms| ms > 0));
    assert_eq!(provider.requests().len(), 2);
    let lines = router.accessed(2).await;
    assert!(lines[0]["queued_ms"] == 0 && lines[1]["queued_ms"].as_u64() == waited_ms(&second));
    metric(&router, "freeway_queue_total{outcome=\"served\"} 1").await;
    metric(&router, "freeway_queue_waiting 0").await;
    assert!(!router.logs().contains("canary-of-the-queue"));
}

#[tokio::test]
async fn one_that_does_not_wait_is_told_when_to_come_back() {
    let (_provider, router) = limited("limits = [{ per = \"3s\", requests = 1 }]").await;
    let client = &mut router.client().await;
    assert_eq!(client.chat(&ask("hi")).await.status, 200);
    let refused = patient(client, 0).await;
    let wait_s = retry_after_s(&refused);
    assert!((1..=4).contains(&wait_s) && waited_ms(&refused).is_none());
    // Whoever waits that long is served.
    assert_eq!(patient(client, wait_s * 1_000).await.status, 200);
}

#[tokio::test]
async fn nobody_waits_for_what_will_not_come() {
    let (_provider, router) =
        limited("limits = [{ per = \"day\", requests = 1, window = \"sliding\" }]").await;
    let client = &mut router.client().await;
    assert_eq!(client.chat(&ask("hi")).await.status, 200);
    let refused = client.chat(&ask("hi")).await;
    let (wait_s, waited) = (retry_after_s(&refused), waited_ms(&refused));
    assert!((86_000..=87_500).contains(&wait_s) && waited.is_none(), "{wait_s} s, and nobody waited");
}

#[tokio::test]
async fn a_place_that_comes_free_goes_to_one_that_waits() {
    let (provider, router, gate, mut running) = busy(Setup::new()).await;
    let mut client = router.client().await;
    running.spawn(async move { patient(&mut client, 60_000).await });
    metric(&router, "freeway_queue_waiting 1").await;
    gate.open();
    while let Some(answer) = within("both answers", running.join_next()).await {
        assert_eq!(answer.expect("no panic").status, 200);
    }
    assert_eq!(provider.requests().len(), 2);
}

#[tokio::test]
async fn those_that_wait_when_the_process_is_told_to_stop_are_served() {
    let (provider, router, gate, mut running) = busy(Setup::new()).await;
    let mut client = router.client().await;
    running.spawn(async move { patient(&mut client, 60_000).await });
    metric(&router, "freeway_queue_waiting 1").await;
    router.terminate();
    within("the stop", async {
        while !router.logs().contains("stopping") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    gate.open();
    while let Some(answer) = within("both answers", running.join_next()).await {
        assert_eq!(answer.expect("no panic").status, 200);
    }
    assert_eq!(provider.requests().len(), 2);
}

#[tokio::test]
async fn patience_has_an_end() {
    let (provider, router, _gate, _running) = busy(Setup::new()).await;
    let refused = patient(&mut router.client().await, 300).await;
    assert!(retry_after_s(&refused) >= 1);
    assert!(waited_ms(&refused).is_some_and(|ms| ms >= 300));
    assert_eq!(provider.requests().len(), 1);
    metric(&router, "freeway_queue_total{outcome=\"expired\"} 1").await;
    assert_eq!(router.accessed(1).await[0]["termination"], "PR");
}

#[tokio::test]
async fn a_client_that_leaves_gives_up_its_turn() {
    let (provider, router, gate, mut running) = busy(Setup::new()).await;
    let mut leaving = router.client().await;
    let request = ask("gone").to_string();
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: r\r\nx-max-queue-ms: 60000\r\ncontent-length: {}\r\n\r\n{request}",
        request.len()
    );
    leaving.send_raw(head.as_bytes()).await.expect("it reads");
    metric(&router, "freeway_queue_waiting 1").await;
    drop(leaving);
    metric(&router, "freeway_queue_total{outcome=\"left\"} 1").await;
    assert_eq!(router.accessed(1).await[0]["termination"], "CH");
    gate.open();
    assert_eq!(
        within("the held answer", running.join_next()).await.expect("one").expect("no panic").status,
        200
    );
    assert_eq!(router.client().await.chat(&ask("hi")).await.status, 200);
    assert_eq!(provider.requests().len(), 2, "nothing was sent for the one that left");
}

#[tokio::test]
async fn the_room_to_wait_is_bounded() {
    let setup = Setup::new().config("[queue]\nmax_per_account = 1");
    let (_provider, router, gate, mut running) = busy(setup).await;
    let mut client = router.client().await;
    running.spawn(async move { patient(&mut client, 60_000).await });
    metric(&router, "freeway_queue_waiting 1").await;
    let refused = patient(&mut router.client().await, 60_000).await;
    assert!(retry_after_s(&refused) >= 1 && waited_ms(&refused).is_none());
    metric(&router, "freeway_queue_total{outcome=\"full\"} 1").await;
    gate.open();
    while let Some(answer) = within("both answers", running.join_next()).await {
        assert_eq!(answer.expect("no panic").status, 200);
    }
}

#[tokio::test]
async fn where_waiting_is_off_nobody_waits() {
    let (_provider, router, _gate, _running) = busy(Setup::new().config("[queue]\nmax_wait_ms = 0")).await;
    let refused = patient(&mut router.client().await, 60_000).await;
    assert!(retry_after_s(&refused) >= 1 && waited_ms(&refused).is_none());
}

#[tokio::test]
async fn patience_is_a_number() {
    let (_provider, router) = limited("").await;
    let client = &mut router.client().await;
    for bad in ["-1", "soon", "1.5", ""] {
        let answer = client.post(CHAT, &[("x-max-queue-ms", bad)], ask("hi").to_string()).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]["param"]),
            (400, &json!("x-max-queue-ms")),
            "{bad}"
        );
    }
}

#[tokio::test]
async fn who_cannot_pay_does_not_wait() {
    let provider = Provider::start("alpha", [Script::answer("Yes.")]).await;
    let setup =
        Setup::new().accounts_with("grant_credits = 1").each("limits = [{ per = \"4s\", requests = 1 }]");
    let router = setup.provider(&provider).start().await;
    let account = router.sign_up().await;
    let client = &mut router.client().await;
    assert_eq!(client.chat_as(&account.key, &ask("hi")).await.status, 200);
    let dear = crate::harness::with(ask("hi"), json!({"max_tokens": 8_000}));
    assert_eq!(client.chat_as(&account.key, &dear).await.status, 402);
    metric(&router, "freeway_queue_wait_seconds_count 0").await;
}

/// One account wants ten times its share of a pool, nine want theirs: nearly twice what there is.
#[tokio::test]
async fn one_account_at_ten_times_its_share_does_not_hurt_the_others() {
    const ROUNDS: u32 = 10;
    let provider = Provider::start("alpha", [Script::answer("Yes.")]).await;
    let setup = Setup::new().accounts().limits("free_per_minute = 0");
    // First come, first served would have everybody wait for longer than that in the end.
    let setup = setup.config("[queue]\ndefault_wait_ms = 2000");
    let setup = setup.each("limits = [{ per = \"1s\", requests = 20 }]");
    let router = Arc::new(setup.provider(&provider).start().await);
    let greedy = router.sign_up().await;
    let mut callers = JoinSet::new();
    for caller in 0..19 {
        let account = if caller < 10 { greedy.clone() } else { router.sign_up().await };
        callers.spawn(call_steadily(Arc::clone(&router), account, ROUNDS, caller < 10));
    }
    let mut refused = 0;
    while let Some(done) = within("every caller", callers.join_next()).await {
        let (is_greedy, served) = done.expect("no panic");
        refused += ROUNDS - served;
        assert!(is_greedy || f64::from(served) >= 0.9 * f64::from(ROUNDS), "{served} of {ROUNDS} served");
    }
    assert!(refused > 0, "there was enough for all, which tests nothing");
}

/// Asks every half second, whether the last answer has come or not: how often it was answered.
async fn call_steadily(router: Arc<Router>, account: Account, rounds: u32, is_greedy: bool) -> (bool, u32) {
    let mut calls = JoinSet::new();
    let started = Instant::now();
    for round in 0..rounds {
        tokio::time::sleep_until((started + Duration::from_millis(500) * round).into()).await;
        let (router, key) = (Arc::clone(&router), account.key.clone());
        calls.spawn(async move { router.client().await.chat_as(&key, &ask("hi")).await.status });
    }
    let mut served = 0;
    while let Some(status) = calls.join_next().await {
        served += u32::from(status.expect("no panic") == 200);
    }
    (is_greedy, served)
}
