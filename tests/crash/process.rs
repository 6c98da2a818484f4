//! The program as a process: started, sent signals, killed, and started again on the same data.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

/// How long anything may take before the test fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Models that answer at once, in a third of a second, in eight, and in two minutes. No limits but the
/// credits.
const CONFIG: &str = r#"
[accounts]
enabled = true
commit_wait_ms = 2000

[limits]
free_per_minute = 0
funded_per_day = 0

[[simulate.model]]
id = "test/quick:free"
context = 8192
max_output = 512
inputs = ["text"]
supports = ["max_tokens"]
output_tokens = 5

[[simulate.model]]
id = "test/slow:free"
context = 8192
max_output = 512
inputs = ["text"]
supports = ["max_tokens"]
ttft_ms = 30
tokens_per_s = 100
output_tokens = 30

[[simulate.model]]
id = "test/endless:free"
context = 8192
max_output = 512
inputs = ["text"]
supports = ["max_tokens"]
tokens_per_s = 0.5
output_tokens = 60

[[simulate.model]]
id = "test/long:free"
context = 8192
max_output = 512
inputs = ["text"]
supports = ["max_tokens"]
ttft_ms = 100
tokens_per_s = 5
output_tokens = 40
"#;

/// A place for the program's files, which outlives its processes.
pub struct Place {
    folder: TempDir,
    env: Vec<(String, String)>,
}

/// One process; it is killed when dropped.
pub struct Process {
    pub address: SocketAddr,
    said: watch::Receiver<Lines>,
    logs: watch::Receiver<Lines>,
    child: Child,
}

#[derive(Clone, Default)]
struct Lines {
    all: String,
    closed: bool,
}

impl Place {
    pub fn new() -> Self {
        Self::with("")
    }

    /// With more configuration.
    pub fn with(server: &str) -> Self {
        let folder = TempDir::new().expect("a folder");
        let config = format!("[server]\n{server}\n{CONFIG}");
        std::fs::write(folder.path().join("freeway.toml"), config).expect("a file");
        Self { folder, env: Vec::new() }
    }

    /// A variable of the processes' environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Starts a process on a free port and waits until it is ready.
    pub async fn start(&self) -> Process {
        let process = self.spawn("127.0.0.1:0", &[]);
        process.ready().await
    }

    /// Starts one that takes over from `old`, and waits until it can.
    pub async fn successor(&self, old: &Process) -> Process {
        let process = self.spawn(&old.address.to_string(), &["--upgrade"]);
        process.says("ready to take over").await;
        process
    }

    /// Runs a command of the program to its end.
    pub async fn run(&self, args: &[&str]) -> std::process::Output {
        let mut command = self.command();
        command.args(args).arg("--data-dir").arg(self.data_dir());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        tokio::time::timeout(PATIENCE, command.output()).await.expect("it ends").expect("it starts")
    }

    pub fn spawn(&self, listen: &str, args: &[&str]) -> Process {
        let mut command = self.command();
        command.arg("serve").arg("--config").arg(self.folder.path().join("freeway.toml"));
        command.arg("--data-dir").arg(self.data_dir()).args(["--listen", listen]).args(args);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("the program starts");
        let said = lines(child.stdout.take().expect("piped"));
        let logs = lines(child.stderr.take().expect("piped"));
        let address = listen.parse().expect("an address");
        Process { address, said, logs, child }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_freeway"));
        command.env_clear().env("FREEWAY_LOG", "info,access=off").current_dir(self.folder.path());
        command
    }
}

impl Process {
    /// Waits until it serves; fails the test if it ends instead.
    pub async fn ready(mut self) -> Self {
        let said = self.says("freeway: ready\n").await;
        let rest = said.split_once("listening on http://").expect("an address").1;
        self.address = rest.split('\n').next().and_then(|a| a.parse().ok()).expect("an address");
        self
    }

    /// Waits until it has said this; what it said until then.
    pub async fn says(&self, what: &str) -> String {
        let mut said = self.said.clone();
        let wait = said.wait_for(|lines| lines.closed || lines.all.contains(what));
        let lines = tokio::time::timeout(PATIENCE, wait).await;
        let lines = lines.unwrap_or_else(|_| panic!("it does not say {what:?}:\n{}", self.logs()));
        let lines = lines.expect("kept").clone();
        assert!(lines.all.contains(what), "it ended instead of saying {what:?}:\n{}", self.logs());
        lines.all
    }

    /// Waits until it has logged this.
    pub async fn logs_say(&self, what: &str) {
        let mut logs = self.logs.clone();
        let wait = logs.wait_for(|lines| lines.all.contains(what));
        let found = tokio::time::timeout(PATIENCE, wait).await;
        found.unwrap_or_else(|_| panic!("it does not log {what:?}")).expect("it runs");
    }

    pub fn logs(&self) -> String {
        self.logs.borrow().all.clone()
    }

    /// Sends a signal, by its name.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().expect("it runs").to_string();
        let status = std::process::Command::new("kill").args(["-s", name, &pid]).status();
        assert!(status.expect("there is a kill").success(), "kill -s {name}");
    }

    /// Kills it and waits until it is dead.
    pub async fn kill(mut self) {
        self.child.start_kill().expect("it runs");
        self.ended().await;
    }

    /// Waits until it ends by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        match tokio::time::timeout(PATIENCE, self.child.wait()).await {
            Ok(status) => status.expect("it was ours"),
            Err(_) => panic!("it does not end:\n{}", self.logs()),
        }
    }

    /// Tells it to stop; it must end well.
    pub async fn stop(mut self) {
        self.signal("TERM");
        let status = self.ended().await;
        assert!(status.success(), "{status}:\n{}", self.logs());
    }
}

fn lines(stream: impl AsyncRead + Unpin + Send + 'static) -> watch::Receiver<Lines> {
    let (sender, receiver) = watch::channel(Lines::default());
    tokio::spawn(async move {
        let mut reader = BufReader::new(stream).lines();
        while let Ok(Some(line)) = reader.next_line().await {
            sender.send_modify(|lines| lines.all.extend([line.as_str(), "\n"]));
        }
        sender.send_modify(|lines| lines.closed = true);
    });
    receiver
}
