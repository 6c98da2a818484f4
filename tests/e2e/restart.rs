//! What is used of the providers' limits outlives the process.

use crate::board::per_day;
use crate::harness::{Router, Setup, ask, with, within};
use crate::pool::row;
use crate::provider::Provider;
use crate::script::Script;
use serde_json::json;
use std::path::Path;

/// In front of a provider that allows two requests a day.
async fn router(alpha: &Provider) -> Router {
    Setup::new().config(&per_day("alpha", 2)).provider(alpha).start().await
}

async fn alpha() -> Provider {
    Provider::start("alpha", [Script::answer("A")]).await
}

/// The statuses of so many requests for a model. It is named, since strong ones are kept from easy requests.
async fn statuses(router: &Router, model: &str, count: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..count {
        let request = with(ask("hi"), json!({"model": model}));
        statuses.push(router.client().await.chat(&request).await.status);
    }
    statuses
}

fn untouched(_: &Path) {}

#[tokio::test]
async fn a_spent_day_stays_spent_over_a_restart() {
    let alpha = alpha().await;
    let router = router(&alpha).await;
    assert_eq!(statuses(&router, "alpha/chat:free", 3).await, [200, 200, 429]);
    let router = router.restart("TERM", untouched).await;
    assert_eq!(statuses(&router, "alpha/chat:free", 1).await, [429]);
    assert_eq!(alpha.requests().len(), 2, "it is not asked what it has left");
}

#[tokio::test]
async fn a_killed_process_loses_no_more_than_its_last_seconds() {
    let alpha = alpha().await;
    let router = router(&alpha).await;
    assert_eq!(statuses(&router, "alpha/chat:free", 2).await, [200, 200]);
    let is_written = || {
        let text = std::fs::read_to_string(router.data_dir().join("quota.json")).unwrap_or_default();
        text.contains("\"used\":2,\"limit\":2")
    };
    within("the file", async { while router.metrics().await.is_empty() || !is_written() {} }).await;
    let router = router.restart("KILL", untouched).await;
    assert_eq!(statuses(&router, "alpha/chat:free", 1).await, [429]);
}

#[tokio::test]
async fn models_that_are_listed_after_the_start_find_what_they_used() {
    let alpha = alpha().await;
    alpha.lists(Script::json(200, json!({"data": [row("alpha/chat", json!({}))]})));
    let router = Setup::new().config(&per_day("alpha", 2)).listed(&alpha, "openrouter").start().await;
    assert_eq!(statuses(&router, "alpha/chat", 2).await, [200, 200]);
    let router = router.restart("TERM", untouched).await;
    assert_eq!(statuses(&router, "alpha/chat", 1).await, [429]);
}

#[tokio::test]
async fn a_damaged_file_is_spoken_of_and_does_not_keep_it_from_starting() {
    let alpha = alpha().await;
    let router = router(&alpha).await;
    assert_eq!(statuses(&router, "alpha/chat:free", 2).await, [200, 200]);
    let damage = |folder: &Path| {
        let path = folder.join("quota.json");
        let text = std::fs::read_to_string(&path).expect("it was written at the end");
        std::fs::write(path, &text[..text.len() / 2]).expect("a file");
    };
    let router = router.restart("TERM", damage).await;
    assert_eq!(statuses(&router, "alpha/chat:free", 1).await, [200]);
    let said =
        async { while !router.logs().contains("is not known") && !router.metrics().await.is_empty() {} };
    within("it to be said", said).await;
    assert_eq!(router.logs().matches("is not known").count(), 1, "{}", router.logs());
}
