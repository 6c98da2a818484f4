//! What a provider gets: its own credentials and model, the client's request byte for byte, nothing else.

use crate::client_h2::H2Client;
use crate::harness::{Model, Router, Setup, ask, streamed, with};
use crate::provider::{Provider, Transport};
use crate::script::Script;
use serde_json::json;

#[tokio::test]
async fn the_provider_gets_its_own_key_host_and_path() {
    for transport in [Transport::Http1, Transport::H2c] {
        let provider = Provider::start_on(transport, "alpha", [Script::answer("Yes.")]).await;
        let router = Router::start(&[&provider]).await;
        let body = ask("hi").to_string();
        let headers = [
            ("authorization", "Bearer cm_client_secret"),
            ("x-api-key", "cm_client_secret"),
            ("cookie", "session=client_secret"),
            ("x-forwarded-for", "10.1.2.3"),
            ("forwarded", "for=10.1.2.3"),
            ("x-real-ip", "10.1.2.3"),
            ("x-stainless-lang", "python"),
            ("http-referer", "https://client.test"),
            ("x-title", "client"),
            ("accept-encoding", "gzip, br"),
            ("x-anything", "client_secret"),
            ("user-agent", "client/1.0"),
        ];
        let answer = router.client().await.post("/v1/chat/completions", &headers, &body).await;
        assert_eq!(answer.status, 200);
        let seen = provider.request();
        assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", "/prefix/v1/chat/completions"));
        assert_eq!(seen.header("host"), Some(provider.addr.to_string().as_str()));
        assert_eq!(seen.header("authorization"), Some("Bearer sk-alpha-secret"));
        assert_eq!(seen.header("content-type"), Some("application/json"));
        assert_eq!(seen.header("content-length"), Some(seen.body.len().to_string().as_str()));
        assert!(seen.header("accept-encoding").is_none_or(|e| e == "identity"));
        for (name, value) in &seen.headers {
            assert!(!value.contains("client") && !value.contains("10.1.2.3"), "{name}: {value}");
            assert!(!name.starts_with("x-stainless") && name != "cookie" && name != "expect", "{name}");
        }
    }
}

#[tokio::test]
async fn nothing_of_the_providers_headers_reaches_the_client() {
    let mut script = Script::answer("Yes.").resolve(false).map(Script::Reply).expect("a reply");
    let private = [
        ("set-cookie", "__cf_bm=upstream"),
        ("server", "upstream"),
        ("cf-ray", "upstream"),
        ("x-ratelimit-remaining-requests", "7"),
        ("openai-organization", "upstream"),
        ("openai-processing-ms", "12"),
        ("x-groq-region", "upstream"),
        ("alt-svc", "h3=upstream"),
        ("strict-transport-security", "max-age=1"),
        ("nel", "upstream"),
        ("report-to", "upstream"),
        ("x-request-id", "upstream"),
        ("x-unknown", "upstream"),
    ];
    for (name, value) in private {
        script = script.header(name, value);
    }
    let provider = Provider::start("alpha", [script]).await;
    let router = Router::start(&[&provider]).await;
    let answer = router.client().await.chat(&ask("hi")).await;
    assert_eq!(answer.status, 200);
    for (name, value) in &answer.headers {
        assert!(!value.contains("upstream"), "{name}: {value}");
    }
    for name in ["x-ratelimit-remaining-requests", "openai-processing-ms", "strict-transport-security"] {
        assert_eq!(answer.header(name), None);
    }
    assert!(answer.header("x-request-id").is_some());
}

#[tokio::test]
async fn an_answer_carries_its_identity() {
    let provider = Provider::start("alpha", [Script::answer("Yes.")]).await;
    let router = Router::start(&[&provider]).await;
    let client = &mut router.client().await;
    let answer = client.chat(&ask("hi")).await;
    let body = answer.json();
    assert_eq!(body["object"], "chat.completion");
    assert_eq!(body["model"], "alpha/chat:free");
    assert_eq!(body["provider"], "ALPHA Inc");
    assert_eq!(body["system_fingerprint"], json!(null), "present, though null");
    let id = body["id"].as_str().expect("an id");
    assert!(id.starts_with("gen-"));
    assert_eq!(answer.header("x-generation-id"), Some(id));
    assert_eq!(answer.header("cache-control"), Some("no-cache"));
    assert!(answer.header("content-type").is_some_and(|t| t.starts_with("application/json")));
    let stream = client.chat(&streamed(ask("hi"))).await;
    let first = &crate::client::chunks(&stream.events())[0];
    assert_eq!(stream.header("x-generation-id"), first["id"].as_str());
    assert_eq!(stream.header("content-type"), Some("text/event-stream; charset=utf-8"));
    assert_eq!(stream.header("x-accel-buffering"), Some("no"));
    assert_ne!(stream.header("x-request-id"), answer.header("x-request-id"));
}

#[tokio::test]
async fn the_request_survives_byte_for_byte() {
    let provider = Provider::start("alpha", [Script::answer("Yes.")]).await;
    let router = Router::start(&[&provider]).await;
    let messages = "[ {\"content\" : \"\\u0041\\ud83c\\udf88 \\/ é 1e400\",\t\"role\":\"user\", \"zz\": 1e400, \"aa\": \
                    12345678901234567890, \"n\": 0.10, \"deep\": [[[{\"a\":[]}]]]} ]";
    let future = "{\"big\": 123456789012345678901234567890, \"k\": [1.0, -0.0, 1E5]}";
    let body = format!(
        "\n{{\"temperature\": 0.70, \"model\" : \"auto\",\"messages\": {messages}, \"from_the_future\": {future} }}\n"
    );
    let answer = router.client().await.post("/v1/chat/completions", &[], &body).await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    let sent = String::from_utf8(provider.request().body).expect("UTF-8");
    assert!(sent.contains(messages), "{sent}");
    assert!(sent.contains(future), "{sent}");
    assert!(sent.contains("\"temperature\": 0.70"), "{sent}");
    assert!(sent.contains("\"chat\"") && !sent.contains("auto"), "{sent}");
}

#[tokio::test]
async fn routing_members_stay_with_the_router() {
    let provider = Provider::start("alpha", [Script::answer("Yes.")]).await;
    let router = Router::start(&[&provider]).await;
    let members = json!({
        "models": ["alpha/chat:free"], "route": "fallback", "provider": {"order": ["alpha"]}, "transforms": [],
        "plugins": [{"id": "auto-router", "allowed_models": ["*"]}], "session_id": "s", "trace": {"a": 1},
        "debug": {"echo_upstream_body": true}, "usage": {"include": true}, "user": "kept",
    });
    assert_eq!(router.client().await.chat(&with(ask("hi"), members)).await.status, 200);
    let sent = provider.request().json();
    let keys: Vec<_> = sent.as_object().expect("an object").keys().cloned().collect();
    assert_eq!(keys, ["model", "messages", "user"], "{sent}");
}

#[tokio::test]
async fn large_bodies_pass_on_every_protocol() {
    for transport in [Transport::Http1, Transport::H2c] {
        let provider = Provider::start_on(transport, "alpha", [Script::answer("Yes.")]).await;
        let sees = Model::new("alpha", "chat").can(&["image"]);
        let router = Setup::new().models(&provider, &[sees]).start().await;
        let request = crate::harness::ask_sized(20 << 20);
        let h1 = &mut router.client().await;
        assert_eq!(h1.chat(&request).await.text(), "Yes.");
        assert_eq!(h1.chat(&ask("again")).await.text(), "Yes.", "on the same connection");
        let h2 = H2Client::connect(router.addr).await;
        assert_eq!(h2.post("/v1/chat/completions", request.to_string()).await.text(), "Yes.");
        assert_eq!(h2.post("/v1/chat/completions", streamed(ask("again")).to_string()).await.text(), "Yes.");
        let seen = provider.requests();
        assert!(
            seen[0].json()["messages"] == request["messages"]
                && seen[2].json()["messages"] == request["messages"]
        );
    }
}

#[tokio::test]
async fn a_chunked_upload_is_forwarded_with_its_length() {
    let provider = Provider::start("alpha", [Script::answer("Yes.")]).await;
    let router = Router::start(&[&provider]).await;
    let body = ask(&"long ".repeat(5_000)).to_string();
    let mut raw = b"POST /v1/chat/completions HTTP/1.1\r\nhost: r\r\ncontent-type: application/json\r\n\
        transfer-encoding: chunked\r\nexpect: 100-continue\r\n\r\n"
        .to_vec();
    for part in body.as_bytes().chunks(1_000) {
        raw.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
        raw.extend_from_slice(part);
        raw.extend_from_slice(b"\r\n");
    }
    raw.extend_from_slice(b"0\r\n\r\n");
    let client = &mut router.client().await;
    client.send_raw(&raw).await.expect("it reads");
    assert_eq!(client.answer().await.text(), "Yes.");
    assert_eq!(client.chat(&ask("again")).await.status, 200, "and the next");
    assert_eq!(client.connections(), 1);
    let seen = provider.requests().remove(0);
    assert_eq!(
        seen.json()["messages"],
        serde_json::from_str::<serde_json::Value>(&body).expect("JSON")["messages"]
    );
    assert_eq!(seen.header("content-length"), Some(seen.body.len().to_string().as_str()));
    assert_eq!((seen.header("transfer-encoding"), seen.header("expect")), (None, None));
}

#[tokio::test]
async fn requests_sent_ahead_on_one_connection_are_all_answered() {
    let provider = Provider::start("alpha", [Script::answer("one"), Script::answer("two")]).await;
    let router = Router::start(&[&provider]).await;
    let body = ask("hi").to_string();
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: r\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let client = &mut router.client().await;
    client.send_raw(format!("{request}{request}").as_bytes()).await.expect("it reads");
    assert_eq!(client.answer().await.text(), "one");
    assert_eq!(client.answer().await.text(), "two");
}

#[tokio::test]
async fn upstream_connections_are_reused() {
    for transport in [Transport::Http1, Transport::H2c] {
        let provider = Provider::start_on(transport, "alpha", [Script::answer("Yes.")]).await;
        let router = Router::start(&[&provider]).await;
        let client = &mut router.client().await;
        for stream in [false, true, false, true] {
            let answer = client.chat(&with(ask("hi"), json!({"stream": stream}))).await;
            assert_eq!(answer.text(), "Yes.");
        }
        let last = provider.requests().pop().expect("one").connection;
        assert!(last <= 1, "{} connections for four requests", last + 1);
    }
}
