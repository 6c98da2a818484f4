//! The truth board: what callers and the operator see of endpoints, their limits and their keys.

use crate::harness::{Router, Setup, ask, with};
use crate::pool::row;
use crate::provider::Provider;
use crate::script::Script;
use serde_json::{Value, json};

/// Lines for a provider of [`Setup`]: what it allows a day.
pub fn per_day(slug: &str, requests: u32) -> String {
    format!("[[provider]]\nslug = {slug:?}\nlimits = [{{ per = \"day\", requests = {requests} }}]")
}

async fn endpoint(router: &Router, id: &str) -> Value {
    let answer = router.client().await.get(&format!("/v1/models/{id}")).await.json();
    let endpoints = answer["endpoints"].as_array().expect("endpoints");
    assert_eq!(endpoints.len(), 1, "{answer}");
    endpoints[0].clone()
}

#[tokio::test]
async fn a_model_says_what_its_endpoints_do_and_why() {
    let wait = Script::error(429, "rate_limit_exceeded", "slow down").header("retry-after", "90");
    let alpha = Provider::start("alpha", [wait]).await;
    let beta = Provider::start("beta", [Script::answer("B")]).await;
    let router = Router::start(&[&alpha, &beta]).await;
    let client = &mut router.client().await;
    let before = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    assert_eq!(client.chat(&ask("hi")).await.text(), "B");

    let cooling = endpoint(&router, "alpha/chat:free").await;
    assert_eq!((&cooling["state"], &cooling["reason"]), (&json!("cooling"), &json!("rate_limited")));
    assert!(cooling["until"].as_u64().is_some_and(|until| until >= before.as_secs() + 60), "{cooling}");
    assert_eq!((&cooling["recent"]["attempts"], &cooling["recent"]["failures"]), (&json!(1), &json!(1)));
    let open = endpoint(&router, "beta/chat:free").await;
    assert_eq!((&open["state"], &open["recent"]["failures"]), (&json!("open"), &json!(0)));
    let auto = client.get("/v1/models/auto").await.json();
    assert_eq!(auto["endpoints"], json!({"open": 1, "kept": 0, "cooling": 1, "out": 0}));

    let theirs = client.get("/api/v1/models/alpha/chat:free/endpoints").await.json();
    assert_eq!(theirs["data"]["id"], "alpha/chat:free");
    let row = &theirs["data"]["endpoints"][0];
    assert_eq!((&row["provider_name"], &row["status"]), (&json!("ALPHA Inc"), &json!(-1)));
    assert_eq!(client.get("/api/v1/models/no/such/endpoints").await.status, 404);
}

#[tokio::test]
async fn what_is_left_of_a_day_is_told_to_callers_and_to_prometheus() {
    let alpha = Provider::start("alpha", [Script::answer("A")]).await;
    let router = Setup::new().config(&per_day("alpha", 5)).provider(&alpha).start().await;
    for _ in 0..2 {
        router.client().await.chat(&ask("hi")).await;
    }
    let endpoint = endpoint(&router, "alpha/chat:free").await;
    let limits = endpoint["limits"].as_array().expect("limits");
    let of = |l: &&Value| l["scope"] == "model" && l["period"] == "day" && l["unit"] == "requests";
    let day = limits.iter().find(of).expect("the day");
    assert_eq!((&day["used"], &day["limit"], &day["remaining"]), (&json!(2), &json!(5), &json!(3)), "{day}");
    assert!(day["resets"].is_u64() && day["key"] == 0, "{day}");
    let page = router.metrics().await;
    let labels = "key=\"0\",of=\"alpha/alpha/chat:free\",period=\"day\",scope=\"model\",unit=\"requests\"";
    assert!(page.contains(&format!("freeway_quota_remaining{{{labels}}} 3\n")), "{page}");
    assert!(page.contains(&format!("freeway_quota_used_ratio{{{labels}}} 0.4\n")), "{page}");
}

#[tokio::test]
async fn the_plain_list_stays_lean() {
    let alpha = Provider::start("alpha", [Script::answer("A")]).await;
    let router = Router::start(&[&alpha]).await;
    let client = &mut router.client().await;
    for base in ["/v1/models", "/api/v1/models"] {
        let rows = |list: Value| list["data"].as_array().expect("a list").clone();
        let plain = rows(client.get(base).await.json());
        assert!(plain.iter().all(|row| row.get("endpoints").is_none()));
        let detailed = rows(client.get(&format!("{base}?detail=true")).await.json());
        assert_eq!(detailed.len(), plain.len());
        assert!(detailed.iter().all(|row| row.get("endpoints").is_some()));
    }
}

#[tokio::test]
async fn the_operator_sees_which_key_was_refused_and_not_what_it_is() {
    let refused = Script::error(401, "invalid_api_key", "bad key");
    let alpha = Provider::start("alpha", [refused, Script::answer("A")]).await;
    let router = Router::start(&[&alpha]).await;
    router.client().await.chat(&with(ask("hi"), json!({"model": "alpha/chat:free"}))).await;
    let board = router.admin("GET", "/endpoints", "").await;
    let text = String::from_utf8_lossy(&board.body).into_owned();
    let row = &board.json()["endpoints"][0];
    assert_eq!((&row["state"], &row["reason"]), (&json!("out"), &json!("bad_key")), "{row}");
    assert_eq!(row["keys"][0]["state"], "disabled");
    assert!(!text.contains("sk-alpha-secret"), "{text}");
    let page = router.metrics().await;
    assert!(page.contains("freeway_key_disabled{key=\"0\",provider=\"alpha\"} 1\n"), "{page}");
    assert!(page.contains("freeway_endpoint_state{endpoint=\"alpha/alpha/chat:free\",state=\"out\"} 1\n"));
}

#[tokio::test]
async fn the_operator_sees_what_is_listed_and_not_served() {
    let alpha = Provider::start("alpha", [Script::answer("A")]).await;
    let paid = json!({"pricing": {"prompt": "0.1", "completion": "0"}});
    let rows = json!([row("good/one:free", json!({})), row("paid/two", paid)]);
    alpha.lists(Script::json(200, json!({"data": rows})));
    let router = Setup::new().listed(&alpha, "openrouter").start().await;
    let board = router.admin("GET", "/endpoints", "").await.json();
    let left_out = &board["left_out"][0];
    assert_eq!((&left_out["provider"], &left_out["id"]), (&json!("alpha"), &json!("paid/two")), "{board}");
    assert!(left_out["why"].as_str().is_some_and(|why| why.contains("free")), "{board}");
    assert_eq!((&board["lists"][0]["served"], &board["lists"][0]["left_out"]), (&json!(1), &json!(1)));
}
