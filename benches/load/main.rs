//! Freeway under load beside a bare Pingora pass-through and the upstream itself, on loopback.
//!
//! `cargo bench --bench load` runs everything; after `--`: `--quick`, `--only 1kb,streams`,
//! `--idle-streams 10000`, `--soak 1000000`, `--accounts`. All roles are this one program, started again; client, proxy
//! and upstream share the machine, so trust the ratios to the bare proxy, not the absolute figures.

mod accounts;
mod bare;
mod client;
mod mock;
mod process;
mod report;
mod requests;
mod runs;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What the command line asks for.
struct Options {
    quick: bool,
    only: Vec<String>,
    idle_streams: Option<usize>,
    soak: Option<u64>,
    accounts: bool,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("role:mock") => mock::run(args.get(1).map_or("paced", String::as_str)),
        Some("role:bare") => bare::run(args.get(1).expect("the upstream's address")),
        // Test runners start every target to list its tests; this one has none.
        _ if !args.iter().any(|a| a == "--bench") => return ExitCode::SUCCESS,
        _ => {}
    }
    let options = match parse(&args) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("{problem}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    process::with_many_files(&args);
    // The client must not be what is measured, and it leaves a core to the others.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(async {
        match (options.idle_streams, options.soak) {
            (Some(streams), _) => runs::idle_streams(streams).await,
            (_, Some(requests)) => runs::soak(requests).await,
            _ if options.accounts => accounts::run(options.quick).await,
            _ => runs::all(options.quick, &options.only).await,
        }
    });
    ExitCode::SUCCESS
}

const USAGE: &str = "options: --quick | --only NAME,… (1kb 32kb 2mb 1kb-c1 32kb-c1 streams) | --idle-streams N | --soak N | --accounts";

fn parse(args: &[String]) -> Result<Options, String> {
    let mut options =
        Options { quick: false, only: Vec::new(), idle_streams: None, soak: None, accounts: false };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} needs a value"));
        match arg.as_str() {
            "--bench" => {}
            "--accounts" => options.accounts = true,
            "--quick" => options.quick = true,
            "--only" => options.only = value()?.split(',').map(str::to_owned).collect(),
            "--idle-streams" => options.idle_streams = Some(number(value()?)?),
            "--soak" => options.soak = Some(number(value()?)?),
            other => return Err(format!("unknown option {other}")),
        }
    }
    Ok(options)
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text} is no number"))
}
