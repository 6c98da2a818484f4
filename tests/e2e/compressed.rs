//! A pool of limited providers under load, with minutes of three seconds and days of a minute.
//!
//! The providers enforce their limits themselves: what they refuse, the mirror has not foreseen. Requests come
//! at the pace of a clock here, since pace is what is tested; no assertion depends on single moments.

use crate::client::Client;
use crate::enforced::{Enforced, Rule, now_ms};
use crate::harness::{Router, Setup, ask, streamed};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// What stands for a minute.
const MINUTE_MS: u64 = 3_000;
/// What the pool takes in such a minute: 12, 9 and 8 requests, and 800 tokens in requests of 80. Another 40
/// for each day are not counted.
const A_MINUTE: f64 = 12.0 + 9.0 + 8.0 + 10.0;
/// Of each load, in such minutes. The first of them are not counted: nothing has been used yet.
const MINUTES: (u64, u64) = (2, 3);

async fn pool() -> (Vec<Enforced>, Router) {
    use Rule::{AtOnce, Clock, Sliding, Tokens};
    const M: u64 = MINUTE_MS;
    let pool = [
        ("alpha", &[Sliding(M, 12)][..], "{ per = \"3s\", requests = 12 }", ""),
        ("beta", &[Clock(M, 9)], "{ per = \"3s\", requests = 9 }", ""),
        ("gamma", &[Sliding(M, 8), AtOnce(4)], "{ per = \"3s\", requests = 8 }", "max_concurrency = 4"),
        ("delta", &[Tokens(M, 800)], "{ per = \"3s\", tokens = 800 }", ""),
        (
            "epsilon",
            &[Sliding(M, 4), Clock(60_000, 40)],
            "{ per = \"3s\", requests = 4 }, { per = \"60s\", requests = 40, window = \"calendar\" }",
            "",
        ),
    ];
    let mut setup = Setup::new().config("[queue]\nmax_per_account = 256");
    let mut providers = Vec::new();
    for (slug, rules, limits, more) in pool {
        let provider = Enforced::start(slug, rules).await;
        setup = setup.provider_with(&provider.provider, &format!("limits = [{limits}]\n{more}"));
        providers.push(provider);
    }
    let router = setup.start().await;
    (providers, router)
}

/// What came of a load.
struct Run {
    asked: usize,
    answered: usize,
    /// Answers that began in the minutes that count.
    steady: usize,
}

/// Asks at this multiple of what the pool takes.
async fn load(router: &Router, providers: &[Enforced], share: f64) -> Run {
    let (warm, counted) = MINUTES;
    let apart = Duration::from_secs_f64(MINUTE_MS as f64 / 1_000.0 / (A_MINUTE * share));
    let asked = (A_MINUTE * share * (warm + counted) as f64) as usize;
    let (start, start_ms, addr) = (Instant::now(), now_ms(), router.addr);
    let mut clients = JoinSet::new();
    for request in 0..asked {
        tokio::time::sleep_until(start + apart * u32::try_from(request).expect("few")).await;
        clients.spawn(async move {
            let mut client = Client::connect(addr).await;
            client.chat(&streamed(ask("hi"))).await.status
        });
    }
    let statuses = clients.join_all().await;
    let from = start_ms + warm * MINUTE_MS;
    let to = from + counted * MINUTE_MS;
    let steady = providers.iter().map(|provider| provider.answered(from, to)).sum();
    Run { asked, answered: statuses.into_iter().filter(|status| *status == 200).count(), steady }
}

#[tokio::test]
async fn a_pool_at_its_limits_is_used_whole_and_hardly_ever_refuses() {
    let (providers, router) = pool().await;
    let refused = || providers.iter().map(Enforced::refused).sum::<usize>();
    let full = load(&router, &providers, 1.0).await;
    let twice = load(&router, &providers, 2.0).await;
    let capacity = A_MINUTE * MINUTES.1 as f64;
    println!(
        "at 1x {} of {} answered, {} of {capacity} in the minutes that count; at 2x {} of {}, {}; {} refused",
        full.answered,
        full.asked,
        full.steady,
        twice.answered,
        twice.asked,
        twice.steady,
        refused()
    );
    assert!(full.answered as f64 >= 0.95 * full.asked as f64, "{} of {}", full.answered, full.asked);
    assert!(twice.steady as f64 >= 0.95 * capacity, "{} of {capacity} at twice the load", twice.steady);
    let asked = full.asked + twice.asked;
    assert!(refused() * 100 <= asked, "{} of {asked} refused upstream", refused());
}
