//! What callers may say of the choice: every field is honoured within the free pool, and none leads out of it.

use crate::client::Client;
use crate::harness::{Model, Router, Setup, ask, streamed, with};
use crate::pool::row;
use crate::provider::Provider;
use crate::script::{Script, Step};
use serde_json::{Value, json};
use std::time::Duration;

/// Providers and a router in front of them, the best first: alpha, beta, gamma.
async fn three() -> (Vec<Provider>, Router) {
    let mut providers = Vec::new();
    for slug in ["alpha", "beta", "gamma"] {
        providers.push(Provider::start(slug, [Script::answer(slug)]).await);
    }
    let router = Router::start(&providers.iter().collect::<Vec<_>>()).await;
    (providers, router)
}

fn calls(providers: &[Provider]) -> usize {
    providers.iter().map(|provider| provider.requests().len()).sum()
}

/// Who answers a request with these members.
async fn check(client: &mut Client, members: Value, text: &str) {
    let answer = client.chat(&with(ask("hi"), members.clone())).await;
    assert_eq!(answer.status, 200, "{members}: {}", String::from_utf8_lossy(&answer.body));
    assert_eq!(answer.text(), text, "{members}");
}

/// A request with these members is refused: its status and message.
async fn refuse(client: &mut Client, members: Value) -> (u16, String, Value) {
    let answer = client.chat(&with(ask("hi"), members)).await;
    let error = answer.json()["error"].clone();
    (answer.status, error["message"].as_str().expect("a message").to_owned(), error)
}

fn prefer(provider: Value) -> Value {
    json!({"provider": provider})
}

fn plugin(settings: Value) -> Value {
    json!({"plugins": [with(json!({"id": "auto-router"}), settings)]})
}

const NO_MODELS: &str = "No models match your request and model restrictions";
const NO_PROVIDERS: &str = "No allowed providers are available for the selected model";

#[tokio::test]
async fn every_name_of_the_router_chooses_and_a_missing_model_too() {
    let (_providers, router) = three().await;
    let client = &mut router.client().await;
    for model in ["auto", "openrouter/auto", "openrouter/free", "openrouter/auto-beta"] {
        check(client, json!({"model": model}), "alpha").await;
    }
    check(client, json!({"model": null}), "alpha").await;
    let unnamed = json!({"messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(client.chat(&unnamed).await.text(), "alpha");
    check(client, json!({"model": "gamma/chat:free"}), "gamma").await;
}

#[tokio::test]
async fn models_are_asked_in_their_order_and_then_the_pool() {
    let alpha = Provider::start("alpha", [Script::answer("alpha")]).await;
    let [beta, gamma] = ["beta", "gamma"].map(|slug| {
        let failing = [Script::answer(slug), Script::error(500, "server_error", "oops")];
        async move { Provider::start(slug, failing).await }
    });
    let (beta, gamma) = (beta.await, gamma.await);
    let router = Router::start(&[&alpha, &beta, &gamma]).await;
    let client = &mut router.client().await;
    let models = json!({"models": ["gamma/chat:free", "beta/chat:free"]});
    check(client, models.clone(), "gamma").await;
    check(client, models.clone(), "beta").await;
    check(client, models, "alpha").await;
}

#[tokio::test]
async fn models_that_are_not_free_or_not_known_are_passed_over() {
    let (providers, router) = three().await;
    let client = &mut router.client().await;
    check(client, json!({"models": ["openai/gpt-5", "no/such", "gamma/chat:free"]}), "gamma").await;
    check(client, json!({"models": ["openai/gpt-5"]}), "alpha").await;
    check(client, json!({"models": []}), "alpha").await;
    check(client, json!({"model": "openai/gpt-5", "models": ["beta/chat:free"]}), "beta").await;
    check(client, json!({"model": "openai/gpt-5", "models": ["auto"]}), "alpha").await;
    let before = calls(&providers);
    let nobody = json!({"model": "openai/gpt-5", "models": ["no/such", "openai/gpt-4o"]});
    let (status, message, _) = refuse(client, nobody).await;
    assert_eq!((status, message.as_str()), (404, NO_MODELS));
    assert_eq!(calls(&providers), before);
}

#[tokio::test]
async fn a_paid_model_is_never_called_whatever_names_it() {
    let market = Provider::start("market", [Script::answer("free")]).await;
    let paid = json!({"pricing": {"prompt": "0.000001", "completion": "0.000002"}});
    let rows = json!({"data": [row("acme/free:free", json!({})), row("acme/paid", paid)]});
    market.lists(Script::json(200, rows));
    let router = Setup::new().listed(&market, "openrouter").start().await;
    let client = &mut router.client().await;
    for members in [
        json!({"models": ["acme/paid"]}),
        json!({"models": ["acme/paid", "acme/free:free"]}),
        json!({"model": "acme/paid", "models": ["acme/free:free"]}),
        prefer(json!({"order": ["acme/paid"]})),
        plugin(json!({"allowed_models": ["acme/*", "acme/paid"]})),
        with(
            plugin(json!({"pin_model": true})),
            json!({"messages": [
            {"role": "assistant", "content": "A", "model": "acme/paid"}, {"role": "user", "content": "hi"}]}),
        ),
    ] {
        check(client, members, "free").await;
    }
    let (status, _, error) = refuse(client, json!({"model": "acme/paid"})).await;
    assert_eq!((status, &error["code"]), (403, &json!("model_not_available")));
    for members in [
        json!({"model": "acme/paid", "models": ["acme/paid"]}),
        plugin(json!({"allowed_models": ["acme/paid"]})),
        prefer(json!({"only": ["acme/paid"]})),
    ] {
        assert_eq!(refuse(client, members.clone()).await.0, 404, "{members}");
    }
    for request in market.requests().iter().filter(|request| request.method == "POST") {
        let sent = request.json();
        assert_eq!(sent["model"], "acme/free:free");
        assert!(!sent.to_string().contains("acme/paid") || sent.get("models").is_none(), "{sent}");
    }
}

#[tokio::test]
async fn fields_of_the_router_that_mean_nothing_here_are_harmless() {
    let (providers, router) = three().await;
    let client = &mut router.client().await;
    for members in [
        json!({"route": "fallback"}),
        json!({"route": "sort"}),
        json!({"usage": {"include": true}}),
        json!({"debug": {"echo_upstream_body": true}}),
        json!({"transforms": ["middle-out"]}),
        json!({"transforms": []}),
        json!({"trace": {"id": "t"}}),
        prefer(json!({})),
        prefer(json!({"experimental": {"a": [1]}, "order": null, "only": null})),
        json!({"plugins": ["file-parser", "response-healing"]}),
        json!({"plugins": [{"id": "web-fetch"}, {"id": "moderation"}, {"id": "pareto-router", "x": 1},
                           {"id": "fusion", "models": ["a"]}, {"id": "switchyard-router"}, {"id": "unheard-of"}]}),
    ] {
        check(client, members, "alpha").await;
    }
    let events =
        client.chat(&streamed(with(ask("hi"), json!({"debug": {"echo_upstream_body": true}})))).await;
    assert!(!String::from_utf8_lossy(&events.body).contains("sk-alpha"), "nothing of our request comes back");
    let sent = providers[0].requests();
    let router_fields = ["route", "usage", "debug", "transforms", "trace", "provider", "plugins"];
    assert!(sent.iter().all(|seen| router_fields.iter().all(|field| seen.json().get(field).is_none())));
}

#[tokio::test]
async fn lists_of_providers_order_restrict_and_exclude() {
    let (providers, router) = three().await;
    let client = &mut router.client().await;
    check(client, prefer(json!({"order": ["gamma", "beta"]})), "gamma").await;
    check(client, prefer(json!({"order": ["GAMMA Inc"]})), "gamma").await;
    check(client, prefer(json!({"order": ["gamma/fp8"]})), "gamma").await;
    check(client, prefer(json!({"order": ["nobody"]})), "alpha").await;
    check(client, prefer(json!({"only": ["beta", "gamma"]})), "beta").await;
    check(client, prefer(json!({"ignore": ["alpha", "beta"]})), "gamma").await;
    check(client, prefer(json!({"only": []})), "alpha").await;
    let before = calls(&providers);
    for nobody in [
        json!({"only": ["nobody"]}),
        json!({"only": ["alpha"], "ignore": ["alpha"]}),
        json!({"order": ["nobody"], "allow_fallbacks": false}),
    ] {
        let (status, message, error) = refuse(client, prefer(nobody)).await;
        assert_eq!((status, message.as_str()), (404, NO_PROVIDERS));
        assert_eq!(error["code"], "no_endpoints");
    }
    assert_eq!(calls(&providers), before);
}

#[tokio::test]
async fn without_fallbacks_the_first_of_an_order_is_the_only_one_asked() {
    let alpha = Provider::start("alpha", [Script::answer("alpha")]).await;
    let beta = Provider::start("beta", [Script::error(500, "server_error", "oops")]).await;
    let router = Router::start(&[&alpha, &beta]).await;
    let client = &mut router.client().await;
    let strict = prefer(json!({"order": ["beta", "alpha"], "allow_fallbacks": false}));
    assert_eq!(refuse(client, strict).await.0, 502);
    assert_eq!((alpha.requests().len(), beta.requests().len()), (0, 1));
    check(client, prefer(json!({"order": ["beta", "alpha"]})), "alpha").await;
}

/// A slow strong model, and a fast weak one.
async fn two_speeds() -> (Provider, Router) {
    let provider = Provider::start(
        "alpha",
        [Script::asked(|body| Script::answer(body["model"].as_str().expect("a model")))],
    )
    .await;
    let models =
        [Model::new("alpha", "strong").ranks(0.9, 20.0), Model::new("alpha", "fast").ranks(0.4, 900.0)];
    let router = Setup::new().models(&provider, &models).start().await;
    (provider, router)
}

#[tokio::test]
async fn a_sort_re_ranks_in_either_spelling() {
    for (sort, first) in [
        (json!("exacto"), "strong"),
        (json!("throughput"), "fast"),
        (json!({"by": "exacto"}), "strong"),
        (json!({"by": "throughput", "partition": "model"}), "fast"),
    ] {
        let (_provider, router) = two_speeds().await;
        check(&mut router.client().await, prefer(json!({"sort": sort})), first).await;
    }
    // All prices are alike, so that one changes nothing.
    let mut unsorted = Vec::new();
    for sort in [json!(null), json!("price"), json!({"by": "price"}), json!({"by": null})] {
        let (_provider, router) = two_speeds().await;
        let request = with(ask("hi"), prefer(json!({"sort": sort})));
        unsorted.push(router.client().await.chat(&request).await.text());
    }
    assert!(unsorted.iter().all(|text| *text == unsorted[0]), "{unsorted:?}");
    let (_provider, router) = two_speeds().await;
    let client = &mut router.client().await;
    let by = |partition| {
        json!({"models": ["alpha/fast:free", "alpha/strong:free"],
               "provider": {"sort": {"by": "exacto", "partition": partition}}})
    };
    check(client, by("model"), "fast").await;
    check(client, by("none"), "strong").await;
    for unknown in
        [json!({"sort": "best"}), json!({"sort": {"by": "price", "partition": "all"}}), json!({"sort": 1})]
    {
        assert_eq!(refuse(client, prefer(unknown.clone())).await.0, 400, "{unknown}");
    }
}

#[tokio::test]
async fn the_shortest_wait_for_a_first_token_can_be_asked_for() {
    // What is measured is how long it takes: a slow one has to be slow.
    let rest = Step::Rest(Duration::from_millis(900));
    let slow = Script::stream().step(rest).text("slow").finish("stop").done();
    let slow = Provider::start("slow", [slow]).await;
    let quick = Provider::start("quick", [Script::stream().text("quick").finish("stop").done()]).await;
    let model = |slug: &str, quality| Model::new(slug, "chat").ranks(quality, 100.0);
    let setup = Setup::new().models(&slow, &[model("slow", 0.9)]).models(&quick, &[model("quick", 0.5)]);
    let router = setup.start().await;
    let client = &mut router.client().await;
    let mut text =
        async |provider: Value| client.chat(&streamed(with(ask("hi"), prefer(provider)))).await.text();
    assert_eq!(text(json!({"only": ["slow"]})).await, "slow");
    assert_eq!(text(json!({"only": ["quick"]})).await, "quick");
    assert_eq!(text(json!({"sort": "latency"})).await, "quick");
    assert_eq!(text(json!({"sort": "exacto"})).await, "slow");
    assert_eq!(text(json!({"sort": "exacto", "preferred_max_latency": 0.6})).await, "quick");
    assert_eq!(text(json!({"sort": "exacto", "preferred_max_latency": {"p90": 0.6}})).await, "quick");
    assert_eq!(text(json!({"sort": "exacto", "preferred_max_latency": 60})).await, "slow");
    assert_eq!(
        text(json!({"preferred_max_latency": 0.000001, "only": ["slow"]})).await,
        "slow",
        "only a wish"
    );
}

#[tokio::test]
async fn a_wish_for_speed_orders_and_never_refuses() {
    let least =
        |tokens_per_s: Value| prefer(json!({"sort": "exacto", "preferred_min_throughput": tokens_per_s}));
    for (wish, first) in [
        (least(json!(10)), "strong"),
        (least(json!(100)), "fast"),
        (least(json!({"p50": 100, "p90": 10})), "fast"),
        (least(json!(1_000_000)), "strong"),
        (least(json!("plenty")), "strong"),
        (least(json!(null)), "strong"),
    ] {
        let (_provider, router) = two_speeds().await;
        check(&mut router.client().await, wish, first).await;
    }
}

#[tokio::test]
async fn no_price_excludes_a_free_model() {
    let (_providers, router) = three().await;
    let client = &mut router.client().await;
    for price in [
        json!({"prompt": "0", "completion": "0", "request": "0", "image": "0", "audio": "0"}),
        json!({"prompt": 0.5, "completion": 1}),
        json!({"input": 0, "output": 0}),
        json!({}),
        json!(null),
    ] {
        check(client, prefer(json!({"max_price": price})), "alpha").await;
    }
}

#[tokio::test]
async fn a_known_quantization_that_is_not_listed_is_left_out() {
    let provider = Provider::start(
        "alpha",
        [Script::asked(|body| Script::answer(body["model"].as_str().expect("a model")))],
    )
    .await;
    let models = [
        Model::new("alpha", "large-fp8-fast").ranks(0.9, 900.0),
        Model::new("alpha", "small-awq").ranks(0.5, 90.0),
    ];
    let router = Setup::new().models(&provider, &models).start().await;
    let client = &mut router.client().await;
    check(client, prefer(json!({"quantizations": ["fp8", "bf16"]})), "large-fp8-fast").await;
    check(client, prefer(json!({"quantizations": ["INT4"]})), "small-awq").await;
    check(client, prefer(json!({"quantizations": []})), "large-fp8-fast").await;
    let (status, message, _) = refuse(client, prefer(json!({"quantizations": ["fp32"]}))).await;
    assert_eq!((status, message.as_str()), (404, NO_PROVIDERS));

    let (_providers, router) = three().await;
    check(&mut router.client().await, prefer(json!({"quantizations": ["fp32"]})), "alpha").await;
}

#[tokio::test]
async fn privacy_is_kept_by_all_its_names() {
    let [trains, unknown, private] = ["trains", "unknown", "private"]
        .map(|slug| async move { Provider::start(slug, [Script::answer(slug)]).await });
    let (trains, unknown, private) = (trains.await, unknown.await, private.await);
    let setup = Setup::new()
        .provider_with(&trains, "terms = { trains_on_prompts = true }")
        .provider(&unknown)
        .provider_with(&private, "terms = { trains_on_prompts = false }");
    let router = setup.start().await;
    let client = &mut router.client().await;
    let wishes =
        [json!({"data_collection": "deny"}), json!({"zdr": true}), json!({"enforce_distillable_text": true})];
    for wish in wishes {
        check(client, prefer(wish.clone()), "private").await;
        let nobody = prefer(with(wish, json!({"ignore": ["private"]})));
        let (status, _, error) = refuse(client, nobody).await;
        assert_eq!((status, &error["availability"]["code"]), (404, &json!("privacy_restricted")), "{error}");
    }
    for neutral in [json!({"data_collection": "allow"}), json!({"zdr": false}), json!({"zdr": null})] {
        check(client, prefer(neutral), "trains").await;
    }
    assert_eq!(trains.requests().len() + unknown.requests().len(), 3);
}

#[tokio::test]
async fn patterns_of_the_plugin_allow_and_exclude_and_exclusion_wins() {
    let (providers, router) = three().await;
    let client = &mut router.client().await;
    for (settings, text) in [
        (json!({"allowed_models": ["gamma/*"]}), "gamma"),
        (json!({"allowed_models": ["*/chat:free"]}), "alpha"),
        (json!({"allowed_models": ["b*a/ch*free"]}), "beta"),
        (json!({"allowed_models": ["gamma/chat:free"]}), "gamma"),
        (json!({"allowed_models": ["*"], "excluded_models": ["alpha/*", "b*"]}), "gamma"),
        (json!({"excluded_models": ["alpha/chat:free"]}), "beta"),
        (json!({"allowed_models": ["gamma/*"], "enabled": false}), "alpha"),
        (json!({"allowed_models": ["gamma/*"], "enabled": true}), "gamma"),
        (json!({"allowed_models": ["gamma/*"], "cost_tier": "low", "cost_quality_tradeoff": 7}), "gamma"),
        (json!({"allowed_models": []}), "alpha"),
    ] {
        check(client, plugin(settings), text).await;
    }
    let before = calls(&providers);
    for settings in [
        json!({"allowed_models": ["openai/*"]}),
        json!({"allowed_models": ["chat"]}),
        json!({"allowed_models": ["Alpha/*"]}),
        json!({"allowed_models": ["alpha/*"], "excluded_models": ["alpha/chat:free"]}),
        json!({"excluded_models": ["*"]}),
    ] {
        let (status, message, _) = refuse(client, plugin(settings.clone())).await;
        assert_eq!((status, message.as_str()), (404, NO_MODELS), "{settings}");
    }
    assert_eq!(calls(&providers), before);
}

#[tokio::test]
async fn the_plugin_counts_for_the_router_it_is_of() {
    let (_providers, router) = three().await;
    let client = &mut router.client().await;
    let beta_plugin = json!({"plugins": [{"id": "auto-beta-router", "allowed_models": ["gamma/*"]}]});
    check(client, beta_plugin.clone(), "alpha").await;
    check(client, with(beta_plugin, json!({"model": "openrouter/auto-beta"})), "gamma").await;
    let auto = with(plugin(json!({"allowed_models": ["gamma/*"]})), json!({"model": "openrouter/auto-beta"}));
    check(client, auto, "alpha").await;
    check(client, json!({"plugins": ["auto-router"]}), "alpha").await;
}

#[tokio::test]
async fn patterns_have_limits_in_number_and_length() {
    let (_providers, router) = three().await;
    let client = &mut router.client().await;
    let fillers = |count: usize, chars: usize| {
        let mut patterns = vec![format!("x{}", "y".repeat(chars - 1)); count - 1];
        patterns.push(format!("gamma*{}", "*".repeat(chars.saturating_sub(6))));
        patterns
    };
    for list in ["allowed_models", "excluded_models"] {
        let expect = if list == "allowed_models" { "gamma" } else { "alpha" };
        for taken in [fillers(1_024, 6), fillers(1, 1_024), fillers(64, 1_024)] {
            check(client, plugin(json!({list: taken})), expect).await;
        }
        for refused in [fillers(1_025, 6), fillers(1, 1_025), fillers(65, 1_024)] {
            let (status, _, error) = refuse(client, plugin(json!({list: refused}))).await;
            assert_eq!(status, 400);
            let param = error["param"].as_str().expect("the field");
            assert!(param.starts_with(&format!("plugins.[0].{list}")), "{param}");
        }
    }
}

#[tokio::test]
async fn several_wishes_hold_together() {
    let (_providers, router) = three().await;
    let client = &mut router.client().await;
    let members = json!({
        "models": ["alpha/chat:free", "beta/chat:free"],
        "provider": {"ignore": ["alpha"], "order": ["gamma"], "require_parameters": true},
        "plugins": [{"id": "auto-router", "excluded_models": ["beta/*"]}], "temperature": 0.5,
    });
    check(client, members, "gamma").await;
}

#[tokio::test]
async fn metadata_stands_beside_the_error_where_providers_were_asked() {
    let alpha = Provider::start("alpha", [Script::error(500, "server_error", "oops")]).await;
    let router = Setup::new().provider(&alpha).accounts().start().await;
    let account = router.sign_up().await;
    let client = &mut router.client().await;
    let mut told = async |key: &str| {
        let bearer = format!("Bearer {key}");
        let headers = [("x-openrouter-metadata", "enabled"), ("authorization", bearer.as_str())];
        let answer = client.post("/v1/chat/completions", &headers, ask("hi").to_string()).await;
        (answer.status, answer.json())
    };
    let (status, body) = told(&account.key).await;
    assert_eq!((status, &body["openrouter_metadata"]["attempts"][0]["status"]), (502, &json!(500)), "{body}");
    let (status, body) = told("cm_unknown").await;
    assert!(status == 401 && body.get("openrouter_metadata").is_none(), "{body}");
}

#[tokio::test]
async fn metadata_comes_on_request_alone_and_last_in_a_stream() {
    let (_providers, router) = three().await;
    let client = &mut router.client().await;
    let mut told = async |name: &str, value: &str, request: Value| {
        let answer = client.post("/v1/chat/completions", &[(name, value)], request.to_string()).await;
        (String::from_utf8_lossy(&answer.body).into_owned(), answer)
    };
    for (name, value) in [
        ("X-OpenRouter-Metadata", "enabled"),
        ("x-openrouter-metadata", "ENABLED"),
        ("X-OpenRouter-Experimental-Metadata", "enabled"),
    ] {
        let (text, answer) = told(name, value, streamed(ask("hi"))).await;
        let chunks = crate::client::chunks(&answer.events());
        assert_eq!(text.matches("openrouter_metadata").count(), 1);
        let metadata = &chunks.last().expect("chunks")["openrouter_metadata"];
        assert_eq!((&metadata["strategy"], &metadata["attempt"]), (&json!("auto"), &json!(1)), "{text}");
        assert_eq!(metadata["summary"], "available=3, selected=ALPHA Inc");
    }
    for value in ["disabled", "true", "1", ""] {
        let (text, _) = told("X-OpenRouter-Metadata", value, ask("hi")).await;
        assert!(!text.contains("openrouter_metadata"), "{value}");
    }
}
