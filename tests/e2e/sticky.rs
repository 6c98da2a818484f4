//! A conversation stays with its model while that remains a good choice, and says when it does not.
//!
//! The sort by quality makes the choice plain: beta is the best, alpha nearly; gamma knows no parameters.

use crate::client::{Answer, Client};
use crate::harness::{Model, Router, Setup, ask, streamed, with};
use crate::provider::Provider;
use crate::script::Script;
use serde_json::{Value, json};
use std::path::Path;

struct World {
    alpha: Provider,
    beta: Provider,
    _gamma: Provider,
    router: Router,
}

async fn world_with(alpha: &[Script], change: impl FnOnce(Setup) -> Setup) -> World {
    let alpha = Provider::start("alpha", alpha.iter().cloned().chain([Script::answer("alpha")])).await;
    let beta = Provider::start("beta", [Script::answer("beta")]).await;
    let gamma = Provider::start("gamma", [Script::answer("gamma")]).await;
    let model = |slug: &str, quality| Model::new(slug, "chat").ranks(quality, 100.0);
    let setup = Setup::new()
        .models(&alpha, &[model("alpha", 0.8)])
        .models(&beta, &[model("beta", 0.9).can(&["image"])])
        .models(&gamma, &[model("gamma", 0.4).only(&["max_tokens"])]);
    let router = change(setup).start().await;
    World { alpha, beta, _gamma: gamma, router }
}

async fn world() -> World {
    world_with(&[], |setup| setup).await
}

/// A request in which quality decides.
fn request(members: Value) -> Value {
    with(with(ask("hi"), json!({"provider": {"sort": "exacto"}})), members)
}

/// The same for alpha's model first.
fn to_alpha(members: Value) -> Value {
    with(request(members), json!({"models": ["alpha/chat:free"]}))
}

fn session(id: &str) -> Value {
    json!({"session_id": id})
}

/// Who answers, and what is said of the session.
async fn turn(client: &mut Client, request: Value) -> (String, String) {
    said(&client.chat(&request).await)
}

fn said(answer: &Answer) -> (String, String) {
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    (answer.text(), answer.header("x-freeway-session").unwrap_or("-").to_owned())
}

fn expect(text: &str, session: &str) -> (String, String) {
    (text.to_owned(), session.to_owned())
}

#[tokio::test]
async fn a_named_session_stays_with_the_model_of_its_first_answer() {
    let world = world().await;
    let client = &mut world.router.client().await;
    assert_eq!(turn(client, to_alpha(session("s"))).await, expect("alpha", "new"));
    for _ in 0..3 {
        assert_eq!(turn(client, request(session("s"))).await, expect("alpha", "kept"));
    }
    assert_eq!(turn(client, request(session("t"))).await, expect("beta", "new"), "another session");
    assert_eq!(turn(client, request(json!({}))).await, expect("beta", "-"), "none");
}

#[tokio::test]
async fn a_header_or_a_cache_key_names_a_session_as_well_and_the_body_wins() {
    let world = world().await;
    let client = &mut world.router.client().await;
    turn(client, to_alpha(session("s"))).await;
    let by = async |client: &mut Client, header: &str, members: Value| {
        let body = request(members).to_string();
        said(&client.post("/v1/chat/completions", &[("X-Session-Id", header)], &body).await)
    };
    assert_eq!(by(client, "s", json!({})).await, expect("alpha", "kept"));
    assert_eq!(by(client, "other", session("s")).await, expect("alpha", "kept"), "the body wins");
    assert_eq!(by(client, "s", session("fresh")).await, expect("beta", "new"));
    assert_eq!(by(client, "", json!({})).await, expect("beta", "-"), "an empty name is none");
    turn(client, to_alpha(json!({"prompt_cache_key": "k"}))).await;
    let cached = json!({"prompt_cache_key": "k"});
    assert_eq!(turn(client, request(cached.clone())).await, expect("alpha", "kept"));
    assert_eq!(by(client, "fresh too", cached).await, expect("beta", "new"), "the last resort");
}

#[tokio::test]
async fn a_name_of_256_characters_is_taken_and_a_longer_one_refused() {
    let world = world().await;
    let client = &mut world.router.client().await;
    let ask_as = async |client: &mut Client, header: Option<&str>, members: Value| {
        let headers: Vec<_> = header.map(|name| ("x-session-id", name)).into_iter().collect();
        client.post("/v1/chat/completions", &headers, request(members).to_string()).await
    };
    let (longest, longer) = ("é".repeat(256), "é".repeat(257));
    assert_eq!(ask_as(client, None, session(&longest)).await.status, 200);
    assert_eq!(ask_as(client, Some(&"s".repeat(256)), json!({})).await.status, 200);
    let called = world.beta.requests().len();
    let body = ask_as(client, None, session(&longer)).await;
    assert_eq!((body.status, &body.json()["error"]["param"]), (400, &json!("session_id")));
    let header = ask_as(client, Some(&"s".repeat(257)), json!({})).await;
    assert_eq!((header.status, &header.json()["error"]["param"]), (400, &json!("x-session-id")));
    assert_eq!(world.beta.requests().len(), called);
}

#[tokio::test]
async fn it_moves_when_a_turn_needs_what_its_model_lacks() {
    let world = world().await;
    let client = &mut world.router.client().await;
    turn(client, to_alpha(session("s"))).await;
    let image = json!([{"type": "image_url", "image_url": {"url": "https://example.test/a.png"}}]);
    let seen = with(session("s"), json!({"messages": [{"role": "user", "content": image}]}));
    assert_eq!(turn(client, request(seen)).await, expect("beta", "moved; reason=capability"));
    assert_eq!(turn(client, request(session("s"))).await, expect("beta", "kept"));
}

#[tokio::test]
async fn it_moves_when_its_model_fails_and_stays_where_it_went() {
    let scripts = [Script::answer("alpha"), Script::error(500, "server_error", "oops")];
    let world = world_with(&scripts, |setup| setup).await;
    let client = &mut world.router.client().await;
    turn(client, to_alpha(session("s"))).await;
    assert_eq!(turn(client, request(session("s"))).await, expect("beta", "moved; reason=health"));
    assert_eq!(turn(client, request(session("s"))).await, expect("beta", "kept"));
    let metrics = world.router.metrics().await;
    for outcome in ["new", "kept", "moved"] {
        let line = format!("freeway_session_turns_total{{outcome=\"{outcome}\"}} 1");
        assert!(metrics.contains(&line), "{line}");
    }
}

#[tokio::test]
async fn it_moves_when_its_model_is_at_its_limit() {
    let spent = Script::error(429, "rate_limit_exceeded", "slow down").header("retry-after", "90");
    let world = world_with(&[Script::answer("alpha"), spent], |setup| setup).await;
    let client = &mut world.router.client().await;
    turn(client, to_alpha(session("s"))).await;
    // Somebody else meets the limit.
    assert_eq!(turn(client, to_alpha(json!({}))).await, expect("beta", "-"));
    assert_eq!(turn(client, request(session("s"))).await, expect("beta", "moved; reason=quota"));
}

#[tokio::test]
async fn it_moves_when_another_model_is_much_better_or_the_caller_prefers_it() {
    let world = world().await;
    let client = &mut world.router.client().await;
    let to_gamma = |id| with(request(session(id)), json!({"models": ["gamma/chat:free"]}));
    assert_eq!(turn(client, to_gamma("s")).await, expect("gamma", "new"));
    // Gamma would drop all of these.
    let demanding = json!({"session_id": "s", "temperature": 1, "top_p": 1, "seed": 1,
        "frequency_penalty": 0, "presence_penalty": 0});
    assert_eq!(turn(client, request(demanding)).await, expect("beta", "moved; reason=better"));
    assert_eq!(turn(client, to_gamma("s")).await, expect("gamma", "moved; reason=preference"));
}

#[tokio::test]
async fn an_order_of_providers_ends_all_stickiness() {
    let world = world().await;
    let client = &mut world.router.client().await;
    turn(client, to_alpha(session("s"))).await;
    let ordered = json!({"session_id": "s", "provider": {"order": ["gamma"], "sort": "exacto"}});
    assert_eq!(turn(client, request(ordered)).await, expect("gamma", "-"));
    assert_eq!(turn(client, request(session("s"))).await, expect("alpha", "kept"), "it was not noted");
}

#[tokio::test]
async fn an_error_changes_nothing_that_is_remembered() {
    let world = world_with(&[], |setup| setup).await;
    let client = &mut world.router.client().await;
    turn(client, to_alpha(session("s"))).await;
    let impossible = json!({"session_id": "s", "provider": {"only": ["nobody"]}});
    assert_eq!(client.chat(&request(impossible)).await.status, 404);
    assert_eq!(turn(client, request(session("s"))).await, expect("alpha", "kept"));
}

/// A conversation: its first turn, or with the answer and another question.
fn conversation(system: &str, later: bool) -> Value {
    let mut messages =
        vec![json!({"role": "system", "content": system}), json!({"role": "user", "content": "hi"})];
    if later {
        messages.push(json!({"role": "assistant", "content": "Hello!"}));
        messages.push(json!({"role": "user", "content": "and now?"}));
    }
    json!({"messages": messages})
}

#[tokio::test]
async fn without_a_name_a_conversation_is_known_by_how_it_begins() {
    let world = world().await;
    let client = &mut world.router.client().await;
    assert_eq!(turn(client, to_alpha(conversation("Be brief.", false))).await, expect("alpha", "-"));
    assert_eq!(turn(client, request(conversation("Be brief.", true))).await, expect("alpha", "kept"));
    assert_eq!(turn(client, request(conversation("Be kind.", true))).await, expect("beta", "new"));
    let again = turn(client, request(conversation("Be brief.", false))).await;
    assert_eq!(again, expect("beta", "-"), "a first turn may be anybody's");
}

#[tokio::test]
async fn a_session_is_of_one_account() {
    let world = world_with(&[], Setup::accounts).await;
    let (ada, bob) = (world.router.sign_up().await, world.router.sign_up().await);
    let client = &mut world.router.client().await;
    let mut ask_as = async |key: &str, request: Value| said(&client.chat_as(key, &request).await);
    assert_eq!(ask_as(&ada.key, to_alpha(session("s"))).await, expect("alpha", "new"));
    assert_eq!(ask_as(&bob.key, request(session("s"))).await, expect("beta", "new"));
    assert_eq!(ask_as(&ada.key, request(session("s"))).await, expect("alpha", "kept"));
}

/// Moves what is written down of sessions to an earlier time.
fn earlier(folder: &Path, ms: u64) {
    let path = folder.join("sessions.json");
    let text = std::fs::read_to_string(&path).expect("it was written at the end");
    let mut contents: Value = serde_json::from_str(&text).expect("JSON");
    for row in contents["sessions"].as_array_mut().expect("rows") {
        row[2] = json!(row[2].as_u64().expect("a time") - ms);
    }
    std::fs::write(path, contents.to_string()).expect("a file");
}

#[tokio::test]
async fn a_session_outlives_a_restart_and_ends_after_ten_minutes_of_silence() {
    let World { router, alpha: _alpha, beta: _beta, _gamma } = world().await;
    let client = &mut router.client().await;
    turn(client, to_alpha(session("s"))).await;
    let router = router.restart("TERM", |folder| earlier(folder, 9 * 60_000)).await;
    let client = &mut router.client().await;
    // Its answer starts the ten minutes anew.
    assert_eq!(turn(client, request(session("s"))).await, expect("alpha", "kept"));
    let router = router.restart("TERM", |folder| earlier(folder, 9 * 60_000)).await;
    let client = &mut router.client().await;
    assert_eq!(turn(client, request(session("s"))).await, expect("alpha", "kept"));
    let router = router.restart("TERM", |folder| earlier(folder, 10 * 60_000)).await;
    assert_eq!(turn(&mut router.client().await, request(session("s"))).await, expect("beta", "new"));
}

#[tokio::test]
async fn what_is_written_down_of_sessions_gives_nothing_away() {
    let World { router, alpha: _alpha, beta: _beta, _gamma } = world().await;
    turn(&mut router.client().await, to_alpha(session("a-telling-name"))).await;
    turn(&mut router.client().await, request(conversation("Be discreet.", true))).await;
    let check = |folder: &Path| {
        let text = std::fs::read_to_string(folder.join("sessions.json")).expect("it was written");
        let contents: Value = serde_json::from_str(&text).expect("JSON");
        let rows = contents["sessions"].as_array().expect("rows");
        assert!(
            rows.len() == 2 && rows.iter().flat_map(|row| row.as_array().expect("a row")).all(Value::is_u64)
        );
        assert!(!text.contains("telling") && !text.contains("discreet"), "{text}");
    };
    router.restart("TERM", check).await;
}

#[tokio::test]
async fn streams_and_metadata_say_it_too() {
    let world = world().await;
    let client = &mut world.router.client().await;
    assert_eq!(turn(client, streamed(to_alpha(session("s")))).await, expect("alpha", "new"));
    assert_eq!(turn(client, streamed(request(session("s")))).await, expect("alpha", "kept"));
    let headers = [("x-openrouter-metadata", "enabled")];
    let body = request(session("s")).to_string();
    let told = client.post("/v1/chat/completions", &headers, &body).await.json();
    assert_eq!(told["openrouter_metadata"]["pipeline"][0]["data"]["session"], "kept", "{told}");
}

#[tokio::test]
async fn an_operator_may_want_no_stickiness() {
    let world = world_with(&[], |setup| setup.config("[routing]\nsession_idle_s = 0")).await;
    let client = &mut world.router.client().await;
    assert_eq!(turn(client, to_alpha(session("s"))).await, expect("alpha", "-"));
    assert_eq!(turn(client, request(session("s"))).await, expect("beta", "-"));
}

#[tokio::test]
async fn a_pinned_conversation_asks_the_model_of_its_last_answer() {
    let world = world().await;
    let client = &mut world.router.client().await;
    let pinned = |model: &str, settings: Value| {
        let plugin = with(json!({"id": "auto-router", "pin_model": true}), settings);
        request(json!({"plugins": [plugin], "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "model": "beta/chat:free", "content": "Hello!"},
            {"role": "assistant", "content": "There.", "model": model},
            {"role": "user", "content": "and now?"}]}))
    };
    let gamma = "gamma/chat:free";
    let excluded = json!({"excluded_models": ["gamma/*"]});
    for (model, settings, text) in [
        (gamma, json!({}), "gamma"),
        (gamma, excluded, "beta"),
        (gamma, json!({"pin_model": false}), "beta"),
        ("openai/gpt-5", json!({}), "beta"),
    ] {
        assert_eq!(turn(client, pinned(model, settings.clone())).await.0, text, "{model} {settings}");
    }
    let names = |sent: Value| {
        let messages = sent["messages"].as_array().expect("messages").clone();
        messages.iter().filter(|message| message.get("model").is_some()).count()
    };
    let names: Vec<_> = world.beta.requests().iter().map(|seen| names(seen.json())).collect();
    assert_eq!(names, [0, 2, 0], "what is for the router goes no further");
}
