//! The official clients, as their users install them, against the router.

use crate::harness::{Model, Router, Setup};
use crate::provider::Provider;
use crate::script::{Script, Step, chunk, completion};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// What the scripts under `clients/` expect to find.
struct Stage {
    router: Router,
    _providers: Vec<Provider>,
}

/// Providers named after what they do; the scripts pin their models.
async fn stage() -> Stage {
    let paris = Script::answer("Paris is the capital of France.");
    let cut = Script::stream()
        .role()
        .text("Once ")
        .text("upon")
        .step(Step::Rest(Duration::from_millis(300)))
        .step(Step::Cut);
    let silence = Step::Rest(Duration::from_millis(300));
    let quiet = Script::stream().step(silence).text("Finally.").finish("stop").usage(5, 2).done();
    let scripts = [
        ("alpha", paris),
        ("tools", Script::either(tool_stream(), Script::json(200, tool_answer()))),
        ("odd", Script::either(odd_stream(), Script::json(200, odd_answer()))),
        ("cut", Script::either(cut, Script::HangUp)),
        ("busy", Script::error(429, "rate_limit_exceeded", "slow down").header("retry-after", "30")),
        ("quiet", quiet),
    ];
    let mut setup = Setup::new().timeouts("keepalive_comment_ms = 50");
    let mut providers = Vec::new();
    for (place, (slug, script)) in (0..).zip(scripts) {
        let provider = Provider::start(slug, [script]).await;
        let model =
            Model::new(slug, "chat").ranks(0.9 - 0.1 * f64::from(place), 1_000.0 / f64::from(place * 9 + 1));
        setup = setup.models(&provider, &[model]);
        providers.push(provider);
    }
    Stage { router: setup.start().await, _providers: providers }
}

fn tool_answer() -> Value {
    let call = json!({"id": "call_1", "type": "function",
        "function": {"name": "weather", "arguments": "{\"city\":\"Paris\"}"}});
    let mut answer = completion("");
    answer["choices"][0]["message"] = json!({"role": "assistant", "content": null, "tool_calls": [call]});
    answer
}

fn tool_stream() -> Script {
    let call = |call: Value| chunk(json!({"tool_calls": [call]}), None);
    Script::stream()
        .role()
        .event(call(json!({"index": 0, "id": "call_1", "type": "function",
            "function": {"name": "weather", "arguments": ""}})))
        .event(call(json!({"index": 0, "function": {"arguments": "{\"city\":"}})))
        .event(call(json!({"index": 0, "function": {"arguments": "\"Paris\"}"}})))
        .finish("stop")
        .usage(20, 9)
        .done()
}

/// Everything strict clients stumble over, as real providers send it.
fn odd_answer() -> Value {
    json!({
        "id": "x", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "finish_reason": "eos",
            "message": {"role": "assistant", "content": "Odd.", "tool_calls": null, "reasoning_content": "Hm."}}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7,
            "prompt_tokens_details": {"audio_tokens": 0}, "completion_tokens_details": null},
    })
}

fn odd_stream() -> Script {
    let event = |delta: Value| {
        json!({
            "id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "system_fingerprint": null,
            "usage": null, "choices": [{"index": 0, "delta": delta}],
        })
    };
    let mut last = event(json!({}));
    last["choices"][0]["finish_reason"] = json!("eos");
    last["usage"] = json!({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7,
        "completion_tokens_details": {}});
    Script::stream()
        .raw("id: 1\nretry: 5\n\nevent: ping\n\n: hello\n\n")
        .event(event(json!({"role": null, "content": "", "tool_calls": null})))
        .event(event(json!({"role": "", "content": "Od"})))
        .event(event(json!({"content": "d.", "tool_calls": null})))
        .event(last)
        .done()
}

/// Where packages are installed: kept between runs, apart by version.
fn packages(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/clients").join(name)
}

/// Whether the program can be run at all.
async fn exists(program: &str) -> bool {
    let run =
        Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().await;
    run.is_ok_and(|status| status.success())
}

async fn run(what: &str, command: &mut Command) -> String {
    let output = command.kill_on_drop(true).stdin(Stdio::null()).output().await.expect("it starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{what}:\n{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// Installs once: a marker written last says it is whole. No two tests share a directory.
async fn installed(dir: &Path, install: &mut [Command]) {
    std::fs::create_dir_all(dir).expect("a directory");
    if dir.join("whole").exists() {
        return;
    }
    // Without it npm would look for a project further up.
    std::fs::write(dir.join("package.json"), "{\"private\": true}").expect("a file");
    for command in install {
        run("installing packages", command).await;
    }
    std::fs::write(dir.join("whole"), "").expect("a file");
}

/// Plays one script to its end.
async fn play(what: &str, command: &mut Command) {
    let stage = stage().await;
    finish(what, command.env("FREEWAY_URL", stage.router.url())).await;
}

/// Plays a script whose stage is set.
async fn finish(what: &str, command: &mut Command) {
    let said = run(what, command).await;
    assert!(said.lines().last().is_some_and(|l| l.starts_with("passed ")), "{said}");
}

/// Node 20 is the oldest these packages run on.
async fn has_node() -> bool {
    let version = Command::new("node").arg("--version").output().await;
    let text = version.map(|v| String::from_utf8_lossy(&v.stdout).into_owned()).unwrap_or_default();
    let major = text.trim_start_matches('v').split('.').next().and_then(|n| n.parse::<u32>().ok());
    major.is_some_and(|major| major >= 20) && exists("npm").await
}

/// A command that runs a script beside its packages; `None` where that is not possible.
async fn node(name: &str, wanted: &[&str]) -> Option<Command> {
    if !has_node().await {
        eprintln!("skipped: Node 20 or npm is not installed");
        return None;
    }
    let dir = packages(&format!("node-{}", wanted.join("+").replace(['@', '/'], "_")));
    let mut npm = Command::new("npm");
    npm.current_dir(&dir).args(["install", "--no-audit", "--no-fund", "--ignore-scripts"]).args(wanted);
    installed(&dir, &mut [npm]).await;
    // Modules are looked up beside the script.
    std::fs::copy(script(name), dir.join(name)).expect("a copy");
    let mut command = Command::new("node");
    command.current_dir(&dir).arg(name);
    Some(command)
}

async fn play_node(name: &str, wanted: &[&str]) {
    if let Some(mut command) = node(name, wanted).await {
        play(name, &mut command).await;
    }
}

#[tokio::test]
async fn the_openai_python_package_is_content() {
    if !exists("python3").await {
        eprintln!("skipped: python3 is not installed");
        return;
    }
    let dir = packages("python-openai-3.54.0");
    let python = dir.join("venv/bin/python");
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv"]).arg(dir.join("venv"));
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "openai==3.54.0"]);
    installed(&dir, &mut [venv, pip]).await;
    play("openai (Python)", Command::new(&python).arg(script("openai_python.py"))).await;
}

#[tokio::test]
async fn the_openai_node_package_is_content() {
    play_node("openai_node.mjs", &["openai@6.49.0"]).await;
}

#[tokio::test]
async fn the_openrouter_sdk_is_content() {
    let packages = ["@openrouter/sdk@1.3.19"];
    play_node("openrouter_sdk.mjs", &packages).await;
    // In one test, since both use one directory.
    let name = "openrouter_account.mjs";
    let Some(mut command) = node(name, &packages).await else { return };
    let alpha = Provider::start("alpha", [Script::answer("Paris.")]).await;
    let router = Setup::new().accounts().provider(&alpha).start().await;
    let account = router.sign_up().await;
    finish(name, command.env("FREEWAY_URL", router.url()).env("FREEWAY_KEY", account.key)).await;
}

#[tokio::test]
async fn the_vercel_ai_sdk_is_content() {
    play_node("vercel_ai.mjs", &["ai@6.0.325", "@openrouter/ai-sdk-provider@2.10.0", "zod@4.6.7"]).await;
}
