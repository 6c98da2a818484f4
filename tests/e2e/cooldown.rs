//! What a failure teaches: who is left alone, for how long, and for what.

use crate::harness::{Model, Router, Setup, ask, ask_sized, within};
use crate::provider::Provider;
use crate::script::Script;
use serde_json::json;
use std::time::Instant;

/// The first provider fails once with this; later requests pass it over without asking.
async fn check_avoided(script: Script) {
    let first = Provider::start("alpha", [script, Script::answer("first")]).await;
    let second = Provider::start("beta", [Script::answer("second")]).await;
    let router = Router::start(&[&first, &second]).await;
    let client = &mut router.client().await;
    for _ in 0..5 {
        assert_eq!(client.chat(&ask("hi")).await.text(), "second");
    }
    assert_eq!(first.requests().len(), 1, "it is left alone");
}

#[tokio::test]
async fn a_rate_limited_provider_is_left_alone_until_it_may_be_asked() {
    check_avoided(Script::error(429, "rate_limit_exceeded", "slow down").header("retry-after", "30")).await;
}

#[tokio::test]
async fn a_rate_limit_in_prose_is_understood() {
    let message = "Rate limit reached for model `x` on tokens per minute (TPM). Please try again in 45.289s.";
    check_avoided(Script::error(429, "rate_limit_exceeded", message)).await;
}

#[tokio::test]
async fn a_rate_limit_in_an_array_is_understood() {
    let retry = json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "38.2s"});
    let error = json!({"code": 429, "message": "quota", "status": "RESOURCE_EXHAUSTED", "details": [retry]});
    check_avoided(Script::json(429, json!([{"error": error}]))).await;
}

#[tokio::test]
async fn a_rejected_key_is_not_used_again() {
    check_avoided(Script::error(401, "invalid_api_key", "bad key")).await;
    check_avoided(Script::error(402, "insufficient_credits", "pay")).await;
}

#[tokio::test]
async fn a_model_that_is_gone_is_not_asked_again() {
    check_avoided(Script::error(404, "model_not_found", "gone")).await;
}

#[tokio::test]
async fn a_provider_comes_back_when_its_wait_is_over() {
    let limited = Script::error(429, "rate_limit_exceeded", "slow down").header("retry-after", "1");
    let first = Provider::start("alpha", [limited, Script::answer("first")]).await;
    let second = Provider::start("beta", [Script::answer("second")]).await;
    let router = Router::start(&[&first, &second]).await;
    let client = &mut router.client().await;
    let asked = Instant::now();
    assert_eq!(client.chat(&ask("hi")).await.text(), "second");
    within("the first provider to come back", async {
        while client.chat(&ask("hi")).await.text() != "first" {}
    })
    .await;
    assert!(asked.elapsed().as_millis() >= 900, "not before its wait was over");
}

#[tokio::test]
async fn a_provider_that_never_answers_costs_one_wait() {
    let first = Provider::start("alpha", [Script::Silent]).await;
    let second = Provider::start("beta", [Script::answer("second")]).await;
    let router = Setup::new().provider(&first).provider(&second).timeouts("answer_ms = 500").start().await;
    let client = &mut router.client().await;
    for _ in 0..5 {
        assert_eq!(client.chat(&ask("hi")).await.text(), "second");
    }
    assert!(first.requests().len() <= 2, "asked {} times", first.requests().len());
}

#[tokio::test]
async fn a_missing_ability_is_learned_from_the_refusal() {
    let refusal = "This model does not support image input";
    let first =
        Provider::start("alpha", [Script::error(400, "invalid_request_error", refusal), Script::answer("A")])
            .await;
    let second = Provider::start("beta", [Script::answer("B")]).await;
    let sees = |slug: &str, q, s| [Model::new(slug, "chat").can(&["image"]).ranks(q, s)];
    let router = Setup::new()
        .models(&first, &sees("alpha", 0.9, 900.0))
        .models(&second, &sees("beta", 0.5, 9.0))
        .start()
        .await;
    let client = &mut router.client().await;
    assert_eq!(client.chat(&ask_sized(400)).await.text(), "B");
    assert_eq!(client.chat(&ask_sized(400)).await.text(), "B", "not asked for images again");
    assert_eq!(first.requests().len(), 1);
    assert_eq!(client.chat(&ask("hi")).await.text(), "A", "but for text");
}

#[tokio::test]
async fn a_request_too_large_for_one_provider_is_not_held_against_it() {
    let too_big =
        Script::error(413, "rate_limit_exceeded", "Request too large for model").header("retry-after", "30");
    let first = Provider::start("alpha", [too_big, Script::answer("A")]).await;
    let second = Provider::start("beta", [Script::answer("B")]).await;
    let router = Router::start(&[&first, &second]).await;
    let client = &mut router.client().await;
    let asked = Instant::now();
    assert_eq!(client.chat(&ask("hi")).await.text(), "B");
    assert!(asked.elapsed().as_secs() < 20, "it is not waited on");
}
