//! What another process changes in the ledger while the program runs.

use crate::accounts::Accounts;
use crate::client::Connection;
use crate::load::request;
use crate::process::{PATIENCE, Place, Process};
use std::time::Duration;

/// Too little for a single request.
const GRANT: i64 = 1_000;

async fn becomes(process: &Process, key: &str, status: u16) {
    let changed = async {
        loop {
            let mut connection = Connection::open(process.address).await.expect("it listens");
            let body = request(false, "test/quick:free");
            let (answer, _) = connection.post("/v1/chat/completions", key, &body).await;
            if answer.status == status {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, changed).await.unwrap_or_else(|_| panic!("it never answers {status}"));
}

#[tokio::test]
async fn payments_and_revocations_of_other_processes_are_noticed() {
    let place = Place::new();
    let mut accounts = Accounts::open(&place.data_dir(), 1, GRANT);
    let process = place.start().await;
    let key = accounts.all[0].key.clone();
    becomes(&process, &key, 402).await;
    accounts.top_up(1_000_000);
    becomes(&process, &key, 200).await;
    accounts.revoke_keys();
    becomes(&process, &key, 401).await;
    process.stop().await;
}
