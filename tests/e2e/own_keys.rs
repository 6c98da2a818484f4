//! Callers' own provider keys: asked first, never written down, and of no consequence for the operator's.
//!
//! Each of them ends in `-secret`: the harness finds such a one in every log and file.

use crate::board::per_day;
use crate::client::Answer;
use crate::harness::{Model, Router, Setup, ask, streamed, with};
use crate::provider::{Provider, Seen};
use crate::script::Script;
use serde_json::{Value, json};

const ALLOWED: &str = "[routing]\nown_keys = true";

async fn start(providers: &[&Provider], config: &str) -> Router {
    let setup = Setup::new().config(ALLOWED).config(config).env("FREEWAY_LOG", "trace");
    providers.iter().fold(setup, |setup, provider| setup.provider(provider)).start().await
}

async fn send(router: &Router, headers: &[(&str, &str)], request: &Value) -> Answer {
    router.client().await.post("/v1/chat/completions", headers, request.to_string()).await
}

/// With a key of the caller's own for beta.
async fn with_own(router: &Router, request: &Value) -> Answer {
    let headers = [("x-freeway-provider-key", "beta=own-secret"), ("x-openrouter-metadata", "enabled")];
    send(router, &headers, request).await
}

fn for_beta() -> Value {
    with(ask("hi"), json!({"model": "beta/chat:free"}))
}

/// The keys a provider was called with.
fn keys(provider: &Provider) -> Vec<String> {
    let key = |seen: &Seen| seen.header("authorization").unwrap_or("none").to_owned();
    provider.requests().iter().map(key).collect()
}

const OWN: &str = "Bearer own-secret";
const OURS: &str = "Bearer sk-beta-secret";

async fn alpha_and(scripts: impl IntoIterator<Item = Script>) -> (Provider, Provider) {
    let alpha = Provider::start("alpha", [Script::answer("A")]).await;
    (alpha, Provider::start("beta", scripts).await)
}

#[tokio::test]
async fn a_provider_is_asked_first_with_the_callers_key_however_good_others_are() {
    let (alpha, beta) = alpha_and([Script::answer("B")]).await;
    let router = start(&[&alpha, &beta], "").await;
    let answer = with_own(&router, &ask("hi")).await;
    assert_eq!((answer.text().as_str(), answer.header("x-freeway-byok")), ("B", Some("true")));
    let body = answer.json();
    assert_eq!(body["openrouter_metadata"]["is_byok"], true);
    assert_eq!(body["usage"]["is_byok"], true);
    assert_eq!(keys(&beta), [OWN]);
    let stream = with_own(&router, &streamed(ask("hi"))).await;
    assert_eq!((stream.text().as_str(), stream.header("x-freeway-byok")), ("B", Some("true")));

    let without = send(&router, &[], &ask("hi")).await;
    assert_eq!((without.status, without.header("x-freeway-byok")), (200, None));
    assert_eq!(without.json()["usage"]["is_byok"], false);
}

#[tokio::test]
async fn others_answer_where_the_callers_key_is_refused_and_ours_is_none_the_worse() {
    let refusals = [
        Script::error(401, "invalid_api_key", "bad key"),
        Script::error(402, "insufficient_credits", "pay"),
        Script::error(429, "rate_limit_exceeded", "slow down").header("retry-after", "60"),
        Script::error(404, "model_not_found", "not for you"),
    ];
    for refusal in refusals {
        let (alpha, beta) = alpha_and([refusal, Script::answer("B")]).await;
        let router = start(&[&alpha, &beta], "").await;
        let answer = with_own(&router, &ask("hi")).await;
        assert_eq!((answer.text().as_str(), answer.header("x-freeway-byok")), ("A", None));
        assert_eq!(answer.json()["openrouter_metadata"]["is_byok"], false);
        assert_eq!(send(&router, &[], &for_beta()).await.text(), "B");
        assert_eq!(keys(&beta), [OWN, OURS]);
    }
}

#[tokio::test]
async fn a_key_that_is_refused_is_not_tried_on_the_providers_other_models() {
    let refused = Script::error(401, "invalid_api_key", "bad key");
    let beta = Provider::start("beta", [refused, Script::answer("B")]).await;
    let models = [Model::new("beta", "chat"), Model::new("beta", "other")];
    let router = Setup::new().config(ALLOWED).models(&beta, &models).start().await;
    assert_eq!(with_own(&router, &ask("hi")).await.text(), "B");
    assert_eq!(keys(&beta), [OWN, OURS]);
}

#[tokio::test]
async fn our_limits_are_not_the_callers() {
    let (alpha, beta) = alpha_and([Script::answer("B")]).await;
    let router = start(&[&alpha, &beta], &per_day("beta", 1)).await;
    for _ in 0..2 {
        assert_eq!(with_own(&router, &for_beta()).await.status, 200);
    }
    assert_eq!(send(&router, &[], &for_beta()).await.status, 200, "nothing of ours is used");
    assert_eq!(send(&router, &[], &for_beta()).await.status, 429);
    assert_eq!(with_own(&router, &for_beta()).await.status, 200);
    assert_eq!(keys(&beta), [OWN, OWN, OURS, OWN]);
}

#[tokio::test]
async fn a_provider_may_be_for_callers_keys_only() {
    let (alpha, beta) = alpha_and([Script::answer("B")]).await;
    let router = start(&[&alpha, &beta], "[[provider]]\nslug = \"beta\"\ncallers_keys = true").await;
    assert_eq!(send(&router, &[], &ask("hi")).await.text(), "A");
    assert_eq!(send(&router, &[], &for_beta()).await.status, 503);
    assert_eq!(with_own(&router, &for_beta()).await.text(), "B");
    assert_eq!(keys(&beta), [OWN]);
    let model = router.client().await.get("/v1/models/beta/chat:free").await.json();
    assert_eq!(model["endpoints"][0]["reason"], "callers_keys_only");
}

#[tokio::test]
async fn a_key_sent_in_vain_is_refused() {
    let (alpha, beta) = alpha_and([Script::answer("B")]).await;
    let router = start(&[&alpha, &beta], "").await;
    let check = async |router: &Router, value: &str, words: &str| {
        let answer = send(router, &[("x-freeway-provider-key", value)], &ask("hi")).await;
        let said = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(answer.status == 400 && said.contains(words), "{} {said}", answer.status);
        assert!(!said.contains("-secret"), "{said}");
    };
    check(&router, "own-secret", "must be a provider and its key").await;
    check(&router, "gamma=own-secret", "one of: alpha, beta").await;
    check(&router, "beta=own-secret, beta=other-secret", "two keys").await;
    check(&Router::start(&[&alpha]).await, "alpha=own-secret", "not allowed").await;
    assert!(alpha.requests().is_empty() && beta.requests().is_empty());
}
