//! The Prometheus page: well-formed, moving with traffic, labelled from closed sets.

use crate::harness::{Router, Setup, ask, streamed, with};
use crate::provider::Provider;
use crate::script::Script;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Every sample of a page by its series.
fn samples(page: &str) -> BTreeMap<&str, f64> {
    let lines = page.lines().filter(|l| !l.starts_with('#') && !l.is_empty());
    lines
        .map(|l| l.rsplit_once(' ').expect("a value"))
        .map(|(s, v)| (s, v.parse().expect("a number")))
        .collect()
}

/// The sum over the series of this name whose labels contain all of these.
fn sum(page: &str, name: &str, labels: &[&str]) -> f64 {
    let samples = samples(page);
    let matching = samples.iter().filter(|(series, _)| {
        series.split('{').next() == Some(name) && labels.iter().all(|l| series.contains(l))
    });
    matching.map(|(_, value)| value).sum()
}

async fn page_after_traffic() -> String {
    let first = Provider::start("alpha", [Script::error(500, "a", "b"), Script::answer("A")]).await;
    let second = Provider::start("beta", [Script::answer("B")]).await;
    let router = Setup::new().provider(&first).provider(&second).start().await;
    let client = &mut router.client().await;
    assert_eq!(client.chat(&ask("hi")).await.text(), "B");
    for _ in 0..2 {
        let named = with(streamed(ask("hi")), json!({"model": "beta/chat:free"}));
        assert_eq!(client.chat(&named).await.status, 200);
    }
    assert_eq!(client.chat(&json!({"messages": []})).await.status, 400);
    assert_eq!(client.chat(&with(ask("hi"), json!({"model": "no/such"}))).await.status, 404);
    assert_eq!(client.get("/nothing").await.status, 404);
    router.accessed(5).await;
    router.metrics().await
}

#[tokio::test]
async fn every_series_is_described_and_named_alike() {
    let page = page_after_traffic().await;
    let described = |kind: &str| -> BTreeSet<&str> {
        let lines = page.lines().filter_map(|l| l.strip_prefix(kind));
        lines.map(|l| l.split(' ').next().expect("a name")).collect()
    };
    let (help, types) = (described("# HELP "), described("# TYPE "));
    assert_eq!(help, types);
    for series in samples(&page).keys() {
        let name = series.split('{').next().expect("a name");
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|s| name.strip_suffix(s)).unwrap_or(name);
        assert!(types.contains(name) || types.contains(base), "{name} has a type");
    }
    assert!(types.iter().filter(|t| t.starts_with("freeway_")).count() >= 10, "{types:?}");
    assert!(types.contains("freeway_build_info"), "{types:?}");
}

#[tokio::test]
async fn counters_move_with_the_traffic() {
    let page = page_after_traffic().await;
    let requests = sum(&page, "freeway_requests_total", &[]);
    assert!(requests >= 5.0, "{requests} requests in\n{page}");
    assert!(sum(&page, "freeway_attempts_total", &["alpha"]) >= 1.0, "{page}");
    assert!(sum(&page, "freeway_attempts_total", &["beta"]) >= 3.0, "{page}");
    assert_eq!(sum(&page, "freeway_failovers_total", &["alpha"]), 1.0, "{page}");
    for histogram in ["freeway_first_token_seconds_count", "freeway_request_duration_seconds_count"] {
        assert!(sum(&page, histogram, &[]) >= 2.0, "{histogram} in\n{page}");
    }
    let tokens: f64 =
        samples(&page).iter().filter(|(s, _)| s.starts_with("freeway_tokens_total")).map(|(_, v)| v).sum();
    assert!(tokens >= 51.0, "three answers of 14 and 3 in\n{page}");
}

#[tokio::test]
async fn what_clients_send_makes_no_new_series() {
    let alpha = Provider::start("alpha", [Script::answer("A")]).await;
    let router = Router::start(&[&alpha]).await;
    let client = &mut router.client().await;
    let names = |page: &str| samples(page).len();
    let mut sizes = BTreeSet::new();
    for round in 0..3 {
        for n in 0..5 {
            let request =
                with(ask("hi"), json!({"model": format!("no/such-{round}-{n}"), "user": format!("u{n}")}));
            assert_eq!(client.chat(&request).await.status, 404);
            assert_eq!(client.get(&format!("/nothing/{round}/{n}")).await.status, 404);
        }
        assert_eq!(client.chat(&ask("hi")).await.status, 200);
        router.accessed((round + 1) * 6).await;
        sizes.insert(names(&router.metrics().await));
    }
    assert_eq!(sizes.len(), 1, "{sizes:?}");
}

#[tokio::test]
async fn promtool_finds_nothing_to_complain_about() {
    let page = page_after_traffic().await;
    let started = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = started else {
        eprintln!("skipped: promtool is not installed (Debian package `prometheus`)");
        return;
    };
    let mut input = promtool.stdin.take().expect("piped");
    input.write_all(page.as_bytes()).await.expect("it reads");
    drop(input);
    let output = promtool.wait_with_output().await.expect("it ends");
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}
