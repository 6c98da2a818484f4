//! When nobody answers: what the client is told, and how often anybody was asked.

use crate::client::Answer;
use crate::harness::{Router, Setup, ask, with};
use crate::provider::Provider;
use crate::script::Script;
use serde_json::json;

/// All providers answer with these scripts; the status the client gets.
async fn exhausted(scripts: &[fn() -> Script], timeouts: &str) -> (Answer, Vec<usize>) {
    let mut providers = Vec::new();
    for (script, slug) in scripts.iter().zip(["alpha", "beta", "gamma"]) {
        providers.push(Provider::start(slug, [script()]).await);
    }
    let setup = providers.iter().fold(Setup::new(), |setup, p| setup.provider(p));
    let router = setup.timeouts(timeouts).start().await;
    let answer = router.client().await.chat(&ask("hi")).await;
    (answer, providers.iter().map(|p| p.requests().len()).collect())
}

#[tokio::test]
async fn when_all_are_rate_limited_the_client_learns_the_soonest_return() {
    let (answer, calls) = exhausted(
        &[
            || Script::error(429, "rate_limit_exceeded", "slow down").header("retry-after", "40"),
            || Script::error(429, "rate_limit_exceeded", "slow down").header("retry-after", "20"),
        ],
        "",
    )
    .await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (429, &json!("rate_limit_exceeded")));
    let wait: u32 = answer.header("retry-after").and_then(|s| s.parse().ok()).expect("whole seconds");
    assert!((1..=20).contains(&wait), "{wait}");
    assert_eq!(calls, [1, 1], "each once");
}

#[tokio::test]
async fn when_all_fail_the_client_gets_502() {
    let (answer, calls) = exhausted(&[|| Script::error(500, "a", "b"), || Script::HangUp], "").await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (502, &json!("provider_error")));
    assert_eq!(calls, [1, 1]);
}

#[tokio::test]
async fn when_all_are_down_the_client_gets_503() {
    let alpha = Provider::refusing("alpha").await;
    let beta = Provider::refusing("beta").await;
    let router = Router::start(&[&alpha, &beta]).await;
    let answer = router.client().await.chat(&ask("hi")).await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (503, &json!("provider_error")));
}

#[tokio::test]
async fn when_all_are_silent_the_client_gets_504() {
    let (answer, calls) = exhausted(&[|| Script::Silent, || Script::Silent], "answer_ms = 300").await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (504, &json!("timeout")));
    assert_eq!(calls, [1, 1]);
}

#[tokio::test]
async fn the_whole_request_has_a_time_limit() {
    let (answer, calls) = exhausted(&[|| Script::Silent, || Script::Silent], "total_ms = 400").await;
    assert_eq!(answer.status, 504);
    assert_eq!(calls, [1, 0], "no time for a second");
}

#[tokio::test]
async fn a_refusal_two_providers_agree_on_is_the_clients() {
    let (answer, calls) = exhausted(
        &[
            || Script::error(400, "invalid_request_error", "bad schema"),
            || Script::error(400, "invalid_request_error", "bad schema"),
            || Script::answer("never asked"),
        ],
        "",
    )
    .await;
    assert_eq!(answer.status, 400);
    assert_eq!(calls, [1, 1, 0]);
}

#[tokio::test]
async fn a_refusal_only_one_provider_makes_is_passed_over() {
    let (answer, _) =
        exhausted(&[|| Script::error(400, "invalid_request_error", "no"), || Script::answer("ok")], "").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
}

#[tokio::test]
async fn the_number_of_attempts_is_limited() {
    let mut providers = Vec::new();
    for slug in ["alpha", "beta", "gamma", "delta"] {
        providers.push(Provider::start(slug, [Script::error(500, "a", "b")]).await);
    }
    let setup = providers.iter().fold(Setup::new(), |setup, p| setup.provider(p));
    let router = setup.config("[routing]\nmax_attempts = 3").start().await;
    assert_eq!(router.client().await.chat(&ask("hi")).await.status, 502);
    assert_eq!(providers.iter().map(|p| p.requests().len()).collect::<Vec<_>>(), [1, 1, 1, 0]);
}

#[tokio::test]
async fn without_fallbacks_there_is_exactly_one_attempt() {
    let first = Provider::start("alpha", [Script::error(500, "server_error", "oops")]).await;
    let second = Provider::start("beta", [Script::answer("second")]).await;
    let router = Router::start(&[&first, &second]).await;
    let request = with(ask("hi"), json!({"provider": {"allow_fallbacks": false}}));
    assert_eq!(router.client().await.chat(&request).await.status, 502);
    assert_eq!((first.requests().len(), second.requests().len()), (1, 0));
}

#[tokio::test]
async fn after_a_failure_the_client_goes_on() {
    let provider =
        Provider::start("alpha", [Script::error(500, "server_error", "oops"), Script::answer("ok")]).await;
    let router = Router::start(&[&provider]).await;
    let client = &mut router.client().await;
    assert_eq!(client.chat(&ask("hi")).await.status, 502);
    // On the same connection, unless the answer said that it ends.
    assert_eq!(client.get("/health").await.status, 200);
}
