//! What the ledger costs: a settled charge, by the size of its batch, and recomputing it all.
//!
//! `cargo bench --bench ledger` prints CPU and wall time a charge. `-- --rows 10000000` fills a ledger with
//! so many charges first, in `--folder DIR` if given (where it is kept), and times opening and verifying it.

use freeway::accounts::{AccountId, ApiKey, KeyId, Wish};
use freeway::money::MicroCredits;
use freeway::protocol::usage::{Usage, UsageSource};
use freeway::store::{
    Charge, Ended, Lease, NewAccount, NewKey, Op, Outcome, Settle, SqliteStore, Store, Writer,
};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const DAY: u32 = 20_000;
const NOW_MS: u64 = DAY as u64 * 86_400_000;
const GRANT: i64 = 1_000_000_000_000_000;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| arguments.iter().skip_while(|a| *a != name).nth(1).cloned();
    let rows: u64 = value("--rows").map_or(0, |rows| rows.parse().expect("a number of rows"));
    let scratch = tempfile::tempdir().expect("a folder");
    settling(&scratch.path().join("settle"));
    if rows > 0 {
        verifying(&value("--folder").map_or_else(|| scratch.path().join("verify"), PathBuf::from), rows);
    }
}

fn settling(folder: &Path) {
    println!("{:>6} {:>14} {:>14} {:>12}", "batch", "CPU µs/charge", "wall µs/charge", "charges/s");
    for (batch, batches) in [(1, 2_000), (8, 1_000), (64, 1_000), (1_024, 200)] {
        let mut desk = Desk::open(&folder.join(batch.to_string()), 1);
        // Before the clock starts: a ledger that is not empty.
        desk.post(10, 1_000);
        let (cpu, wall) = (cpu_time(), Instant::now());
        desk.post(batches, batch);
        let charges = (batches * batch) as f64;
        let per = |time: Duration| time.as_secs_f64() * 1e6 / charges;
        let (cpu, wall) = (per(cpu_time() - cpu), per(wall.elapsed()));
        println!("{batch:>6} {cpu:>14.2} {wall:>14.2} {:>12.0}", 1e6 / wall);
    }
}

fn verifying(folder: &Path, rows: u64) {
    if !SqliteStore::exists(folder) {
        let started = Instant::now();
        let mut desk = Desk::open(folder, 1_000);
        desk.post(rows.div_ceil(10_000) as usize, 10_000);
        println!("filled with {rows} charges in {:.1} s", started.elapsed().as_secs_f64());
    }
    let size = std::fs::metadata(folder.join("ledger.db")).expect("it is there").len();
    let started = Instant::now();
    let store = SqliteStore::open(folder).expect("it opens");
    let mut reader = store.reader().expect("a reader");
    let mut writer = store.writer().expect("a writer");
    writer.reap().expect("it looks");
    writer.apply(&[Op::Probe]).expect("it writes");
    let opened = started.elapsed();
    println!(
        "opened {:.2} GB, with a first write, in {:.1} ms",
        size as f64 / 1e9,
        opened.as_secs_f64() * 1e3
    );
    let (cpu, started) = (cpu_time(), Instant::now());
    let verified = reader.verify(&mut |_| {}).expect("it reads");
    assert_eq!(verified.discrepancies, []);
    println!(
        "verified {} entries of {} accounts in {:.1} s ({:.1} s CPU)",
        verified.entries,
        verified.accounts,
        started.elapsed().as_secs_f64(),
        (cpu_time() - cpu).as_secs_f64()
    );
}

/// Accounts of which charges are posted in turn.
struct Desk {
    writer: Box<dyn Writer>,
    accounts: Vec<(AccountId, KeyId)>,
    posted: u64,
}

impl Desk {
    fn open(folder: &Path, accounts: u64) -> Self {
        let store = SqliteStore::open(folder).expect("it opens");
        let mut writer = store.writer().expect("a writer");
        let mut known = Vec::new();
        let mut ops = Vec::new();
        for id in 1..=accounts {
            let (account, key) = (AccountId::from_random(id), KeyId::from_random(id));
            known.push((account, key));
            ops.push(Op::CreateAccount(Box::new(new_account(account, key))));
            ops.push(Op::Lease(Lease { wish: wish(account) }));
        }
        writer.apply(&ops).expect("applied");
        Self { writer, accounts: known, posted: 0 }
    }

    fn post(&mut self, batches: usize, batch: usize) {
        for _ in 0..batches {
            let ops: Vec<Op> = (0..batch).map(|_| self.next()).collect();
            let outcomes = self.writer.apply(&ops).expect("applied");
            assert!(matches!(outcomes[batch - 1], Outcome::Settled(settled) if settled.charged.get() > 0));
        }
    }

    fn next(&mut self) -> Op {
        self.posted += 1;
        let (account, key) = self.accounts[(self.posted % self.accounts.len() as u64) as usize];
        // Ids as the proxy makes them: the time, then something random.
        let random = self.posted.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let charge = Charge {
            id: format!("gen-{}-{random:020x}", 1_770_000_000 + self.posted / 500),
            amount: MicroCredits::new(5_800),
            absorbed: MicroCredits::ZERO,
            usage: Usage {
                prompt_tokens: 1_400,
                completion_tokens: 300,
                cached_tokens: 0,
                reasoning_tokens: 12,
            },
            source: UsageSource::Reported,
            ended: Ended::Complete,
            reason: Some("stop"),
            model: "meta-llama/llama-3.3-70b-instruct:free".to_owned(),
            provider: "openrouter".to_owned(),
            streamed: true,
            created_ms: NOW_MS + self.posted,
            first_token_ms: Some(412),
            took_ms: 2_150,
            idempotency: None,
        };
        Op::Settle(Box::new(Settle { account, key, day: DAY, charge: Some(charge) }))
    }
}

fn new_account(id: AccountId, key: KeyId) -> NewAccount {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&id.get().to_be_bytes());
    let secret = ApiKey::from_random(&bytes);
    let key = NewKey {
        id: key,
        account: id,
        hash: secret.hash(),
        hint: secret.hint(),
        name: None,
        cap: None,
        expires_ms: None,
        at_ms: NOW_MS,
    };
    let grant = MicroCredits::new(GRANT);
    NewAccount { id, name: None, reference: None, grant, key: Some(key), at_ms: NOW_MS }
}

fn wish(account: AccountId) -> Wish {
    let want = MicroCredits::new(GRANT / 2);
    let need = MicroCredits::ZERO;
    Wish {
        account,
        need,
        want,
        day: DAY,
        funded: true,
        requests: 0,
        day_limit: None,
        returned: Default::default(),
    }
}

/// Of the main thread, which does all of it.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/schedstat").expect("Linux");
    let ns = stat.split_whitespace().next().and_then(|ns| ns.parse().ok()).expect("nanoseconds");
    Duration::from_nanos(ns)
}
