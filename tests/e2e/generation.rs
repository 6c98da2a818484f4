//! What was charged, looked up later: one answer, days, entries, figures.

use crate::client::Answer;
use crate::harness::{Router, Setup, ask, streamed, ucr};
use crate::provider::Provider;
use crate::script::Script;
use serde_json::{Value, json};

/// 14 tokens in and 3 out, as in the price list's example.
const COST_UCR: i64 = 5_800;

async fn priced() -> (Provider, Router) {
    let alpha = Provider::start("alpha", [Script::answer("Paris")]).await;
    let router = Setup::new().provider(&alpha).accounts().limits("free_per_minute = 0").start().await;
    (alpha, router)
}

fn rows(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    answer.json()["data"].as_array().expect("a list").clone()
}

#[tokio::test]
async fn an_answer_is_found_by_its_id_with_every_field() {
    let (_alpha, router) = priced().await;
    let account = router.sign_up().await;
    let client = &mut router.client().await;
    for (request, is_streamed) in [(ask("hi"), false), (streamed(ask("hi")), true)] {
        let answer = client.chat_as(&account.key, &request).await;
        let id = answer.header("x-generation-id").expect("an id").to_owned();
        for base in ["/v1", "/api/v1"] {
            let found = client.get_as(&account.key, &format!("{base}/generation?id={id}")).await;
            assert_eq!(found.status, 200);
            let found = found.json()["data"].clone();
            for field in [
                "upstream_id",
                "request_id",
                "provider_responses",
                "created_at",
                "native_finish_reason",
                "latency",
                "generation_time",
                "moderation_latency",
                "native_tokens_reasoning",
                "native_tokens_cached",
                "native_tokens_completion_images",
                "num_media_prompt",
                "upstream_inference_cost",
                "cache_discount",
                "origin",
                "http_referer",
                "user_agent",
                "external_user",
                "session_id",
                "preset_id",
                "service_tier",
                "data_region",
                "workspace_id",
                "web_search_engine",
            ] {
                assert!(found.get(field).is_some(), "{field}");
            }
            assert_eq!((&found["id"], &found["streamed"]), (&json!(id), &json!(is_streamed)));
            assert_eq!(
                (&found["model"], &found["provider_name"]),
                (&json!("alpha/chat:free"), &json!("ALPHA Inc"))
            );
            assert_eq!((&found["tokens_prompt"], &found["tokens_completion"]), (&json!(14), &json!(3)));
            assert_eq!((&found["total_cost"], &found["usage"]), (&json!(0.000058), &json!(0.000058)));
            assert_eq!((&found["finish_reason"], &found["cancelled"]), (&json!("stop"), &json!(false)));
            assert_eq!(
                (&found["router"], &found["api_type"]),
                (&json!("openrouter/auto"), &json!("completions"))
            );
            assert_eq!((&found["is_byok"], &found["usage_source"]), (&json!(false), &json!("reported")));
        }
    }
    assert_eq!(router.balance_ucr(&account).await, 1_000_000_000 - 2 * COST_UCR);
    let missing = client.get_as(&account.key, "/v1/generation").await;
    assert_eq!((missing.status, &missing.json()["error"]["param"]), (400, &json!("id")));
    let unknown = client.get_as(&account.key, "/api/v1/generation?id=gen-1-none").await;
    assert_eq!((unknown.status, &unknown.json()["error"]["code"]), (404, &json!(404)));
}

#[tokio::test]
async fn dollars_and_credits_agree() {
    let (_alpha, router) = priced().await;
    let account = router.sign_up().await;
    router.credit(&account, "12.5").await;
    let client = &mut router.client().await;
    client.chat_as(&account.key, &ask("hi")).await;
    for base in ["/v1", "/api/v1"] {
        let credits = client.get_as(&account.key, &format!("{base}/credits")).await.json();
        assert_eq!(credits, json!({"data": {"total_credits": 10.125, "total_usage": 0.000058}}));
        let key = client.get_as(&account.key, &format!("{base}/key")).await.json()["data"].clone();
        for field in ["usage", "usage_daily", "usage_weekly", "usage_monthly"] {
            assert_eq!(key[field], 0.000058, "{field}");
        }
        assert_eq!((&key["limit"], &key["limit_remaining"]), (&Value::Null, &Value::Null));
        assert_eq!((&key["is_free_tier"], &key["creator_user_id"]), (&json!(false), &json!(account.id)));
        assert_eq!(key["free_model_daily_requests"], json!({"used": 1, "limit": 1000, "remaining": 999}));
    }
    let own = client.get_as(&account.key, "/v1/account").await.json();
    assert_eq!(ucr(&own["balance_credits"]), 1_012_500_000 - COST_UCR);
    assert_eq!(own["balance_usd"], 10.124942);
    assert_eq!((&own["tier"], &own["limits"]["requests_per_day"]), (&json!("funded"), &json!(1000)));
}

#[tokio::test]
async fn usage_is_told_by_day_and_model() {
    let (_alpha, router) = priced().await;
    let account = router.sign_up().await;
    let client = &mut router.client().await;
    for _ in 0..3 {
        client.chat_as(&account.key, &ask("hi")).await;
    }
    let activity = rows(&client.get_as(&account.key, "/api/v1/activity").await);
    // Unless it was midnight just then.
    let requests: u64 = activity.iter().filter_map(|row| row["requests"].as_u64()).sum();
    assert_eq!(requests, 3);
    assert_eq!(
        (&activity[0]["model"], &activity[0]["provider_name"]),
        (&json!("alpha/chat:free"), &json!("ALPHA Inc"))
    );
    let date = activity[0]["date"].as_str().expect("a date");
    let of_day = rows(&client.get_as(&account.key, &format!("/api/v1/activity?date={date}")).await);
    assert_eq!(of_day, [activity[0].clone()]);

    let usage = client.get_as(&account.key, "/v1/organization/usage/completions?group_by[]=model").await;
    let page = usage.json();
    assert_eq!(
        (&page["object"], &page["has_more"]),
        (&json!("page"), &json!(true)),
        "eight days touch seven"
    );
    let next = page["next_page"].as_str().expect("a page");
    let last = client.get_as(&account.key, &format!("/v1/usage?group_by=model&page={next}")).await;
    let results: Vec<_> = [usage, last]
        .iter()
        .flat_map(rows)
        .flat_map(|bucket| bucket["results"].as_array().expect("results").clone())
        .collect();
    let sum = |field: &str| results.iter().filter_map(|r| r[field].as_u64()).sum::<u64>();
    assert_eq!((sum("input_tokens"), sum("output_tokens"), sum("num_model_requests")), (42, 9, 3));
    assert!(results.iter().all(|r| r["model"] == "alpha/chat:free"));
    assert_eq!(results.iter().map(|r| ucr(&r["charged_credits"])).sum::<i64>(), 3 * COST_UCR);
    for (query, param) in [
        ("usage?start_time=x", "start_time"),
        ("usage?bucket_width=1m", "bucket_width"),
        ("usage?start_time=1&end_time=40000000", "start_time"),
        ("activity?date=tomorrow", "date"),
        ("transactions?limit=101", "limit"),
        ("transactions?after=x", "after"),
        ("account?colour=red", "colour"),
    ] {
        let answer = client.get_as(&account.key, &format!("/v1/{query}")).await;
        assert_eq!((answer.status, answer.json()["error"]["param"].as_str()), (400, Some(param)), "{query}");
    }
}

#[tokio::test]
async fn entries_come_latest_first_page_by_page_and_add_up() {
    let (_alpha, router) = priced().await;
    let account = router.sign_up().await;
    let client = &mut router.client().await;
    for _ in 0..4 {
        client.chat_as(&account.key, &ask("hi")).await;
    }
    router.credit(&account, "0.000001").await;
    let (mut entries, mut after) = (Vec::new(), String::new());
    loop {
        let page = client.get_as(&account.key, &format!("/v1/transactions?limit=4{after}")).await;
        entries.extend(rows(&page));
        match page.json()["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    let kinds: Vec<_> = entries.iter().map(|e| e["type"].as_str().expect("a type")).collect();
    assert_eq!(kinds, ["topup", "charge", "charge", "charge", "charge", "grant"]);
    let amounts: Vec<_> = entries.iter().map(|e| ucr(&e["amount_credits"])).collect();
    assert_eq!(amounts, [1, -COST_UCR, -COST_UCR, -COST_UCR, -COST_UCR, 1_000_000_000]);
    assert_eq!(ucr(&entries[0]["balance_credits"]), amounts.iter().sum::<i64>());
    assert_eq!(entries[1]["generation"]["prompt_tokens"], 14);
    let seen = router.admin("GET", &format!("/accounts/{}/transactions", account.id), "").await;
    assert_eq!(rows(&seen), entries);
}
