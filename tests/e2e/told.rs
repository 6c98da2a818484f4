//! What a provider says of its limits, in good answers and in refusals, and whom that keeps away.

use crate::harness::{Model, Router, Setup, ask, streamed};
use crate::provider::Provider;
use crate::script::{Script, chunk, completion};
use serde_json::{Value, json};

/// Where the provider says what is left of a minute's requests to one of its models, and of a day's to all.
const HEADERS: &str = r#"limit_headers = [
    { unit = "requests", per = "minute", limit = "x-most", remaining = "x-left", reset = "x-back" },
    { unit = "requests", per = "day", scope = "account", limit = "x-most-today", remaining = "x-left-today" },
]
limits = [{ scope = "account", per = "day", requests = 1000 }]"#;

/// A provider with two models, both better than the one of another.
async fn start(alpha: &Provider, beta: &Provider) -> Router {
    let twins = ["one", "two"].map(|name| Model::new("alpha", name));
    let [one, two] = twins;
    let models = [one.ranks(0.95, 1_000.0), two.ranks(0.8, 300.0)];
    let setup = Setup::new().each(HEADERS).models(alpha, &models);
    setup.models(beta, &[Model::new("beta", "chat").ranks(0.4, 10.0)]).start().await
}

/// The models that alpha was asked for, in turn.
fn asked(alpha: &Provider) -> Vec<String> {
    alpha.requests().iter().map(|seen| seen.json()["model"].as_str().expect("a model").to_owned()).collect()
}

/// Alpha answers, or refuses, the first request so, and all others well; the texts of five answers in turn and
/// the models alpha was asked for.
async fn five(first: Script, stream: bool) -> (Vec<String>, Vec<String>) {
    let alpha = Provider::start("alpha", [first, Script::answer("alpha")]).await;
    let beta = Provider::start("beta", [Script::answer("beta")]).await;
    let router = start(&alpha, &beta).await;
    let client = &mut router.client().await;
    let question = if stream { streamed(ask("hi")) } else { ask("hi") };
    let mut texts = Vec::new();
    for _ in 0..5 {
        texts.push(client.chat(&question).await.text());
    }
    (texts, asked(&alpha))
}

fn day_is_spent() -> Value {
    let message =
        "Rate limit exceeded: free-models-per-day. Add 5 credits to unlock 1000 free model requests per day";
    let headers = json!({"X-RateLimit-Limit": "50", "X-RateLimit-Remaining": "0"});
    json!({"message": message, "code": 429, "metadata": {"headers": headers}})
}

fn shared_pool_is_spent() -> Value {
    let raw = "alpha/one:free is temporarily rate-limited upstream. Please retry shortly.";
    let source = "upstream_provider_shared_pool";
    json!({"message": "Provider returned error", "code": 429, "metadata": {"raw": raw, "limit_source": source}})
}

fn in_stream(error: Value) -> Script {
    let mut event = chunk(json!({"content": ""}), Some("error"));
    event["error"] = error;
    Script::stream().event(event).done()
}

#[tokio::test]
async fn a_good_answer_that_says_nothing_is_left_of_the_minute_is_the_last_of_that_model() {
    let last = Script::json(200, completion("the last")).header("x-most", "30").header("x-left", "0");
    let (texts, asked) = five(last, false).await;
    assert_eq!(texts, ["the last", "alpha", "alpha", "alpha", "alpha"]);
    assert_eq!(asked, ["one", "two", "two", "two", "two"]);
}

#[tokio::test]
async fn a_good_stream_that_says_nothing_is_left_of_the_day_is_the_last_of_that_provider() {
    let last = Script::stream().text("the last").finish("stop").done();
    let last = last.header("x-most-today", "50;w=86400").header("x-left-today", "0");
    let (texts, asked) = five(last, true).await;
    assert_eq!(texts, ["the last", "beta", "beta", "beta", "beta"]);
    assert_eq!(asked, ["one"], "no refusal was needed");
}

#[tokio::test]
async fn headers_that_make_no_sense_keep_nobody_away() {
    let odd = Script::json(200, completion("the first")).header("x-most", "unlimited").header("x-left", "-1");
    let odd = odd.header("x-most-today", "").header("x-left-today", "NaN");
    let (texts, asked) = five(odd, false).await;
    assert_eq!(texts[1..], ["alpha", "alpha", "alpha", "alpha"]);
    assert_eq!(asked, ["one"; 5]);
}

#[tokio::test]
async fn a_spent_day_of_the_account_closes_every_model_of_the_provider() {
    for first in [Script::json(429, json!({"error": day_is_spent()})), in_stream(day_is_spent())] {
        let (texts, asked) = five(first, true).await;
        assert_eq!((texts, asked), (vec!["beta".to_owned(); 5], vec!["one".to_owned()]));
    }
}

#[tokio::test]
async fn a_spent_pool_of_others_closes_one_model() {
    for first in
        [Script::json(429, json!({"error": shared_pool_is_spent()})), in_stream(shared_pool_is_spent())]
    {
        let (texts, asked) = five(first, true).await;
        assert_eq!(texts, vec!["alpha"; 5]);
        assert_eq!(asked, ["one", "two", "two", "two", "two", "two"]);
    }
}
