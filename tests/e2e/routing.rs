//! Which model answers what: capabilities, limits and preferences.

use crate::client::Client;
use crate::harness::{Model, ORDINARY, Router, Setup, ask, with};
use crate::provider::Provider;
use crate::script::Script;
use serde_json::{Value, json};

/// One provider with a model per ability; the plainest is the fastest and best, so that only need moves a
/// request away from it.
async fn abilities() -> (Provider, Router) {
    let provider = Provider::start("alpha", [Script::asked(Script::as_asked)]).await;
    let plain = ["max_tokens", "temperature"];
    let rank = |place: i32| (0.99 - f64::from(place) * 0.05, 1_000.0 / 3_f64.powi(place));
    let model = |place, name, extra: &[&'static str]| {
        let (quality, speed) = rank(place);
        Model::new("alpha", name).only(&plain).can(extra).ranks(quality, speed)
    };
    let models = [
        model(0, "plain", &[]),
        model(1, "vision", &["image"]),
        model(2, "audio", &["audio"]),
        model(3, "video", &["video"]),
        model(4, "file", &["file"]),
        model(5, "tools", &["tools"]),
        model(6, "choice", &["tools", "tool_choice"]),
        model(7, "json", &["response_format"]),
        model(8, "schema", &["response_format", "structured_outputs"]),
        model(9, "all", &["image", "response_format", "structured_outputs"]).can(ORDINARY),
    ];
    let router = Setup::new().models(&provider, &models).start().await;
    (provider, router)
}

/// The request is answered by `alpha/{model}:free`.
async fn check(client: &mut Client, what: &str, request: Value, model: &str) {
    let answer = client.chat(&request).await;
    assert_eq!(answer.status, 200, "{what}: {}", String::from_utf8_lossy(&answer.body));
    assert_eq!(answer.model(), format!("alpha/{model}:free"), "{what}");
}

fn parts(parts: Value) -> Value {
    json!({"model": "auto", "messages": [{"role": "user", "content": parts}]})
}

fn tool() -> Value {
    json!({"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}})
}

fn schema() -> Value {
    json!({"type": "json_schema", "json_schema": {"name": "s", "strict": true, "schema": {"type": "object"}}})
}

#[tokio::test]
async fn attachments_anywhere_in_the_history_choose_a_model_that_takes_them() {
    let (_provider, router) = abilities().await;
    let client = &mut router.client().await;
    check(client, "text", ask("hi"), "plain").await;
    let image = json!({"type": "image_url", "image_url": {"url": "https://example.test/a.png"}});
    check(client, "image", parts(json!([image])), "vision").await;
    let data = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}});
    check(client, "data URL", parts(json!([{"type": "text", "text": "?"}, data])), "vision").await;
    let bare = json!({"type": "image_url", "image_url": "https://example.test/a.png"});
    check(client, "bare string", parts(json!([bare])), "vision").await;
    check(
        client,
        "input_image",
        parts(json!([{"type": "input_image", "image_url": "https://e.test/a"}])),
        "vision",
    )
    .await;
    let system = json!({"model": "auto", "messages": [
        {"role": "developer", "content": [image]}, {"role": "user", "content": "Sure?"}]});
    check(client, "a system message", system, "vision").await;
    let earlier = json!({"model": "auto", "messages": [
        {"role": "user", "content": [image]}, {"role": "assistant", "content": "A cat."},
        {"role": "user", "content": "Sure?"}]});
    check(client, "an earlier turn", earlier, "vision").await;
    let audio = json!({"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}});
    check(client, "audio", parts(json!([audio])), "audio").await;
    let video = json!({"type": "video_url", "video_url": {"url": "https://example.test/a.mp4"}});
    check(client, "video", parts(json!([video])), "video").await;
    let file = json!({"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"}});
    check(client, "file", parts(json!([file])), "file").await;
}

#[tokio::test]
async fn an_image_in_a_tools_answer_needs_vision_too() {
    let (_provider, router) = abilities().await;
    let client = &mut router.client().await;
    let image = json!({"type": "image_url", "image_url": {"url": "https://example.test/a.png"}});
    let call = json!({"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}});
    let history = json!({"model": "auto", "messages": [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": null, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": [image]}]});
    check(client, "both", history, "all").await;
}

#[tokio::test]
async fn rarer_needs_are_held_to_or_given_up_as_the_field_says() {
    let (provider, router) = abilities().await;
    let client = &mut router.client().await;
    let video = json!({"type": "input_video", "video_url": {"url": "https://example.test/a.mp4"}});
    check(client, "the older spelling of video", parts(json!([video])), "video").await;
    check(client, "structured_outputs", with(ask("hi"), json!({"structured_outputs": true})), "schema").await;
    // What may be dropped is preferred, and no more.
    for soft in [
        json!({"reasoning": {"effort": "high"}}),
        json!({"logprobs": true, "top_logprobs": 2}),
        json!({"verbosity": "low", "min_p": 0.1}),
        json!({"plugins": ["web"]}),
    ] {
        let answer = client.chat(&with(ask("hi"), soft.clone())).await;
        assert_eq!(answer.status, 200, "{soft}");
    }
    let calls = provider.requests().len();
    let server_tool = json!({"tools": [{"type": "openrouter:web_search"}]});
    for (members, status, code, param) in [
        (
            json!({"modalities": ["text", "audio"], "audio": {"voice": "a", "format": "wav"}}),
            404,
            "no_endpoints",
            json!(null),
        ),
        (json!({"n": 2}), 400, "invalid_request", json!("n")),
        (server_tool, 400, "unsupported_tool", json!("tools")),
        (
            json!({"response_format": {"type": "grammar", "grammar": "root ::= x"}}),
            404,
            "no_endpoints",
            json!(null),
        ),
    ] {
        let answer = client.chat(&with(ask("hi"), members.clone())).await;
        let error = &answer.json()["error"];
        assert_eq!(
            (answer.status, &error["code"], &error["param"]),
            (status, &json!(code), &param),
            "{members}"
        );
    }
    assert_eq!(provider.requests().len(), calls);
}

#[tokio::test]
async fn words_about_images_need_no_vision() {
    let (_provider, router) = abilities().await;
    let client = &mut router.client().await;
    for text in ["what is an image_url?", "see https://example.test/a.png", r#"{"type":"image_url"}"#] {
        check(client, text, ask(text), "plain").await;
        check(client, text, parts(json!([{"type": "text", "text": text}])), "plain").await;
    }
}

#[tokio::test]
async fn tools_in_every_spelling_choose_a_model_that_has_them() {
    let (provider, router) = abilities().await;
    let client = &mut router.client().await;
    check(client, "tools", with(ask("hi"), json!({"tools": [tool()]})), "tools").await;
    check(client, "auto", with(ask("hi"), json!({"tools": [tool()], "tool_choice": "auto"})), "tools").await;
    check(client, "no tools", with(ask("hi"), json!({"tools": []})), "plain").await;
    check(client, "null tools", with(ask("hi"), json!({"tools": null})), "plain").await;
    let functions = json!({"functions": [{"name": "weather", "parameters": {"type": "object"}}]});
    check(client, "functions", with(ask("hi"), functions), "tools").await;
    let history = json!({"model": "auto", "messages": [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"}]});
    check(client, "history", history, "tools").await;
    let required = json!({"tools": [tool()], "tool_choice": "required"});
    check(client, "required", with(ask("hi"), required), "choice").await;
    let named =
        json!({"tools": [tool()], "tool_choice": {"type": "function", "function": {"name": "weather"}}});
    check(client, "named", with(ask("hi"), named), "choice").await;
    let before = provider.requests().len();
    check(client, "none", with(ask("hi"), json!({"tools": [tool()], "tool_choice": "none"})), "plain").await;
    let sent = provider.requests()[before].json();
    assert!(sent.get("tools").is_none() && sent.get("tool_choice").is_none(), "a plain model gets no tools");
}

#[tokio::test]
async fn output_formats_choose_a_model_that_guarantees_them() {
    let (_provider, router) = abilities().await;
    let client = &mut router.client().await;
    let format = |format: Value| with(ask("hi"), json!({"response_format": format}));
    check(client, "text", format(json!({"type": "text"})), "plain").await;
    check(client, "object", format(json!({"type": "json_object"})), "json").await;
    check(client, "schema", format(schema()), "schema").await;
    let everything = with(
        parts(json!([{"type": "image_url", "image_url": {"url": "https://example.test/a.png"}}])),
        json!({"tools": [tool()], "response_format": schema()}),
    );
    check(client, "all three, though the slowest", everything, "all").await;
}

#[tokio::test]
async fn what_no_model_can_do_is_named_and_costs_no_call() {
    let (provider, router) = abilities().await;
    let client = &mut router.client().await;
    let both = parts(json!([
        {"type": "image_url", "image_url": {"url": "https://example.test/a.png"}},
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
    ]));
    let answer = client.chat(&both).await;
    assert_eq!(answer.status, 404);
    let error = &answer.json()["error"];
    assert_eq!(error["code"], "no_endpoints");
    let missing = error["metadata"]["missing"].as_array().expect("what is missing");
    assert!(!missing.is_empty() && error["message"].as_str().is_some_and(|m| !m.is_empty()));
    assert!(provider.requests().is_empty());
}

#[tokio::test]
async fn limits_of_output_and_context_choose_a_model_that_is_large_enough() {
    let provider = Provider::start("alpha", [Script::answer("Yes.")]).await;
    let models = [
        Model::new("alpha", "short").context(2_000).max_output(Some(500)).ranks(0.9, 900.0),
        Model::new("alpha", "long").context(20_000).max_output(Some(4_000)).ranks(0.8, 90.0),
        Model::new("alpha", "endless").context(200_000).max_output(None).ranks(0.7, 9.0),
    ];
    let router = Setup::new().models(&provider, &models).start().await;
    let client = &mut router.client().await;
    let max = |n: u32| with(ask("hi"), json!({"max_tokens": n}));
    check(client, "at the limit", max(500), "short").await;
    check(client, "past it", max(501), "long").await;
    check(client, "no limit stated", max(4_001), "endless").await;
    let newer = with(ask("hi"), json!({"max_completion_tokens": 501, "max_tokens": 5}));
    check(client, "the newer spelling wins", newer, "long").await;
    check(client, "a long prompt", ask(&"some words ".repeat(2_000)), "long").await;
    let answer = client.chat(&ask(&"some words ".repeat(200_000))).await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (400, &json!("context_length_exceeded")));
}

#[tokio::test]
async fn a_parameter_the_model_lacks_is_dropped_unless_it_is_required() {
    let provider = Provider::start("alpha", [Script::answer("Yes.")]).await;
    let models = [
        Model::new("alpha", "plain").only(&["max_tokens"]).ranks(0.9, 900.0),
        Model::new("alpha", "seeded").only(&["max_tokens", "seed", "temperature"]).ranks(0.3, 20.0),
    ];
    let router = Setup::new().models(&provider, &models[..1]).start().await;
    let client = &mut router.client().await;
    check(client, "seed", with(ask("hi"), json!({"seed": 7, "user": "u"})), "plain").await;
    let sent = provider.request().json();
    assert!(sent.get("seed").is_none(), "the model does not know it");
    let required = with(ask("hi"), json!({"seed": 7, "provider": {"require_parameters": true}}));
    let answer = client.chat(&required).await;
    assert_eq!(answer.status, 404, "nothing has it");

    let router = Setup::new().models(&provider, &models).start().await;
    check(&mut router.client().await, "required", required, "seeded").await;
    assert_eq!(provider.requests().last().expect("one").json()["seed"], 7);
}

#[tokio::test]
async fn all_names_of_the_router_send_the_same_body() {
    let provider = Provider::start("alpha", [Script::answer("Paris.")]).await;
    let router = Router::start(&[&provider]).await;
    let client = &mut router.client().await;
    for name in ["auto", "openrouter/auto", "openrouter/free"] {
        let answer = client.chat(&with(ask("What is the capital of France?"), json!({"model": name}))).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "Paris."), "{name}");
        assert_eq!(answer.model(), "alpha/chat:free", "the model that answered, never the router");
    }
    let bodies: Vec<_> = provider.requests().into_iter().map(|r| r.body).collect();
    assert!(bodies.iter().all(|b| *b == bodies[0]));
    assert_eq!(provider.requests()[0].json()["model"], "chat");
}

#[tokio::test]
async fn a_model_of_the_pool_is_served_by_name_and_others_are_not_found() {
    let alpha = Provider::start("alpha", [Script::answer("A")]).await;
    let beta = Provider::start("beta", [Script::answer("B")]).await;
    let router = Router::start(&[&alpha, &beta]).await;
    let client = &mut router.client().await;
    let named = |model: &str| with(ask("hi"), json!({"model": model}));
    assert_eq!(client.chat(&named("beta/chat:free")).await.text(), "B");
    for unknown in ["no/such-model", "Auto", "AUTO", "auto ", "gpt-4o"] {
        let answer = client.chat(&named(unknown)).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]["code"]),
            (404, &json!("model_not_found")),
            "{unknown}"
        );
    }
    assert!(alpha.requests().is_empty());
}

#[tokio::test]
async fn simple_prompts_go_to_the_fastest_and_hard_ones_to_the_best() {
    let provider = Provider::start("alpha", [Script::answer("Yes.")]).await;
    let models =
        [Model::new("alpha", "fast").ranks(0.35, 600.0), Model::new("alpha", "smart").ranks(0.95, 40.0)];
    let router = Setup::new().models(&provider, &models).start().await;
    let client = &mut router.client().await;
    check(client, "simple", ask("What is the capital of France?"), "fast").await;
    let hard = "Prove step by step that every finite integral domain is a field, then refactor this Rust code to be \
        lock-free, explain the memory ordering of each atomic operation and derive its amortised complexity:\n\
        ```rust\nfn push(&self, value: T) { let mut guard = self.inner.lock().unwrap(); guard.push(value); }\n```\n\
        Also solve the integral of exp(-x^2) * cos(2x) over the real line and compare three designs with their \
        trade-offs. Think carefully and consider the edge cases.";
    check(client, "hard", with(ask(hard), json!({"reasoning_effort": "high"})), "smart").await;
}

#[tokio::test]
async fn provider_preferences_filter_and_order() {
    let alpha = Provider::start("alpha", [Script::answer("A")]).await;
    let beta = Provider::start("beta", [Script::answer("B")]).await;
    let gamma = Provider::start("gamma", [Script::answer("C")]).await;
    let router = Router::start(&[&alpha, &beta, &gamma]).await;
    let client = &mut router.client().await;
    let cases = [
        (json!({"order": ["gamma"]}), "C"),
        (json!({"order": ["nobody", "beta"]}), "B"),
        (json!({"only": ["beta"]}), "B"),
        (json!({"only": ["beta", "gamma"], "ignore": ["beta"]}), "C"),
        (json!({"ignore": ["alpha"]}), "B"),
        (json!({"sort": "price"}), "A"),
        (json!({"max_price": {"prompt": "0", "completion": 0}}), "A"),
        (json!({"unheard_of": true}), "A"),
    ];
    for (preferences, text) in cases {
        let answer = client.chat(&with(ask("hi"), json!({"provider": preferences}))).await;
        assert_eq!(answer.text(), text, "{preferences}");
    }
    let calls = alpha.requests().len() + beta.requests().len() + gamma.requests().len();
    for nobody in [json!({"only": ["nobody"]}), json!({"ignore": ["alpha", "beta", "gamma"]})] {
        let answer = client.chat(&with(ask("hi"), json!({"provider": nobody}))).await;
        assert_eq!(answer.status, 404, "{nobody}");
    }
    assert_eq!(alpha.requests().len() + beta.requests().len() + gamma.requests().len(), calls);
}

#[tokio::test]
async fn model_lists_and_the_auto_plugin_restrict_the_pool_and_never_widen_it() {
    let alpha = Provider::start("alpha", [Script::answer("A")]).await;
    let beta = Provider::start("beta", [Script::answer("B")]).await;
    let router = Router::start(&[&alpha, &beta]).await;
    let client = &mut router.client().await;
    let plugin = |settings: Value| json!({"plugins": [with(json!({"id": "auto-router"}), settings)]});
    let cases = [
        (json!({"models": ["beta/chat:free"]}), "B"),
        (json!({"models": ["openai/gpt-5", "beta/chat:free"]}), "B"),
        (plugin(json!({"allowed_models": ["beta/*"]})), "B"),
        (plugin(json!({"allowed_models": ["*/chat:free"], "excluded_models": ["alpha/*"]})), "B"),
        (plugin(json!({"excluded_models": ["alpha/chat:free"]})), "B"),
        (plugin(json!({"allowed_models": ["beta/*"], "enabled": false})), "A"),
    ];
    for (members, text) in cases {
        assert_eq!(client.chat(&with(ask("hi"), members.clone())).await.text(), text, "{members}");
    }
    let calls = alpha.requests().len() + beta.requests().len();
    let beaten = plugin(json!({"allowed_models": ["alpha/*"], "excluded_models": ["alpha/chat:free"]}));
    for nothing in [plugin(json!({"allowed_models": ["openai/*"]})), beaten] {
        let answer = client.chat(&with(ask("hi"), nothing.clone())).await;
        assert_eq!(answer.status, 404, "{nothing}");
        let message = answer.json()["error"]["message"].as_str().expect("a message").to_owned();
        assert!(
            message.to_lowercase().contains("no models match your request and model restrictions"),
            "{message}"
        );
    }
    assert_eq!(alpha.requests().len() + beta.requests().len(), calls, "nothing was called for them");
}
