//! Reads what providers answer to "which models do you have", every dialect into the same endpoints.
//!
//! Tolerant on purpose: every field is optional, unknown ones are ignored, and one bad row never costs the
//! list. Fetching is `services::catalog_sync`'s.

mod describe;
mod rows;

pub use describe::{description, undescribed, with_descriptions};

use super::free::{self, Unfit};
use super::profile::ListRules;
use super::{Capability, CapabilitySet, Date, Endpoint, Model, Provider};
use rows::Row;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The most rows read of one list; the longest known list has about a thousand.
pub const MAX_ROWS: usize = 10_000;

/// The longest model id taken.
const MAX_ID_BYTES: usize = 256;

/// The shape of a provider's model list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ListDialect {
    /// OpenRouter's: modalities, supported parameters and prices.
    OpenRouter,
    /// OpenAI's plain list, with the additions of Groq, Cerebras, vLLM, llama.cpp and others.
    #[default]
    OpenAi,
    /// Gemini's OpenAI-compatible list, whose ids start with `models/`.
    Gemini,
    /// Mistral's: a `capabilities` object.
    Mistral,
    /// Together's: a bare array with prices.
    Together,
    /// The GitHub Models catalog: a bare array with modalities and limits.
    Github,
    /// Cloudflare's model search: `result[]` with `properties[]`.
    Cloudflare,
    /// Cohere's own list: `models[]` with `endpoints` and `features`.
    Cohere,
    /// Hugging Face's router: each model with the providers that serve it.
    HuggingFace,
    /// Ollama's: `models[]`, or the OpenAI list of its `/v1`.
    Ollama,
}

/// What a list came to.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// The endpoints that may be called.
    pub models: Vec<Endpoint>,
    /// Ids that exist but cost money: never called, and said so to who asks for them.
    pub not_free: Vec<String>,
    /// Every other row: its id (empty when it has none) and why it was left out.
    pub skipped: Vec<(String, &'static str)>,
}

/// Why a list was refused as a whole. The last good list stays in use then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadList {
    /// Not JSON.
    #[error("the model list is not JSON (byte {0})")]
    NotJson(usize),
    /// JSON, but no list where this dialect has it.
    #[error("the answer holds no model list of this dialect")]
    WrongShape,
    /// A list of nothing.
    #[error("the model list is empty")]
    Empty,
    /// More rows than [`MAX_ROWS`].
    #[error("the model list has {0} rows, more than are read")]
    TooLong(usize),
}

/// Reads a model list: what may be called, what costs money, what is something else.
///
/// `today` is the UTC date; a model's last day still counts.
///
/// # Errors
/// [`BadList`] when the list as a whole is unusable. A bad row is only skipped.
pub fn parse_models(
    rules: &ListRules,
    body: &[u8],
    provider: &Arc<Provider>,
    today: Date,
) -> Result<Listing, BadList> {
    let rows = rows_of(rules.dialect, body)?;
    if rows.is_empty() {
        return Err(BadList::Empty);
    }
    if rows.len() > MAX_ROWS {
        return Err(BadList::TooLong(rows.len()));
    }
    let mut listing = Listing::default();
    let mut aliases = Aliases::default();
    for row in rows {
        let row = serde_json::from_str(row.get()).ok();
        let row = row.and_then(|row| Row::read(rules.dialect, &row));
        let Some(row) = row.filter(|row| valid_id(&row.id)) else {
            listing.skipped.push((String::new(), "no usable id"));
            continue;
        };
        match admit(&row, rules, today, &mut aliases) {
            Ok(()) => listing.models.push(endpoint(row, rules, provider)),
            Err(Unfit::NotFree) => listing.not_free.push(row.id),
            Err(unfit) => listing.skipped.push((row.id, unfit.reason())),
        }
    }
    aliases.attach(&mut listing.models);
    Ok(listing)
}

/// Names that stand for another row: found while reading, attached at the end.
#[derive(Default)]
struct Aliases {
    /// Ids that an earlier row called its alias.
    taken: HashSet<String>,
    /// Alias rows: target id → aliases.
    of: HashMap<String, Vec<String>>,
}

impl Aliases {
    fn attach(mut self, models: &mut [Endpoint]) {
        for endpoint in models {
            endpoint.model.aliases.extend(self.of.remove(&endpoint.model.id).unwrap_or_default());
        }
    }
}

/// Whether a row may be called; otherwise why not.
fn admit(row: &Row, rules: &ListRules, today: Date, aliases: &mut Aliases) -> Result<(), Unfit> {
    if let Some(target) = &row.alias_of {
        aliases.of.entry(target.clone()).or_default().push(row.id.clone());
        return Err(Unfit::Alias);
    }
    if aliases.taken.contains(&row.id) {
        return Err(Unfit::Alias);
    }
    if rules.excludes(&row.id) {
        return Err(Unfit::Excluded);
    }
    let outputs_unknown = row.outputs.is_none();
    match free::unfit_by_name(&row.id, outputs_unknown) {
        Some(unfit) => return Err(unfit),
        None if !row.active => return Err(Unfit::Inactive),
        None if !row.chat => return Err(Unfit::NotChat),
        None => {}
    }
    if row.outputs.as_ref().is_some_and(|out| out != &["text"]) {
        return Err(Unfit::Output);
    }
    if row.last_day.as_ref().is_some_and(|day| free::has_expired(day, today)) {
        return Err(Unfit::Expired);
    }
    if rules.by_price && !row.pricing.as_ref().is_some_and(free::costs_nothing) {
        return Err(Unfit::NotFree);
    }
    aliases.taken.extend(row.aliases.iter().cloned());
    Ok(())
}

/// Parameters every chat model takes under one spelling or the other; the rewriter picks the spelling.
const UNIVERSAL: CapabilitySet =
    CapabilitySet::EMPTY.with(Capability::MaxTokens).with(Capability::MaxCompletionTokens);

fn endpoint(row: Row, rules: &ListRules, provider: &Arc<Provider>) -> Endpoint {
    let mut capabilities = row.capabilities.union(rules.defaults.capabilities).union(UNIVERSAL);
    if capabilities.contains(Capability::StructuredOutputs) {
        capabilities.insert(Capability::ResponseFormat);
    }
    let name = row.name.unwrap_or_else(|| row.id.clone());
    let most_context = row.most_context_tokens;
    let mut model = Model {
        for_code: super::quality::is_for_code(&row.id),
        id: row.id,
        aliases: row.aliases,
        name,
        created: row.created,
        context_tokens: row.context_tokens,
        max_output_tokens: row.max_output_tokens,
        capabilities,
        reasoning_mandatory: row.reasoning_mandatory,
        ..Model::default()
    };
    rules.apply(&mut model);
    model.context_tokens = model.context_tokens.into_iter().chain(most_context).min();
    Endpoint::new(Arc::clone(provider), model, row.upstream_model)
}

/// Ids go into headers, logs and JSON: printable, without spaces, and short.
fn valid_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= MAX_ID_BYTES && id.bytes().all(|b| b.is_ascii_graphic())
}

/// The rows, each still as text: one that cannot be read must not cost the others.
fn rows_of(dialect: ListDialect, body: &[u8]) -> Result<Vec<&RawValue>, BadList> {
    let not_json = |e: serde_json::Error| BadList::NotJson(byte_at(body, &e));
    let document: &RawValue = serde_json::from_slice(body).map_err(not_json)?;
    // Some gateways wrap what is documented as a bare array, and some unwrap the other.
    if document.get().starts_with('[') {
        return serde_json::from_str(document.get()).map_err(not_json);
    }
    let members: HashMap<Cow<'_, str>, &RawValue> =
        serde_json::from_str(document.get()).map_err(|_| BadList::WrongShape)?;
    let names: &[&str] = match dialect {
        ListDialect::Cloudflare => &["result"],
        ListDialect::Cohere => &["models"],
        ListDialect::Ollama => &["models", "data"],
        _ => &["data"],
    };
    let list = names.iter().find_map(|name| members.get(*name)).ok_or(BadList::WrongShape)?;
    serde_json::from_str(list.get()).map_err(|_| BadList::WrongShape)
}

/// Where in `body` a JSON error lies; its own text could quote the body.
fn byte_at(body: &[u8], error: &serde_json::Error) -> usize {
    let lines_before = error.line().saturating_sub(1);
    let before: usize = body.split_inclusive(|b| *b == b'\n').take(lines_before).map(<[u8]>::len).sum();
    before + error.column()
}

#[cfg(test)]
mod tests;
