//! Accounts as their owners see them: signing up, keys, balances, and nobody else's.

use crate::client::{Answer, Client};
use crate::harness::{PATIENCE, Router, Setup, ask, ucr, within};
use crate::provider::Provider;
use crate::script::Script;
use serde_json::{Value, json};
use std::time::Duration;

const GRANT_UCR: i64 = 1_000_000_000;

async fn with_accounts(setup: Setup) -> (Provider, Router) {
    let alpha = Provider::start("alpha", [Script::answer("A")]).await;
    let router = setup.provider(&alpha).start().await;
    (alpha, router)
}

/// The error's `code`, a string under `/v1`.
fn code(answer: &Answer) -> String {
    answer.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
}

async fn sign_up_from(client: &mut Client, address: &str, idempotency_key: Option<&str>) -> Answer {
    let mut headers = vec![("x-forwarded-for", address)];
    headers.extend(idempotency_key.map(|key| ("idempotency-key", key)));
    client.post("/v1/accounts", &headers, "{}").await
}

#[tokio::test]
async fn from_signing_up_to_the_first_answer() {
    let (_alpha, router) = with_accounts(Setup::new().accounts()).await;
    let client = &mut router.client().await;
    let signed_up = client.post("/v1/accounts", &[], r#"{"name": "Ada"}"#).await;
    assert_eq!(signed_up.status, 201);
    assert_eq!(signed_up.header("cache-control"), Some("no-store"));
    let account = signed_up.json();
    assert_eq!((&account["object"], &account["name"]), (&json!("account"), &json!("Ada")));
    assert_eq!(ucr(&account["balance_credits"]), GRANT_UCR);
    let key = account["key"]["key"].as_str().expect("a key").to_owned();
    assert!(key.starts_with("cm_") && key.len() >= 35);

    let answer = client.chat_as(&key, &ask("hi")).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "A"));

    let own = client.get_as(&key, "/v1/account").await;
    assert_eq!(own.status, 200);
    let own = own.json();
    assert_eq!((&own["id"], &own["name"], &own["tier"]), (&account["id"], &json!("Ada"), &json!("free")));
    let spent = ucr(&own["spent_credits"]);
    assert!(spent > 0, "{own}");
    assert_eq!(ucr(&own["balance_credits"]), GRANT_UCR - spent);
    assert_eq!(own["limits"]["requests_today"], 1);
    let head = client.send_as(&key, "HEAD", "/v1/account").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[tokio::test]
async fn a_body_is_not_needed_and_a_wrong_one_is_told_why() {
    let (_alpha, router) = with_accounts(Setup::new().accounts()).await;
    let client = &mut router.client().await;
    assert_eq!(client.post("/api/v1/accounts", &[], "").await.status, 201);
    let cases = [
        (r#"{"colour": 1}"#, Some("colour")),
        (r#"{"name": "a\nb"}"#, Some("name")),
        (r#"{"credits": 5}"#, Some("credits")),
        ("[]", None),
        ("{", None),
    ];
    for (body, param) in cases {
        let answer = client.post("/v1/accounts", &[], body).await;
        assert_eq!(answer.status, 400, "{body}");
        assert_eq!(answer.json()["error"]["param"].as_str(), param, "{body}");
    }
    let long = format!(r#"{{"name": "{}"}}"#, "a".repeat(70_000));
    assert_eq!(client.post("/v1/accounts", &[], &long).await.status, 413);
    let answer = router.client().await.get("/v1/accounts").await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
}

#[tokio::test]
async fn signing_up_twice_with_one_idempotency_key_opens_one_account() {
    let (_alpha, router) =
        with_accounts(Setup::new().config(TRUSTING).accounts_with("signups_per_day = 1")).await;
    let client = &mut router.client().await;
    let first = sign_up_from(client, "198.51.100.1", Some("one")).await;
    assert_eq!(first.status, 201);
    let again = sign_up_from(client, "198.51.100.1", Some("one")).await;
    assert_eq!(again.status, 200, "and it counts for no limit");
    let again = again.json();
    assert_eq!((&again["id"], &again["key"]), (&first.json()["id"], &Value::Null));
    assert!(again["message"].as_str().is_some_and(|words| words.contains("earlier")));
    // Another visitor's choice of the same words is another account.
    let other = sign_up_from(client, "203.0.113.1", Some("one")).await;
    assert_eq!(other.status, 201);
    assert_ne!(other.json()["id"], first.json()["id"]);
    let accounts = router.admin("GET", "/accounts", "").await.json();
    assert_eq!(accounts["data"].as_array().expect("a list").len(), 2);
}

const TRUSTING: &str = "[server]\ntrusted_proxies = [\"127.0.0.1/32\"]";

#[tokio::test]
async fn a_network_signs_up_so_often_and_no_more() {
    let (_alpha, router) =
        with_accounts(Setup::new().config(TRUSTING).accounts_with("signups_per_day = 3")).await;
    let client = &mut router.client().await;
    for host in 1..=3 {
        assert_eq!(sign_up_from(client, &format!("198.51.100.{host}"), None).await.status, 201);
    }
    let over = sign_up_from(client, "198.51.100.4", None).await;
    assert_eq!(over.status, 429);
    assert_eq!(over.header("x-should-retry"), Some("false"));
    let wait: u32 = over.header("retry-after").and_then(|s| s.parse().ok()).expect("seconds");
    assert!((1..=86_400).contains(&wait));
    // Others are not disturbed: the next network, and a /64 of IPv6, each on its own.
    assert_eq!(sign_up_from(client, "198.51.101.1", None).await.status, 201);
    for host in 1..=3 {
        assert_eq!(sign_up_from(client, &format!("2001:db8:0:1::{host}"), None).await.status, 201);
    }
    assert_eq!(sign_up_from(client, "2001:db8:0:1:ffff::1", None).await.status, 429);
    assert_eq!(sign_up_from(client, "2001:db8:0:2::1", None).await.status, 201);
}

#[tokio::test]
async fn forwarded_addresses_are_not_believed_of_everybody() {
    let (_alpha, router) = with_accounts(Setup::new().accounts_with("signups_per_day = 1")).await;
    let client = &mut router.client().await;
    assert_eq!(sign_up_from(client, "198.51.100.1", None).await.status, 201);
    assert_eq!(sign_up_from(client, "203.0.113.1", None).await.status, 429);
}

#[tokio::test]
async fn signing_up_can_be_switched_off() {
    let (_alpha, router) = with_accounts(Setup::new().accounts_with("signup = false")).await;
    let answer = router.client().await.post("/v1/accounts", &[], "{}").await;
    assert_eq!((answer.status, code(&answer).as_str()), (403, "permission_denied"));
    assert_eq!(router.admin("POST", "/accounts", "{}").await.status, 201, "the operator still can");
}

#[tokio::test]
async fn a_flood_of_signups_leaves_requests_alone() {
    let (_alpha, router) =
        with_accounts(Setup::new().accounts_with("signups_per_day = 100").limits("free_per_minute = 0"))
            .await;
    let account = router.sign_up().await;
    let address = router.addr;
    let flood: Vec<_> = (0..300)
        .map(|_| {
            tokio::spawn(async move { Client::connect(address).await.post("/v1/accounts", &[], "").await })
        })
        .collect();
    let client = &mut router.client().await;
    for _ in 0..20 {
        assert_eq!(client.chat_as(&account.key, &ask("hi")).await.status, 200);
    }
    let mut opened = 0;
    for signup in flood {
        let status = within("a signup", signup).await.expect("no panic").status;
        assert!(matches!(status, 201 | 429), "{status}");
        opened += usize::from(status == 201);
    }
    assert_eq!(opened, 99, "one was there before");
}

#[tokio::test]
async fn without_accounts_nothing_of_it_is_there() {
    let (_alpha, router) = with_accounts(Setup::new()).await;
    let client = &mut router.client().await;
    for path in ["/v1/account", "/api/v1/key", "/v1/generation?id=gen-1", "/v1/usage", "/v1/keys"] {
        assert_eq!(client.get(path).await.status, 404, "{path}");
    }
    assert_eq!(client.post("/v1/accounts", &[], "{}").await.status, 404);
    assert_eq!(router.admin("GET", "/accounts", "").await.status, 404);
}

#[tokio::test]
async fn without_a_valid_key_nothing_is_told() {
    let (_alpha, router) = with_accounts(Setup::new().accounts()).await;
    let client = &mut router.client().await;
    let paths =
        ["account", "credits", "key", "keys", "keys/key_1", "generation?id=gen-1", "activity", "usage"];
    for path in paths.iter().chain(&["transactions", "organization/usage/completions"]) {
        for base in ["/v1", "/api/v1"] {
            let answer = client.get(&format!("{base}/{path}")).await;
            assert_eq!(answer.status, 401, "{base}/{path}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
            assert_eq!(client.get_as("cm_wrong", &format!("{base}/{path}")).await.status, 401);
        }
    }
    assert_eq!(client.post_as("cm_wrong", "/v1/keys", &json!({})).await.status, 401);
}

#[tokio::test]
async fn the_key_is_shown_once_and_is_in_no_file_and_no_log() {
    let (_alpha, router) = with_accounts(Setup::new().accounts()).await;
    let account = router.sign_up().await;
    let client = &mut router.client().await;
    assert_eq!(client.chat_as(&account.key, &ask("hi")).await.status, 200);
    for path in ["/v1/keys", "/api/v1/keys", "/v1/account", "/api/v1/key"] {
        let answer = client.get_as(&account.key, path).await;
        assert_eq!(answer.status, 200);
        assert!(!String::from_utf8_lossy(&answer.body).contains(&account.key), "{path}");
    }
    for path in ["/accounts".to_owned(), format!("/accounts/{}/keys", account.id)] {
        let answer = router.admin("GET", &path, "").await;
        assert_eq!(answer.status, 200);
        assert!(!String::from_utf8_lossy(&answer.body).contains(&account.key), "{path}");
    }
    assert!(!router.logs().contains(&account.key) && !router.metrics().await.contains(&account.key));
    let mut looked = 0;
    for entry in std::fs::read_dir(router.data_dir()).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            let bytes = std::fs::read(&path).expect("a file");
            assert_eq!(memchr::memmem::find(&bytes, account.key.as_bytes()), None, "{}", path.display());
            looked += 1;
        }
    }
    assert!(looked > 0);
}

#[tokio::test]
async fn keys_are_made_listed_and_revoked_in_openrouters_words() {
    let (_alpha, router) = with_accounts(Setup::new().accounts()).await;
    let account = router.sign_up().await;
    let client = &mut router.client().await;
    let body = json!({"name": "capped", "limit": 0.5, "include_byok_in_limit": true});
    let made = client.post_as(&account.key, "/api/v1/keys", &body).await;
    assert_eq!(made.status, 201);
    let made = made.json();
    let (key, hash) = (made["key"].as_str().expect("a key"), made["data"]["hash"].as_str().expect("a hash"));
    assert_eq!((&made["data"]["name"], &made["data"]["limit"]), (&json!("capped"), &json!(0.5)));
    assert_eq!(made["data"]["limit_remaining"], 0.5);

    assert_eq!(client.chat_as(key, &ask("hi")).await.status, 200);
    let shown = client.get_as(&account.key, &format!("/api/v1/keys/{hash}")).await.json();
    let usage = shown["data"]["usage"].as_f64().expect("dollars");
    assert!(usage > 0.0 && shown["data"]["usage_daily"] == shown["data"]["usage"], "{shown}");
    let left = shown["data"]["limit_remaining"].as_f64().expect("dollars");
    assert!((left + usage - 0.5).abs() < 1e-12);

    let revoke = format!("/api/v1/keys/{hash}");
    let gone = client.send_as(&account.key, "DELETE", &revoke).await;
    assert_eq!((gone.status, gone.json()), (200, json!({"deleted": true})));
    assert_eq!(client.chat_as(key, &ask("hi")).await.status, 401, "at once");
    let listed = client.get_as(&account.key, "/api/v1/keys").await.json();
    assert_eq!(listed["data"].as_array().expect("a list").len(), 1, "without what is over");
    let all = client.get_as(&account.key, "/api/v1/keys?include_disabled=true").await.json();
    assert_eq!(all["data"].as_array().expect("a list").len(), 2);
    assert_eq!(all["data"][1]["disabled"], true);
}

#[tokio::test]
async fn keys_are_made_listed_and_revoked_in_our_words() {
    let (_alpha, router) = with_accounts(Setup::new().accounts()).await;
    let account = router.sign_up().await;
    let client = &mut router.client().await;
    let body = json!({"name": "capped", "limit_credits": "12.5", "expires_at": 4_000_000_000_u64});
    let made = client.post_as(&account.key, "/v1/keys", &body).await;
    assert_eq!(made.status, 201);
    let made = made.json();
    assert_eq!((&made["object"], &made["limit_credits"]), (&json!("api_key"), &json!(12.5)));
    assert_eq!(made["expires_at"], 4_000_000_000_u64);
    let (key, id) = (made["key"].as_str().expect("a key"), made["id"].as_str().expect("an id"));
    assert_eq!(client.chat_as(key, &ask("hi")).await.status, 200);
    let list = client.get_as(&account.key, "/v1/keys").await.json();
    assert_eq!(list["object"], "list");
    assert!(list["data"][1].get("key").is_none() && list["data"][1]["id"] == id);
    let gone = client.send_as(&account.key, "DELETE", &format!("/v1/keys/{id}")).await.json();
    assert_eq!(gone, json!({"object": "api_key.deleted", "id": id, "deleted": true}));
    assert_eq!(client.get_as(key, "/v1/account").await.status, 401);
    for (body, param) in [
        (json!({"limit_credits": 0}), "limit_credits"),
        (json!({"limit_credits": 1e-7}), "limit_credits"),
        (json!({"expires_at": 1}), "expires_at"),
        (json!({"limit": 1}), "limit"),
    ] {
        let answer = client.post_as(&account.key, "/v1/keys", &body).await;
        assert_eq!((answer.status, answer.json()["error"]["param"].as_str()), (400, Some(param)), "{body}");
    }
    let patch = client.send_as(&account.key, "PATCH", &format!("/v1/keys/{id}")).await;
    assert_eq!((patch.status, patch.header("allow")), (405, Some("DELETE, GET, HEAD")));
}

#[tokio::test]
async fn a_limited_key_cannot_free_itself() {
    let (_alpha, router) = with_accounts(Setup::new().accounts()).await;
    let account = router.sign_up().await;
    let client = &mut router.client().await;
    let own = client.get_as(&account.key, "/v1/keys").await.json()["data"][0]["id"].clone();
    let own = own.as_str().expect("an id");
    for limit in [json!({"limit_credits": 1}), json!({"expires_at": 4_000_000_000_u64})] {
        let made = client.post_as(&account.key, "/v1/keys", &limit).await.json();
        let key = made["key"].as_str().expect("a key");
        let tries = [
            client.post_as(key, "/v1/keys", &json!({})).await,
            client.get_as(key, "/v1/keys").await,
            client.get_as(key, &format!("/v1/keys/{own}")).await,
            client.send_as(key, "DELETE", &format!("/v1/keys/{own}")).await,
        ];
        for answer in tries {
            assert_eq!((answer.status, code(&answer).as_str()), (403, "permission_denied"), "{limit}");
        }
        assert_eq!(client.get_as(key, "/v1/account").await.status, 200, "it may look");
    }
    assert_eq!(client.get_as(&account.key, "/v1/account").await.status, 200, "nothing was revoked");
}

#[tokio::test]
async fn a_key_ends_when_it_says() {
    let (_alpha, router) = with_accounts(Setup::new().accounts()).await;
    let account = router.sign_up().await;
    let client = &mut router.client().await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let body = json!({"expires_at": now.as_secs() + 2});
    let made = client.post_as(&account.key, "/v1/keys", &body).await;
    assert_eq!(made.status, 201);
    let made = made.json();
    let key = made["key"].as_str().expect("a key");
    let asked = std::time::Instant::now();
    while client.get_as(key, "/v1/account").await.status != 401 {
        assert!(asked.elapsed() < PATIENCE, "it goes on");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(client.chat_as(key, &ask("hi")).await.status, 401);
}

#[tokio::test]
async fn two_tenants_never_see_each_others_anything() {
    let (_alpha, router) = with_accounts(Setup::new().accounts()).await;
    let (ada, bob) = (router.sign_up().await, router.sign_up().await);
    let client = &mut router.client().await;
    let answer = client.chat_as(&ada.key, &ask("hi")).await;
    let generation = answer.json()["id"].as_str().expect("an id").to_owned();
    let keys = client.get_as(&ada.key, "/v1/keys").await.json();
    let key_id = keys["data"][0]["id"].as_str().expect("an id").to_owned();

    let path = format!("/v1/generation?id={generation}");
    assert_eq!(client.get_as(&ada.key, &path).await.status, 200);
    let (theirs, nobodys) = (
        client.get_as(&bob.key, &path).await,
        client.get_as(&bob.key, "/v1/generation?id=gen-1-nobody").await,
    );
    assert_eq!((theirs.status, &theirs.body), (404, &nobodys.body), "as if it were not there");
    for path in [format!("/v1/keys/{key_id}"), format!("/api/v1/keys/{key_id}")] {
        assert_eq!(client.get_as(&bob.key, &path).await.status, 404);
        assert_eq!(client.send_as(&bob.key, "DELETE", &path).await.status, 404);
    }
    assert_eq!(client.get_as(&ada.key, "/v1/account").await.status, 200, "still there");
    let owned = client.get_as(&bob.key, "/v1/keys").await.json();
    assert_eq!(owned["data"].as_array().expect("a list").len(), 1);
    assert_ne!(owned["data"][0]["id"], key_id.as_str());
    for path in ["/v1/activity", "/v1/transactions", "/v1/usage", "/v1/account", "/v1/credits"] {
        let answer = client.get_as(&bob.key, path).await;
        assert_eq!(answer.status, 200, "{path}");
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(!body.contains(&generation) && !body.contains(&ada.id), "{body}");
    }
    assert_eq!(client.get_as(&bob.key, "/v1/activity").await.json()["data"], json!([]));
    assert_eq!(router.balance_ucr(&bob).await, GRANT_UCR);
}
