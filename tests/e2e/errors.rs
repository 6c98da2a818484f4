//! Errors in the caller's dialect, always JSON, never anything of a provider's or of ours.

use crate::client::Answer;
use crate::harness::{Router, ask, streamed, with};
use crate::provider::Provider;
use crate::script::Script;
use serde_json::{Value, json};

/// The error object of a well-formed error answer in the dialect of its path.
fn error_of(what: &str, path: &str, answer: &Answer) -> Value {
    assert!(answer.status >= 400, "{what}: {}", answer.status);
    assert!(answer.header("content-type").is_some_and(|t| t.starts_with("application/json")), "{what}");
    assert!(answer.header("x-request-id").is_some(), "{what}");
    let error = answer.json()["error"].clone();
    assert!(error["message"].as_str().is_some_and(|m| !m.is_empty()), "{what}: {error}");
    if path.starts_with("/api/") {
        assert_eq!(error["code"], answer.status, "{what}: an integer here");
        assert!(error["metadata"]["error_type"].is_string(), "{what}: {error}");
    } else {
        assert!(error["code"].is_string() && error["type"].is_string(), "{what}: {error}");
        assert!(error.get("param").is_some(), "{what}: {error}");
        assert_eq!(error["http_status"], answer.status, "{what}");
    }
    error
}

#[tokio::test]
async fn a_body_that_is_no_request_is_a_400_and_the_connection_stays() {
    let provider = Provider::start("alpha", [Script::answer("Yes.")]).await;
    let router = Router::start(&[&provider]).await;
    let client = &mut router.client().await;
    let deep = format!(
        "{{\"messages\":[{{\"role\":\"user\",\"content\":\"a\"}}],\"x\":{}1{}}}",
        "[".repeat(5_000),
        "]".repeat(5_000)
    );
    let bodies: [(&str, &[u8]); 9] = [
        ("nothing", b""),
        ("no JSON", b"hello"),
        ("half", b"{\"model\":\"auto\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}"),
        ("an array", b"[1,2]"),
        ("a trailer", b"{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]} x"),
        ("a twin", b"{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"model\":\"auto\",\"mod\\u0065l\":\"gpt\"}"),
        ("bad UTF-8", b"{\"messages\":[{\"role\":\"user\",\"content\":\"\xff\xfe\"}]}"),
        ("a lone surrogate key", b"{\"messages\":[{\"role\":\"user\",\"content\":\"\\ud83c\"}]}"),
        ("too deep", deep.as_bytes()),
    ];
    for path in ["/v1/chat/completions", "/api/v1/chat/completions"] {
        for (what, body) in bodies {
            let answer = client.post(path, &[], body).await;
            error_of(what, path, &answer);
            assert_eq!(answer.status, 400, "{what}");
        }
    }
    assert_eq!(client.chat(&ask("hi")).await.status, 200);
    assert_eq!(client.connections(), 1, "all on one connection");
    assert_eq!(provider.requests().len(), 1);
}

#[tokio::test]
async fn a_bad_member_is_named() {
    let provider = Provider::start("alpha", [Script::answer("Yes.")]).await;
    let router = Router::start(&[&provider]).await;
    let client = &mut router.client().await;
    let tool = |name: &str| json!([{"type": "function", "function": {"name": name}}]);
    let cases = [
        (json!({"model": "auto"}), "messages"),
        (json!({"messages": []}), "messages"),
        (json!({"messages": "hi"}), "messages"),
        (with(ask("hi"), json!({"stream": "yes"})), "stream"),
        (with(ask("hi"), json!({"model": 7})), "model"),
        (with(ask("hi"), json!({"max_tokens": 0})), "max_tokens"),
        (with(ask("hi"), json!({"max_tokens": -1})), "max_tokens"),
        (with(ask("hi"), json!({"max_tokens": 1e30})), "max_tokens"),
        (with(ask("hi"), json!({"temperature": 2.1})), "temperature"),
        (with(ask("hi"), json!({"top_p": 1.5})), "top_p"),
        (with(ask("hi"), json!({"n": 0})), "n"),
        (with(ask("hi"), json!({"top_logprobs": 21, "logprobs": true})), "top_logprobs"),
        (with(ask("hi"), json!({"presence_penalty": -2.5})), "presence_penalty"),
        (with(ask("hi"), json!({"session_id": "s".repeat(257)})), "session_id"),
        (with(ask("hi"), json!({"tools": tool("not a name!")})), "tools"),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "hologram"}]}]}),
            "messages.[0].content.[0].type",
        ),
    ];
    for (request, param) in cases {
        let answer = client.chat(&request).await;
        let error = error_of(param, "/v1", &answer);
        assert_eq!(answer.status, 400, "{request}");
        let named = error["param"].as_str().unwrap_or_default();
        assert!(named == param || named.starts_with(&format!("{param}.")), "{named} for {request}");
        assert_eq!(error["type"], "invalid_request_error");
    }
    let forced = json!({"tools": tool("a"), "tool_choice": {"type": "function", "function": {"name": "b"}}});
    assert_eq!(
        client.chat(&with(ask("hi"), forced)).await.status,
        400,
        "a forced function that is not offered"
    );
    assert!(provider.requests().is_empty());
}

#[tokio::test]
async fn wrong_methods_and_paths_are_told_in_json() {
    let provider = Provider::start("alpha", [Script::answer("Yes.")]).await;
    let router = Router::start(&[&provider]).await;
    let client = &mut router.client().await;
    for path in ["/v1/chat/completions", "/api/v1/chat/completions"] {
        let answer = client.get(path).await;
        error_of("GET", path, &answer);
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
    }
    for path in ["/v1/models", "/health"] {
        let answer = client.post(path, &[], "{}").await;
        assert_eq!(answer.status, 405, "{path}");
        assert!(answer.header("allow").is_some_and(|a| a.contains("GET")), "{path}");
    }
    for path in [
        "/",
        "/v1/nothing",
        "/v1",
        "/api/v1/nothing",
        "/v1/chat/completions/x",
        "/v2/chat/completions",
        "/metrics",
    ] {
        let answer = client.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        error_of(path, path, &answer);
    }
}

#[tokio::test]
async fn a_body_of_another_type_is_refused_and_a_missing_type_is_not() {
    let provider = Provider::start("alpha", [Script::answer("Yes.")]).await;
    let router = Router::start(&[&provider]).await;
    let client = &mut router.client().await;
    let body = ask("hi").to_string();
    let typed = |t: &'static str| [("content-type", t)];
    for accepted in ["application/json", "application/json; charset=utf-8", "Application/JSON"] {
        assert_eq!(
            client.post("/v1/chat/completions", &typed(accepted), &body).await.status,
            200,
            "{accepted}"
        );
    }
    let answer = client.post("/v1/chat/completions", &typed("multipart/form-data; boundary=x"), &body).await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (415, &json!("unsupported_media_type")));
    let raw = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: r\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    client.send_raw(raw.as_bytes()).await.expect("it reads");
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn nothing_secret_is_ever_logged_counted_or_told() {
    let secret = "zq-prompt-secret";
    let failing = Script::error(400, "invalid_request_error", "zq-upstream-secret");
    let first =
        Provider::start("alpha", [failing.clone(), Script::answer("zq-answer-secret"), failing]).await;
    let second =
        Provider::start("beta", [Script::error(400, "invalid_request_error", "zq-upstream-secret")]).await;
    let router = Router::start(&[&first, &second]).await;
    let headers = [("authorization", "Bearer cm_zq-client-secret")];
    let bodies = [
        ask(secret).to_string(),
        streamed(ask(secret)).to_string(),
        with(ask(secret), json!({"model": "zq-model-secret"})).to_string(),
        with(ask(secret), json!({"tools": [{"type": "zq-tool-secret"}]})).to_string(),
        format!("{{\"messages\":[{{\"role\":\"{secret}\",\"content\":\"x\"}}]}}"),
        format!("{{\"{secret}"),
    ];
    for path in ["/v1/chat/completions", "/v1/models/zq-path-secret", "/zq-path-secret"] {
        for body in &bodies {
            let answer = router.client().await.post(path, &headers, body).await;
            let told = String::from_utf8_lossy(&answer.body).into_owned();
            let upstream = ["zq-upstream-secret", "sk-alpha-secret", "sk-beta-secret", "zq-client-secret"];
            assert!(!upstream.iter().any(|s| told.contains(s)), "{told}");
        }
    }
    router.accessed(bodies.len()).await;
    for (what, text) in [("logs", router.logs()), ("metrics", router.metrics().await)] {
        let leak = text.lines().find(|l| l.contains("zq-") || l.contains("-secret"));
        assert_eq!(leak, None, "in the {what}");
    }
}
