//! Who pays for what: every way a request can end, on the ledger, on the balance and in what is shown.

use crate::client::{Answer, Event};
use crate::harness::{Model, Router, Setup, ask, streamed, with};
use crate::money::{Bank, GRANT, Purse, check_bill, paid, streamed_with_usage, usage_of};
use crate::provider::Provider;
use crate::script::{Gate, Script, Step, chunk, completion, usage};
use freeway::protocol::usage::UsageSource;
use freeway::store::{Ended, Generation};
use serde_json::{Value, json};

const IN: i64 = 200;
const OUT: i64 = 1_000;

/// A request that is answered with this script, and what the ledger has of it.
async fn charged(script: Script, request: Value) -> (Answer, Generation) {
    let provider = Provider::start("alpha", [script]).await;
    let model = Model::new("alpha", "chat").can(&["n"]);
    let router = Setup::new().models(&provider, &[model]).accounts().start().await;
    let bank = Bank::of(&router);
    let purse = bank.open(GRANT);
    let before = bank.balance(&purse);
    let answer = router.client().await.chat_as(&purse.key, &request).await;
    let taken = before - bank.balance(&purse);
    let entries = bank.entries(&purse);
    assert_eq!(entries.len(), 1, "written by the time the answer has ended: {entries:?}");
    let written = check_bill(&usage_of(&answer), &entries[0], taken);
    assert_eq!(Some(written.id.as_str()), answer.header("x-request-id"), "the request's id is the ledger's");
    bank.verify();
    (answer, written)
}

/// A way to end: what it is, what the provider does, and the tokens that are charged and who counted them.
type Case = (&'static str, Script, (u32, u32), UsageSource);

/// Each of them streamed and whole, one after the other by one account. What is written of each.
async fn check(cases: &[Case]) -> Vec<Generation> {
    let scripts = cases.iter().flat_map(|(_, script, ..)| [script.clone(), script.clone()]);
    let provider = Provider::start("alpha", scripts).await;
    let (router, bank) = paid(&[&provider]).await;
    let purse = bank.open(GRANT);
    let client = &mut router.client().await;
    let mut all = Vec::new();
    for (what, _, tokens, source) in cases {
        for request in [streamed_with_usage(ask("Say hi, please.")), ask("Say hi, please.")] {
            let before = bank.balance(&purse);
            let usage = usage_of(&client.chat_as(&purse.key, &request).await);
            let entries = bank.entries(&purse);
            assert_eq!(entries.len(), all.len() + 1, "{what}");
            let written = check_bill(&usage, &entries[all.len()], before - bank.balance(&purse));
            assert_eq!((written.usage.prompt_tokens, written.usage.completion_tokens), *tokens, "{what}");
            assert_eq!(written.charged.get(), IN * i64::from(tokens.0) + OUT * i64::from(tokens.1), "{what}");
            assert_eq!((written.source, written.ended), (*source, Ended::Complete), "{what}");
            all.push(written);
        }
    }
    bank.verify();
    all
}

fn hi() -> Script {
    Script::stream().role().text("Hi ").text("there.")
}

/// "Hi there." ends and its usage is said like this.
fn hi_with(usage: Value) -> Script {
    let mut event = chunk(json!({}), Some("stop"));
    event["usage"] = usage;
    hi().event(event).done()
}

const REPORTED: UsageSource = UsageSource::Reported;
const COUNTED: UsageSource = UsageSource::Estimated;
/// "Say hi, please." is estimated at 8 tokens, "Hi there." has 3.
const OURS: (u32, u32) = (8, 3);

#[tokio::test]
async fn a_whole_answer_is_paid_for_and_its_headers_say_so() {
    let (answer, written) = charged(Script::answer("Paris."), ask("hi")).await;
    assert_eq!(written.charged.get(), 5_800);
    assert_eq!((written.reason.as_deref(), written.streamed), (Some("stop"), false));
    assert_eq!((written.model.as_str(), written.provider.as_str()), ("alpha/chat:free", "alpha"));
    assert_eq!(answer.header("x-credits-charged"), Some("0.0058"));
    assert_eq!(answer.header("x-credits-remaining"), Some("999.9942"));
}

#[tokio::test]
async fn a_streamed_answer_is_paid_for_before_its_end_is_told() {
    let gate = Gate::new();
    let script = hi().finish("stop").usage(14, 3).gate(&gate).done();
    let provider = Provider::start("alpha", [script]).await;
    let (router, bank) = paid(&[&provider]).await;
    let purse = bank.open(GRANT);
    let mut client = router.client().await;
    let mut stream = open(&mut client, &purse, &streamed_with_usage(ask("hi"))).await;
    let mut said = Vec::new();
    while said.len() < 2 {
        said.extend(stream.next_data().await);
    }
    assert!(bank.entries(&purse).is_empty());
    gate.open();
    let rest = stream.events().await;
    let finish = crate::client::chunks(&rest).iter().position(|c| c["choices"][0]["finish_reason"] == "stop");
    assert_eq!(finish, Some(0), "the end was kept back: {rest:?}");
    assert_eq!(bank.entries(&purse).len(), 1);
    assert_eq!(rest.last(), Some(&Event::Done));
}

async fn open<'a>(
    client: &'a mut crate::client::Client,
    purse: &Purse,
    request: &Value,
) -> crate::client::Open<'a> {
    let bearer = format!("Bearer {}", purse.key);
    let headers = [("authorization", bearer.as_str())];
    client.open("POST", "/v1/chat/completions", &headers, request.to_string().as_bytes()).await
}

#[tokio::test]
async fn of_several_attempts_only_the_one_that_answers_is_paid_for() {
    let broken = Script::stream().role().step(Step::Cut);
    let first = Provider::start("alpha", [broken]).await;
    let second = Provider::start("beta", [Script::answer("Paris.")]).await;
    let (router, bank) = paid(&[&first, &second]).await;
    let purse = bank.open(GRANT);
    let answer = router.client().await.chat_as(&purse.key, &streamed_with_usage(ask("hi"))).await;
    let entries = bank.entries(&purse);
    assert_eq!(entries.len(), 1);
    let written = check_bill(&usage_of(&answer), &entries[0], 1_000_000_000 - bank.balance(&purse));
    assert_eq!((written.provider.as_str(), written.charged.get()), ("beta", 5_800));
}

#[tokio::test]
async fn nothing_is_paid_when_nobody_answers() {
    let first = Provider::start("alpha", [Script::error(500, "server_error", "oops")]).await;
    let second = Provider::start("beta", [Script::HangUp]).await;
    let (router, bank) = paid(&[&first, &second]).await;
    let purse = bank.open(GRANT);
    for request in [ask("hi"), streamed(ask("hi"))] {
        let answer = router.client().await.chat_as(&purse.key, &request).await;
        assert!(answer.status >= 500, "{}", answer.status);
    }
    is_free(&router, &bank, &purse).await;
    assert!(bank.entries(&purse).is_empty());
}

/// Nothing was taken, and nothing is held any more.
async fn is_free(router: &Router, bank: &Bank, purse: &Purse) {
    assert_eq!(bank.balance(purse), 1_000_000_000);
    crate::harness::within("the hold to be given up", async {
        while !router.metrics().await.contains("freeway_ledger_open 0\n") {}
    })
    .await;
}

#[tokio::test]
async fn an_answer_its_upstream_broke_off_costs_nothing_and_the_ledger_says_so() {
    for then in [Step::Cut, Step::Reset, Step::End] {
        let gate = Gate::new();
        let provider = Provider::start("alpha", [hi().gate(&gate).step(then)]).await;
        let (router, bank) = paid(&[&provider]).await;
        let purse = bank.open(GRANT);
        let mut client = router.client().await;
        let mut stream = open(&mut client, &purse, &streamed(ask("hi"))).await;
        while crate::client::text_of(&stream.next_data().await.into_iter().collect::<Vec<_>>()) != "there." {}
        gate.open();
        let rest = crate::client::chunks(&stream.events().await);
        assert_eq!(rest.last().expect("an error")["choices"][0]["finish_reason"], "error");
        let written = bank.wrote(&purse, 1).await.remove(0).generation.expect("an entry");
        assert_eq!((written.charged.get(), written.ended), (0, Ended::Upstream));
        assert!(written.usage.completion_tokens > 0, "what was used is written down: {written:?}");
        is_free(&router, &bank, &purse).await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_before_the_first_token_pays_nothing() {
    for stream in [false, true] {
        let provider = Provider::start("alpha", [Script::Silent]).await;
        let (router, bank) = paid(&[&provider]).await;
        let purse = bank.open(GRANT);
        let mut client = router.client().await;
        let body = with(ask("hi"), json!({"stream": stream})).to_string();
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n",
            purse.key,
            body.len()
        );
        client.send_raw((head + &body).as_bytes()).await.expect("it reads");
        provider.has_seen(1).await;
        drop(client);
        provider.was_left(1).await;
        router.accessed(1).await;
        is_free(&router, &bank, &purse).await;
        assert!(bank.entries(&purse).is_empty());
    }
}

#[tokio::test]
async fn a_client_that_leaves_within_the_answer_pays_for_what_there_was() {
    let provider = Provider::start("alpha", [hi().step(Step::Stall)]).await;
    let (router, bank) = paid(&[&provider]).await;
    let purse = bank.open(GRANT);
    let mut client = router.client().await;
    let mut stream = open(&mut client, &purse, &streamed(ask("Say hi, please."))).await;
    while crate::client::text_of(&stream.next_data().await.into_iter().collect::<Vec<_>>()) != "there." {}
    drop(client);
    provider.was_left(1).await;
    let entry = bank.wrote(&purse, 1).await.remove(0);
    let written = entry.generation.expect("an entry");
    assert_eq!((written.usage.prompt_tokens, written.usage.completion_tokens), OURS);
    assert_eq!((written.ended, written.source), (Ended::Client, COUNTED));
    assert_eq!(written.charged.get(), IN * i64::from(OURS.0) + OUT * i64::from(OURS.1));
    assert_eq!(1_000_000_000 - bank.balance(&purse), written.charged.get());
}

#[tokio::test]
async fn whatever_reason_an_answer_ends_for_it_is_paid_for() {
    let call = json!({"tool_calls": [{"index": 0, "id": "call_1", "type": "function",
        "function": {"name": "get_weather", "arguments": "{\"city\":\"Paris\"}"}}]});
    let called = Script::stream().event(chunk(call, None)).finish("tool_calls").usage(50, 17).done();
    let ends = |reason: &str| hi().finish(reason).usage(14, 3).done();
    let written = check(&[
        ("length", ends("length"), (14, 3), REPORTED),
        ("content_filter", ends("content_filter"), (14, 3), REPORTED),
        ("tool_calls", called, (50, 17), REPORTED),
    ])
    .await;
    let reasons: Vec<_> = written.iter().step_by(2).filter_map(|w| w.reason.as_deref()).collect();
    assert_eq!(reasons, ["length", "content_filter", "tool_calls"]);
}

#[tokio::test]
async fn usage_is_charged_wherever_it_stands_and_however_often() {
    let mut groq = chunk(json!({}), Some("stop"));
    groq["x_groq"] = json!({"usage": usage(21, 4)});
    let mut inside = chunk(json!({}), Some("stop"));
    inside["choices"][0]["usage"] = usage(21, 4);
    let twice = hi().finish("stop").usage(21, 3).usage(21, 4).done();
    check(&[
        ("a chunk of its own", hi().finish("stop").usage(21, 4).done(), (21, 4), REPORTED),
        ("the finish chunk", hi_with(usage(21, 4)), (21, 4), REPORTED),
        ("twice, the last one counts", twice, (21, 4), REPORTED),
        ("in x_groq", hi().event(groq).done(), (21, 4), REPORTED),
        ("in a choice", hi().event(inside).done(), (21, 4), REPORTED),
    ])
    .await;
}

#[tokio::test]
async fn usage_that_is_missing_or_a_lie_is_counted_here() {
    let negative = json!({"prompt_tokens": -1, "completion_tokens": -1});
    check(&[
        ("missing", hi().finish("stop").done(), OURS, COUNTED),
        ("zero", hi_with(usage(0, 0)), OURS, COUNTED),
        ("negative", hi_with(negative), OURS, COUNTED),
        ("absurd", hi_with(usage(2_000_000_000, 2_000_000_000)), OURS, COUNTED),
        ("a hundred times too much", hi_with(usage(800, 300)), OURS, COUNTED),
        ("no output", hi_with(usage(14, 0)), (14, 3), COUNTED),
    ])
    .await;
}

#[tokio::test]
async fn every_choice_is_paid_for() {
    let choice = |index: u32, text: &str| {
        let mut event = chunk(json!({"content": text}), None);
        event["choices"][0]["index"] = index.into();
        event
    };
    let stop = |index: u32| {
        let mut event = chunk(json!({}), Some("stop"));
        event["choices"][0]["index"] = index.into();
        event
    };
    let script = Script::stream().event(choice(0, "Hi there.")).event(choice(1, "Hi there."));
    let ended = script.event(stop(0)).event(stop(1));
    let request = streamed_with_usage(with(ask("Say hi, please."), json!({"n": 2})));
    let (_, written) = charged(ended.clone().usage(14, 6).done(), request.clone()).await;
    assert_eq!(written.charged.get(), 14 * IN + 6 * OUT);
    let (_, written) = charged(ended.done(), request).await;
    assert_eq!((written.usage.completion_tokens, written.source), (6, COUNTED));
}

#[tokio::test]
async fn thinking_is_output_and_a_cached_prompt_is_a_prompt() {
    let thinking = json!({"prompt_tokens": 14, "completion_tokens": 203, "total_tokens": 217,
        "prompt_tokens_details": {"cached_tokens": 10}, "completion_tokens_details": {"reasoning_tokens": 200}});
    let apart = json!({"prompt_tokens": 14, "completion_tokens": 3, "total_tokens": 217});
    let written = check(&[
        ("reasoning and cache", hi_with(thinking), (14, 203), REPORTED),
        ("only in the total", hi_with(apart), (14, 203), REPORTED),
    ])
    .await;
    assert_eq!((written[0].usage.cached_tokens, written[0].usage.reasoning_tokens), (10, 200));
    assert_eq!(written[2].usage.reasoning_tokens, 200);
}

#[tokio::test]
async fn nobody_pays_more_than_was_reserved() {
    let text = "word ".repeat(200);
    let mut body = completion(&text);
    body["usage"] = usage(8, 200);
    let (answer, written) = {
        let request = with(ask("Say hi, please."), json!({"max_tokens": 10}));
        let provider = Provider::start("alpha", [Script::json(200, body)]).await;
        let (router, bank) = paid(&[&provider]).await;
        let purse = bank.open(GRANT);
        let answer = router.client().await.chat_as(&purse.key, &request).await;
        let entries = bank.entries(&purse);
        let taken = 1_000_000_000 - bank.balance(&purse);
        (answer.clone(), check_bill(&usage_of(&answer), &entries[0], taken))
    };
    // The prompt is held at twice its estimate and 64 tokens more.
    let reserved = (2 * 8 + 64) * IN + 10 * OUT;
    assert_eq!(written.charged.get(), reserved);
    assert_eq!(written.absorbed.get(), 8 * IN + 200 * OUT - reserved);
    assert_eq!(answer.text(), text);
}

#[tokio::test]
async fn without_accounts_nothing_costs_anything() {
    let provider = Provider::start("alpha", [Script::answer("Paris.")]).await;
    let router = Router::start(&[&provider]).await;
    let answer = router.client().await.chat(&ask("hi")).await;
    let usage = usage_of(&answer);
    assert_eq!((&usage["cost"], &usage["credits"]), (&json!(0), &json!(0)));
    for header in ["x-credits-charged", "x-credits-remaining", "x-ratelimit-limit"] {
        assert_eq!(answer.header(header), None);
    }
    assert!(provider.request().json().get("max_tokens").is_none());
}

#[tokio::test]
async fn a_key_is_needed_where_requests_are_paid_for() {
    let provider = Provider::start("alpha", [Script::answer("Paris.")]).await;
    let (router, bank) = paid(&[&provider]).await;
    let client = &mut router.client().await;
    for header in ["Bearer cm_unknown", "Bearer sk-other", "Basic abc", ""] {
        let headers = [("authorization", header)];
        let answer = client.post("/v1/chat/completions", &headers, ask("hi").to_string()).await;
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer")), "{header}");
        assert_eq!(answer.json()["error"]["code"], "invalid_api_key");
    }
    assert_eq!(client.connections(), 1, "refusals keep the connection");
    assert!(provider.requests().is_empty());
    let purse = bank.open(GRANT);
    let headers = [("x-api-key", purse.key.as_str())];
    assert_eq!(client.post("/v1/chat/completions", &headers, ask("hi").to_string()).await.status, 200);
    let line = router.accessed(5).await.pop().expect("a line");
    let line = line.to_string();
    assert!(line.contains(&purse.account.to_string()) && line.contains("\"charged_ucr\":5800"), "{line}");
    assert!(!router.logs().contains(&purse.key), "never the key");
}

#[tokio::test]
async fn a_store_that_fails_is_503_and_never_401() {
    let provider = Provider::start("alpha", [Script::answer("Paris.")]).await;
    let (router, bank) = paid(&[&provider]).await;
    let purse = bank.open(GRANT);
    let other = bank.open(GRANT);
    let client = &mut router.client().await;
    assert_eq!(client.chat_as(&purse.key, &ask("hi")).await.status, 200);
    let database = std::fs::read_dir(router.data_dir()).expect("a folder").find_map(|entry| {
        let path = entry.expect("an entry").path();
        path.extension().is_some_and(|end| end == "db").then_some(path)
    });
    let direct = rusqlite::Connection::open(database.expect("a ledger")).expect("it opens");
    direct.execute_batch("ALTER TABLE keys RENAME TO lost").expect("it is renamed");
    let answer = client.chat_as(&other.key, &ask("hi")).await;
    assert_eq!(answer.status, 503, "{}", String::from_utf8_lossy(&answer.body));
    assert_eq!(answer.json()["error"]["metadata"]["reason"], "billing_unavailable");
    assert!(answer.header("retry-after").is_some());
    direct.execute_batch("ALTER TABLE lost RENAME TO keys").expect("it is back");
    assert_eq!(client.chat_as(&other.key, &ask("hi")).await.status, 200);
}
