//! The classifier from the command line: judged on prompts, and trained anew.

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};

/// Runs a command in a folder.
fn run(folder: &Path, arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_freeway"));
    command.args(arguments.split_whitespace()).current_dir(folder).env_clear().output().expect("it runs")
}

#[track_caller]
fn succeeds(folder: &Path, arguments: &str) {
    let output = run(folder, arguments);
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("a file");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn prompts_and_chats_are_judged_line_by_line_packed_or_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let chat = json!([{ "role": "user", "content": "Write a Python function that parses dates." }]);
    let data = [
        json!({ "id": "plain", "prompt": "hi" }).to_string(),
        json!({ "id": 7, "messages": chat, "task": "code" }).to_string(),
    ]
    .join("\n");
    fs::write(folder.path().join("a.jsonl"), &data).expect("written");
    let mut packed =
        GzEncoder::new(File::create(folder.path().join("b.jsonl.gz")).expect("a file"), Compression::fast());
    packed.write_all(data.as_bytes()).expect("packed");
    packed.finish().expect("packed");

    succeeds(folder.path(), "eval --data a.jsonl --out a.out");
    succeeds(folder.path(), "eval --data b.jsonl.gz --out b.out --timings");
    let [plain, packed] = ["a.out", "b.out"].map(|name| lines(&folder.path().join(name)));
    assert_eq!((&plain[0]["id"], &plain[0]["task"]), (&json!("plain"), &json!("chat")));
    assert_eq!((&plain[1]["id"], &plain[1]["task"]), (&json!(7), &json!("code")));
    let score = |line: &Value| line["score"].as_f64().expect("a score");
    assert!(score(&plain[0]) < score(&plain[1]), "{plain:?}");
    for (plain, packed) in plain.iter().zip(&packed) {
        assert_eq!(plain["score"], packed["score"]);
        assert!(plain.get("us").is_none() && packed["us"].as_f64().is_some_and(|us| us > 0.0));
    }
}

#[test]
fn a_line_that_is_no_prompt_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("a.jsonl"), "{\"id\":1,\"prompt\":\"p\"}\n\n{\"id\":2}\n").expect("written");
    let output = run(folder.path(), "eval --data a.jsonl --out a.out");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && error.contains("line 3: neither `prompt` nor `messages`"), "{error}");
}

#[test]
fn the_same_rows_train_the_same_weights_and_the_figures_are_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    for part in ["data", "prompts"] {
        fs::create_dir(folder.path().join(part)).expect("a folder");
    }
    let row = |prompt: &str, task: &str, level: u8| {
        json!({ "prompt": prompt, "task": task, "level": level, "tokens": 100 }).to_string()
    };
    let poems = ["snow", "tea", "dust"].map(|thing| row(&format!("a poem about {thing}"), "writing", 1));
    let bugs = ["a parser", "a loop"].map(|thing| row(&format!("debug {thing}"), "code", 3));
    fs::write(folder.path().join("data/poems.jsonl"), poems.join("\n")).expect("written");
    fs::write(folder.path().join("prompts/bugs.jsonl"), bugs.join("\n")).expect("written");
    let train = |out: &str| {
        let output = run(folder.path(), &format!("train --data data --prompts prompts --out {out}"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let said = train("one.bin");
    assert!(said.contains("poems.jsonl: 3 rows") && said.contains("5 rows, 5 folds"), "{said}");
    train("two.bin");
    let [one, two] = ["one.bin", "two.bin"].map(|name| fs::read(folder.path().join(name)).expect("weights"));
    assert!(one == two && one.len() < 4 << 20);
}
