//! An endpoint that does badly at one kind of task loses it to another, and keeps the rest.

use crate::client::Client;
use crate::harness::{Model, Setup, ask, with};
use crate::provider::Provider;
use crate::script::Script;
use serde_json::{Value, json};

const PROGRAM: &str = "Write a Python function that reverses a linked list and add unit tests for it.";
const TEXT: &str = "Translate into German: The weather is fine today and we will go for a walk by the river.";

/// Anything, by a tool call.
fn by_tool(prompt: &str) -> Value {
    let tools =
        json!([{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]);
    with(ask(prompt), json!({"tools": tools, "tool_choice": "required"}))
}

fn asked_for(provider: &Provider, prompt: &str) -> usize {
    provider.requests().iter().filter(|seen| seen.json()["messages"][0]["content"] == prompt).count()
}

#[tokio::test]
async fn who_spoils_the_tool_calls_of_one_task_loses_that_task_and_no_other() {
    let spoils = Script::asked(|request| match &request["messages"][0]["content"] {
        content if content == PROGRAM => Script::answer("I would call the tool, but here is some text."),
        _ => Script::as_asked(request),
    });
    let better = Provider::start("better", [spoils]).await;
    let other = Provider::start("other", [Script::asked(Script::as_asked)]).await;
    let router = Setup::new()
        .models(&better, &[Model::new("better", "chat").ranks(0.75, 100.0)])
        .models(&other, &[Model::new("other", "chat").ranks(0.70, 95.0)])
        .start()
        .await;
    let round = async || {
        for prompt in [PROGRAM, TEXT] {
            let answer = Client::connect(router.addr).await.chat(&by_tool(prompt)).await;
            assert_eq!(
                answer.json()["choices"][0]["message"]["tool_calls"][0]["function"]["name"],
                "weather"
            );
        }
    };

    for _ in 0..8 {
        round().await;
    }
    let (programs, texts) = (asked_for(&better, PROGRAM), asked_for(&better, TEXT));
    assert!((1..=6).contains(&programs), "{programs} of 8 before it was learned");
    for _ in 0..4 {
        round().await;
    }

    assert_eq!(asked_for(&better, PROGRAM), programs, "no more of those");
    assert_eq!((texts, asked_for(&better, TEXT)), (8, 12), "and all of the others");
    assert_eq!(asked_for(&other, PROGRAM), 12);
}

#[tokio::test]
async fn the_operator_favours_some_and_forbids_others() {
    let asked = async |config: &str| {
        let first = Provider::start("first", [Script::asked(Script::as_asked)]).await;
        let second = Provider::start("second", [Script::asked(Script::as_asked)]).await;
        let setup = Setup::new().config(config).provider(&first).provider(&second);
        let router = setup.start().await;
        let answer = Client::connect(router.addr).await.chat(&ask(TEXT)).await;
        assert_eq!(answer.status, 200);
        [first.requests().len(), second.requests().len()]
    };
    assert_eq!(asked("").await, [1, 0]);
    assert_eq!(asked("[routing]\nboost = [{ pattern = \"second/*\", by = 1000.0 }]").await, [0, 1]);
    assert_eq!(asked("[routing]\nforbid = [\"first/*\"]").await, [0, 1]);
}
