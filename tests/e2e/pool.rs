//! Which models of a provider's list may be chosen at all.

use crate::harness::{Setup, ask, streamed, with, within};
use crate::provider::Provider;
use crate::script::Script;
use serde_json::{Value, json};

/// A row of a list in OpenRouter's dialect.
pub fn row(id: &str, more: Value) -> Value {
    let row = json!({
        "id": id, "name": id, "created": 1, "context_length": 32768,
        "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]},
        "pricing": {"prompt": "0", "completion": "0"},
        "top_provider": {"context_length": 32768, "max_completion_tokens": null},
        "supported_parameters": ["max_tokens", "temperature"],
    });
    with(row, more)
}

#[tokio::test]
async fn only_free_text_models_of_a_list_enter_the_pool() {
    let provider = Provider::start("alpha", [Script::answer("Yes.")]).await;
    let speech =
        json!({"architecture": {"input_modalities": ["text"], "output_modalities": ["text", "audio"]}});
    provider.lists(Script::json(
        200,
        json!({"data": [
            row("good/one:free", json!({"surprise": {"new": [1]}})),
            row("good/zeroes", json!({"pricing": {"prompt": "0.000", "completion": "0.0", "request": "0"}})),
            row("good/no-expiry", json!({"expiration_date": null, "context_length": null})),
            row("paid/tiny", json!({"pricing": {"prompt": "0.0000001", "completion": "0"}})),
            row("paid/image", json!({"pricing": {"prompt": "0", "completion": "0", "image": "0.1"}})),
            row("odd/negative", json!({"pricing": {"prompt": "-1", "completion": "-1"}})),
            row("odd/no-completion", json!({"pricing": {"prompt": "0"}})),
            row("odd/speech", speech),
            row("odd/content-safety-guard:free", json!({})),
            row("openrouter/free", json!({})),
            row("old/expired:free", json!({"expiration_date": "2020-01-01"})),
            json!({"id": 7}), json!("a bad row"),
        ]}),
    ));
    let router = Setup::new().listed(&provider, "openrouter").start().await;
    let client = &mut router.client().await;
    let pool = within("the list", async {
        loop {
            let models = client.get("/v1/models").await.json();
            let ids = models["data"].as_array().expect("a list").iter();
            let ids: Vec<_> = ids.map(|m| m["id"].as_str().expect("an id").to_owned()).collect();
            if ids.iter().any(|id| id.starts_with("good/")) {
                break ids;
            }
        }
    })
    .await;
    for good in ["good/one:free", "good/zeroes", "good/no-expiry"] {
        assert!(pool.iter().any(|id| id == good), "{good} in {pool:?}");
    }
    assert!(!pool.iter().any(|id| ["paid/", "odd/", "old/"].iter().any(|p| id.starts_with(p))), "{pool:?}");
    let paid = with(ask("hi"), json!({"model": "paid/tiny"}));
    let answer = client.chat(&paid).await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (403, &json!("model_not_available")));
    let only_paid =
        with(ask("hi"), json!({"plugins": [{"id": "auto-router", "allowed_models": ["paid/*"]}]}));
    assert_eq!(client.chat(&only_paid).await.status, 404);
    assert!(provider.requests().is_empty(), "nothing that costs money is called");
    let mixed = with(ask("hi"), json!({"models": ["paid/tiny", "good/zeroes"]}));
    assert_eq!(client.chat(&mixed).await.model(), "good/zeroes");
    assert_eq!(provider.request().json()["model"], "good/zeroes");
}

#[tokio::test]
async fn a_provider_without_a_list_does_not_keep_the_others_from_answering() {
    let broken = Provider::start("alpha", [Script::answer("A")]).await;
    broken.lists(Script::body(200, "application/json", "{\"data\": [nonsense"));
    let beta = Provider::start("beta", [Script::answer("B")]).await;
    let router = Setup::new().listed(&broken, "openrouter").provider(&beta).start().await;
    let answer = router.client().await.chat(&streamed(ask("hi"))).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "B"));
    assert!(broken.requests().is_empty());
}

#[tokio::test]
async fn a_refresh_that_fails_keeps_the_last_good_list_and_one_that_succeeds_replaces_it() {
    let provider = Provider::start("alpha", [Script::answer("Yes.")]).await;
    let list = |id: &str| Script::json(200, json!({"data": [row(id, json!({}))]}));
    provider.lists(list("good/old:free"));
    let router =
        Setup::new().config("[catalog]\nrefresh_s = 1").listed(&provider, "openrouter").start().await;
    let client = &mut router.client().await;
    let old = with(ask("hi"), json!({"model": "good/old:free"}));
    assert_eq!(client.chat(&old).await.status, 200);

    provider.lists(Script::body(500, "text/html", "<h1>no</h1>"));
    let failed = "freeway_catalog_refreshes_total{provider=\"alpha\",result=\"error\"}";
    within("a failed refresh", async { while !router.metrics().await.contains(failed) {} }).await;
    assert_eq!(client.chat(&old).await.status, 200, "the last good list stays in use");

    provider.lists(list("good/new:free"));
    let new = with(ask("hi"), json!({"model": "good/new:free"}));
    within("the new list", async { while client.chat(&new).await.status != 200 {} }).await;
    assert_eq!(client.chat(&old).await.status, 404, "a model that vanished is not asked for");
}
