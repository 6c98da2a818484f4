//! The command line: serving, explaining a decision, showing the models, and the accounts.
//!
//! The commands for accounts open the ledger themselves, so they work whether a server runs or not.

mod accounts;
mod books;
mod eval;
mod keys;
mod ledger;
mod lines;
mod models;
mod offline;
mod route;
mod serve;
mod show;
mod train;

use clap::{Args, Parser, Subcommand};
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
    Serve(serve::Serve),
    /// Explain how a request would be routed, without sending it.
    Route(route::Route),
    /// Show the models at hand, and why others are not.
    Models(models::Models),
    /// Classify many prompts, to judge the classifier.
    Eval(eval::Eval),
    /// Make the classifier's weights anew.
    Train(train::Train),
    /// Open accounts, look at them and top them up.
    #[command(subcommand)]
    Accounts(accounts::Accounts),
    /// Make, list and revoke API keys.
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Check the ledger.
    #[command(subcommand)]
    Ledger(ledger::Ledger),
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

/// Runs the program.
pub fn run() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Serve(args) => serve::serve(args),
        Command::Route(args) => route::route(&args),
        Command::Models(args) => models::models(&args),
        Command::Eval(args) => eval::eval(&args),
        Command::Train(args) => train::run(&args),
        Command::Accounts(command) => accounts::run(command),
        Command::Keys(command) => keys::run(command),
        Command::Ledger(command) => ledger::run(&command),
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
