//! Upstream failures before the first token are invisible, whatever they are.

use crate::client::{Client, Event, chunks};
use crate::harness::{Model, Router, Setup, ask, ask_sized, streamed};
use crate::provider::{Provider, Transport};
use crate::script::{Gate, Script, Step, completion};
use serde_json::{Value, json};

const LARGE: usize = 20 << 20;

/// How the first provider fails.
enum Failure {
    /// Nobody listens.
    Refuses,
    /// Its certificate is for somebody else, or from an unknown authority.
    Certificate { name: &'static str, known_authority: bool },
    /// A good answer first, then this.
    Then(fn() -> Script),
}

/// The first provider fails; the client sees only the second's answer, for every size, transport and mode.
async fn check(failure: Failure) {
    for transport in [Transport::Http1, Transport::H2c] {
        for (size, stream) in [(1 << 10, false), (1 << 10, true), (LARGE, true)] {
            let h2c = matches!(transport, Transport::H2c);
            case(&failure, h2c, size, stream).await;
        }
        if !matches!(failure, Failure::Then(_)) {
            break;
        }
    }
}

async fn case(failure: &Failure, h2c: bool, size: usize, stream: bool) {
    let what = format!("h2c {h2c}, {size} bytes, stream {stream}");
    let transport = || if h2c { Transport::H2c } else { Transport::Http1 };
    let mut first = match failure {
        Failure::Refuses => Provider::refusing("alpha").await,
        Failure::Certificate { name, .. } => {
            Provider::start_on(Transport::Tls(name), "alpha", [Script::answer("untrusted")]).await
        }
        Failure::Then(script) => {
            Provider::start_on(transport(), "alpha", [Script::answer("first"), script()]).await
        }
    };
    if let Failure::Certificate { known_authority: false, .. } = failure {
        first.ca_pem = Some(rcgen_authority());
    }
    let second = Provider::start_on(transport(), "beta", [Script::answer("second")]).await;
    let vision =
        |slug: &str, quality, speed| [Model::new(slug, "chat").can(&["image"]).ranks(quality, speed)];
    let router = Setup::new()
        .models(&first, &vision("alpha", 0.9, 1_000.0))
        .models(&second, &vision("beta", 0.5, 50.0))
        .timeouts("first_token_ms = 3000\nanswer_ms = 3000")
        .start()
        .await;
    let client = &mut router.client().await;
    if matches!(failure, Failure::Then(_)) {
        assert_eq!(client.chat(&ask("warm up")).await.text(), "first", "{what}");
    }
    let mut request = ask_sized(size);
    request["stream"] = json!(stream);
    let answer = client.chat(&request).await;
    assert_eq!(answer.status, 200, "{what}: {}", String::from_utf8_lossy(&answer.body));
    assert_eq!(answer.text(), "second", "{what}");
    assert_eq!(answer.model(), "beta/chat:free", "{what}");
    if stream {
        is_clean(&answer.events());
    }
    let seen = second.request().json();
    assert_eq!(seen["messages"], request["messages"], "{what}: the whole body, once more");
    if matches!(failure, Failure::Then(_)) {
        // A pooled connection that closes may be tried again, since it could have been closed before.
        assert!((2..=3).contains(&first.requests().len()), "{what}: one attempt each");
    }
    let again = client.chat(&ask("still there?")).await;
    assert_eq!((again.status, client.connections()), (200, 1), "{what}: the connection stays usable");
}

/// The authority of somebody else.
fn rcgen_authority() -> String {
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.self_signed(&key).expect("an authority").pem()
}

/// One identity, one role, one finish, one `[DONE]` at the end.
pub fn is_clean(events: &[Event]) {
    let dones = events.iter().filter(|e| **e == Event::Done).count();
    assert!(dones == 1 && events.last() == Some(&Event::Done), "{events:?}");
    let chunks = chunks(events);
    for key in ["id", "model", "created"] {
        assert!(chunks.iter().all(|c| c[key] == chunks[0][key]), "one {key}");
    }
    let roles = chunks.iter().filter(|c| c["choices"][0]["delta"].get("role").is_some()).count();
    assert_eq!(roles, 1, "{chunks:?}");
    assert!(chunks.iter().all(|c| c.get("error").is_none()));
}

#[tokio::test]
async fn a_provider_that_refuses_connections_is_passed_over() {
    check(Failure::Refuses).await;
}

#[tokio::test]
async fn a_provider_with_a_certificate_for_another_name_is_passed_over() {
    check(Failure::Certificate { name: "elsewhere.test", known_authority: true }).await;
}

#[tokio::test]
async fn a_provider_with_a_certificate_of_an_unknown_authority_is_passed_over() {
    check(Failure::Certificate { name: "localhost", known_authority: false }).await;
}

#[tokio::test]
async fn a_provider_with_a_good_certificate_answers() {
    let provider =
        Provider::start_on(Transport::Tls("localhost"), "alpha", [Script::answer("trusted")]).await;
    let router = Router::start(&[&provider]).await;
    assert_eq!(router.client().await.chat(&streamed(ask("hi"))).await.text(), "trusted");
}

#[tokio::test]
async fn a_500_is_passed_over() {
    check(Failure::Then(|| Script::error(500, "server_error", "oops"))).await;
}

#[tokio::test]
async fn a_502_with_html_is_passed_over() {
    check(Failure::Then(|| Script::body(502, "text/html", "<html>Bad gateway</html>"))).await;
}

#[tokio::test]
async fn a_503_is_passed_over() {
    check(Failure::Then(|| {
        Script::json(
            503,
            json!({"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}),
        )
    }))
    .await;
}

#[tokio::test]
async fn a_429_is_passed_over() {
    check(Failure::Then(|| {
        Script::error(429, "rate_limit_exceeded", "slow down").header("retry-after", "7")
    }))
    .await;
}

#[tokio::test]
async fn a_429_before_the_body_was_read_is_passed_over() {
    check(Failure::Then(|| {
        Script::error(429, "rate_limit_exceeded", "slow down").header("connection", "close").early()
    }))
    .await;
}

#[tokio::test]
async fn a_401_is_passed_over() {
    check(Failure::Then(|| Script::error(401, "invalid_api_key", "bad key"))).await;
}

#[tokio::test]
async fn a_402_is_passed_over() {
    check(Failure::Then(|| Script::error(402, "insufficient_credits", "pay"))).await;
}

#[tokio::test]
async fn a_404_is_passed_over() {
    check(Failure::Then(|| Script::error(404, "model_not_found", "gone"))).await;
}

#[tokio::test]
async fn silence_is_passed_over() {
    check(Failure::Then(|| Script::Silent)).await;
}

#[tokio::test]
async fn a_stream_without_a_token_is_passed_over() {
    check(Failure::Then(|| Script::stream().raw(": waiting\n\n").role().step(Step::Stall))).await;
}

#[tokio::test]
async fn a_200_with_an_error_in_its_body_is_passed_over() {
    check(Failure::Then(|| Script::json(200, json!({"error": {"code": 502, "message": "oops"}})))).await;
}

#[tokio::test]
async fn a_stream_that_opens_with_an_error_is_passed_over() {
    check(Failure::Then(|| {
        Script::stream().event(json!({"error": {"code": 429, "message": "busy"}})).done()
    }))
    .await;
}

#[tokio::test]
async fn a_stream_that_dies_after_its_role_is_passed_over() {
    check(Failure::Then(|| Script::stream().role().step(Step::Cut))).await;
}

#[tokio::test]
async fn a_stream_that_is_reset_before_its_first_token_is_passed_over() {
    check(Failure::Then(|| Script::stream().role().step(Step::Reset))).await;
}

#[tokio::test]
async fn a_stream_that_ends_after_its_role_is_passed_over() {
    check(Failure::Then(|| Script::stream().role().step(Step::End))).await;
}

#[tokio::test]
async fn a_connection_closed_instead_of_an_answer_is_passed_over() {
    check(Failure::Then(|| Script::HangUp)).await;
}

#[tokio::test]
async fn an_empty_completion_is_passed_over() {
    check(Failure::Then(|| {
        let mut empty = completion("");
        empty["choices"][0]["finish_reason"] = json!(null);
        empty["usage"]["completion_tokens"] = json!(0);
        Script::json(200, empty)
    }))
    .await;
}

#[tokio::test]
async fn an_empty_stream_is_passed_over() {
    check(Failure::Then(|| Script::stream().done())).await;
}

#[tokio::test]
async fn an_answer_that_finishes_with_an_error_is_passed_over() {
    check(Failure::Then(|| {
        let mut failed = completion("");
        failed["choices"][0]["finish_reason"] = json!("error");
        Script::json(200, failed)
    }))
    .await;
}

#[tokio::test]
async fn an_html_page_with_status_200_is_passed_over() {
    check(Failure::Then(|| Script::body(200, "text/html", "<html>Maintenance</html>"))).await;
}

#[tokio::test]
async fn attempts_run_beside_each_other_for_many_clients() {
    let gate = Gate::new();
    let first = Provider::start("alpha", [Script::stream().role().gate(&gate).step(Step::Cut)]).await;
    let second = Provider::start("beta", [Script::answer("second")]).await;
    let router = Router::start(&[&first, &second]).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let addr = router.addr;
        tasks.spawn(async move { Client::connect(addr).await.chat(&streamed(ask("hi"))).await });
    }
    first.has_seen(1).await;
    let opened = first.requests().len();
    for _ in 0..8 {
        gate.open();
    }
    while let Some(answer) = tasks.join_next().await {
        let answer = answer.expect("no panic");
        assert_eq!(answer.text(), "second");
        is_clean(&answer.events());
    }
    assert!(opened >= 1);
}

#[tokio::test]
async fn metadata_on_request_tells_every_attempt() {
    let first = Provider::start("alpha", [Script::error(500, "server_error", "oops")]).await;
    let second = Provider::start("beta", [Script::answer("second")]).await;
    let router = Router::start(&[&first, &second]).await;
    let client = &mut router.client().await;
    let body = ask("hi").to_string();
    let told =
        client.post("/v1/chat/completions", &[("X-OpenRouter-Metadata", "Enabled")], &body).await.json();
    let metadata = &told["openrouter_metadata"];
    assert_eq!(metadata["requested"], "auto", "{told}");
    let attempts = metadata["attempts"].as_array().expect("the attempts");
    let models: Vec<&Value> = attempts.iter().map(|a| &a["model"]).collect();
    assert_eq!(models, [&json!("alpha/chat:free"), &json!("beta/chat:free")]);
    assert!(client.chat(&ask("hi")).await.json().get("openrouter_metadata").is_none(), "only when asked");
}
