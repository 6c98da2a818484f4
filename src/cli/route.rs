//! `route`: a decision explained, without sending anything.

use super::{Source, environment};
use crate::classifier;
use crate::config::{Config, Overrides};
use crate::protocol::inspect::inspect;
use crate::routing::{self, Condition, Explanation, Inputs};
use clap::Args;
use std::error::Error;
use std::io::Read;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct Route {
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

pub(super) fn route(args: &Route) -> Result<(), Box<dyn Error>> {
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
    let catalog = super::offline::catalog(config, fetch);
    let inputs = Inputs {
        facts: &facts,
        classification: routing::classify(body, &facts.features),
        catalog: &catalog,
        condition: &|_, _| Condition::default(),
        at_best: None,
        policy: &config.policy,
        seed: config.seed,
        last_chance: false,
        remembered: None,
    };
    let reasons = Some(classifier::reasons(body, &facts.features));
    Ok(Explanation { reasons, ..routing::explain(&inputs) })
}
