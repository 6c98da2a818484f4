//! `kill -9` at any instant.

use crate::accounts::Accounts;
use crate::audit::Book;
use crate::load::{Clients, Fate, Seen};
use crate::process::{PATIENCE, Place};
use std::time::Duration;

/// What accounts begin with and get every round, micro-credits: enough for most requests.
const GRANT: i64 = 5_000_000;
const TOP_UP: i64 = 2_000_000;
const ACCOUNTS: u8 = 8;

/// How often, unless a variable says otherwise.
pub fn rounds(variable: &str, usual: u32) -> u32 {
    std::env::var(variable).ok().map_or(usual, |value| value.parse().expect("a number"))
}

async fn some_time(at_most_ms: u64) {
    tokio::time::sleep(Duration::from_millis(fastrand::u64(..at_most_ms))).await;
}

/// A process that starts after all of it finds no lease left, and a ledger that agrees.
pub async fn settle(place: &Place, seen: &[Seen], accounts: &Accounts) {
    let process = place.start().await;
    let reaped = async {
        while Book::leases(&place.data_dir()) > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, reaped).await.expect("leases of the dead return");
    Book::read(&place.data_dir()).must_agree(seen, &accounts.all);
    process.stop().await;
    let book = Book::of_the_dead(&place.data_dir());
    book.must_agree(seen, &accounts.all);
    assert_eq!(book.accounts.values().map(|(_, leased)| leased).sum::<i64>(), 0);
    let verified = place.run(&["ledger", "verify"]).await;
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

/// What was seen, in a line.
pub fn summary(seen: &[Seen]) -> String {
    let of = |fate: Fate| seen.iter().filter(|one| one.fate == fate).count();
    let paid = seen.iter().filter(|one| one.paid.is_some()).count();
    let refused = seen.iter().filter(|one| one.status >= 400).count();
    format!(
        "{} requests: {paid} paid, {refused} refused, {} broken off, {} unanswered, {} stale, {} not connected",
        seen.len(),
        of(Fate::Broken),
        of(Fate::Unanswered),
        of(Fate::Stale),
        of(Fate::Refused),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_lose_no_answer_that_was_seen_whole_and_invent_none() {
    let rounds = rounds("FREEWAY_KILLS", 100);
    let place = Place::new();
    let mut accounts = Accounts::open(&place.data_dir(), ACCOUNTS, GRANT);
    let mut seen = Vec::new();
    for round in 1..=rounds {
        let process = place.start().await;
        let load = Clients::new(&[process.address], &accounts.all).start();
        accounts.top_up(TOP_UP);
        some_time(600).await;
        process.kill().await;
        seen.extend(load.stop().await);
        if round % 10 == 0 {
            Book::of_the_dead(&place.data_dir()).must_agree(&seen, &accounts.all);
        }
    }
    settle(&place, &seen, &accounts).await;
    println!("{rounds} kills, {}", summary(&seen));
    let cut = seen.iter().filter(|one| matches!(one.fate, Fate::Broken)).count();
    assert!(cut > 0 && seen.iter().any(|one| one.paid.is_some()), "{}", summary(&seen));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_on_one_ledger_may_both_be_killed() {
    let rounds = rounds("FREEWAY_DOUBLE_KILLS", 20);
    let place = Place::new();
    let mut accounts = Accounts::open(&place.data_dir(), ACCOUNTS, GRANT);
    let mut seen = Vec::new();
    for round in 1..=rounds {
        let one = place.start().await;
        // Every other time the second is about to take over from the first.
        let (other, load) = if round % 2 == 0 {
            let other = place.start().await;
            let both = [one.address, other.address];
            (other, Clients::new(&both, &accounts.all).start())
        } else {
            let load = Clients::new(&[one.address], &accounts.all);
            let load = Clients { persist: true, ..load }.start();
            let other = place.successor(&one).await;
            one.signal("QUIT");
            (other.ready().await, load)
        };
        accounts.top_up(2 * TOP_UP);
        some_time(600).await;
        one.kill().await;
        some_time(100).await;
        other.kill().await;
        seen.extend(load.stop().await);
        Book::of_the_dead(&place.data_dir()).must_agree(&seen, &accounts.all);
    }
    settle(&place, &seen, &accounts).await;
    println!("{rounds} double kills, {}", summary(&seen));
    assert!(seen.iter().any(|one| one.paid.is_some()), "{}", summary(&seen));
}
