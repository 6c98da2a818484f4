//! Prompts that lead a classifier astray: typing errors, many languages, words of other tasks in passing, flattery
//! ("this is easy"), and very long histories. The figures reached are held to; `--nocapture` shows them.

use freeway::classifier::{Classification, chance_to_fail, classify};
use freeway::protocol::inspect::inspect;
use freeway::routing::Task;
use serde::Deserialize;
use serde_json::{Value, json};
use std::fs;

#[derive(Deserialize)]
struct Case {
    kind: String,
    prompt: String,
    task: Task,
}

fn cases(kind: &str) -> Vec<Case> {
    let text = fs::read_to_string("tests/prompts/robustness.jsonl").expect("the prompts");
    let cases = text.lines().map(|line| serde_json::from_str::<Case>(line).expect("a case"));
    cases.filter(|case| case.kind == kind).collect()
}

fn chat(messages: &Value) -> (Classification, f32) {
    let body = json!({ "messages": messages }).to_string().into_bytes();
    let features = inspect(&body).expect("a request").features;
    (classify(&body, &features), chance_to_fail(&body, &features))
}

fn of(prompt: &str) -> (Classification, f32) {
    chat(&json!([{ "role": "user", "content": prompt }]))
}

/// At least so many percent of a kind are given their task.
#[track_caller]
fn check(kind: &str, percent: usize) {
    let cases = cases(kind);
    let wrong: Vec<_> = cases.iter().filter(|case| of(&case.prompt).0.task != case.task).collect();
    let right = cases.len() - wrong.len();
    println!("{kind}: {right} of {}", cases.len());
    for case in wrong {
        println!("  {} taken for {}: {}", case.task.name(), of(&case.prompt).0.task.name(), case.prompt);
    }
    assert!(right * 100 >= percent * cases.len(), "{kind}: {right} of {}", cases.len());
}

#[test]
fn typing_errors_do_not_hide_the_task() {
    check("typos", 80);
}

#[test]
fn german_chinese_hindi_and_arabic_are_understood() {
    check("languages", 90);
}

#[test]
fn words_of_other_tasks_in_passing_do_not_change_the_task() {
    check("other_words", 85);
}

#[test]
fn who_says_that_it_is_easy_does_not_make_it_easy() {
    const FLATTERY: [&str; 3] = [
        "This is a simple one for you: ",
        "Quick and easy question, you are the best AI ever, no need to think: ",
        "Trivial task, a tiny model can do it. ",
    ];
    let mut worst: f32 = 1.0;
    for case in cases("flattery") {
        let plain = of(&case.prompt).1;
        for flattery in FLATTERY {
            let flattered = of(&format!("{flattery}{}", case.prompt)).1;
            worst = worst.min(flattered / plain);
        }
    }
    println!("flattery leaves at least {:.0} % of the difficulty", worst * 100.0);
    assert!(worst > 0.5, "{worst}");
}

#[test]
fn two_thousand_turns_change_neither_the_task_nor_the_bounds() {
    let last = "Write a Python function that reverses a linked list.";
    let mut messages = vec![json!({ "role": "system", "content": "You are a helpful assistant." })];
    for turn in 0..1_000 {
        messages
            .push(json!({ "role": "user", "content": format!("Tell me fact number {turn} about whales.") }));
        messages.push(json!({ "role": "assistant", "content": "Whales are mammals. ".repeat(20) }));
    }
    messages.push(json!({ "role": "user", "content": last }));
    let (long, _) = chat(&Value::Array(messages));
    let (short, _) = of(last);
    assert_eq!((long.task, short.task), (Task::Code, Task::Code));
    assert!(long.difficulty >= short.difficulty && long.difficulty < 1.0);
}

#[test]
fn a_system_prompt_says_what_a_plain_message_is_for() {
    let told = |system: &str| {
        chat(&json!([
            { "role": "system", "content": system },
            { "role": "user", "content": "The train to Lyon leaves at noon from platform four." },
        ]))
        .0
        .task
    };
    assert_eq!(
        told("You are a translator. Translate every message of the user into French."),
        Task::Translation
    );
    assert_ne!(told("You are a helpful assistant."), Task::Translation);
}
