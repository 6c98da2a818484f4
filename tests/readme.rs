//! The README and the files in `conf/` say what is so: their commands are run, their tables held
//! against the program.

use freeway::catalog::ProviderFile;
use freeway::config::{Config, Overrides};
use freeway::services::simulate::SimulatedModels;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

const README: &str = include_str!("../README.md");
/// How long anything may take before a test fails; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn the_start_command_and_the_first_curl_answer() {
    let start = blocks("sh").into_iter().find(|b| b.starts_with("cargo run")).expect("a start command");
    let curl = blocks("sh").into_iter().find(|b| b.starts_with("curl")).expect("a curl");
    let program = Running::start(arguments(&start));

    let answer = program.curl(&curl);

    let text = answer["choices"][0]["message"]["content"].as_str().unwrap_or_default();
    assert!(text.contains("capital of France"), "{answer}");
}

#[test]
fn accounts_work_as_the_readme_says() {
    let block = |what: &str| {
        let found = blocks("sh").into_iter().find(|b| b.contains(what));
        found.unwrap_or_else(|| panic!("no command with {what}"))
    };
    let data = tempfile::tempdir().expect("a directory");
    let mut start = arguments(&block("serve --accounts"));
    start.extend(["--data-dir".to_owned(), data.path().to_string_lossy().into_owned()]);
    let program = Running::start(start);

    let account = program.curl(&block("/v1/accounts"));
    let key = account["key"]["key"].as_str().expect("a key");
    let with_key = |what: &str| program.curl(&block(what).replace("cm_YOUR_KEY", key));

    let answer = with_key("/v1/chat/completions");
    let text = answer["choices"][0]["message"]["content"].as_str().unwrap_or_default();
    assert!(text.contains("capital of France"), "{answer}");
    assert!(with_key("/v1/account -H")["spent_credits"].as_f64().is_some_and(|spent| spent > 0.0));
    assert_eq!(with_key("/v1/keys -H")["limit_credits"], 50);
}

#[test]
fn the_route_command_explains() {
    let block = blocks("sh").into_iter().find(|b| b.contains("-- route")).expect("a route command");
    let request = block.split('\'').nth(1).expect("a quoted request");
    let said = stdout(run(&arguments(&block), request));
    assert!(said.contains("  1 simulated/") && said.contains("lacks tools"), "{said}");
}

#[test]
fn every_file_in_conf_is_what_it_claims() {
    for path in files("conf") {
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).expect("UTF-8");
        match name.as_str() {
            "providers.toml" => drop(toml::from_str::<ProviderFile>(&text).expect("profiles")),
            "simulated.toml" => drop(SimulatedModels::parse(&text).expect("simulated models")),
            // It is compiled in: the catalog's own tests read it.
            "models.toml" => {}
            _ if name.ends_with(".toml") => {
                let options = ["route", "--config", path.to_str().expect("UTF-8"), "-"].map(str::to_owned);
                let said = stdout(run(&options, r#"{"messages": [{"role": "user", "content": "Hi"}]}"#));
                assert!(said.contains("  1 "), "{name}: {said}");
                // What is switched off is right, too.
                let all = text.lines().map(switched_on).collect::<Vec<_>>().join("\n");
                loaded(&all);
            }
            _ => panic!("nothing checks conf/{name}"),
        }
    }
}

/// `#key = 1` is a setting that is switched off, `# words` a comment.
fn switched_on(line: &str) -> &str {
    line.strip_prefix('#').filter(|rest| !rest.starts_with([' ', '#']) && !rest.is_empty()).unwrap_or(line)
}

#[test]
fn single_node_shows_every_setting_at_its_default() {
    let text = fs::read_to_string(root().join("conf/single-node.toml")).expect("UTF-8");
    assert_eq!(format!("{:?}", loaded(&text)), format!("{:?}", loaded("")));
    let all = text.lines().map(switched_on).collect::<Vec<_>>().join("\n");
    let shown: toml::Table = all.parse().expect("TOML");
    for (table, key) in all_keys() {
        assert!(shown[&table].get(&key).is_some(), "{table}.{key} is not shown");
    }
}

#[test]
fn the_configuration_table_lists_every_key_with_its_default() {
    let rows = table("| Key | Default | Meaning |");
    let listed: BTreeSet<_> = rows.iter().map(|r| code(&r[0])).collect();
    let tables = ["provider", "simulate"].map(str::to_owned);
    let known: BTreeSet<_> = all_keys().iter().map(|(t, k)| format!("{t}.{k}")).chain(tables).collect();
    assert_eq!(listed, known);
    for row in &rows {
        let Some((table, key)) = row[0].trim_matches('`').split_once('.') else { continue };
        let with = |value: &str| loaded(&format!("[{table}]\n{key} = {value}"));
        if row[1].starts_with('`') {
            let (said, real) = (format!("{:?}", with(&code(&row[1]))), format!("{:?}", loaded("")));
            assert_eq!(said, real, "the default of {table}.{key}");
        } else if !key.starts_with("tls_") {
            // Those without a default have an example of a value.
            with(&code(row[2].split("as in ").nth(1).expect("an example")));
        }
    }
}

#[test]
fn every_configuration_block_is_accepted() {
    let blocks = blocks("toml");
    assert!(blocks.len() >= 2);
    blocks.iter().for_each(|block| drop(loaded(block)));
}

#[test]
fn the_provider_table_is_that_of_the_profiles() {
    let text = fs::read_to_string(root().join("conf/providers.toml")).expect("UTF-8");
    let file: ProviderFile = toml::from_str(&text).expect("profiles");
    let unpriced = |p: &freeway::catalog::ProviderProfile| {
        if p.list.free_when == freeway::catalog::FreeWhen::All { " †" } else { "" }
    };
    let real: Vec<_> = file
        .providers
        .iter()
        .filter_map(|p| Some((p.key_env.clone()?, format!("{}{}", p.name.as_deref()?, unpriced(p)))))
        .collect();
    let rows = table("| Variable | Provider |");
    let listed = rows.iter().map(|r| (code(&r[0]), r[1].split(',').next().unwrap_or_default().to_owned()));
    assert_eq!(listed.collect::<Vec<_>>(), real);
}

#[test]
fn the_flag_table_is_that_of_the_help() {
    let mut real = BTreeSet::new();
    let groups = ["accounts", "keys", "ledger"];
    let within = |group: &str| -> Vec<String> {
        let help = stdout(run(&[group.to_owned(), "--help".to_owned()], ""));
        let commands = help.lines().skip_while(|l| *l != "Commands:").skip(1).take_while(|l| !l.is_empty());
        let names = commands.filter_map(|l| l.split_whitespace().next()).filter(|name| *name != "help");
        names.map(|name| format!("{group} {name}")).collect()
    };
    let commands: Vec<String> = groups.iter().flat_map(|group| within(group)).collect();
    for command in ["serve", "route", "models"].map(str::to_owned).iter().chain(&commands) {
        let mut arguments: Vec<_> = command.split_whitespace().map(str::to_owned).collect();
        arguments.push("--help".to_owned());
        let help = stdout(run(&arguments, ""));
        let options = help.lines().filter_map(|l| l.trim_start().strip_prefix("--"));
        real.extend(options.map(|o| (command.clone(), o.split("  ").next().unwrap_or_default().to_owned())));
    }
    let mut listed = BTreeSet::new();
    for row in table("| Flag | Of | Meaning |") {
        for command in row[1].split(", ").map(code) {
            let flag = code(&row[0]);
            let (name, value) = flag.split_once(' ').unwrap_or((&flag, ""));
            let value = if value.is_empty() { String::new() } else { format!(" <{value}>") };
            let flag = format!("{}{value}", name.trim_start_matches("--"));
            // A group stands for all its commands.
            let all = if groups.contains(&command.as_str()) { within(&command) } else { vec![command] };
            listed.extend(all.into_iter().map(|command| (command, flag.clone())));
        }
    }
    assert_eq!(listed, real);
}

#[test]
fn the_metrics_table_is_that_of_the_program() {
    let read = |path: &str| fs::read_to_string(root().join(path)).expect("UTF-8");
    let source = read("src/metrics.rs") + &read("src/metrics/endpoints.rs");
    let real: BTreeSet<_> =
        source.split('"').filter(|s| s.starts_with("freeway_")).map(str::to_owned).collect();
    let rows = table("| Metric | Labels | Meaning |");
    assert_eq!(rows.iter().map(|r| code(&r[0])).collect::<BTreeSet<_>>(), real);
    for row in rows {
        for label in row[1].split(", ").filter(|l| !l.is_empty()).map(code) {
            assert!(source.contains(&format!("\"{label}\"")), "label {label} of {}", row[0]);
        }
    }
}

#[test]
fn the_benchmarks_and_places_exist() {
    let manifest: toml::Table = include_str!("../Cargo.toml").parse().expect("TOML");
    let benches = manifest["bench"].as_array().expect("benches");
    for row in table("| Command | Measures |") {
        let name = row[0].split_whitespace().nth(3).expect("a name").trim_end_matches('`').to_owned();
        assert!(benches.iter().any(|b| b["name"].as_str() == Some(&name)), "{name}");
    }
    for row in table("| Place | What |") {
        for place in row[0].split(", ").map(code) {
            let found = root().join(&place).exists() || root().join("src").join(&place).exists();
            assert!(found, "{place}");
        }
    }
}

#[test]
fn the_crate_docs_name_files_that_exist() {
    let source = fs::read_to_string(root().join("src/lib.rs")).expect("UTF-8");
    let docs: Vec<_> = source.lines().filter_map(|l| l.strip_prefix("//!")).collect();
    let docs = docs.join("\n");
    let mut seen = 0;
    for span in docs.split('`').skip(1).step_by(2) {
        let path = ["src/", "tests/", "conf/"].iter().any(|folder| span.starts_with(folder));
        let (start, choices, end) =
            match span.split_once('{').and_then(|(s, rest)| Some((s, rest.split_once('}')?))) {
                Some((start, (choices, end))) => (start, choices, end),
                None => (span, "", ""),
            };
        for choice in choices.split(',') {
            let name = format!("{start}{choice}{end}");
            let below =
                ["", "src", "src/proxy", "src/routing"].iter().any(|f| root().join(f).join(&name).exists());
            assert!(below || !(path || span.ends_with(".rs")), "{name}");
            seen += usize::from(below);
        }
    }
    assert!(seen > 40, "only {seen} are left");
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).expect("a folder");
    entries.map(|e| e.expect("an entry").path()).filter(|p| p.is_file()).collect()
}

/// The configuration a text makes, with one key in the environment so that nothing is simulated.
fn loaded(text: &str) -> Config {
    match try_load(text) {
        Ok(config) => config,
        Err(error) => panic!("{error}\n{text}"),
    }
}

fn try_load(text: &str) -> Result<Config, String> {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("freeway.toml");
    fs::write(&path, text).expect("a file");
    let env = |name: &str| (name == "OPENROUTER_API_KEY").then(|| "key".to_owned());
    Config::load(Some(&path), &Overrides::default(), &env).map_err(|e| e.to_string())
}

/// Every key of every table: a wrong one is answered with the right ones.
fn all_keys() -> Vec<(String, String)> {
    let expected = |text: &str| -> Vec<String> {
        let error = try_load(text).expect_err("no such key");
        let (_, keys) = error.split_once("expected ").unwrap_or_else(|| panic!("{error}"));
        keys.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let tables = expected("no_such_key = 1").into_iter().filter(|t| t != "provider" && t != "simulate");
    tables
        .flat_map(|t| expected(&format!("[{t}]\nno_such_key = 1")).into_iter().map(move |k| (t.clone(), k)))
        .collect()
}

/// The fenced blocks of a language.
fn blocks(language: &str) -> Vec<String> {
    let open = format!("```{language}\n");
    README.split(&open).skip(1).map(|b| b.split("```").next().unwrap_or_default().to_owned()).collect()
}

/// The rows of the table under a heading row, by cells.
fn table(heading: &str) -> Vec<Vec<String>> {
    let lines = README.lines().skip_while(|l| *l != heading).skip(2).take_while(|l| l.starts_with('|'));
    let cells = |l: &str| l.trim_matches('|').split('|').map(|c| c.trim().to_owned()).collect();
    let rows: Vec<_> = lines.map(cells).collect();
    assert!(!rows.is_empty(), "{heading}");
    rows
}

/// The first `code` of a cell.
fn code(cell: &str) -> String {
    cell.split('`').nth(1).unwrap_or_else(|| panic!("no code in {cell}")).to_owned()
}

/// What stands behind `cargo run --release --`.
fn arguments(block: &str) -> Vec<String> {
    let (_, arguments) = block.split_once("cargo run --release -- ").expect("a command");
    arguments.split_whitespace().map(str::to_owned).collect()
}

fn program(arguments: &[String]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_freeway"));
    // A developer's own keys must not add providers.
    command.args(arguments).env_clear();
    command
}

fn run(arguments: &[String], input: &str) -> Output {
    let mut command = program(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    // It may not care for input.
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    child.wait_with_output().expect("it ends")
}

fn stdout(output: Output) -> String {
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    assert!(output.status.success(), "{}", text(output.stderr));
    text(output.stdout)
}

/// The program while it serves; killed when dropped.
struct Running {
    child: Child,
    address: String,
}

impl Running {
    fn start(mut arguments: Vec<String>) -> Self {
        arguments.extend(["--listen", "127.0.0.1:0"].map(str::to_owned));
        let mut child = program(&arguments).stdout(Stdio::piped()).spawn().expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let (sender, said) = mpsc::sync_channel(100);
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut running = Self { child, address: String::new() };
        loop {
            let line = said.recv_timeout(PATIENCE).expect("it says that it is ready");
            if let Some(address) = line.strip_prefix("freeway: listening on http://") {
                running.address = address.to_owned();
            }
            if line == "freeway: ready" {
                return running;
            }
        }
    }

    /// Does what the curl command does, at the address of this program.
    fn curl(&self, command: &str) -> Value {
        let url = command.split_whitespace().nth(1).expect("a URL");
        let path = url.strip_prefix("http://127.0.0.1:8080").expect("the default address");
        let headers = command.split("-H \"").skip(1).filter_map(|rest| rest.split('"').next());
        let headers: String = headers.map(|h| format!("{h}\r\n")).collect();
        let body = command.split("-d '").nth(1).and_then(|rest| rest.split('\'').next());
        let (method, body) = body.map_or(("GET", ""), |body| ("POST", body));
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let length = body.len();
        let host = &self.address;
        let head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{headers}");
        write!(stream, "{head}content-length: {length}\r\n\r\n{body}").expect("it takes requests");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 20"), "{answer}");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        serde_json::from_str(body).expect("JSON")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
