//! `Idempotency-Key`: whatever is sent again, it is charged once.

use crate::client::{Answer, Client, text_of};
use crate::harness::{Router, ask, streamed, with};
use crate::money::{GRANT, Purse, paid};
use crate::provider::Provider;
use crate::script::{Gate, Script, Step};
use serde_json::{Value, json};

const PATH: &str = "/v1/chat/completions";

async fn send(client: &mut Client, purse: &Purse, key: &str, path: &str, request: &Value) -> Answer {
    let bearer = format!("Bearer {}", purse.key);
    let headers = [("authorization", bearer.as_str()), ("idempotency-key", key)];
    client.post(path, &headers, request.to_string()).await
}

fn is_conflict(answer: &Answer, should_retry: &str) {
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (409, &json!("conflict")));
    assert_eq!(answer.header("x-should-retry"), Some(should_retry));
}

#[tokio::test]
async fn an_answer_is_given_again_byte_for_byte_and_charged_once() {
    let provider = Provider::start("alpha", [Script::answer("Paris."), Script::answer("Rome.")]).await;
    let (router, bank) = paid(&[&provider]).await;
    let client = &mut router.client().await;
    for (count, request) in [(1, ask("hi")), (2, streamed(ask("hi")))] {
        let purse = bank.open(GRANT);
        let first = send(client, &purse, "key", PATH, &request).await;
        assert_eq!((first.status, first.header("idempotent-replayed")), (200, None));
        for _ in 0..2 {
            let again = send(client, &purse, "key", PATH, &request).await;
            assert_eq!((again.status, again.header("idempotent-replayed")), (200, Some("true")));
            assert_eq!(String::from_utf8(again.body.clone()), String::from_utf8(first.body.clone()));
            assert_eq!(again.header("content-type"), first.header("content-type"));
            assert_eq!(again.header("x-generation-id"), first.header("x-generation-id"));
        }
        assert_eq!((provider.requests().len(), bank.entries(&purse).len()), (count, 1));
        assert_eq!(bank.balance(&purse), 1_000_000_000 - 5_800);
    }
}

#[tokio::test]
async fn a_replay_uses_up_no_limit() {
    let provider = Provider::start("alpha", [Script::answer("Paris.")]).await;
    let (router, bank) = crate::money::paid_with(&[&provider], "free_per_minute = 1").await;
    let purse = bank.open(GRANT);
    let client = &mut router.client().await;
    for _ in 0..3 {
        let answer = send(client, &purse, "key", PATH, &ask("hi")).await;
        assert_eq!((answer.status, answer.header("x-ratelimit-remaining")), (200, Some("0")));
    }
    assert_eq!(send(client, &purse, "other", PATH, &ask("hi")).await.status, 429);
}

#[tokio::test]
async fn a_key_belongs_to_one_body_one_account_and_one_path() {
    let provider = Provider::start("alpha", [Script::answer("Paris.")]).await;
    let (router, bank) = paid(&[&provider]).await;
    let (purse, other) = (bank.open(GRANT), bank.open(GRANT));
    let client = &mut router.client().await;
    assert_eq!(send(client, &purse, "key", PATH, &ask("hi")).await.status, 200);
    is_conflict(&send(client, &purse, "key", PATH, &ask("ho")).await, "false");
    for (purse, path) in [(&other, PATH), (&purse, "/api/v1/chat/completions")] {
        let answer = send(client, purse, "key", path, &ask("ho")).await;
        assert_eq!((answer.status, answer.header("idempotent-replayed")), (200, None));
    }
    assert_eq!(provider.requests().len(), 3);
}

#[tokio::test]
async fn while_the_first_is_running_the_second_is_told_to_wait() {
    let gate = Gate::new();
    let script = Script::stream().gate(&gate).text("Paris.").finish("stop").usage(14, 3).done();
    let provider = Provider::start("alpha", [script]).await;
    let (router, bank) = paid(&[&provider]).await;
    let purse = bank.open(GRANT);
    let (addr, first) = (router.addr, purse.clone());
    let first =
        tokio::spawn(
            async move { send(&mut Client::connect(addr).await, &first, "key", PATH, &ask("hi")).await },
        );
    provider.has_seen(1).await;
    let client = &mut router.client().await;
    let second = send(client, &purse, "key", PATH, &ask("hi")).await;
    is_conflict(&second, "true");
    assert_eq!(second.header("retry-after"), Some("1"));
    is_conflict(&send(client, &purse, "key", PATH, &ask("ho")).await, "false");
    gate.open();
    let first = first.await.expect("it ends");
    assert_eq!(first.status, 200);
    let third = send(client, &purse, "key", PATH, &ask("hi")).await;
    assert_eq!((third.status, third.body), (200, first.body));
    assert_eq!(bank.entries(&purse).len(), 1);
}

#[tokio::test]
async fn what_came_to_nothing_runs_anew() {
    let broken = Script::stream().text("Par").step(Step::Cut);
    let scripts = [Script::HangUp, broken, Script::answer("Paris.")];
    let provider = Provider::start("alpha", scripts).await;
    let (router, bank) = paid(&[&provider]).await;
    let purse = bank.open(GRANT);
    let request = streamed(ask("hi"));
    assert_eq!(
        send(&mut router.client().await, &purse, "key", PATH, &request).await.status,
        502,
        "nobody answered"
    );
    let cut = send(&mut router.client().await, &purse, "key", PATH, &request).await;
    assert!(String::from_utf8_lossy(&cut.body).contains("\"error\""), "it broke off");
    let whole = send(&mut router.client().await, &purse, "key", PATH, &request).await;
    assert_eq!((whole.status, whole.text().as_str()), (200, "Paris."));
    assert_eq!(bank.balance(&purse), 1_000_000_000 - 5_800);
}

#[tokio::test]
async fn an_answer_too_long_to_be_kept_leaves_a_receipt() {
    let provider = Provider::start("alpha", [Script::answer(&"Paris. ".repeat(10_000))]).await;
    let (router, bank) = paid(&[&provider]).await;
    let purse = bank.open(GRANT);
    let client = &mut router.client().await;
    let request = with(ask("hi"), json!({"max_tokens": 8_000}));
    let first = send(client, &purse, "key", PATH, &request).await;
    assert_eq!(first.status, 200);
    let again = send(client, &purse, "key", PATH, &request).await;
    is_conflict(&again, "false");
    let receipt = again.json()["error"]["metadata"]["receipt"].clone();
    let usage = first.json()["usage"].clone();
    assert_eq!(receipt["id"], first.json()["id"]);
    assert_eq!(receipt["credits"], usage["credits"]);
    assert_eq!(receipt["completion_tokens"], usage["completion_tokens"]);
    assert_eq!((provider.requests().len(), bank.entries(&purse).len()), (1, 1));
    is_conflict(&send(client, &purse, "key", PATH, &ask("ho")).await, "false");
}

#[tokio::test]
async fn whoever_left_within_the_answer_has_a_receipt_that_says_so() {
    let script = Script::stream().text("Par").step(Step::Stall);
    let provider = Provider::start("alpha", [script]).await;
    let (router, bank) = paid(&[&provider]).await;
    let purse = bank.open(GRANT);
    let mut client = router.client().await;
    let bearer = format!("Bearer {}", purse.key);
    let headers = [("authorization", bearer.as_str()), ("idempotency-key", "key")];
    let body = streamed(ask("hi")).to_string();
    let mut stream = client.open("POST", PATH, &headers, body.as_bytes()).await;
    let event = stream.next_data().await;
    assert_eq!(text_of(&event.into_iter().collect::<Vec<_>>()), "Par");
    drop(client);
    let written = bank.wrote(&purse, 1).await;
    router.accessed(1).await;
    let again = send(&mut router.client().await, &purse, "key", PATH, &streamed(ask("hi"))).await;
    is_conflict(&again, "false");
    let receipt = &again.json()["error"]["metadata"]["receipt"];
    assert_eq!((&receipt["id"], &receipt["partial"]), (&json!(written[0].id), &json!(true)));
}

#[tokio::test]
async fn a_key_that_is_too_long_is_refused_and_without_accounts_it_means_nothing() {
    let provider = Provider::start("alpha", [Script::answer("Paris.")]).await;
    let (router, bank) = paid(&[&provider]).await;
    let purse = bank.open(GRANT);
    let client = &mut router.client().await;
    for (length, status) in [(255, 200), (256, 400)] {
        let answer = send(client, &purse, &"k".repeat(length), PATH, &ask("hi")).await;
        assert_eq!(answer.status, status, "{length}");
    }
    let open = Router::start(&[&provider]).await;
    let client = &mut open.client().await;
    for _ in 0..2 {
        let answer = send(client, &purse, "key", PATH, &ask("hi")).await;
        assert_eq!((answer.status, answer.header("idempotent-replayed")), (200, None));
    }
    assert_eq!(provider.requests().len(), 3);
}
