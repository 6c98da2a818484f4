//! SIGTERM, SIGINT, and SIGQUIT when nobody takes over.

use crate::accounts::Accounts;
use crate::audit::Book;
use crate::kills::summary;
use crate::load::{Clients, Fate, Seen};
use crate::process::{Place, Process};
use std::time::Instant;

const GRANT: i64 = 100_000_000;

/// Nothing is leased, nothing disagrees.
fn left_in_order(place: &Place, seen: &[Seen], accounts: &Accounts) {
    let book = Book::of_the_dead(&place.data_dir());
    book.must_agree(seen, &accounts.all);
    assert_eq!(book.leases.len(), 0, "leases are returned");
}

async fn ends_well(process: &mut Process) {
    let status = process.ended().await;
    assert!(status.success(), "{status}:\n{}", process.logs());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_under_way_at_sigterm_come_whole_and_are_charged() {
    let place = Place::with("shutdown_grace_s = 3600");
    let accounts = Accounts::open(&place.data_dir(), 8, GRANT);
    let mut seen = Vec::new();
    for _ in 0..5 {
        let mut process = place.start().await;
        let load = Clients::new(&[process.address], &accounts.all).start();
        load.answers(150).await;
        process.signal("TERM");
        ends_well(&mut process).await;
        seen.extend(load.stop().await);
        left_in_order(&place, &seen, &accounts);
    }
    println!("5 stops under load, {}", summary(&seen));
    let broken: Vec<_> = seen.iter().filter(|one| one.fate == Fate::Broken).collect();
    assert!(broken.is_empty(), "{broken:?}");
    assert!(seen.iter().all(|one| one.fate != Fate::Whole || one.paid.is_some()), "{}", summary(&seen));
}

#[tokio::test]
async fn a_process_with_nothing_to_do_ends_at_once_on_sigterm() {
    // Longer than a test waits.
    let place = Place::with("shutdown_grace_s = 3600");
    Accounts::open(&place.data_dir(), 1, GRANT);
    let process = place.start().await;
    let began = Instant::now();
    process.stop().await;
    println!("an idle process ends {} ms after SIGTERM", began.elapsed().as_millis());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_outlasts_the_grace_is_cut_and_costs_nothing() {
    let place = Place::with("shutdown_grace_s = 1");
    let accounts = Accounts::open(&place.data_dir(), 1, GRANT);
    let mut process = place.start().await;
    let clients = Clients { streams: 4, short: 1, ..Clients::new(&[process.address], &accounts.all) };
    let load = Clients { stream_model: "test/endless:free", ..clients }.start();
    load.answers(1).await;
    process.signal("TERM");
    ends_well(&mut process).await;
    let seen = load.stop().await;
    assert_eq!(
        seen.iter().filter(|one| one.streamed && one.fate == Fate::Broken).count(),
        4,
        "{}",
        summary(&seen)
    );
    left_in_order(&place, &seen, &accounts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigint_ends_it_at_once_and_leaves_the_ledger_in_order() {
    let place = Place::with("shutdown_grace_s = 3600");
    let accounts = Accounts::open(&place.data_dir(), 1, GRANT);
    let mut process = place.start().await;
    let clients = Clients::new(&[process.address], &accounts.all);
    let load = Clients { stream_model: "test/endless:free", ..clients }.start();
    load.answers(20).await;
    process.signal("INT");
    ends_well(&mut process).await;
    let seen = load.stop().await;
    left_in_order(&place, &seen, &accounts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigquit_is_ignored_while_nobody_takes_over() {
    let place = Place::new();
    let accounts = Accounts::open(&place.data_dir(), 1, GRANT);
    let process = place.start().await;
    process.signal("QUIT");
    process.logs_say("no process waits to take over").await;
    let load = Clients { streams: 1, short: 1, ..Clients::new(&[process.address], &accounts.all) }.start();
    load.answers(4).await;
    let seen = load.stop().await;
    assert!(seen.iter().all(|one| one.paid.is_some()), "{}", summary(&seen));
    process.stop().await;
    left_in_order(&place, &seen, &accounts);
}
