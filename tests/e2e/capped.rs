//! What is affordable: refused or clamped before, kept to while the answer streams.

use crate::client::{Event, chunks, text_of};
use crate::harness::{Setup, ask, streamed, with, within};
use crate::money::{Bank, GRANT, Purse, check_bill, paid, streamed_with_usage, usage_of};
use crate::provider::Provider;
use crate::script::{Gate, Script, Step};
use freeway::accounts::Worst;
use freeway::money::{MicroCredits, Price};
use freeway::protocol::inspect::inspect;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What this request may cost at most.
fn worst(request: &Value) -> MicroCredits {
    let facts = inspect(request.to_string().as_bytes()).expect("a request");
    let needs = &facts.requirements;
    let limit = needs.max_output_tokens;
    Worst::new(Price::default(), needs.prompt_tokens, facts.choices, limit, 4_096).full().amount
}

fn limited(max_tokens: u32) -> Value {
    with(ask("Say hi, please."), json!({"max_tokens": max_tokens}))
}

#[tokio::test]
async fn a_limit_that_is_not_affordable_is_refused_with_one_that_is() {
    let provider = Provider::start("alpha", [Script::answer("Hi there.")]).await;
    let (router, bank) = paid(&[&provider]).await;
    let purse = bank.open(&worst(&limited(9)).to_string());
    let client = &mut router.client().await;
    let answer = client.chat_as(&purse.key, &limited(10)).await;
    let error = answer.json()["error"].clone();
    assert_eq!((answer.status, &error["code"]), (402, &json!("insufficient_credits")));
    assert_eq!((&error["type"], &error["param"]), (&json!("billing_error"), &json!("max_tokens")));
    assert_eq!(error["metadata"]["affordable_max_tokens"], 9);
    assert_eq!(answer.header("x-should-retry"), Some("false"));
    assert!(provider.requests().is_empty());
    assert_eq!(client.chat_as(&purse.key, &limited(9)).await.status, 200);
}

#[tokio::test]
async fn an_empty_account_is_refused_before_anybody_is_asked() {
    let provider = Provider::start("alpha", [Script::answer("Hi there.")]).await;
    let (router, bank) = paid(&[&provider]).await;
    let purse = bank.open("0");
    let answer = router.client().await.chat_as(&purse.key, &ask("hi")).await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (402, &json!("insufficient_credits")));
    assert_eq!(answer.json()["error"]["metadata"]["affordable_max_tokens"], 0);
    assert!(provider.requests().is_empty());
    let metrics = router.metrics().await;
    assert!(metrics.contains("freeway_refused_total{kind=\"credits\"} 1"), "{metrics}");
}

#[tokio::test]
async fn without_a_limit_the_answer_is_clamped_to_what_is_affordable() {
    let provider = Provider::start("alpha", [Script::answer("Hi there.")]).await;
    let (router, bank) = paid(&[&provider]).await;
    let client = &mut router.client().await;
    for request in [ask("Say hi, please."), streamed(ask("Say hi, please."))] {
        let purse = bank.open(&worst(&limited(20)).to_string());
        let answer = client.chat_as(&purse.key, &request).await;
        assert_eq!((answer.status, answer.header("x-max-tokens-clamped")), (200, Some("20")));
        let rich = bank.open(GRANT);
        let answer = client.chat_as(&rich.key, &request).await;
        assert_eq!((answer.status, answer.header("x-max-tokens-clamped")), (200, None));
    }
    let asked: Vec<_> = provider.requests().iter().map(|seen| seen.json()["max_tokens"].clone()).collect();
    assert_eq!(asked, [20, 4_096, 20, 4_096], "the provider is told");
}

#[tokio::test]
async fn a_key_may_have_a_cap_of_its_own() {
    let provider = Provider::start("alpha", [Script::answer("Hi there.")]).await;
    let (router, bank) = paid(&[&provider]).await;
    let purse = bank.open(GRANT);
    let capped = bank.another_key(&purse, Some(&worst(&limited(10)).to_string()));
    let client = &mut router.client().await;
    assert_eq!(client.chat_as(&capped.key, &limited(10)).await.status, 200);
    let answer = client.chat_as(&capped.key, &limited(10)).await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (402, &json!("budget_exceeded")));
    let left = worst(&limited(10)).get() - 5_800 - (2 * 8 + 64) * 200;
    assert_eq!(answer.json()["error"]["metadata"]["affordable_max_tokens"], left / 1_000);
    assert_eq!(client.chat_as(&purse.key, &limited(10)).await.status, 200, "the other key has none");
}

/// The provider sends far more than the ten tokens that were asked for.
async fn check_cut(script: Script) {
    let provider = Provider::start("alpha", [script, Script::answer("next")]).await;
    let (router, bank) = paid(&[&provider]).await;
    let purse = bank.open(GRANT);
    let client = &mut router.client().await;
    let request = with(streamed_with_usage(ask("Say hi, please.")), json!({"max_tokens": 10}));
    let answer = client.chat_as(&purse.key, &request).await;
    let events = answer.events();
    let words = text_of(&events).split_whitespace().count();
    assert!((10..=11).contains(&words), "{words} words of one token each");
    assert_eq!(events.last(), Some(&Event::Done));
    let chunks = chunks(&events);
    let finish = &chunks[chunks.len() - 2]["choices"][0];
    assert_eq!(finish["finish_reason"], "length");
    let entries = bank.entries(&purse);
    let taken = 1_000_000_000 - bank.balance(&purse);
    let written = check_bill(&usage_of(&answer), &entries[0], taken);
    assert_eq!((written.usage.completion_tokens, written.charged.get()), (10, 8 * 200 + 10 * 1_000));
    assert_eq!(written.reason.as_deref(), Some("length"));
    provider.was_left(1).await;
    client.closed().await;
    assert_eq!(router.client().await.chat_as(&purse.key, &ask("hi")).await.text(), "next");
}

#[tokio::test]
async fn a_stream_ends_at_its_limit_even_if_its_provider_goes_on() {
    let words = (0..200).fold(Script::stream().role(), |script, _| script.text(" word"));
    check_cut(words.step(Step::Stall)).await;
}

#[tokio::test]
async fn a_stream_ends_at_its_limit_even_if_all_of_it_comes_at_once() {
    let words: String = (0..200)
        .map(|_| format!("data: {}\n\n", crate::script::chunk(json!({"content": " word"}), None)))
        .collect();
    check_cut(Script::stream().raw(words).step(Step::Stall)).await;
}

#[tokio::test]
async fn an_answer_within_its_limit_is_left_alone() {
    let words = (0..10).fold(Script::stream().role(), |script, _| script.text(" word"));
    let provider = Provider::start("alpha", [words.finish("stop").usage(8, 10).done()]).await;
    let (router, bank) = paid(&[&provider]).await;
    let purse = bank.open(GRANT);
    let request = with(streamed_with_usage(ask("Say hi, please.")), json!({"max_tokens": 10}));
    let answer = router.client().await.chat_as(&purse.key, &request).await;
    assert_eq!(text_of(&answer.events()), " word".repeat(10));
    assert_eq!(usage_of(&answer)["usage_source"], "reported");
    let chunks = chunks(&answer.events());
    assert_eq!(chunks[chunks.len() - 2]["choices"][0]["finish_reason"], "stop");
}

#[tokio::test]
async fn without_accounts_nothing_is_cut() {
    let words = (0..200).fold(Script::stream().role(), |script, _| script.text(" word"));
    let provider = Provider::start("alpha", [words.finish("stop").done()]).await;
    let router = Setup::new().provider(&provider).start().await;
    let answer = router.client().await.chat(&with(streamed(ask("hi")), json!({"max_tokens": 10}))).await;
    assert_eq!(text_of(&answer.events()), " word".repeat(200));
}

/// Looks at the account until told to stop: never below zero, never more leased than there is.
fn sample(bank: Arc<Bank>, purse: Purse, stop: Arc<AtomicBool>) -> tokio::task::JoinHandle<u32> {
    tokio::task::spawn_blocking(move || {
        let mut looks = 0;
        while !stop.load(Ordering::Acquire) {
            let account = bank.account(&purse);
            assert!(account.balance.get() >= 0, "{account:?}");
            assert!(account.leased >= MicroCredits::ZERO && account.leased <= account.balance, "{account:?}");
            looks += 1;
        }
        looks
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_requests_at_once_cannot_spend_what_is_not_there() {
    let gate = Gate::new();
    let script = Script::stream().role().gate(&gate).text("Hi").finish("stop").usage(8, 50).done();
    let provider = Provider::start("alpha", [script]).await;
    let (router, bank) = paid(&[&provider]).await;
    let bank = Arc::new(bank);
    let request = streamed(limited(100));
    let each = worst(&request);
    let purse = bank.open(&each.checked_mul(10).expect("it fits").to_string());
    let stop = Arc::new(AtomicBool::new(false));
    let sampler = sample(Arc::clone(&bank), purse.clone(), Arc::clone(&stop));

    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..1_000 {
        let (addr, key, request) = (router.addr, purse.key.clone(), request.clone());
        asking.spawn(async move { crate::client::Client::connect(addr).await.chat_as(&key, &request).await });
    }
    let mut refused = 0;
    while refused < 990 {
        let answer = within("a refusal", asking.join_next()).await.expect("one more").expect("it ends");
        assert_eq!(answer.status, 402, "{}", String::from_utf8_lossy(&answer.body));
        refused += 1;
    }
    assert_eq!(provider.requests().len(), 10);
    (0..10).for_each(|_| gate.open());
    while let Some(answer) = within("an answer", asking.join_next()).await {
        assert_eq!(answer.expect("it ends").status, 200);
    }
    stop.store(true, Ordering::Release);
    let looks = sampler.await.expect("it never saw anything odd");
    assert!(looks > 10, "it looked {looks} times");
    assert_eq!(bank.entries(&purse).len(), 10);
    assert_eq!(bank.balance(&purse), 10 * (each.get() - 8 * 200 - 50 * 1_000));
    bank.verify();
}
