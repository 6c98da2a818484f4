//! The processes of a run, and what the kernel says they cost.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// Clock ticks a second in `/proc`, fixed by Linux's interface to programs.
const TICKS_PER_S: f64 = 100.0;

/// A process to send requests to; it is killed when dropped.
pub(crate) struct Process {
    pub(crate) name: &'static str,
    pub(crate) addr: SocketAddr,
    /// Where its metrics are, if it has any.
    metrics: Option<SocketAddr>,
    child: Child,
    _dir: Option<TempDir>,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    /// The upstream in one of its modes.
    pub(crate) fn mock(mode: &str) -> Self {
        Self::spawn("direct", Command::new(this_program()).args(["role:mock", mode]), None)
    }

    /// The bare proxy in front of it.
    pub(crate) fn bare(upstream: &Process) -> Self {
        let upstream = upstream.addr.to_string();
        Self::spawn("bare", Command::new(this_program()).args(["role:bare", &upstream]), None)
    }

    /// Freeway in front of it: one provider, one model, everything else as shipped.
    pub(crate) fn freeway(upstream: &Process) -> Self {
        let dir = TempDir::new().expect("a directory");
        let mut command = freeway(upstream, &dir, "");
        Self::spawn("freeway", &mut command, Some(dir))
    }

    /// The same with accounts, without limits; and a key.
    pub(crate) fn freeway_with_accounts(upstream: &Process) -> (Self, String) {
        let dir = TempDir::new().expect("a directory");
        let tables = "[accounts]\nenabled = true\ngrant_credits = 1000000000\n\
                      [limits]\nfree_per_minute = 0\nfunded_per_day = 0\n";
        let mut command = freeway(upstream, &dir, tables);
        let mut create = Command::new(env!("CARGO_BIN_EXE_freeway"));
        create.args(["accounts", "create", "--config"]).arg(dir.path().join("freeway.toml"));
        let created = create.arg("--data-dir").arg(dir.path().join("data")).output().expect("it runs");
        let said = String::from_utf8_lossy(&created.stdout).into_owned();
        let is_key = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
        let from = said.find("cm_").unwrap_or_else(|| panic!("no key: {said}"));
        let key = said[from..].chars().take_while(is_key).collect();
        (Self::spawn("accounts", &mut command, Some(dir)), key)
    }

    fn spawn(name: &'static str, command: &mut Command, dir: Option<TempDir>) -> Self {
        // Freeway writes its access lines; where they go is not what is measured.
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{name} does not start: {e}"));
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        let (mut addr, mut metrics) = (None, None);
        for line in lines.by_ref() {
            if let Some((_, url)) = line.split_once("listening on http://") {
                addr = url.trim_end_matches('/').parse().ok();
            }
            if let Some((_, url)) = line.split_once("metrics on http://") {
                metrics = url.trim_end_matches("/metrics").parse().ok();
            }
            if addr.is_some() && (matches!(name, "direct" | "bare") || line.starts_with("freeway: ready")) {
                break;
            }
        }
        let addr = addr.unwrap_or_else(|| panic!("{name} ended instead of listening"));
        // Keeps the pipe open and empty.
        std::thread::spawn(move || lines.for_each(drop));
        let process = Self { name, addr, metrics, child, _dir: dir };
        process.wait_until_connected();
        process
    }

    /// Some say they listen just before they do.
    fn wait_until_connected(&self) {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while TcpStream::connect(self.addr).is_err() {
            assert!(std::time::Instant::now() < deadline, "{} does not listen", self.name);
            std::thread::yield_now();
        }
    }

    /// User and system time so far, in seconds.
    pub(crate) fn cpu_s(&self) -> f64 {
        let stat = self.proc("stat");
        // The name before it, in parentheses, may contain spaces.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
        (ticks(11) + ticks(12)) / TICKS_PER_S
    }

    /// Memory now and at its highest, in kilobytes.
    pub(crate) fn memory_kb(&self) -> (u64, u64) {
        let status = self.proc("status");
        let field = |name: &str| {
            let line = status.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_default();
            line.trim().trim_end_matches("kB").trim().parse().unwrap_or(0)
        };
        (field("VmRSS:"), field("VmHWM:"))
    }

    /// A histogram of its metrics: each bucket's upper bound in seconds and its cumulated count.
    pub(crate) fn histogram(&self, name: &str) -> Vec<(f64, u64)> {
        let mut stream = TcpStream::connect(self.metrics.expect("it has metrics")).expect("it listens");
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").expect("a live connection");
        let mut text = String::new();
        // It may close in its own way once all has been said.
        let _ = stream.read_to_string(&mut text);
        let prefix = format!("{name}_bucket{{le=\"");
        let bucket = |line: &str| {
            let (bound, count) = line.strip_prefix(&prefix)?.split_once("\"} ")?;
            Some((bound.replace("+Inf", "inf").parse().ok()?, count.trim().parse().ok()?))
        };
        text.lines().filter_map(bucket).collect()
    }

    fn proc(&self, file: &str) -> String {
        let path = format!("/proc/{}/{file}", self.child.id());
        std::fs::read_to_string(path).unwrap_or_else(|_| panic!("{} has ended", self.name))
    }
}

/// Freeway's command, with its configuration written to `dir`.
fn freeway(upstream: &Process, dir: &TempDir, tables: &str) -> Command {
    let file = dir.path().join("freeway.toml");
    // Idle streams stay idle for as long as they are counted.
    let config = format!(
        "{tables}[timeouts]\nidle_ms = 600000\nkeepalive_comment_ms = 600000\n\
         [[provider]]\nslug = \"mock\"\nname = \"Mock\"\nbase_url = \"http://{}/v1\"\nlist = \"none\"\n\
         [[provider.model]]\nid = \"mock/mock-8b:free\"\nupstream_model = \"mock-8b\"\n\
         context_tokens = 1000000\nmax_output_tokens = 8192\n\
         capabilities = [\"tools\", \"temperature\", \"max_tokens\", \"image\"]\n\
         quality = 0.5\ntokens_per_s = 100.0\n",
        upstream.addr
    );
    std::fs::write(&file, config).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_freeway"));
    command.arg("serve").arg("--config").arg(&file).arg("--data-dir").arg(dir.path().join("data"));
    for listener in ["--listen", "--metrics-listen", "--admin-listen"] {
        command.args([listener, "127.0.0.1:0"]);
    }
    command
}

fn this_program() -> std::path::PathBuf {
    std::env::current_exe().expect("this program has a path")
}

/// Starts this program again with as many open files as the machine allows; all children inherit it.
pub(crate) fn with_many_files(args: &[String]) {
    const RAISED: &str = "FREEWAY_LOAD_FILES_RAISED";
    if std::env::var_os(RAISED).is_some() {
        return;
    }
    let error = Command::new("sh")
        .args(["-c", "ulimit -n $(ulimit -Hn); exec \"$0\" \"$@\""])
        .arg(this_program())
        .args(args)
        .env(RAISED, "1")
        .exec();
    eprintln!("open files stay limited: {error}");
}
