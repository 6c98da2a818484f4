//! A disk that is full for a while: a library loaded into the program fails its writes to the ledger.

use crate::accounts::Accounts;
use crate::audit::Book;
use crate::kills::{settle, summary};
use crate::load::{Clients, Fate};
use crate::process::Place;
use std::path::{Path, PathBuf};
use std::process::Command;

const GRANT: i64 = 1_000_000_000;

fn library(folder: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/crash/full_disk.c");
    let library = folder.join("full_disk.so");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).arg("-ldl");
    let built = compiler.status().expect("a C compiler");
    assert!(built.success(), "the library is built");
    library
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_new_requests_and_loses_none_of_those_under_way() {
    let place = Place::new();
    let flag = place.path().join("full");
    let library = library(place.path());
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let place = place.env("LD_PRELOAD", &text(&library)).env("FULL_DISK_FLAG", &text(&flag));
    let accounts = Accounts::open(&place.data_dir(), 8, GRANT);
    let process = place.start().await;
    let clients = Clients { persist: true, ..Clients::new(&[process.address], &accounts.all) };
    let mut seen = Vec::new();
    for _ in 0..3 {
        let load = clients.clone().start();
        load.answers(200).await;
        std::fs::write(&flag, "").expect("a file");
        load.more_refused(200).await;
        std::fs::remove_file(&flag).expect("the file");
        // By itself.
        load.more_paid(200).await;
        seen.extend(load.stop().await);
    }
    println!("a disk full three times, {}", summary(&seen));
    let cut: Vec<_> = seen.iter().filter(|one| one.fate != Fate::Whole).collect();
    assert!(cut.is_empty(), "{cut:?}");
    let odd: Vec<_> = seen.iter().filter(|one| !matches!(one.status, 200 | 503)).collect();
    assert!(odd.is_empty(), "{odd:?}");
    process.stop().await;
    Book::of_the_dead(&place.data_dir()).must_agree(&seen, &accounts.all);
    settle(&place, &seen, &accounts).await;
}
