//! `models`: what can be asked, and why other listed models are not.

use super::show::{print_json, print_table};
use super::{Source, environment, offline};
use crate::catalog::{Capability, Catalog, Endpoint, Period, Unit};
use crate::config::{Config, Overrides};
use clap::Args;
use serde_json::{Value, json};
use std::error::Error;

#[derive(Debug, Args)]
pub(super) struct Models {
    #[command(flatten)]
    source: Source,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Read the providers' model lists first, instead of showing only models that are written down.
    #[arg(long)]
    fetch: bool,
}

pub(super) fn models(args: &Models) -> Result<(), Box<dyn Error>> {
    let overrides = Overrides { simulate: args.source.simulate, ..Overrides::default() };
    let config = Config::load(args.source.config.as_deref(), &overrides, &environment)?;
    let catalog = offline::catalog(&config, args.fetch);
    if args.json {
        return print_json(&in_json(&catalog));
    }
    print(&catalog);
    let unread = config.providers.iter().filter(|p| p.list_url.is_some()).count();
    if unread > 0 && !args.fetch {
        println!("\n{unread} providers have lists of their own: --fetch reads them");
    }
    Ok(())
}

fn in_json(catalog: &Catalog) -> Value {
    let models = catalog.endpoints.iter().map(|endpoint| {
        let (model, provider) = (&endpoint.model, &endpoint.provider);
        let limits = provider.quotas.over(&model.id).into_iter().map(|(scope, unit, per, amount, _)| {
            json!({"scope": scope.name(), "unit": unit.name(), "per": per, "amount": amount})
        });
        json!({
            "id": model.id, "provider": provider.slug, "name": model.name, "aliases": model.aliases,
            "context_tokens": model.context_tokens, "max_output_tokens": model.max_output_tokens,
            "quality": model.quality, "strengths": model.strengths, "tokens_per_s": model.tokens_per_s,
            "capabilities": model.capabilities.iter().map(Capability::name).collect::<Vec<_>>(),
            "limits": limits.collect::<Vec<_>>(),
        })
    });
    json!({
        "models": models.collect::<Vec<_>>(), "left_out": catalog.left_out, "lists": catalog.lists,
    })
}

fn print(catalog: &Catalog) {
    let rows: Vec<_> = catalog.endpoints.iter().map(|endpoint| row(endpoint)).collect();
    print_table(&["model", "provider", "context", "answer", "quality", "limits", "can"], &rows);
    let left_out = catalog.left_out.iter();
    let rows: Vec<_> =
        left_out.map(|row| vec![row.id.clone(), row.provider.clone(), row.why.to_owned()]).collect();
    if !rows.is_empty() {
        println!();
        print_table(&["not served", "provider", "why"], &rows);
    }
}

fn row(endpoint: &Endpoint) -> Vec<String> {
    let model = &endpoint.model;
    let tokens = |count: Option<u32>| count.map_or_else(|| "-".to_owned(), |count| count.to_string());
    vec![
        model.id.clone(),
        endpoint.provider.slug.clone(),
        tokens(model.context_tokens),
        tokens(model.max_output_tokens),
        format!("{:.2}", model.quality),
        limits(endpoint),
        abilities(endpoint),
    ]
}

/// As in `30/minute 6000t/minute 14400/day`.
fn limits(endpoint: &Endpoint) -> String {
    let mut limits = endpoint.provider.quotas.over(&endpoint.model.id);
    limits.sort_by_key(|(_, unit, per, ..)| (*unit == Unit::Tokens, Period::seconds(*per)));
    let in_words = limits.into_iter().map(|(_, unit, per, amount, _)| {
        let unit = if unit == Unit::Tokens { "t" } else { "" };
        format!("{amount}{unit}/{per}")
    });
    let all = in_words.collect::<Vec<_>>().join(" ");
    if all.is_empty() { "-".to_owned() } else { all }
}

/// What decides most often whether a model can answer.
fn abilities(endpoint: &Endpoint) -> String {
    use Capability::{
        AudioInput, FileInput, ImageInput, Reasoning, ResponseFormat, StructuredOutputs, Tools, VideoInput,
    };
    let shown =
        [Tools, StructuredOutputs, ResponseFormat, ImageInput, AudioInput, VideoInput, FileInput, Reasoning];
    let can = shown.into_iter().filter(|c| endpoint.model.capabilities.contains(*c));
    can.map(Capability::name).collect::<Vec<_>>().join(" ")
}
