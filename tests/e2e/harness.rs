//! Starts the real program on free ports with a configuration and a directory of its own.

use crate::client::{Answer, Client};
use crate::provider::Provider;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

/// How long anything may take before the test fails; generous, since the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Bounds a wait: what does not happen within [`PATIENCE`] fails the test by name.
pub async fn within<T>(what: &str, wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("waited too long for {what}"))
}

/// A model of a provider as the configuration describes it.
#[derive(Clone)]
pub struct Model {
    pub id: String,
    pub upstream: String,
    pub context_tokens: u32,
    pub max_output_tokens: Option<u32>,
    pub capabilities: Vec<&'static str>,
    pub quality: f64,
    pub tokens_per_s: f64,
}

/// The parameters of an ordinary model.
pub const ORDINARY: &[&str] = &[
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "stop",
    "seed",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "structured_outputs",
    "frequency_penalty",
    "presence_penalty",
];

impl Model {
    /// An ordinary text model, `slug/name:free`.
    pub fn new(slug: &str, name: &str) -> Self {
        Self {
            id: format!("{slug}/{name}:free"),
            upstream: name.to_owned(),
            context_tokens: 32_768,
            max_output_tokens: Some(8_192),
            capabilities: ORDINARY.to_vec(),
            quality: 0.5,
            tokens_per_s: 100.0,
        }
    }

    pub fn can(mut self, capabilities: &[&'static str]) -> Self {
        self.capabilities.extend_from_slice(capabilities);
        self
    }

    pub fn only(mut self, capabilities: &[&'static str]) -> Self {
        self.capabilities = capabilities.to_vec();
        self
    }

    pub fn context(mut self, tokens: u32) -> Self {
        self.context_tokens = tokens;
        self
    }

    pub fn max_output(mut self, tokens: Option<u32>) -> Self {
        self.max_output_tokens = tokens;
        self
    }

    /// Quality 0 to 1 and output speed.
    pub fn ranks(mut self, quality: f64, tokens_per_s: f64) -> Self {
        self.quality = quality;
        self.tokens_per_s = tokens_per_s;
        self
    }
}

/// What to start.
#[derive(Default)]
pub struct Setup {
    providers: String,
    timeouts: String,
    extra: String,
    args: Vec<String>,
    env: Vec<(String, String)>,
    files: Vec<(String, String)>,
    ranked: u32,
    each: String,
    accounts: Option<String>,
    limits: String,
}

/// What the operator presents on the admin listener of every program started here.
pub const ADMIN_TOKEN: &str = "admin-token-of-the-tests";

impl Setup {
    pub fn new() -> Self {
        Self::default()
    }

    /// A provider with one ordinary model, `slug/chat:free`; earlier ones are clearly better in every way.
    pub fn provider(self, provider: &Provider) -> Self {
        let rank = self.ranked;
        let worse = f64::from(10_u32.pow(rank.min(4)));
        let model =
            Model::new(&provider.slug, "chat").ranks(0.95 - 0.2 * f64::from(rank.min(4)), 1_000.0 / worse);
        let mut setup = self.models(provider, &[model]);
        setup.ranked += 1;
        setup
    }

    /// A provider with these models.
    pub fn models(mut self, provider: &Provider, models: &[Model]) -> Self {
        self.describe(provider, "none");
        let out = &mut self.providers;
        for model in models {
            let _ = writeln!(out, "[[provider.model]]\nid = {:?}", model.id);
            let _ = writeln!(out, "upstream_model = {:?}", model.upstream);
            let _ = writeln!(out, "context_tokens = {}", model.context_tokens);
            if let Some(tokens) = model.max_output_tokens {
                let _ = writeln!(out, "max_output_tokens = {tokens}");
            }
            let _ = writeln!(out, "capabilities = {:?}", model.capabilities);
            let _ = writeln!(out, "quality = {:?}\ntokens_per_s = {:?}", model.quality, model.tokens_per_s);
        }
        self
    }

    /// A provider whose models come from its own list, in this dialect.
    pub fn listed(mut self, provider: &Provider, dialect: &str) -> Self {
        self.describe(provider, dialect);
        self
    }

    fn describe(&mut self, provider: &Provider, list: &str) {
        let Provider { slug, addr, .. } = provider;
        let scheme = if provider.ca_pem.is_some() { "https" } else { "http" };
        let host = if provider.ca_pem.is_some() { "localhost".to_owned() } else { addr.ip().to_string() };
        let out = &mut self.providers;
        let _ = writeln!(out, "[[provider]]\nslug = {slug:?}\nname = \"{} Inc\"", slug.to_uppercase());
        let _ = writeln!(out, "base_url = \"{scheme}://{host}:{}/prefix/v1\"", addr.port());
        let _ = writeln!(out, "key = \"sk-{slug}-secret\"\nlist = {list:?}");
        out.push_str(&self.each);
        if provider.h2c {
            let _ = writeln!(out, "h2c = true");
        }
        if let Some(pem) = &provider.ca_pem {
            let _ = writeln!(out, "ca_file = \"@DIR@/{slug}-ca.pem\"");
            self.files.push((format!("{slug}-ca.pem"), pem.clone()));
        }
    }

    /// Lines of the `[timeouts]` table.
    pub fn timeouts(mut self, lines: &str) -> Self {
        self.timeouts.push_str(lines);
        self.timeouts.push('\n');
        self
    }

    /// More keys of every provider named from now on.
    pub fn each(mut self, lines: &str) -> Self {
        self.each.push_str(lines);
        self.each.push('\n');
        self
    }

    /// A provider with one ordinary model, like [`provider`](Self::provider), and with keys of its own.
    pub fn provider_with(mut self, provider: &Provider, lines: &str) -> Self {
        let each = std::mem::replace(&mut self.each, format!("{lines}\n"));
        let mut setup = self.provider(provider);
        setup.each = each;
        setup
    }

    /// More configuration, put before the providers.
    pub fn config(mut self, toml: &str) -> Self {
        self.extra.push_str(toml);
        self.extra.push('\n');
        self
    }

    /// With accounts. All clients come from one address here, so many may sign up in a day.
    pub fn accounts(self) -> Self {
        self.accounts_with("")
    }

    /// With accounts, and these lines of the `[accounts]` table.
    pub fn accounts_with(mut self, lines: &str) -> Self {
        let table = self.accounts.get_or_insert_default();
        table.push_str(lines);
        table.push('\n');
        self
    }

    /// Lines of the `[limits]` table.
    pub fn limits(mut self, lines: &str) -> Self {
        self.limits.push_str(lines);
        self.limits.push('\n');
        self
    }

    fn money(&self) -> String {
        let Some(lines) = &self.accounts else { return String::new() };
        let many = if lines.contains("signups_per_day") { "" } else { "signups_per_day = 1000000\n" };
        format!("[accounts]\nenabled = true\n{many}{lines}\n[limits]\n{}", self.limits)
    }

    /// A file beside the configuration, which names it as `@DIR@/NAME`.
    pub fn file(mut self, name: &str, content: &str) -> Self {
        self.files.push((name.to_owned(), content.to_owned()));
        self
    }

    /// A variable of its environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// More arguments.
    pub fn args(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(|&a| a.to_owned()));
        self
    }

    /// Starts the program and waits until it says it is ready.
    pub async fn start(self) -> Router {
        let dir = TempDir::new().expect("a directory");
        let path = dir.path().to_str().expect("UTF-8").to_owned();
        for (name, contents) in &self.files {
            std::fs::write(dir.path().join(name), contents).expect("a file");
        }
        let Self { extra, timeouts, providers, .. } = &self;
        let config = format!("{extra}\n{}\n[timeouts]\n{timeouts}\n{providers}", self.money());
        std::fs::write(dir.path().join("freeway.toml"), config.replace("@DIR@", &path)).expect("a file");
        launch(dir, self.args, self.env).await
    }
}

/// Starts the program in a directory that has its configuration.
async fn launch(dir: TempDir, args: Vec<String>, env: Vec<(String, String)>) -> Router {
    let mut command = Command::new(env!("CARGO_BIN_EXE_freeway"));
    command.arg("serve").arg("--config").arg(dir.path().join("freeway.toml"));
    command.arg("--data-dir").arg(dir.path().join("data"));
    for listener in ["--listen", "--metrics-listen", "--admin-listen"] {
        if !args.iter().any(|argument| argument == listener) {
            command.args([listener, "127.0.0.1:0"]);
        }
    }
    // A developer's own provider keys must not add providers.
    command.args(&args).env_clear().env("RUST_BACKTRACE", "1");
    command.env("FREEWAY_ADMIN_TOKEN", ADMIN_TOKEN).envs(env.iter().map(|(k, v)| (k, v)));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().expect("the program starts");
    let said = watch_lines(child.stdout.take().expect("piped"));
    let logs = watch_lines(child.stderr.take().expect("piped"));
    let mut lines = said.subscribe();
    let ready = |lines: &Lines| lines.closed || lines.all.iter().any(|l| l.starts_with("freeway: ready"));
    let lines = within("freeway: ready", lines.wait_for(ready)).await.expect("kept").clone();
    assert!(!lines.closed, "it ended instead of starting:\n{}", logs.borrow().all.join("\n"));
    let find = |what: &str| {
        let prefix = format!("freeway: {what} http");
        let rest = lines.all.iter().find_map(|l| l.strip_prefix(&prefix)).expect("an address a listener");
        let rest = rest.trim_start_matches("s").trim_start_matches("://");
        rest.split('/').next().and_then(|a| a.parse().ok()).expect("an address")
    };
    let (addr, metrics, admin) = (find("listening on"), find("metrics on"), find("admin on"));
    Router { addr, metrics, admin, said, logs, child, dir: Some(dir), args, env }
}

/// What a stream of the program has said so far.
#[derive(Clone, Default)]
struct Lines {
    all: Vec<String>,
    closed: bool,
}

fn watch_lines(stream: impl AsyncRead + Unpin + Send + 'static) -> watch::Sender<Lines> {
    let lines = watch::Sender::new(Lines::default());
    let sender = lines.clone();
    tokio::spawn(async move {
        let mut reader = BufReader::new(stream).lines();
        while let Ok(Some(line)) = reader.next_line().await {
            sender.send_modify(|l| l.all.push(line));
        }
        sender.send_modify(|l| l.closed = true);
    });
    lines
}

/// The running program; it is killed when dropped.
pub struct Router {
    /// Where it serves.
    pub addr: SocketAddr,
    /// Where its metrics are.
    pub metrics: SocketAddr,
    /// Where the operator looks and acts.
    pub admin: SocketAddr,
    said: watch::Sender<Lines>,
    logs: watch::Sender<Lines>,
    child: Child,
    /// There until it starts again.
    dir: Option<TempDir>,
    args: Vec<String>,
    env: Vec<(String, String)>,
}

/// An account as its owner knows it after signing up.
#[derive(Clone, Debug)]
pub struct Account {
    /// `acct_…`
    pub id: String,
    /// `cm_…`
    pub key: String,
}

impl Router {
    /// The program in front of these providers, best first.
    pub async fn start(providers: &[&Provider]) -> Self {
        providers.iter().fold(Setup::new(), |setup, p| setup.provider(p)).start().await
    }

    pub async fn client(&self) -> Client {
        Client::connect(self.addr).await
    }

    /// The base URL for SDKs, without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Where its own files are.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.as_ref().map(|dir| dir.path().join("data")).unwrap_or_default()
    }

    /// Ends the program with a signal, by its name, lets something happen to its files, and starts it again.
    pub async fn restart(mut self, signal: &str, meanwhile: impl FnOnce(&Path)) -> Self {
        let pid = self.child.id().expect("it runs").to_string();
        let sent = std::process::Command::new("kill").args(["-s", signal, &pid]).status();
        assert!(sent.expect("there is a kill").success(), "kill -s {signal}");
        within("the program to end", self.child.wait()).await.expect("it was ours");
        meanwhile(&self.data_dir());
        let dir = self.dir.take().expect("it has not been started again");
        launch(dir, std::mem::take(&mut self.args), std::mem::take(&mut self.env)).await
    }

    /// Those files.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut folders = vec![self.data_dir()];
        let mut files = Vec::new();
        while let Some(folder) = folders.pop() {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            for path in entries.map(|entry| entry.path()) {
                if path.is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
        files
    }

    /// Signs up for an account.
    pub async fn sign_up(&self) -> Account {
        let answer = self.client().await.post("/v1/accounts", &[], "{}").await;
        assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
        let account = answer.json();
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        Account { id: text(&account["id"]), key: text(&account["key"]["key"]) }
    }

    /// Tops an account up, in credits as in `"12.5"`.
    pub async fn credit(&self, account: &Account, credits: &str) {
        static PAYMENTS: AtomicU64 = AtomicU64::new(0);
        let reference = format!("payment-{}", PAYMENTS.fetch_add(1, Ordering::Relaxed));
        let body = json!({"credits": credits, "reference": reference});
        let answer = self.admin("POST", &format!("/accounts/{}/credit", account.id), &body.to_string()).await;
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    }

    /// The posted balance of an account in micro-credits.
    pub async fn balance_ucr(&self, account: &Account) -> i64 {
        let answer = self.admin("GET", &format!("/accounts/{}", account.id), "").await;
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        ucr(&answer.json()["balance_credits"])
    }

    /// A request of the operator's, with the token.
    pub async fn admin(&self, method: &str, path: &str, body: &str) -> Answer {
        let token = format!("Bearer {ADMIN_TOKEN}");
        let headers = [("authorization", token.as_str())];
        Client::connect(self.admin).await.open(method, path, &headers, body.as_bytes()).await.whole().await
    }

    /// Everything it said on standard output so far.
    pub fn said(&self) -> String {
        self.said.borrow().all.join("\n")
    }

    /// Everything logged so far.
    pub fn logs(&self) -> String {
        self.logs.borrow().all.join("\n")
    }

    /// Waits for this many access lines.
    pub async fn accessed(&self, count: usize) -> Vec<Value> {
        let mut logs = self.logs.subscribe();
        let enough = |lines: &Lines| access_lines(lines).len() >= count;
        let lines = within("an access line", logs.wait_for(enough)).await.expect("kept").clone();
        access_lines(&lines)
    }

    /// The text of `/metrics`.
    pub async fn metrics(&self) -> String {
        let answer = Client::connect(self.metrics).await.get("/metrics").await;
        assert_eq!(answer.status, 200);
        String::from_utf8(answer.body).expect("metrics are UTF-8")
    }

    /// Tells it to end when the running answers have.
    pub fn terminate(&self) {
        let pid = self.child.id().expect("it runs").to_string();
        let sent = std::process::Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs");
        assert!(sent.success());
    }

    /// Whether the program still runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The most memory it has held so far, in megabytes.
    pub fn peak_memory_mb(&self) -> u64 {
        let pid = self.child.id().expect("it runs");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("Linux");
        let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).expect("a peak");
        line.trim().trim_end_matches(" kB").trim().parse::<u64>().expect("kilobytes") / 1024
    }
}

/// After every test: no API key and no provider's key has found its way into a log or a file.
impl Drop for Router {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let files = self.files().into_iter().filter_map(|file| std::fs::read(file).ok());
        for bytes in files.chain([self.logs().into_bytes(), self.said().into_bytes()]) {
            assert!(!holds_api_key(&bytes), "an API key was written down");
            assert!(memchr::memmem::find(&bytes, b"-secret").is_none(), "a provider's key was written down");
        }
    }
}

/// `cm_` and 64 hexadecimal digits.
fn holds_api_key(bytes: &[u8]) -> bool {
    let is_digit = |b: &u8| b.is_ascii_hexdigit();
    memchr::memmem::find_iter(bytes, b"cm_").any(|at| {
        let rest = &bytes[at + 3..];
        rest.len() >= 64 && rest[..64].iter().all(is_digit)
    })
}

fn access_lines(lines: &Lines) -> Vec<Value> {
    let parsed = lines.all.iter().filter_map(|l| serde_json::from_str::<Value>(l).ok());
    parsed.filter(|v| v["target"] == "access").collect()
}

/// An amount in credits, as it stands in an answer, in micro-credits. A float is exact to 15 digits.
pub fn ucr(credits: &Value) -> i64 {
    let credits = credits.as_f64().unwrap_or_else(|| panic!("no amount: {credits}"));
    (credits * 1e6).round() as i64
}

/// A plain request to `auto`.
pub fn ask(text: &str) -> Value {
    json!({"model": "auto", "messages": [{"role": "user", "content": text}]})
}

/// The request with more members; existing ones are replaced.
pub fn with(mut request: Value, members: Value) -> Value {
    for (key, value) in members.as_object().expect("an object") {
        request[key] = value.clone();
    }
    request
}

/// The same as a stream.
pub fn streamed(request: Value) -> Value {
    with(request, json!({"stream": true}))
}

/// A request of about this many bytes.
pub fn ask_sized(bytes: usize) -> Value {
    // An image: the bytes are there, the tokens are not.
    json!({"model": "auto", "messages": [{"role": "user", "content": [
        {"type": "text", "text": "What is on it?"},
        {"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{}", "iVBO".repeat(bytes / 4))}},
    ]}]})
}
