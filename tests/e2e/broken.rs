//! A pool of which a third is silently broken, each model in one way: what is broken leaves rotation at once,
//! what is well stays, and clients hardly notice.

use crate::client::{Answer, Client, Event, chunks};
use crate::harness::{Model, Router, Setup, ask, streamed, with};
use crate::provider::Provider;
use crate::script::{Script, Step, completion};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const PROVIDERS: usize = 6;
const MODELS: usize = 10;
const CLIENTS: usize = 4;
const REQUESTS: usize = 1_500;

/// A way to be broken that no list of models tells.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Broken {
    HangsUp,
    Silent,
    Paid,
    RefusesTools,
    IgnoresSchemas,
    Truncates,
    Empty,
}

/// The broken third of the 60, by position.
const BROKEN: [Broken; 20] = {
    use Broken::*;
    [
        HangsUp,
        Paid,
        RefusesTools,
        IgnoresSchemas,
        Truncates,
        Empty,
        RefusesTools,
        Silent,
        IgnoresSchemas,
        Empty,
        Paid,
        HangsUp,
        RefusesTools,
        IgnoresSchemas,
        Truncates,
        Empty,
        IgnoresSchemas,
        RefusesTools,
        HangsUp,
        Paid,
    ]
};

/// How the model at a position is broken: every third is.
fn broken(position: usize) -> Option<Broken> {
    position.is_multiple_of(3).then(|| BROKEN[position / 3])
}

fn name(position: usize) -> String {
    format!("m{position}")
}

/// What a model does with a request, if it is broken like this.
fn answer(broken: Option<Broken>, request: &Value) -> Script {
    let (tools, schema) = (request.get("tools").is_some(), request.get("response_format").is_some());
    match broken {
        Some(Broken::HangsUp) => Script::HangUp,
        Some(Broken::Silent) => Script::Silent,
        Some(Broken::Paid) => Script::error(402, "402", "This model requires a paid plan"),
        Some(Broken::RefusesTools) if tools => {
            Script::error(400, "invalid_request_error", "this model does not support tools")
        }
        Some(Broken::IgnoresSchemas) if schema => Script::answer("Sure! The city is Rome."),
        Some(Broken::Truncates) => {
            // Half an answer goes out before anybody knows that it will not be whole.
            let rest = Step::Rest(Duration::from_millis(50));
            let streamed = Script::stream().role().text("Half an ans").step(rest).step(Step::End);
            Script::either(streamed, Script::answer("A whole one."))
        }
        Some(Broken::Empty) => {
            Script::either(Script::stream().role().finish("stop").done(), Script::json(200, completion("")))
        }
        _ => Script::as_asked(request),
    }
}

/// One of the kinds of requests clients make.
fn request(number: usize) -> Value {
    let tools =
        json!([{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]);
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    let plain = ask(&format!("question {number}"));
    // Everybody prefers another model, so that each is asked.
    let preferred = number * 7 % (PROVIDERS * MODELS);
    let plain = with(plain, json!({"models": [format!("p{}/m{preferred}:free", preferred / MODELS)]}));
    let request = match number / 60 % 4 {
        0 | 1 => plain,
        2 => with(plain, json!({"tools": tools, "tool_choice": "required"})),
        _ => with(
            plain,
            json!({"response_format": {"type": "json_schema",
            "json_schema": {"name": "place", "schema": schema}}}),
        ),
    };
    if (number / 240).is_multiple_of(2) { request } else { streamed(request) }
}

/// Whether a client was served: an answer to its end, and no flawed one where it came whole.
fn is_served(request: &Value, answer: &Answer) -> bool {
    if answer.status != 200 {
        return false;
    }
    if request["stream"] == true {
        let events = answer.events();
        return events.last() == Some(&Event::Done)
            && chunks(&events).iter().all(|c| c.get("error").is_none());
    }
    let message = &answer.json()["choices"][0]["message"];
    match request {
        _ if request.get("tools").is_some() => message["tool_calls"][0]["function"]["name"] == "weather",
        _ if request.get("response_format").is_some() => message["content"] == r#"{"city":"Rome"}"#,
        _ => !answer.text().is_empty(),
    }
}

/// What became of the requests of all clients: how many were not served.
async fn load(router: &Router) -> usize {
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let addr = router.addr;
        clients.spawn(async move {
            let mut connection = Client::connect(addr).await;
            let mut unserved = 0;
            for number in 0..REQUESTS {
                let request = request(number * CLIENTS + client);
                if !is_served(&request, &connection.chat(&request).await) {
                    unserved += 1;
                    // What broke off takes its connection with it.
                    connection = Client::connect(addr).await;
                }
            }
            unserved
        });
    }
    clients.join_all().await.into_iter().sum()
}

/// Attempts a provider saw that a model was bound to fail, by model.
fn failures(providers: &[Provider]) -> BTreeMap<usize, usize> {
    let mut failures = BTreeMap::new();
    for seen in providers.iter().flat_map(Provider::requests) {
        let request = seen.json();
        let position: usize = request["model"].as_str().expect("a model")[1..].parse().expect("a position");
        let fails = match broken(position) {
            None => false,
            Some(Broken::RefusesTools) => request.get("tools").is_some(),
            Some(Broken::IgnoresSchemas) => request.get("response_format").is_some(),
            Some(Broken::Truncates) => request["stream"] == true,
            Some(_) => true,
        };
        *failures.entry(position).or_default() += usize::from(fails);
    }
    failures
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_sixty_models_the_twenty_broken_ones_are_soon_out_and_the_others_stay() {
    let script = || {
        Script::asked(|request| {
            let position: usize =
                request["model"].as_str().expect("a model")[1..].parse().expect("a position");
            answer(broken(position), request)
        })
    };
    let (mut providers, mut setup) =
        (Vec::new(), Setup::new().timeouts("first_token_ms = 4000\nanswer_ms = 4000"));
    for number in 0..PROVIDERS {
        let provider = Provider::start(&format!("p{number}"), [script()]).await;
        let models: Vec<_> = (0..MODELS)
            .map(|i| {
                let position = number * MODELS + i;
                // The broken ones look a little better: every one of them is asked.
                let quality = if broken(position).is_some() { 0.75 } else { 0.7 };
                Model::new(&provider.slug, &name(position)).ranks(quality, 100.0)
            })
            .collect();
        setup = setup.models(&provider, &models);
        providers.push(provider);
    }
    let router = setup.start().await;
    let began = Instant::now();
    let unserved = load(&router).await;
    let took = began.elapsed();

    let failures = failures(&providers);
    println!("{unserved} of {} not served in {took:.1?}; failed attempts {failures:?}", CLIENTS * REQUESTS);
    assert!(unserved * 1_000 < CLIENTS * REQUESTS, "{unserved} not served");
    let key = |position: usize| format!("p{0}/p{0}/m{position}:free", position / MODELS);
    let rows = router.admin("GET", "/endpoints", "").await.json();
    let rows = rows["endpoints"].as_array().expect("a list").clone();
    let state = |position: usize| {
        let row = rows.iter().find(|row| row["endpoint"] == key(position)).expect("it is listed");
        row["state"].as_str().expect("a word").to_owned()
    };
    for position in 0..PROVIDERS * MODELS {
        let failed = failures.get(&position).copied().unwrap_or_default();
        match broken(position) {
            None => assert_eq!(state(position), "open", "m{position} is well"),
            Some(kind) => {
                // Attempts that were under way together fail together, and half a minute later one tries again.
                let trials = usize::try_from(took.as_secs() / 30).expect("few");
                let most = 3 + CLIENTS - 1 + trials;
                assert!((1..=most).contains(&failed), "{kind:?} m{position}: {failed} failed attempts");
            }
        }
    }
}
