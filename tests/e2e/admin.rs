//! The operator's listener: who may use it, and what accounts it opens and pays into.

use crate::client::{Answer, Client};
use crate::harness::{ADMIN_TOKEN, Router, Setup, ask, within};
use crate::provider::Provider;
use crate::script::Script;
use serde_json::json;
use tokio::process::Command;

async fn with_accounts(setup: Setup) -> (Provider, Router) {
    let alpha = Provider::start("alpha", [Script::answer("A")]).await;
    let router = setup.provider(&alpha).accounts().start().await;
    (alpha, router)
}

async fn with_token(router: &Router, token: &str, method: &str, path: &str) -> Answer {
    let headers = [("authorization", token)];
    Client::connect(router.admin).await.open(method, path, &headers, b"").await.whole().await
}

#[tokio::test]
async fn every_path_asks_for_the_token_where_there_is_one() {
    let (_alpha, router) = with_accounts(Setup::new()).await;
    for path in ["/endpoints", "/accounts", "/accounts/acct_0000000000000001", "/", "/nothing"] {
        for token in
            ["", "Bearer", "Bearer wrong", &format!("Basic {ADMIN_TOKEN}"), &format!("Bearer {ADMIN_TOKEN}x")]
        {
            let answer = with_token(&router, token, "GET", path).await;
            assert_eq!(
                (answer.status, answer.header("www-authenticate")),
                (401, Some("Bearer")),
                "{path} {token}"
            );
        }
    }
    let right = format!("bearer {ADMIN_TOKEN}");
    assert_eq!(with_token(&router, &right, "GET", "/endpoints").await.status, 200);
    assert_eq!(with_token(&router, &right, "HEAD", "/accounts").await.status, 200);
    assert_eq!(with_token(&router, &right, "GET", "/nothing").await.status, 404);
    let wrong = with_token(&router, &right, "DELETE", "/accounts").await;
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("GET, HEAD, POST")));
    let account = router.sign_up().await;
    assert_eq!(with_token(&router, &format!("Bearer {}", account.key), "GET", "/accounts").await.status, 401);
}

#[tokio::test]
async fn without_a_token_only_endpoints_are_shown() {
    let (_alpha, router) = with_accounts(Setup::new().env("FREEWAY_ADMIN_TOKEN", "")).await;
    let client = &mut Client::connect(router.admin).await;
    assert_eq!(client.get("/endpoints").await.status, 200);
    for path in ["/accounts", "/accounts/acct_0000000000000001/transactions"] {
        let answer = client.get(path).await;
        assert_eq!(answer.status, 403, "{path}");
        let words = answer.json()["error"]["message"].to_string();
        assert!(words.contains("FREEWAY_ADMIN_TOKEN"), "{words}");
    }
    assert_eq!(client.post("/accounts", &[], "{}").await.status, 403);
}

#[tokio::test]
async fn the_clients_port_has_none_of_it() {
    let (_alpha, router) = with_accounts(Setup::new()).await;
    let account = router.sign_up().await;
    let token = format!("Bearer {ADMIN_TOKEN}");
    let headers = [("authorization", token.as_str())];
    let id = &account.id;
    let client = &mut router.client().await;
    let paths = [
        "/endpoints".to_owned(),
        "/accounts".to_owned(),
        format!("/accounts/{id}"),
        format!("/accounts/{id}/credit"),
        format!("/v1/accounts/{id}"),
        format!("/v1/accounts/{id}/credit"),
        format!("/api/v1/accounts/{id}/keys"),
    ];
    for path in &paths {
        for method in ["GET", "POST", "DELETE"] {
            let answer = client.open(method, path, &headers, b"").await.whole().await;
            assert_eq!(answer.status, 404, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn an_open_admin_listener_without_a_token_does_not_start() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_freeway"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "0.0.0.0:0"]).env_clear();
    let output = within("the end", command.output()).await.expect("it runs");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("server.admin_listen") && said.contains("FREEWAY_ADMIN_TOKEN"), "{said}");
}

#[tokio::test]
async fn a_listener_open_to_others_is_pointed_out() {
    let (_alpha, router) = with_accounts(Setup::new().args(&["--admin-listen", "0.0.0.0:0"])).await;
    assert!(router.said().contains("admin listener 0.0.0.0:0 is open to others"), "{}", router.said());
    assert!(!router.said().contains(ADMIN_TOKEN));
}

#[tokio::test]
async fn the_operator_opens_an_account_once_for_a_reference() {
    let (_alpha, router) = with_accounts(Setup::new()).await;
    let body = json!({"name": "Ada", "reference": "customer-7", "credits": "1500.000001"}).to_string();
    let first = router.admin("POST", "/accounts", &body).await;
    assert_eq!(first.status, 201);
    let first = first.json();
    assert_eq!(first["balance_credits"], 1500.000001);
    let again = router.admin("POST", "/accounts", &body).await;
    assert_eq!((again.status, &again.json()["id"]), (200, &first["id"]));
    assert_eq!(again.json()["key"], json!(null));
    let key = first["key"]["key"].as_str().expect("a key");
    assert_eq!(router.client().await.chat_as(key, &ask("hi")).await.status, 200);
    let reserved = router.admin("POST", "/accounts", r#"{"reference": "signup:1"}"#).await;
    assert_eq!((reserved.status, &reserved.json()["error"]["param"]), (400, &json!("reference")));
    let shown = router.admin("GET", &format!("/accounts/{}", first["id"].as_str().expect("an id")), "").await;
    assert_eq!((&shown.json()["name"], &shown.json()["tier"]), (&json!("Ada"), &json!("funded")));
}

#[tokio::test]
async fn a_payment_told_ten_times_and_five_at_once_is_credited_once() {
    let (_alpha, router) = with_accounts(Setup::new()).await;
    let (ada, bob) = (router.sign_up().await, router.sign_up().await);
    let path = format!("/accounts/{}/credit", ada.id);
    let body = r#"{"credits": 12.5, "reference": "payment-a"}"#;
    let mut answers = Vec::new();
    for _ in 0..5 {
        answers.push(router.admin("POST", &path, body).await);
    }
    let five = [(); 5].map(|()| router.admin("POST", &path, body));
    let [a, b, c, d, e] = five;
    let (a, b, c, d, e) = tokio::join!(a, b, c, d, e);
    answers.extend([a, b, c, d, e]);
    assert!(answers.iter().all(|answer| answer.status == 200));
    let credited = answers.iter().filter(|answer| answer.json()["credited"] == true).count();
    assert_eq!((credited, router.balance_ucr(&ada).await), (1, 1_012_500_000));
    // Five at once, nothing before.
    let body = r#"{"credits": "0.5", "reference": "payment-b"}"#;
    let [a, b, c, d, e] = [(); 5].map(|()| router.admin("POST", &path, body));
    let (a, b, c, d, e) = tokio::join!(a, b, c, d, e);
    let credited = [a, b, c, d, e].iter().filter(|answer| answer.json()["credited"] == true).count();
    assert_eq!((credited, router.balance_ucr(&ada).await), (1, 1_013_000_000));

    let others = router.admin("POST", &format!("/accounts/{}/credit", bob.id), body).await;
    assert_eq!((others.status, others.header("x-should-retry")), (409, Some("false")));
    assert_eq!(router.balance_ucr(&bob).await, 1_000_000_000);
}

#[tokio::test]
async fn amounts_are_read_exactly_or_refused() {
    let (_alpha, router) = with_accounts(Setup::new()).await;
    let account = router.sign_up().await;
    let path = format!("/accounts/{}/credit", account.id);
    for (n, amount) in
        ["0", "-1", "1e3", "0.0000001", "\"x\"", "true", "99999999999999", "null"].iter().enumerate()
    {
        let body = format!(r#"{{"credits": {amount}, "reference": "r{n}"}}"#);
        let answer = router.admin("POST", &path, &body).await;
        assert_eq!((answer.status, &answer.json()["error"]["param"]), (400, &json!("credits")), "{amount}");
    }
    for body in [r#"{"credits": 1}"#, r#"{"credits": 1, "reference": ""}"#] {
        let answer = router.admin("POST", &path, body).await;
        assert_eq!((answer.status, &answer.json()["error"]["param"]), (400, &json!("reference")), "{body}");
    }
    assert_eq!(router.balance_ucr(&account).await, 1_000_000_000);
    // A float would be off by one here.
    let body = r#"{"credits": 9007199254.740993, "reference": "exact"}"#;
    assert_eq!(router.admin("POST", &path, body).await.status, 200);
    let entries = router.admin("GET", &format!("/accounts/{}/transactions", account.id), "").await;
    let text = String::from_utf8_lossy(&entries.body).into_owned();
    assert!(text.contains(r#""amount_credits":9007199254.740993,"#), "{text}");
    let nobody = router.admin("POST", "/accounts/acct_0000000000000001/credit", body).await;
    assert_eq!(nobody.status, 404);
}

#[tokio::test]
async fn the_operator_makes_and_revokes_keys_of_any_account() {
    let (_alpha, router) = with_accounts(Setup::new()).await;
    let account = router.sign_up().await;
    let keys = format!("/accounts/{}/keys", account.id);
    let made = router.admin("POST", &keys, r#"{"name": "spare", "limit_credits": 5}"#).await;
    assert_eq!(made.status, 201);
    let made = made.json();
    let key = made["key"].as_str().expect("a key");
    let client = &mut router.client().await;
    assert_eq!(client.chat_as(key, &ask("hi")).await.status, 200);
    let list = router.admin("GET", &keys, "").await.json();
    assert_eq!(list["data"].as_array().expect("a list").len(), 2);
    let gone = router.admin("DELETE", &format!("/keys/{}", made["id"].as_str().expect("an id")), "").await;
    assert_eq!(gone.status, 200);
    assert_eq!(client.chat_as(key, &ask("hi")).await.status, 401, "at once");
    assert_eq!(client.chat_as(&account.key, &ask("hi")).await.status, 200);
    assert_eq!(router.admin("DELETE", "/keys/key_0000000000000001", "").await.status, 404);
    assert_eq!(router.admin("POST", "/accounts/acct_0000000000000001/keys", "{}").await.status, 404);
}

#[tokio::test]
async fn accounts_are_listed_page_by_page() {
    let (_alpha, router) = with_accounts(Setup::new()).await;
    let mut opened = Vec::new();
    for _ in 0..5 {
        opened.push(router.sign_up().await.id);
    }
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = router.admin("GET", &format!("/accounts?limit=2{after}"), "").await.json();
        let ids = page["data"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|a| a["id"].as_str().expect("an id").to_owned());
        seen.extend(ids);
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    opened.sort();
    assert_eq!(seen, opened);
}

#[tokio::test]
async fn large_and_broken_bodies_are_refused() {
    let (_alpha, router) = with_accounts(Setup::new()).await;
    let large = format!(r#"{{"name": "{}"}}"#, "a".repeat(70_000));
    assert_eq!(router.admin("POST", "/accounts", &large).await.status, 413);
    assert_eq!(router.admin("POST", "/accounts", "[1]").await.status, 400);
    let answer = router.admin("POST", "/accounts", r#"{"colour": 1}"#).await;
    assert_eq!((answer.status, &answer.json()["error"]["param"]), (400, &json!("colour")));
}
