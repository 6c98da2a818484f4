//! `serve`: the configuration, a word about it, and the server.

use super::{Source, environment};
use crate::config::{ADMIN_TOKEN, Config, Overrides};
use crate::logs::Logs;
use crate::server::Freeway;
use clap::Args;
use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct Serve {
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

pub(super) fn serve(args: Serve) -> Result<(), Box<dyn Error>> {
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
