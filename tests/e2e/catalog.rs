//! What there is to choose from: lists, rules of the operator's, descriptions, keys and what is left of them.

use crate::client::Client;
use crate::harness::{Router, Setup, ask, with, within};
use crate::provider::Provider;
use crate::script::Script;
use serde_json::{Value, json};
use std::process::Command;

/// A built-in provider at the scripted one's address, changed by these lines.
fn known(provider: &Provider, lines: &str) -> String {
    let Provider { slug, addr, .. } = provider;
    format!(
        "[[provider]]\nslug = {slug:?}\nbase_url = \"http://{addr}/v1\"\nkey = \"sk-{slug}-secret\"\n{lines}\n"
    )
}

fn list(ids: &[&str]) -> Script {
    let rows: Vec<_> = ids.iter().map(|id| json!({"id": id, "object": "model"})).collect();
    Script::json(200, json!({"object": "list", "data": rows}))
}

fn to(model: &str) -> Value {
    with(ask("hi"), json!({"model": model}))
}

fn with_tools(model: &str) -> Value {
    let tool = json!({"type": "function", "function": {"name": "f"}});
    with(to(model), json!({"tools": [tool]}))
}

/// The row of `GET /api/v1/models` for a model, once it is there.
async fn row(client: &mut Client, id: &str) -> Value {
    within("a model", async {
        loop {
            let models = client.get("/api/v1/models").await.json();
            let rows = models["data"].as_array().expect("a list");
            if let Some(row) = rows.iter().find(|row| row["id"] == id) {
                return row.clone();
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_rule_of_the_operators_adds_to_those_of_a_known_provider() {
    let groq = Provider::start("groq", [Script::answer("Yes.")]).await;
    groq.lists(list(&["llama-3.1-8b-instant", "openai/gpt-oss-20b", "groq/compound"]));
    let rules = "[[provider.model]]\nmatch = \"llama-3.1*\"\ncontext_tokens = 5000\n\
                 [[provider.model]]\nmatch = \"openai/*\"\nexclude = true\n\
                 [[provider.model]]\nmatch = \"groq/compound\"\nquality = 0.9";
    let router = Setup::new().config(&known(&groq, rules)).start().await;
    let client = &mut router.client().await;
    assert_eq!(row(client, "llama-3.1-8b-instant").await["context_length"], 5_000);
    assert_eq!(client.chat(&to("openai/gpt-oss-20b")).await.status, 404, "excluded");
    // The built-in rule still says what it lacks.
    assert_eq!(client.chat(&with_tools("groq/compound")).await.status, 404);
    assert_eq!(client.chat(&with_tools("llama-3.1-8b-instant")).await.status, 200);
}

#[tokio::test]
async fn a_model_that_vanishes_or_begins_to_cost_money_is_out_with_the_next_list() {
    let alpha = Provider::start("alpha", [Script::answer("Yes.")]).await;
    let row = |id: &str, price: &str| json!({"id": id, "pricing": {"prompt": price, "completion": price}});
    let rows = |rows: &[Value]| Script::json(200, json!({ "data": rows }));
    alpha.lists(rows(&[row("a/stays", "0"), row("a/goes", "0"), row("a/sells", "0")]));
    let setup = Setup::new().config("[catalog]\nrefresh_s = 1").listed(&alpha, "openrouter");
    let router = setup.start().await;
    let client = &mut router.client().await;
    for id in ["a/stays", "a/goes", "a/sells"] {
        assert_eq!(client.chat(&to(id)).await.status, 200, "{id}");
    }
    alpha.lists(rows(&[row("a/stays", "0"), row("a/sells", "0.000001")]));
    within("the next list", async { while client.chat(&to("a/goes")).await.status != 404 {} }).await;
    let seen = alpha.requests().len();
    assert_eq!(client.chat(&to("a/sells")).await.status, 403);
    assert_eq!(client.chat(&to("a/stays")).await.status, 200);
    assert_eq!(alpha.requests().len(), seen + 1);
}

#[tokio::test]
async fn a_model_that_is_listed_and_not_served_is_asked_for_once() {
    let alpha = Provider::start("alpha", [Script::error(404, "model_not_found", "no such model")]).await;
    let beta = Provider::start("beta", [Script::answer("B")]).await;
    alpha.lists(Script::json(
        200,
        json!({"data": [{"id": "a/ghost", "pricing": {"prompt": "0", "completion": "0"}}]}),
    ));
    let setup = Setup::new().config("[catalog]\nrefresh_s = 1").listed(&alpha, "openrouter").provider(&beta);
    let router = setup.start().await;
    let client = &mut router.client().await;
    assert_eq!(client.chat(&to("a/ghost")).await.status, 503);
    let read = |metrics: &str| {
        let line = "freeway_catalog_refreshes_total{provider=\"alpha\",result=\"ok\"} ";
        metrics.lines().find_map(|l| l.strip_prefix(line)?.parse::<u32>().ok()).unwrap_or(0)
    };
    let before = read(&router.metrics().await);
    within("two more lists", async { while read(&router.metrics().await) < before + 2 {} }).await;
    assert_eq!(client.chat(&to("a/ghost")).await.status, 503);
    assert_eq!(alpha.requests().len(), 1, "the list alone does not bring it back");
    assert_eq!(client.chat(&ask("hi")).await.text(), "B");
}

#[tokio::test]
async fn ollama_says_what_each_of_its_models_can_do() {
    let ollama = Provider::start("ollama", [Script::answer("Yes.")]).await;
    let tag = |name: &str| json!({"name": name, "model": name, "digest": "sha256:1"});
    ollama.answers("/api/tags", Script::json(200, json!({"models": [tag("plain:1b"), tag("other:1b")]})));
    let said = json!({"capabilities": ["completion", "tools"], "parameters": "num_ctx 8192",
                      "model_info": {"x.context_length": 131_072}, "template": "{{ .Prompt }}"});
    ollama.answers("/api/show", Script::json(200, said));
    let setup = Setup::new().config("[catalog]\nrefresh_s = 1").config(&known(&ollama, ""));
    let router = setup.start().await;
    let client = &mut router.client().await;
    assert_eq!(row(client, "plain:1b").await["context_length"], 8_192);
    assert_eq!(client.chat(&with_tools("plain:1b")).await.status, 200);
    let lists = ollama.asked("/api/tags");
    within("another list", async {
        while ollama.asked("/api/tags") < lists + 2 {
            tokio::task::yield_now().await
        }
    })
    .await;
    assert_eq!(ollama.asked("/api/show"), 2, "each model once, as long as it is the same");
}

#[tokio::test]
async fn a_model_that_cannot_be_described_is_served_as_listed() {
    let ollama = Provider::start("ollama", [Script::answer("Yes.")]).await;
    ollama.answers("/api/tags", Script::json(200, json!({"models": [{"name": "plain:1b"}]})));
    ollama.answers("/api/show", Script::error(500, "broken", "no"));
    let router = Setup::new().config(&known(&ollama, "")).start().await;
    let client = &mut router.client().await;
    assert_eq!(client.chat(&to("plain:1b")).await.status, 200);
    assert_eq!(client.chat(&with_tools("plain:1b")).await.status, 404, "nobody said that it calls functions");
}

#[tokio::test]
async fn what_is_left_of_the_day_is_known_before_the_first_request() {
    let openrouter = Provider::start("openrouter", [Script::answer("Yes.")]).await;
    let free = json!({"id": "a/chat:free", "pricing": {"prompt": "0", "completion": "0"}});
    openrouter.lists(Script::json(200, json!({ "data": [free] })));
    let left = |used: u32, limit: u32| {
        let day = json!({"used": used, "limit": limit, "remaining": limit - used});
        Script::json(200, json!({"data": {"free_model_daily_requests": day}}))
    };
    openrouter.answers("/key", left(49, 50));
    let setup = Setup::new().config("[catalog]\nrefresh_s = 1").config(&known(&openrouter, ""));
    let router = setup.start().await;
    let client = &mut router.client().await;
    assert_eq!(client.chat(&ask("hi")).await.status, 200);
    let spent = client.chat(&ask("hi")).await;
    assert_eq!(spent.status, 429, "the fiftieth of the day was the last");
    assert_eq!(openrouter.requests().len(), 1, "and nobody was asked to find that out");
    openrouter.answers("/key", left(50, 1_000));
    within("more to be bought", async { while client.chat(&ask("hi")).await.status != 200 {} }).await;
}

#[tokio::test]
async fn several_keys_are_used_in_turn() {
    let alpha = Provider::start("alpha", [Script::answer("Yes.")]).await;
    let setup = provider_of_ones_own(&alpha, "limits = [{ per = \"day\", requests = 2, scope = \"key\" }]");
    let router = setup.start().await;
    let client = &mut router.client().await;
    for _ in 0..4 {
        assert_eq!(client.chat(&to("acme-chat")).await.status, 200);
    }
    assert_eq!(client.chat(&to("acme-chat")).await.status, 429);
    let mut keys: Vec<_> =
        alpha.requests().iter().map(|seen| seen.header("x-acme-key").expect("a key").to_owned()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["one-secret", "one-secret", "two-secret", "two-secret"]);
}

/// Configuration is all it takes: a list, rules, words, a key's header and limits of its own.
fn provider_of_ones_own(provider: &Provider, lines: &str) -> Setup {
    provider.lists(list(&["acme-chat", "acme-embed"]));
    let config = format!(
        "[[provider]]\nslug = \"acme\"\nbase_url = \"http://{}/v9\"\nkey = \"one-secret,two-secret\"\n\
         auth = {{ header = \"x-acme-key\" }}\nheaders = [[\"x-acme-version\", \"7\"]]\n\
         list = {{ path = \"/models\", dialect = \"openai\", free_when = \"all\" }}\n{lines}\n\
         [provider.fields]\noutput_limit = \"max_completion_tokens\"\nstrip = [\"user\"]\n\
         rename = [[\"seed\", \"acme_seed\"]]\n\
         [[provider.model]]\nmatch = \"acme-chat\"\ncapabilities = [\"seed\"]\ncontext_tokens = 9000\n",
        provider.addr
    );
    Setup::new().config(&config)
}

#[tokio::test]
async fn a_provider_is_added_by_configuration_alone() {
    let acme = Provider::start("acme", [Script::answer("Yes.")]).await;
    let lines = "midnight = \"Asia/Tokyo\"\nlimits = [{ per = \"day\", requests = 1, scope = \"account\" }]\n\
                 limit_headers = [{ unit = \"requests\", per = \"day\", remaining = \"x-left\" }]\n\
                 terms = { trains_on_prompts = true, note = \"ours\" }";
    let router = provider_of_ones_own(&acme, lines).start().await;
    let client = &mut router.client().await;
    assert_eq!(row(client, "acme-chat").await["context_length"], 9_000);
    let request = with(to("acme-chat"), json!({"seed": 7, "user": "u", "max_tokens": 9}));
    let private = with(request.clone(), json!({"provider": {"data_collection": "deny"}}));
    assert_eq!(client.chat(&private).await.status, 404);
    assert_eq!(client.chat(&request).await.status, 200);
    let seen = acme.request();
    let sent = seen.json();
    assert_eq!((&sent["acme_seed"], &sent["max_completion_tokens"]), (&json!(7), &json!(9)));
    assert!(["seed", "user", "max_tokens"].iter().all(|name| sent.get(name).is_none()), "{sent}");
    assert_eq!((seen.path.as_str(), seen.header("x-acme-version")), ("/v9/chat/completions", Some("7")));
    assert!(seen.header("authorization").is_none());
    let spent = client.chat(&request).await;
    let wait: u64 = spent.header("retry-after").expect("a time to wait").parse().expect("seconds");
    assert!(spent.status == 429 && wait <= 24 * 3_600, "{} {wait}", spent.status);
    assert_eq!(acme.requests().len(), 1);
}

#[tokio::test]
async fn where_accounts_pay_terms_that_are_not_made_for_it_are_warned_of() {
    let alpha = Provider::start("alpha", [Script::answer("Yes.")]).await;
    let beta = Provider::start("beta", [Script::answer("Yes.")]).await;
    let with_terms =
        |provider: &Provider, terms: &str| known(provider, &format!("list = \"none\"\nterms = {terms}"));
    let config = with_terms(&alpha, "{ evaluation_only = true }") + &with_terms(&beta, "{ resale = true }");
    let warned = |router: &Router| {
        let logs = router.logs();
        let lines = logs.lines().filter(|line| line.contains("accounts pay"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let router = Setup::new().accounts().config(&config).start().await;
    let lines = warned(&router);
    assert!(lines.len() == 1 && lines[0].contains("alpha"), "{lines:?}");
    assert!(warned(&Setup::new().config(&config).start().await).is_empty(), "nobody pays here");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_models_command_shows_what_is_served_and_why_the_rest_is_not() {
    let gemini = Provider::start("gemini", []).await;
    gemini.lists(list(&["models/gemini-2.5-flash", "models/gemini-2.5-pro", "models/text-embedding-004"]));
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("freeway.toml");
    std::fs::write(&file, known(&gemini, "")).expect("a file");
    let said = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_freeway"));
        let output = command.arg("models").arg("--config").arg(&file).args(arguments).env_clear().output();
        let output = output.expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let table = said(&["--fetch"]);
    let line = |id: &str| table.lines().find(|line| line.starts_with(id)).expect("a line").to_owned();
    let flash = line("gemini-2.5-flash");
    assert!(flash.contains("5/minute 20/day 250000t/minute") && flash.contains("tools"), "{flash}");
    assert!(
        line("gemini-2.5-pro").contains("excluded")
            && line("text-embedding-004").contains("not a chat model")
    );
    let machine: Value = serde_json::from_str(&said(&["--fetch", "--json"])).expect("JSON");
    assert_eq!(
        machine["models"][0]["limits"][0],
        json!({"scope": "model", "unit": "requests", "per": "minute", "amount": 5})
    );
    assert_eq!(machine["left_out"].as_array().map(Vec::len), Some(2));
    assert_eq!(machine["lists"][0]["served"], 1);
    let offline = said(&[]);
    assert!(!offline.contains("gemini-2.5") && offline.contains("--fetch"), "{offline}");
    assert!(said(&["--simulate"]).contains("simulated"));
}
