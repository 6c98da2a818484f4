//! Clients that ask without a pause, and write down what they saw.

use crate::accounts::Account;
use crate::client::{Answer, Connection};
use freeway::money::MicroCredits;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;

/// The most an answer may be asked for.
pub const MAX_TOKENS: i64 = 64;
/// The prompts are shorter than this.
pub const MAX_PROMPT_TOKENS: i64 = 64;

/// A request, from its client's side.
#[derive(Clone, Debug)]
pub struct Seen {
    pub account: i64,
    /// It was a stream.
    pub streamed: bool,
    /// 0: no head came.
    pub status: u16,
    /// Known once the head came.
    pub id: Option<String>,
    /// What the client was told it paid, micro-credits, if it has seen the end of its answer.
    pub paid: Option<i64>,
    pub fate: Fate,
}

/// How a request went on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The whole answer came.
    Whole,
    /// There was no connection to send it on.
    Refused,
    /// A connection that had answered before was closed, and nothing came.
    Stale,
    /// A new connection was closed, and nothing came.
    Unanswered,
    /// The answer broke off.
    Broken,
}

/// What a group of clients does.
#[derive(Clone)]
pub struct Clients {
    /// Where they ask, in turns.
    pub addresses: Vec<SocketAddr>,
    pub accounts: Vec<Account>,
    pub streams: usize,
    pub short: usize,
    /// The model streams are asked of.
    pub stream_model: &'static str,
    /// They go on after a failure.
    pub persist: bool,
}

/// Clients at work.
pub struct Load {
    stop: Arc<AtomicBool>,
    counts: Arc<Counts>,
    clients: JoinSet<Vec<Seen>>,
}

/// How many requests have ended, and how.
#[derive(Default)]
struct Counts {
    ended: AtomicU64,
    paid: AtomicU64,
    refused: AtomicU64,
}

impl Counts {
    fn count(&self, seen: &Seen) {
        self.ended.fetch_add(1, Ordering::Relaxed);
        self.paid.fetch_add(u64::from(seen.paid.is_some()), Ordering::Relaxed);
        self.refused.fetch_add(u64::from(seen.status >= 400), Ordering::Relaxed);
    }
}

impl Clients {
    /// 64 streams and 16 others, until the server is gone.
    pub fn new(addresses: &[SocketAddr], accounts: &[Account]) -> Self {
        Self {
            addresses: addresses.to_vec(),
            accounts: accounts.to_vec(),
            streams: 64,
            short: 16,
            stream_model: "test/slow:free",
            persist: false,
        }
    }

    pub fn start(self) -> Load {
        let (stop, counts) = (Arc::new(AtomicBool::new(false)), Arc::<Counts>::default());
        let mut clients = JoinSet::new();
        for number in 0..self.streams + self.short {
            let (setup, stop, counts) = (self.clone(), Arc::clone(&stop), Arc::clone(&counts));
            clients.spawn(async move { setup.ask_on(number, &stop, &counts).await });
        }
        Load { stop, counts, clients }
    }

    async fn ask_on(&self, number: usize, stop: &AtomicBool, counts: &Counts) -> Vec<Seen> {
        let account = &self.accounts[number % self.accounts.len()];
        let streamed = number < self.streams;
        let body = request(streamed, if streamed { self.stream_model } else { "test/quick:free" });
        let mut seen = Vec::new();
        let mut kept: Option<Connection> = None;
        for turn in 0.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let address = self.addresses[(number + turn) % self.addresses.len()];
            let kept_here = kept.take().filter(|_| self.addresses.len() == 1);
            let one = ask(kept_here, address, account, streamed, &body, &mut kept).await;
            counts.count(&one);
            let (failed, refused) = (one.fate != Fate::Whole, one.status != 200);
            seen.push(one);
            if failed && !self.persist {
                break;
            }
            if failed || refused {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        seen
    }
}

impl Load {
    /// Waits until so many requests have ended.
    pub async fn answers(&self, count: u64) {
        reaches(&self.counts.ended, count).await;
    }

    /// Waits until so many more have been answered whole, and charged.
    pub async fn more_paid(&self, count: u64) {
        reaches(&self.counts.paid, self.counts.paid.load(Ordering::Relaxed) + count).await;
    }

    /// Waits until so many more were refused.
    pub async fn more_refused(&self, count: u64) {
        reaches(&self.counts.refused, self.counts.refused.load(Ordering::Relaxed) + count).await;
    }

    /// The clients end what they are at, and say what they saw.
    pub async fn stop(mut self) -> Vec<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        let join = async {
            while let Some(seen) = self.clients.join_next().await {
                all.extend(seen.expect("a client only writes down what it sees"));
            }
        };
        tokio::time::timeout(crate::process::PATIENCE, join).await.expect("no answer hangs");
        all
    }
}

async fn reaches(counter: &AtomicU64, count: u64) {
    let reached = async {
        while counter.load(Ordering::Relaxed) < count {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(crate::process::PATIENCE, reached).await.expect("requests end");
}

async fn ask(
    kept: Option<Connection>,
    address: SocketAddr,
    account: &Account,
    streamed: bool,
    body: &str,
    keep: &mut Option<Connection>,
) -> Seen {
    let blank = Seen { account: account.id, streamed, status: 0, id: None, paid: None, fate: Fate::Refused };
    let mut connection = match kept {
        Some(connection) => connection,
        None => match Connection::open(address).await {
            Ok(connection) => connection,
            Err(_) => return blank,
        },
    };
    let (answer, result) = connection.post("/v1/chat/completions", &account.key, body).await;
    let fate = match &result {
        Ok(()) => Fate::Whole,
        Err(_) if answer.status != 0 => Fate::Broken,
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Fate::Refused,
        Err(_) if connection.answered > 0 => Fate::Stale,
        Err(_) => Fate::Unanswered,
    };
    let paid = paid(&answer, streamed);
    let Answer { status, id, closing, .. } = answer;
    if fate == Fate::Whole && !closing {
        *keep = Some(connection);
    }
    Seen { status, id, paid, fate, ..blank }
}

/// What the answer says it cost, if its end is there.
fn paid(answer: &Answer, streamed: bool) -> Option<i64> {
    let body = String::from_utf8_lossy(&answer.body);
    let ended = if streamed { body.contains("data: [DONE]\n\n") } else { answer.whole };
    if answer.status != 200 || !ended {
        return None;
    }
    let credits =
        body.rsplit_once("\"credits\":").map(|(_, rest)| rest.split([',', '}']).next().unwrap_or(""));
    let credits = credits.unwrap_or_else(|| panic!("an answer without a bill: {body}"));
    Some(credits.parse::<MicroCredits>().expect("an amount").get())
}

/// A request to this model.
pub fn request(streamed: bool, model: &str) -> String {
    let mut body = serde_json::json!({
        "model": model, "max_tokens": MAX_TOKENS,
        "messages": [{"role": "user", "content": "Say something that ends."}],
    });
    if streamed {
        body["stream"] = true.into();
        body["stream_options"] = serde_json::json!({"include_usage": true});
    }
    body.to_string()
}
