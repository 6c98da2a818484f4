//! The command line: serve, and explain a decision offline.

use crate::catalog::Catalog;
use crate::config::{ADMIN_TOKEN, Config, Overrides};
use crate::logs::Logs;
use crate::protocol::inspect::inspect;
use crate::routing::{self, Condition, Explanation, Inputs};
use crate::server::Freeway;
use crate::services::catalog_sync;
use crate::services::simulated_provider;
use clap::{Args, Parser, Subcommand};
use std::collections::HashMap;
use std::error::Error;
use std::io::Read;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// Answers `model: "auto"` with the best free model that can do the job.
#[derive(Debug, Parser)]
#[command(name = "freeway", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API.
    Serve(Serve),
    /// Explain how a request would be routed, without sending it.
    Route(Route),
}

#[derive(Debug, Args)]
struct Source {
    /// Configuration file (TOML); everything has a default.
    #[arg(long, value_name = "FILE", env = "FREEWAY_CONFIG")]
    config: Option<PathBuf>,
    /// Serve the simulated models too, or, without any provider key, only them.
    #[arg(long)]
    simulate: bool,
}

#[derive(Debug, Args)]
struct Serve {
    #[command(flatten)]
    source: Source,
    /// Where clients connect [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDR", env = "FREEWAY_LISTEN")]
    listen: Option<SocketAddr>,
    /// Where Prometheus scrapes /metrics; off by default.
    #[arg(long, value_name = "ADDR", env = "FREEWAY_METRICS_LISTEN")]
    metrics_listen: Option<SocketAddr>,
    /// Where the operator looks and acts; loopback only without FREEWAY_ADMIN_TOKEN, off by default.
    #[arg(long, value_name = "ADDR", env = "FREEWAY_ADMIN_LISTEN")]
    admin_listen: Option<SocketAddr>,
    /// Folder for files of Freeway's own.
    #[arg(long, value_name = "DIR", env = "FREEWAY_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// Ask for API keys and charge their accounts.
    #[arg(long)]
    accounts: bool,
    /// Take over from the process that runs: start this, then send SIGQUIT to that one.
    #[arg(long)]
    upgrade: bool,
}

#[derive(Debug, Args)]
struct Route {
    #[command(flatten)]
    source: Source,
    /// The request's JSON body; `-` reads standard input.
    #[arg(value_name = "FILE")]
    request: PathBuf,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Read the providers' model lists first, instead of using only models that are written down.
    #[arg(long)]
    fetch: bool,
}

/// Runs the program.
pub fn run() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Serve(args) => serve(args),
        Command::Route(args) => route(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("freeway: {error}");
            ExitCode::FAILURE
        }
    }
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn serve(args: Serve) -> Result<(), Box<dyn Error>> {
    let logs = Logs::start()?;
    let overrides = Overrides {
        listen: args.listen,
        metrics_listen: args.metrics_listen,
        admin_listen: args.admin_listen,
        data_dir: args.data_dir,
        accounts: args.accounts,
        simulate: args.source.simulate,
    };
    let config = Config::load(args.source.config.as_deref(), &overrides, &environment)?;
    println!("freeway: {}", providers_in_words(&config));
    if !config.listen.ip().is_loopback() && config.accounts.is_none() {
        println!(
            "freeway: {} is open to others, and there are no accounts: whoever connects is served",
            config.listen
        );
    }
    if let Some(address) = config.admin_listen.filter(|address| !address.ip().is_loopback()) {
        println!("freeway: the admin listener {address} is open to others, who need {ADMIN_TOKEN}");
    }
    let ended = Freeway::new(config)?.run(args.upgrade);
    logs.flush();
    Ok(ended?)
}

fn providers_in_words(config: &Config) -> String {
    let names: Vec<_> = config.providers.iter().map(|p| p.provider.name.as_str()).collect();
    match (names.is_empty(), config.simulated.is_some()) {
        (true, _) => "no provider is configured, so simulated models answer; set OPENROUTER_API_KEY, \
                      GROQ_API_KEY, GEMINI_API_KEY, … or name a local server in a configuration file"
            .to_owned(),
        (false, true) => format!("providers: {}; and simulated models, as asked", names.join(", ")),
        (false, false) => format!("providers: {}", names.join(", ")),
    }
}

fn route(args: &Route) -> Result<(), Box<dyn Error>> {
    let overrides = Overrides { simulate: args.source.simulate, ..Overrides::default() };
    let config = Config::load(args.source.config.as_deref(), &overrides, &environment)?;
    let explanation = explain(&config, &read_request(&args.request)?, args.fetch)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&explanation)?);
    } else {
        println!("{explanation}");
    }
    Ok(())
}

fn read_request(path: &std::path::Path) -> Result<Vec<u8>, Box<dyn Error>> {
    if path.as_os_str() != "-" {
        return std::fs::read(path).map_err(|e| format!("cannot read {}: {e}", path.display()).into());
    }
    let mut body = Vec::new();
    std::io::stdin().read_to_end(&mut body)?;
    Ok(body)
}

fn explain(config: &Config, body: &[u8], fetch: bool) -> Result<Explanation, Box<dyn Error>> {
    let facts = inspect(body).map_err(|invalid| match invalid.param {
        Some(param) => format!("{param}: {}", invalid.message),
        None => invalid.message,
    })?;
    let catalog = offline_catalog(config, fetch);
    let inputs = Inputs {
        facts: &facts,
        classification: routing::classify(body, &facts.features),
        catalog: &catalog,
        condition: &|_| Condition::default(),
        policy: &config.policy,
        seed: config.seed,
    };
    Ok(routing::explain(&inputs))
}

/// The models written down and the simulated ones; with `fetch`, the providers' lists too.
fn offline_catalog(config: &Config, fetch: bool) -> Catalog {
    let mut config = config.clone();
    let mut lists = HashMap::new();
    for provider in config.providers.iter().filter(|p| fetch && p.list_url.is_some()) {
        match catalog_sync::fetch(provider) {
            Ok(listing) => drop(lists.insert(provider.provider.slug.clone(), listing)),
            Err(error) => eprintln!("freeway: {}: {error}", provider.provider.name),
        }
    }
    if let Some(models) = &config.simulated {
        config.providers.push(simulated_provider::configured(models, 0));
    }
    catalog_sync::catalog(&config, &lists)
}
