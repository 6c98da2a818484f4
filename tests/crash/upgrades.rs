//! A process that takes over from another while clients ask without a pause.

use crate::accounts::Accounts;
use crate::audit::Book;
use crate::kills::{rounds, settle, summary};
use crate::load::{Clients, Fate};
use crate::process::Place;

/// Micro-credits for all of it.
const GRANT: i64 = 10_000_000_000;

/// Each takes the five seconds in which both processes accept, so only a few unless asked for more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upgrades_refuse_nobody_and_break_nothing() {
    let rounds = rounds("FREEWAY_UPGRADES", 3);
    let place = Place::new();
    let accounts = Accounts::open(&place.data_dir(), 8, GRANT);
    let mut process = place.start().await;
    let clients = Clients { persist: true, ..Clients::new(&[process.address], &accounts.all) };
    let load = clients.start();
    load.answers(100).await;
    for _ in 0..rounds {
        let next = place.successor(&process).await;
        process.signal("QUIT");
        let next = next.ready().await;
        let status = process.ended().await;
        assert!(status.success(), "{status}:\n{}", process.logs());
        load.more_paid(100).await;
        process = next;
    }
    let seen = load.stop().await;
    println!("{rounds} upgrades, {}", summary(&seen));
    let failed: Vec<_> = seen.iter().filter(|one| one.fate != Fate::Whole || one.status != 200).collect();
    assert!(failed.is_empty(), "{}: {failed:?}", summary(&seen));
    process.stop().await;
    Book::of_the_dead(&place.data_dir()).must_agree(&seen, &accounts.all);
    settle(&place, &seen, &accounts).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_longer_than_the_hand_over_ends_in_the_old_process() {
    let place = Place::with("shutdown_grace_s = 1");
    let accounts = Accounts::open(&place.data_dir(), 1, GRANT);
    let mut old = place.start().await;
    let clients = Clients::new(&[old.address], &accounts.all);
    let clients = Clients { streams: 4, short: 0, stream_model: "test/long:free", ..clients };
    let load = clients.start();
    let short = Clients { streams: 0, short: 1, ..Clients::new(&[old.address], &accounts.all) }.start();
    short.answers(1).await;
    let next = place.successor(&old).await;
    old.signal("QUIT");
    let next = next.ready().await;
    let answers = tokio::spawn(load.stop());
    assert!(old.ended().await.success());
    let seen: Vec<_> = answers.await.expect("clients").into_iter().chain(short.stop().await).collect();
    assert!(seen.iter().all(|one| one.paid.is_some()), "{}", summary(&seen));
    next.stop().await;
    Book::of_the_dead(&place.data_dir()).must_agree(&seen, &accounts.all);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_used_of_limits_is_handed_over() {
    let place = Place::new();
    let accounts = Accounts::open(&place.data_dir(), 1, GRANT);
    let mut old = place.start().await;
    let load = Clients::new(&[old.address], &accounts.all).start();
    load.answers(20).await;
    let seen = load.stop().await;
    let answered = seen.iter().filter(|one| one.fate == Fate::Whole).count();
    let next = place.successor(&old).await;
    old.signal("QUIT");
    let next = next.ready().await;
    assert!(old.ended().await.success());
    next.stop().await;
    let used = used_today(&place);
    assert!(answered >= 20 && used >= answered as u64, "{answered} answers, {used} counted");
}

/// Requests of the day that are counted, all models together.
fn used_today(place: &Place) -> u64 {
    let text =
        std::fs::read_to_string(place.data_dir().join("quota.json")).expect("it was written at the end");
    let file: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let rows = file["limits"].as_array().expect("rows").iter();
    let today =
        rows.filter(|row| row["scope"] == "model" && row["unit"] == "requests" && row["per"] == "day");
    today.filter_map(|row| row["used"].as_u64()).sum()
}

#[tokio::test]
async fn a_process_nobody_hands_over_to_gives_up() {
    let place = Place::new();
    Accounts::open(&place.data_dir(), 1, GRANT);
    let mut waiting = place.spawn("127.0.0.1:1", &["--upgrade"]);
    assert!(!waiting.ended().await.success());
    let mut any_port = place.spawn("127.0.0.1:0", &["--upgrade"]);
    any_port.logs_say("name the port the running process listens on").await;
    assert!(!any_port.ended().await.success());
}
