//! Keys, prompts and answers stay where they belong: not a trace of them in logs, metrics, errors or files.

use crate::client::Client;
use crate::harness::{Account, Router, Setup, ask, streamed, with};
use crate::provider::Provider;
use crate::script::{Gate, Script, Step};
use serde_json::{Value, json};

const PROMPT: &str = "canary-prompt-51c9e0";
const ANSWER: &str = "canary-answer-7f3ab2";

/// Every kind of request, so that every line that could give something away is written.
async fn call_everything(router: &Router, gate: &Gate, account: &Account) -> Vec<Vec<u8>> {
    let mut errors = Vec::new();
    let client = &mut router.client().await;
    let chat = ask(PROMPT);
    let tools = json!({"tools": [{"type": "function", "function": {"name": "f", "description": PROMPT}}]});
    for request in [chat.clone(), streamed(chat.clone()), with(chat.clone(), tools)] {
        let answer = client.chat_as(&account.key, &request).await;
        assert!(answer.status != 200 || answer.text().contains(ANSWER));
    }
    let key = account.key.as_str();
    let bearer = format!("Bearer {key}");
    let once = [("authorization", bearer.as_str()), ("idempotency-key", PROMPT)];
    for _ in 0..2 {
        client.post("/v1/chat/completions", &once, chat.to_string()).await;
    }
    let other = with(chat.clone(), json!({"seed": 1}));
    errors.push(client.post("/v1/chat/completions", &once, other.to_string()).await.body);

    let bad: [Value; 4] = [
        with(chat.clone(), json!({"temperature": PROMPT})),
        with(chat.clone(), json!({"model": PROMPT})),
        with(chat.clone(), json!({"max_tokens": 3_000_000})),
        with(chat.clone(), json!({"response_format": {"type": PROMPT}})),
    ];
    for request in &bad {
        let answer = client.chat_as(key, request).await;
        assert!(answer.status >= 400, "{request}");
        // What was asked for by name may be named again.
        if request["model"] == "auto" {
            errors.push(answer.body);
        }
    }
    for body in [format!("{{\"messages\": \"{PROMPT}\" "), format!("[\"{PROMPT}\"]")] {
        errors.push(client.post("/v1/chat/completions", &once[..1], body).await.body);
    }
    errors.push(client.chat_as(&format!("{key}0"), &chat).await.body);
    errors.push(client.get_as(key, "/v1/generation?id=gen-none").await.body);
    errors.push(leave_midway(router, gate, &bearer).await);
    client.send_as(key, "GET", "/api/v1/key").await;
    errors
}

/// A client that leaves within its answer.
async fn leave_midway(router: &Router, gate: &Gate, bearer: &str) -> Vec<u8> {
    let mut client = Client::connect(router.addr).await;
    let request = streamed(with(ask(PROMPT), json!({"models": ["gamma/chat:free"]}))).to_string();
    let headers = [("authorization", bearer)];
    let mut open = client.open("POST", "/v1/chat/completions", &headers, request.as_bytes()).await;
    open.next_data().await;
    drop(client);
    gate.open();
    Vec::new()
}

#[tokio::test]
async fn no_key_prompt_or_answer_is_found_where_it_does_not_belong() {
    let gate = Gate::new();
    let failing = Script::body(500, "application/json", format!("{{\"error\": \"{PROMPT} {ANSWER}\"}}"));
    let cut = Script::stream().role().text(ANSWER).step(Step::Reset);
    let alpha = Provider::start("alpha", [failing, cut]).await;
    let beta = Provider::start("beta", [Script::answer(ANSWER)]).await;
    let held = Script::stream().role().text(ANSWER).gate(&gate).finish("stop").done();
    let gamma = Provider::start("gamma", [held]).await;
    let setup = Setup::new().accounts().limits("free_per_minute = 0").env("FREEWAY_LOG", "trace");
    let setup = setup.provider(&alpha).provider(&beta).provider(&gamma);
    let router = setup.start().await;
    let account = router.sign_up().await;

    let errors = call_everything(&router, &gate, &account).await;

    router.accessed(10).await;
    let mut places = vec![
        ("the logs", router.logs().into_bytes()),
        ("the output", router.said().into_bytes()),
        ("the metrics", router.metrics().await.into_bytes()),
        ("the admin view", router.admin("GET", "/accounts", "").await.body),
    ];
    places.extend(errors.into_iter().map(|body| ("an error", body)));
    for file in router.files() {
        places.push(("a file", std::fs::read(&file).expect("a readable file")));
    }
    assert!(places.iter().any(|(place, bytes)| *place == "a file" && bytes.starts_with(b"SQLite format 3")));
    for (place, bytes) in &places {
        for secret in [account.key.as_str(), PROMPT, ANSWER] {
            let found = memchr::memmem::find(bytes, secret.as_bytes()).is_some();
            let text = String::from_utf8_lossy(bytes);
            assert!(!found, "{secret} in {place}: {}", text.chars().take(2_000).collect::<String>());
        }
    }
}
