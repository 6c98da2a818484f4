//! When everything fails, or the best provider stops answering: failures are not multiplied, and nobody waits
//! twice for the same silence.

use crate::client::Client;
use crate::harness::{Model, Setup, ask, streamed};
use crate::provider::Provider;
use crate::script::Script;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const CLIENTS: usize = 4;
const REQUESTS: usize = 500;

/// Everything fails in this way; attempts and time are bounded, and each client hears one of these statuses.
async fn storm(script: fn() -> Script, statuses: &[u16]) {
    let (mut providers, mut setup) = (Vec::new(), Setup::new());
    for slug in ["alpha", "beta", "gamma", "delta", "epsilon"] {
        let provider = Provider::start(slug, [script()]).await;
        let models: Vec<_> = (0..4).map(|i| Model::new(slug, &format!("m{i}"))).collect();
        setup = setup.models(&provider, &models);
        providers.push(provider);
    }
    let router = setup.start().await;
    let (addr, began) = (router.addr, Instant::now());
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        clients.spawn(async move {
            let mut connection = Client::connect(addr).await;
            let mut heard = Vec::new();
            for number in 0..REQUESTS / CLIENTS {
                let asked = Instant::now();
                let request = ask("hi");
                let request = if (number + client).is_multiple_of(2) { request } else { streamed(request) };
                heard.push((connection.chat(&request).await.status, asked.elapsed()));
            }
            heard
        });
    }
    let heard: Vec<_> = clients.join_all().await.into_iter().flatten().collect();
    let took = began.elapsed();
    let attempts: usize = providers.iter().map(|provider| provider.requests().len()).sum();
    let slowest = heard.iter().map(|(_, took)| *took).max().expect("requests");
    println!("{attempts} attempts for {REQUESTS} requests in {took:.1?}, the slowest {slowest:.1?}");
    assert!(heard.iter().all(|(status, _)| statuses.contains(status)), "{heard:?}");
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    // The ten a second are counted over three seconds.
    let most = REQUESTS * 12 / 10 + 10 * (usize::try_from(took.as_secs()).expect("short") + 4);
    assert!(attempts >= REQUESTS, "nobody is turned away untried: {attempts}");
    assert!(attempts <= most, "{attempts} attempts, not {most}");
}

#[tokio::test]
async fn when_every_provider_fails_failures_are_not_multiplied() {
    storm(|| Script::error(500, "server_error", "oops"), &[502]).await;
}

#[tokio::test]
async fn when_every_provider_hangs_up_failures_are_not_multiplied() {
    storm(|| Script::HangUp, &[502]).await;
}

#[tokio::test]
async fn when_every_answer_is_empty_failures_are_not_multiplied() {
    storm(|| Script::stream().role().finish("stop").done(), &[502]).await;
}

#[tokio::test]
async fn a_provider_that_falls_silent_costs_one_wait_and_is_avoided() {
    let mut answers = vec![Script::answer("first"); 3];
    answers.push(Script::Silent);
    let first = Provider::start("alpha", answers).await;
    let second = Provider::start("beta", [Script::answer("second")]).await;
    let setup = Setup::new().provider(&first).provider(&second);
    let router = setup.timeouts("first_token_ms = 1500").start().await;
    let client = &mut router.client().await;
    let mut waits = 0;
    for number in 0..40 {
        let asked = Instant::now();
        let answer = client.chat(&streamed(ask("hi"))).await;
        waits += usize::from(asked.elapsed() > Duration::from_millis(1_400));
        assert_eq!(answer.text(), if number < 3 { "first" } else { "second" });
    }
    assert_eq!(first.requests().len(), 4, "asked once while it was silent");
    assert!(waits >= 1, "that one waited");
}
