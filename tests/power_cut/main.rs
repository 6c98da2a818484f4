//! The power fails: what a disk has left of the ledger holds every charge whose client has seen the end of
//! its answer.
//!
//! A library loaded into the program writes down all it does to the ledger's files; clients write into the
//! same log when an answer has ended. From that the files are made as they would be found after a power cut at
//! any record, for four kinds of disk, and opened. That they are lost when commits are careless shows that
//! the rig would notice.

#![expect(unreachable_pub, reason = "`pub` marks what the other modules of this binary use")]

mod cuts;
mod disk;
mod log;
mod writing;

#[path = "../crash/accounts.rs"]
#[expect(dead_code, reason = "the crash tests use more of it")]
mod accounts;
#[path = "../crash/client.rs"]
mod client;
#[path = "../crash/process.rs"]
#[expect(dead_code, reason = "the crash tests use more of it")]
mod process;

use accounts::{Account, Accounts};
use client::Connection;
use cuts::{Findings, cut};
use freeway::money::MicroCredits;
use log::{Log, files, recorder};
use process::Place;
use std::net::SocketAddr;
use std::time::Instant;

/// Moments at which the power is cut; four images each.
const POINTS: usize = 150;
/// Of runs that only show what the rig sees.
const FEW_POINTS: usize = 40;
const CLIENTS: usize = 12;
const REQUESTS: usize = 60;

fn report(what: &str, findings: &Findings, began: Instant) {
    let Findings { images, records, acknowledged, checkpoints, lossy, lost, broken } = findings;
    println!(
        "{what}: {images} images of {records} records, {acknowledged} charges acknowledged, {checkpoints} \
         checkpoints; images with a loss {lossy:?}, {lost} charges lost, {} broken; {:.1?}",
        broken.len(),
        began.elapsed()
    );
}

#[track_caller]
fn must_be_whole(findings: &Findings) {
    assert!(findings.broken.is_empty(), "{:#?}", findings.broken);
    assert_eq!(findings.lost, 0, "{:?}", findings.lossy);
    assert!(findings.checkpoints > 0, "the log was never put into the file");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_loses_no_charge_whose_answer_has_ended() {
    let began = Instant::now();
    let scratch = cuts::shared_memory();
    let log = Log::new(scratch.path().join("log"));
    let text = |path: &std::path::Path| path.to_str().expect("UTF-8").to_owned();
    let place = Place::new()
        .env("LD_PRELOAD", &text(&recorder(scratch.path())))
        .env("POWER_CUT_LOG", &text(log.path()));
    let accounts = Accounts::open(&place.data_dir(), 8, 1_000_000_000);
    let before = files(&place.data_dir());
    let process = place.start().await;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|n| {
            let (log, account) = (log.clone(), accounts.all[n % accounts.all.len()].clone());
            tokio::spawn(ask(log, account, process.address, n))
        })
        .collect();
    for client in clients {
        client.await.expect("answers come whole");
    }
    process.kill().await;
    let findings =
        tokio::task::spawn_blocking(move || cut(before, &log.read(), POINTS, 7)).await.expect("found");
    report("the program", &findings, began);
    must_be_whole(&findings);
}

/// Asks, again and again, and writes down when an answer has ended and what it cost.
async fn ask(log: Log, account: Account, address: SocketAddr, client: usize) {
    let mut connection = Connection::open(address).await.expect("it listens");
    let streamed = client.is_multiple_of(2);
    let body = serde_json::json!({
        "model": "test/quick:free", "max_tokens": 64, "stream": streamed,
        "stream_options": streamed.then(|| serde_json::json!({"include_usage": true})),
        "messages": [{"role": "user", "content": "Say something that ends."}],
    });
    for _ in 0..REQUESTS {
        let (answer, result) = connection.post("/v1/chat/completions", &account.key, &body.to_string()).await;
        result.expect("a whole answer");
        let text = String::from_utf8(answer.body).expect("UTF-8");
        assert_eq!(answer.status, 200, "{text}");
        let (_, rest) = text.rsplit_once("\"credits\":").expect("a bill");
        let credits = rest.split([',', '}']).next().expect("a number");
        let paid: MicroCredits = credits.parse().expect("an amount");
        log.acknowledge(&answer.id.expect("an id"), paid.get());
    }
}

#[test]
fn commits_that_do_not_wait_for_the_disk_are_lost_and_the_rig_sees_it() {
    let began = Instant::now();
    let careful = writing::charge_and_cut(false, FEW_POINTS);
    report("synchronous = FULL", &careful, began);
    must_be_whole(&careful);

    let began = Instant::now();
    let careless = writing::charge_and_cut(true, FEW_POINTS);
    report("synchronous = NORMAL", &careless, began);
    assert!(careless.lost > 0, "nothing was lost");
    // The file itself survives that.
    assert!(careless.broken.is_empty(), "{:#?}", careless.broken);
}
