//! A process of its own that does nothing but charge: this very test, started again with the recorder loaded.

use crate::accounts::Accounts;
use crate::cuts::{Findings, cut, shared_memory};
use crate::log::{Log, files, recorder};
use freeway::accounts::{Rules, Worst};
use freeway::ledger::Ledger;
use freeway::metrics::Metrics;
use freeway::money::MicroCredits;
use freeway::protocol::usage::{Usage, UsageSource};
use freeway::store::{Charge, Ended, Mischief, SqliteStore};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

/// Names the folder the child is to charge in; the test is the child then.
const CHILD: &str = "POWER_CUT_CHILD";
const CARELESS: &str = "POWER_CUT_CARELESS";
const ACCOUNTS: u8 = 4;
const REQUESTS: usize = 100;
const CLIENTS: usize = 8;

/// Charges, recorded, then cuts its power.
pub fn charge_and_cut(careless: bool, points: usize) -> Findings {
    let folder = shared_memory();
    let (data, log) = (folder.path().join("data"), Log::new(folder.path().join("log")));
    Accounts::open(&data, ACCOUNTS, 1_000_000_000);
    let before = files(&data);
    let mut child = Command::new(std::env::current_exe().expect("this program"));
    child.args(["writing::charges_when_it_is_the_child", "--exact"]).env(CHILD, &data);
    child.env("LD_PRELOAD", recorder(folder.path())).env("POWER_CUT_LOG", log.path());
    if careless {
        child.env(CARELESS, "1");
    }
    let ended = child.output().expect("it starts");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stdout));
    cut(before, &log.read(), points, 1)
}

#[test]
fn charges_when_it_is_the_child() {
    let Some(data) = std::env::var_os(CHILD) else { return };
    let log = Log::at(std::env::var_os("POWER_CUT_LOG").expect("named beside").into());
    charge(Path::new(&data), std::env::var_os(CARELESS).is_some(), &log);
}

fn charge(data: &Path, careless: bool, log: &Log) {
    let mischief = Mischief { careless, ..Mischief::default() };
    let store = SqliteStore::open_for_mischief(data, mischief).expect("it opens");
    let metrics = Metrics::new().expect("names differ").ledger;
    let ledger = Ledger::open(Arc::new(store), Rules::default(), metrics).expect("it opens");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build();
    let runtime = runtime.expect("a runtime");
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (ledger, log) = (Arc::clone(&ledger), log.clone());
            runtime.spawn(async move {
                for n in 0..REQUESTS {
                    request(&ledger, &log, client, n).await;
                }
            })
        })
        .collect();
    runtime.block_on(async {
        for client in clients {
            client.await.expect("no panic");
        }
    });
}

/// Reserves, charges, and says so as soon as that is durable.
async fn request(ledger: &Arc<Ledger>, log: &Log, client: usize, n: usize) {
    let number = u8::try_from(client).expect("few") % ACCOUNTS + 1;
    let key = freeway::accounts::ApiKey::from_random(&[number; 32]);
    let caller = ledger.authenticate(key.reveal().as_bytes(), 1).await.expect("a key");
    let worst = Worst::new(ledger.rules().price, 20, 1, Some(100), 100);
    let held = ledger.reserve(&caller, &worst, 1).await.expect("room");
    let usage = Usage {
        prompt_tokens: 20,
        completion_tokens: u32::try_from(n % 90).expect("small"),
        ..Usage::default()
    };
    let (amount, absorbed) = held.price(&usage);
    let id = format!("gen-{client}-{n}");
    let posting = held.post(Charge {
        id: id.clone(),
        amount,
        absorbed,
        usage,
        source: UsageSource::Reported,
        ended: Ended::Complete,
        reason: Some("stop"),
        model: "test/model:free".to_owned(),
        provider: "test".to_owned(),
        streamed: true,
        created_ms: 1,
        first_token_ms: Some(1),
        took_ms: 1,
        idempotency: None,
    });
    let settled = posting.durable().await.expect("in time");
    assert!(settled.charged > MicroCredits::ZERO);
    log.acknowledge(&id, settled.charged.get());
}
