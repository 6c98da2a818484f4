use super::*;
use crate::catalog::{Catalog, Model, Provider, Secret};
use crate::routing::Cause;
use crate::routing::verdict::{Effect, Scope};
use crate::upstream::{Outcome, Pool};
use std::sync::Arc;

/// 2026-08-22 12:00 UTC.
const T: u64 = 1_787_400_000_000;

/// A model of one provider with two keys, 30 requests a minute and 100 a day.
fn snapshot() -> Snapshot {
    #[derive(serde::Deserialize)]
    struct Rows {
        limits: Vec<crate::catalog::Limit>,
    }
    let limits = "limits = [{ per = \"minute\", requests = 30 }, { per = \"day\", requests = 100 }]";
    let rows: Rows = toml::from_str(limits).expect("limits");
    let base = "http://127.0.0.1:1/v1".parse().expect("a URL");
    let mut provider = Provider::new("groq", base);
    provider.quotas.limits = rows.limits;
    provider.keys = ["first-key", "second-key"].into_iter().filter_map(Secret::new).collect();
    let model = Model { id: "m".to_owned(), quality: 0.8, ..Model::default() };
    let endpoint = Endpoint::new(Arc::new(provider), model, "m".to_owned());
    Snapshot::new(Catalog::new(vec![endpoint]), &Pool::new())
}

fn used(snapshot: &Snapshot, times: u32, now_ms: u64) {
    for _ in 0..times {
        snapshot.states[0].begin(10, now_ms).expect("room").sent();
    }
}

fn fail(snapshot: &Snapshot, effect: Effect) {
    let guard = snapshot.states[0].begin(1, T).expect("room");
    guard.observe(Outcome::Failed { effect, took_ms: 5 }, T);
}

fn only(snapshot: &Snapshot) -> Value {
    let mut rows = of_model(snapshot, "m", T);
    assert_eq!(rows.len(), 1);
    rows.remove(0)
}

#[test]
fn what_is_left_of_each_limit_is_said_with_its_end() {
    let snapshot = snapshot();
    used(&snapshot, 3, T);
    let row = only(&snapshot);
    assert_eq!((&row["state"], &row["reason"], &row["until"]), (&json!("open"), &json!(null), &json!(null)));
    let limits = row["limits"].as_array().expect("limits");
    let day =
        limits.iter().filter(|l| l["period"] == "day" && l["unit"] == "requests" && l["scope"] == "model");
    let used: u64 = day.clone().filter_map(|l| l["used"].as_u64()).sum();
    assert_eq!(used, 3, "{row}");
    for limit in day {
        assert_eq!(limit["remaining"].as_u64(), limit["used"].as_u64().map(|used| 100 - used));
        assert_eq!(limit["resets"], json!(T / 1000 + 12 * 3600));
    }
}

#[test]
fn why_an_endpoint_is_not_called_is_said_and_until_when() {
    let snapshot = snapshot();
    fail(&snapshot, Effect::Fail { scope: Scope::Model, cause: Cause::Timeout });
    let row = only(&snapshot);
    assert_eq!((&row["state"], &row["reason"]), (&json!("cooling"), &json!("timeout")));
    assert!(row["until"].as_u64().is_some_and(|until| until > T / 1000), "{row}");
    assert_eq!((&row["recent"]["attempts"], &row["recent"]["failures"]), (&json!(1), &json!(1)));
    assert_eq!(counts(&snapshot, T), json!({ "open": 0, "kept": 0, "cooling": 1, "out": 0 }));
}

#[test]
fn a_strong_endpoint_ahead_of_its_day_is_kept() {
    let snapshot = snapshot();
    // Noon: half of the day has passed, and more than half of 100 a key is used.
    (0..8).for_each(|minute| used(&snapshot, 20, T - 600_000 + minute * 61_000));
    assert_eq!(only(&snapshot)["state"], "kept");
}

#[test]
fn keys_are_positions_and_for_the_operator_only() {
    let snapshot = snapshot();
    fail(&snapshot, Effect::DisableKey(Cause::BadKey));
    let board = all(&snapshot, T);
    let keys = board["endpoints"][0]["keys"].as_array().expect("keys");
    let state = |at: usize| keys[at]["state"].as_str().expect("a state");
    assert_eq!([state(0), state(1)], ["disabled", "open"]);
    assert!(only(&snapshot).get("keys").is_none());
    assert!(!board.to_string().contains("first-key") && !board.to_string().contains("second-key"));
}

#[test]
fn openrouter_has_its_own_words() {
    let snapshot = snapshot();
    let rows = openrouter_endpoints(&snapshot, "m", T);
    assert_eq!((&rows[0]["status"], &rows[0]["uptime_last_5m"]), (&json!(0), &json!(null)));
    fail(&snapshot, Effect::DropModel);
    let rows = openrouter_endpoints(&snapshot, "m", T);
    assert_eq!((&rows[0]["status"], &rows[0]["uptime_last_5m"]), (&json!(-10), &json!(0.0)));
    assert_eq!(rows[0]["freeway"]["reason"], "model_gone");
    assert!(openrouter_endpoints(&snapshot, "other", T).is_empty());
}
