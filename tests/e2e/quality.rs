//! The strongest or the fastest: by the prompt, by what is left of limits, by the caller and by the operator.

use crate::client::Answer;
use crate::harness::{Model, Router, Setup, ask, with};
use crate::provider::Provider;
use crate::script::Script;
use serde_json::{Value, json};

const PLAIN: &str = "What is the capital of France?";
const HARD: &str = "Prove step by step that every finite integral domain is a field, then refactor this Rust code to \
    be lock-free, explain the memory ordering of each atomic operation and derive its amortised complexity:\n\
    ```rust\nfn push(&self, value: T) { let mut guard = self.inner.lock().unwrap(); guard.push(value); }\n```\n\
    Also solve the integral of exp(-x^2) * cos(2x) over the real line and compare three designs with their \
    trade-offs. Think carefully and consider the edge cases.";

fn hard() -> Value {
    with(ask(HARD), json!({"reasoning_effort": "high"}))
}

/// Three models of as many providers: `fast` is weak and quick, `smart` strong and slow, `vast` stronger and slower.
/// `vast` has these lines of configuration besides.
async fn start(config: &str, vast: &str) -> ([Provider; 3], Router) {
    let provider = async |slug| Provider::start(slug, [Script::answer("Yes.")]).await;
    let providers = [provider("fast").await, provider("smart").await, provider("vast").await];
    let model = |slug, quality, speed| [Model::new(slug, "chat").ranks(quality, speed)];
    let setup = Setup::new().config(config);
    let setup = setup.models(&providers[0], &model("fast", 0.42, 600.0));
    let setup = setup.models(&providers[1], &model("smart", 0.85, 40.0));
    let setup = setup.each(vast).models(&providers[2], &model("vast", 0.95, 25.0));
    let router = setup.start().await;
    (providers, router)
}

async fn send(router: &Router, headers: &[(&str, &str)], request: &Value) -> Answer {
    router.client().await.post("/v1/chat/completions", headers, request.to_string()).await
}

/// The request is answered by the model of `slug`.
#[track_caller]
fn by(answer: &Answer, slug: &str) {
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    assert_eq!(answer.model(), format!("{slug}/chat:free"));
}

#[tokio::test]
async fn plain_text_goes_to_the_fastest_and_a_hard_prompt_to_the_strongest() {
    let (_providers, router) = start("", "").await;
    let (plain, hard) = (send(&router, &[], &ask(PLAIN)).await, send(&router, &[], &hard()).await);
    by(&plain, "fast");
    by(&hard, "vast");
    let difficulty =
        |answer: &Answer| answer.header("x-freeway-difficulty").and_then(|d| d.parse::<f32>().ok());
    assert_eq!(plain.header("x-freeway-task"), Some("qa"));
    assert!(difficulty(&plain).is_some_and(|d| d < 0.1) && difficulty(&hard).is_some_and(|d| d > 0.3));
}

#[tokio::test]
async fn a_hard_prompt_goes_to_the_strongest_that_has_room() {
    let (providers, router) = start("", "limits = [{ per = \"minute\", requests = 2 }]").await;
    by(&send(&router, &[], &hard()).await, "vast");
    by(&send(&router, &[], &with(hard(), json!({"model": "vast/chat:free"}))).await, "vast");
    by(&send(&router, &[], &hard()).await, "smart");
    assert_eq!(providers[2].requests().len(), 2, "what is spent is not asked");
}

#[tokio::test]
async fn a_caller_says_how_much_quality_counts() {
    let (_providers, router) = start("", "").await;
    for (value, plain, difficult) in [
        ("fast", "fast", "fast"),
        ("0", "fast", "fast"),
        ("balanced", "fast", "vast"),
        ("best", "vast", "vast"),
    ] {
        let headers = [("x-freeway-quality", value)];
        by(&send(&router, &headers, &ask(PLAIN)).await, plain);
        by(&send(&router, &headers, &hard()).await, difficult);
    }
    for value in ["1.5", "-1", "high", ""] {
        let answer = send(&router, &[("x-freeway-quality", value)], &ask(PLAIN)).await;
        assert_eq!(answer.status, 400, "{value}");
        let error = &answer.json()["error"];
        assert_eq!(
            (&error["type"], &error["param"]),
            (&json!("invalid_request_error"), &json!("x-freeway-quality"))
        );
    }
}

#[tokio::test]
async fn a_sort_leaves_the_prompt_out_of_it() {
    let (_providers, router) = start("", "").await;
    for (sort, slug) in [("throughput", "fast"), ("exacto", "vast")] {
        let sorted = |request| with(request, json!({"provider": {"sort": sort}}));
        by(&send(&router, &[], &sorted(ask(PLAIN))).await, slug);
        by(&send(&router, &[], &sorted(hard())).await, slug);
        by(&send(&router, &[("x-freeway-quality", "balanced")], &sorted(ask(PLAIN))).await, slug);
    }
}

#[tokio::test]
async fn the_operator_moves_it_for_all_and_pins_what_comes_first() {
    let (_providers, router) = start("[routing]\nquality_vs_speed = 1.0", "").await;
    by(&send(&router, &[], &ask(PLAIN)).await, "vast");
    by(&send(&router, &[("x-freeway-quality", "fast")], &ask(PLAIN)).await, "fast");

    let (_providers, router) = start("[[routing.pin]]\npattern = \"smart/*\"\ntask = \"qa\"", "").await;
    by(&send(&router, &[], &ask(PLAIN)).await, "smart");
    by(&send(&router, &[], &hard()).await, "vast");
    by(&send(&router, &[], &with(ask(PLAIN), json!({"model": "fast/chat:free"}))).await, "fast");
}
