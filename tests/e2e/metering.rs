//! Usage from any place and shape; counted where it is missing or insane.

use crate::harness::{Router, ask, streamed, with};
use crate::provider::Provider;
use crate::script::{Script, chunk, completion, usage};
use serde_json::{Value, json};

/// The usage a client is told, streamed and whole, when a provider answers with this.
async fn told(script: Script) -> Value {
    let provider = Provider::start("alpha", [script]).await;
    let router = Router::start(&[&provider]).await;
    let client = &mut router.client().await;
    let request = with(streamed(ask("Say hi, please.")), json!({"stream_options": {"include_usage": true}}));
    let answer = client.chat(&request).await;
    assert_eq!(answer.status, 200);
    let chunks = crate::client::chunks(&answer.events());
    let stream = chunks.last().expect("a usage chunk")["usage"].clone();
    let whole = client.chat(&ask("Say hi, please.")).await.json()["usage"].clone();
    for usage in [&stream, &whole] {
        let n = |key: &str| usage[key].as_u64().unwrap_or_else(|| panic!("an integer {key}: {usage}"));
        assert_eq!(n("prompt_tokens") + n("completion_tokens"), n("total_tokens"));
        assert!(usage["prompt_tokens_details"]["cached_tokens"].is_u64(), "{usage}");
        assert!(usage["completion_tokens_details"]["reasoning_tokens"].is_u64(), "{usage}");
        assert!(usage["cost"].is_number(), "{usage}");
    }
    assert_eq!(stream["total_tokens"], whole["total_tokens"], "the same either way");
    whole
}

fn hi() -> Script {
    Script::stream().role().text("Hi ").text("there.")
}

/// The provider's usage is believed: these numbers.
async fn check(what: &str, script: Script, prompt: u64, completion: u64) {
    let usage = told(script).await;
    assert_eq!(
        (&usage["prompt_tokens"], &usage["completion_tokens"]),
        (&json!(prompt), &json!(completion)),
        "{what}"
    );
}

#[tokio::test]
async fn usage_is_read_wherever_a_provider_puts_it() {
    check("a chunk of its own", hi().finish("stop").usage(21, 4).done(), 21, 4).await;
    let mut finish = chunk(json!({}), Some("stop"));
    finish["usage"] = usage(21, 4);
    check("the finish chunk", hi().event(finish).done(), 21, 4).await;
    let mut repeated = chunk(json!({"content": "", "role": "assistant"}), Some("stop"));
    repeated["usage"] = usage(21, 4);
    check("a repeated finish", hi().finish("stop").event(repeated).done(), 21, 4).await;
    let mut groq = chunk(json!({}), Some("stop"));
    groq["x_groq"] = json!({"id": "req", "usage": usage(21, 4)});
    check("x_groq", hi().event(groq).done(), 21, 4).await;
    let continuous = |text: &str, n| {
        let mut event = chunk(json!({"content": text}), None);
        event["usage"] = usage(21, n);
        event
    };
    let script =
        Script::stream().event(continuous("Hi ", 1)).event(continuous("there.", 4)).finish("stop").done();
    check("on every chunk, the last wins", script, 21, 4).await;
    let mut whole = completion("Hi there.");
    whole["usage"] = json!({"prompt_tokens": 21, "completion_tokens": 4, "total_tokens": 25,
        "prompt_tokens_details": null, "completion_tokens_details": {"audio_tokens": 1}, "queue_time": 0.1});
    check("a whole answer", Script::json(200, whole), 21, 4).await;
}

#[tokio::test]
async fn hidden_thinking_counts_as_output() {
    let mut event = chunk(json!({}), Some("stop"));
    event["usage"] = json!({"prompt_tokens": 21, "completion_tokens": 4, "total_tokens": 125});
    check("total above the sum", hi().event(event).done(), 21, 104).await;
}

#[tokio::test]
async fn missing_or_insane_usage_is_counted() {
    let strange = |usage: Value| {
        let mut event = chunk(json!({}), Some("stop"));
        event["usage"] = usage;
        hi().event(event).done()
    };
    let scripts = [
        hi().finish("stop").done(),
        strange(json!(null)),
        strange(json!({})),
        strange(json!({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0})),
        strange(json!({"prompt_tokens": -3, "completion_tokens": -4, "total_tokens": -7})),
        strange(json!({"prompt_tokens": 1e18, "completion_tokens": 9e17, "total_tokens": 2e18})),
        strange(json!({"prompt_tokens": "many", "completion_tokens": [4], "total_tokens": true})),
    ];
    for script in scripts {
        let usage = told(script).await;
        let (prompt, answer) = (usage["prompt_tokens"].as_u64(), usage["completion_tokens"].as_u64());
        assert!(prompt.is_some_and(|n| (1..100).contains(&n)), "{usage}");
        assert!(answer.is_some_and(|n| (1..20).contains(&n)), "{usage}");
    }
}

#[tokio::test]
async fn the_access_line_has_the_tokens_and_who_answered() {
    let first = Provider::start("alpha", [Script::error(500, "server_error", "oops")]).await;
    let second = Provider::start("beta", [Script::answer("Hi there.")]).await;
    let router = Router::start(&[&first, &second]).await;
    assert_eq!(router.client().await.chat(&streamed(ask("hi"))).await.status, 200);
    let line = router.accessed(1).await[0].to_string();
    assert!(line.contains("beta/beta/chat:free") || line.contains("beta/chat:free"), "{line}");
    let fields: Value = serde_json::from_str(&line).expect("JSON");
    let find = |key: &str| fields.get(key).or_else(|| fields["fields"].get(key)).cloned().unwrap_or_default();
    assert_eq!(find("status"), 200, "{line}");
    assert_eq!(find("attempts"), 2, "{line}");
    assert_eq!(find("prompt_tokens"), 14, "{line}");
    assert_eq!(find("completion_tokens"), 3, "{line}");
}
