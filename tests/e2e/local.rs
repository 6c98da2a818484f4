//! What the router answers itself: its models, its health, and a world without providers.

use crate::harness::{Router, Setup, ask, streamed, with};
use crate::provider::Provider;
use crate::script::Script;
use serde_json::{Value, json};

fn ids(list: &Value) -> Vec<&str> {
    list["data"].as_array().expect("a list").iter().map(|m| m["id"].as_str().expect("an id")).collect()
}

#[tokio::test]
async fn models_are_listed_with_the_router_first() {
    let alpha = Provider::start("alpha", [Script::answer("A")]).await;
    let beta = Provider::start("beta", [Script::answer("B")]).await;
    let router = Router::start(&[&alpha, &beta]).await;
    let client = &mut router.client().await;
    for path in ["/v1/models", "/api/v1/models"] {
        let answer = client.get(path).await;
        assert_eq!(answer.status, 200);
        assert!(answer.header("content-type").is_some_and(|t| t.starts_with("application/json")));
        let list = answer.json();
        for id in ["auto", "openrouter/auto", "alpha/chat:free", "beta/chat:free"] {
            assert!(ids(&list).contains(&id), "{id} in {list}");
        }
        assert!(ids(&list)[..2].contains(&"auto"));
        for model in list["data"].as_array().expect("a list") {
            assert!(model["created"].is_u64() && model["context_length"].is_u64(), "{model}");
        }
    }
    let list = client.get("/v1/models").await.json();
    assert_eq!(list["object"], "list");
    for model in list["data"].as_array().expect("a list") {
        assert_eq!(model["object"], "model");
        assert!(model["owned_by"].is_string(), "{model}");
    }
}

#[tokio::test]
async fn a_model_is_found_under_every_spelling_of_its_path() {
    let alpha = Provider::start("alpha", [Script::answer("A")]).await;
    let router = Router::start(&[&alpha]).await;
    let client = &mut router.client().await;
    for base in ["/v1", "/api/v1"] {
        let found = [
            ("auto", "auto"),
            ("openrouter/auto", "openrouter/auto"),
            ("openrouter%2Fauto", "openrouter/auto"),
            ("openrouter%2fauto", "openrouter/auto"),
            ("alpha/chat:free", "alpha/chat:free"),
            ("alpha%2Fchat%3Afree", "alpha/chat:free"),
        ];
        for (spelling, id) in found {
            let answer = client.get(&format!("{base}/models/{spelling}")).await;
            assert_eq!(answer.status, 200, "{base} {spelling}");
            let body = answer.json();
            let model = if body.get("data").is_some() { &body["data"] } else { &body };
            assert_eq!(model["id"], id);
        }
        for unknown in ["nobody", "alpha/other", "alpha%2", "%ff%fe", "a%2F..%2Fauto", "alpha/chat"] {
            assert_eq!(client.get(&format!("{base}/models/{unknown}")).await.status, 404, "{base} {unknown}");
        }
    }
}

#[tokio::test]
async fn health_and_readiness_are_told() {
    let alpha = Provider::start("alpha", [Script::answer("A")]).await;
    let router = Router::start(&[&alpha]).await;
    let client = &mut router.client().await;
    assert_eq!(client.get("/health").await.status, 200);
    assert_eq!(client.get("/ready").await.status, 200);
    let head = client.open("HEAD", "/health", &[], b"").await.whole().await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert!(alpha.requests().is_empty());
}

#[tokio::test]
async fn without_a_provider_simulated_models_answer() {
    for setup in [Setup::new(), Setup::new().args(&["--simulate"])] {
        let router = setup.start().await;
        let client = &mut router.client().await;
        let question = ask("What is the capital of France?");
        let answer = client.chat(&question).await;
        assert_eq!(answer.status, 200);
        assert!(answer.model().contains("simulated"), "clearly named: {}", answer.model());
        assert!(!answer.text().is_empty());
        let again = with(question.clone(), json!({"model": answer.model()}));
        assert_eq!(client.chat(&again).await.text(), answer.text(), "the same answer to the same question");
        let stream = client.chat(&streamed(question)).await;
        assert_eq!(stream.events().last(), Some(&crate::client::Event::Done));
        assert!(!stream.text().is_empty());
        let image =
            json!([{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}]);
        let seen =
            client.chat(&json!({"model": "auto", "messages": [{"role": "user", "content": image}]})).await;
        assert_eq!(seen.status, 200, "one of them sees");
        assert!(ids(&client.get("/v1/models").await.json()).iter().any(|id| id.contains("simulated")));
    }
}

#[tokio::test]
async fn simulated_models_do_not_mix_with_real_ones_unless_asked() {
    let alpha = Provider::start("alpha", [Script::answer("A")]).await;
    let router = Router::start(&[&alpha]).await;
    let list = router.client().await.get("/v1/models").await.json();
    assert!(!ids(&list).iter().any(|id| id.contains("simulated")), "{list}");

    let router = Setup::new().provider(&alpha).args(&["--simulate"]).start().await;
    let client = &mut router.client().await;
    let list = client.get("/v1/models").await.json();
    let simulated = ids(&list).into_iter().find(|id| id.contains("simulated")).expect("asked for").to_owned();
    assert_eq!(client.chat(&with(ask("hi"), json!({"model": simulated}))).await.status, 200);
    assert_eq!(client.chat(&with(ask("hi"), json!({"model": "alpha/chat:free"}))).await.text(), "A");
}
