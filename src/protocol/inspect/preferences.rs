//! What the caller wants of the router: filters and orderings, never a way to a paid model.

use super::super::facts::{Preferences, Sort, Span};
use super::Invalid;
use super::draft::Draft;
use super::messages::require;
use super::read::{MAX_NAME_CHARS, MAX_NAMES, MAX_NAMES_CHARS};
use super::scan::{Cursor, Kind};
use crate::catalog::Capability;

/// Plugins that cost nothing and choose no model, so that OpenRouter may be told of them. Others
/// search the web, read files or pick a model, at the expense of whoever owns the key.
const FREE_PLUGINS: [&str; 2] = ["context-compression", "response-healing"];

/// The routers whose settings a body may carry; only those of the router asked for count.
#[derive(Default)]
pub(super) struct Routers {
    auto: Restrictions,
    auto_beta: Restrictions,
}

#[derive(Default)]
struct Restrictions {
    allowed: Vec<String>,
    excluded: Vec<String>,
    pin_model: bool,
}

impl<'a> Draft<'a> {
    pub(super) fn provider(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Invalid> {
        let wishes = &mut self.facts.preferences;
        cursor.fields(|cursor, field| {
            match field {
                "order" => wishes.order = cursor.names()?,
                "only" => wishes.only = cursor.names()?,
                "ignore" => wishes.ignore = cursor.names()?,
                "allow_fallbacks" => wishes.no_fallbacks = cursor.bool_or_null()? == Some(false),
                "require_parameters" => wishes.require_parameters = cursor.bool_or_null()? == Some(true),
                "data_collection" => data_collection(cursor, wishes)?,
                // None of the free providers promises either, so they come to the same.
                "zdr" | "enforce_distillable_text" => {
                    wishes.deny_data_collection |= cursor.bool_or_null()? == Some(true);
                }
                "sort" => (wishes.sort, wishes.across_models) = sort(cursor)?,
                "quantizations" => wishes.quantizations = lower_case(cursor.names()?),
                "preferred_min_throughput" => wishes.min_tokens_per_s = threshold(cursor)?,
                "preferred_max_latency" => {
                    wishes.max_ttft_ms = threshold(cursor)?.map(|seconds| seconds * 1000.0);
                }
                // `max_price` is held against what a model costs here, which is nothing.
                _ => drop(cursor.skip()?),
            }
            Ok(())
        })?;
        Ok(())
    }

    /// Objects with an `id`, or bare strings.
    pub(super) fn plugins(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Invalid> {
        cursor.items(|cursor, _| {
            let mut id = None;
            let mut enabled = true;
            let mut restrictions = Restrictions::default();
            cursor.kind()?;
            let start = cursor.pos() as u32;
            if cursor.kind()? == Kind::String {
                id = cursor.name_or_null(MAX_NAME_CHARS)?;
            } else {
                require(cursor, Kind::Object, "must be a string or an object with an `id`")?;
                cursor.fields(|cursor, field| {
                    match field {
                        "id" if id.is_some() => return Err(Invalid::value("is given twice")),
                        "id" => id = cursor.name_or_null(MAX_NAME_CHARS)?,
                        "enabled" => enabled = cursor.bool_or_null()? != Some(false),
                        "allowed_models" => restrictions.allowed = cursor.names()?,
                        "excluded_models" => restrictions.excluded = cursor.names()?,
                        "pin_model" => restrictions.pin_model = cursor.bool_or_null()? == Some(true),
                        _ => drop(cursor.skip()?),
                    }
                    Ok(())
                })?;
            }
            let id = id.ok_or_else(|| Invalid::missing("id"))?;
            if enabled {
                self.plugin(&id, restrictions, Span { start, end: cursor.pos() as u32 })?;
            }
            Ok(())
        })?;
        Ok(())
    }

    pub(super) fn transforms(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Invalid> {
        let names = cursor.names()?;
        self.facts.preferences.context_compression |= names.iter().any(|name| name == "middle-out");
        Ok(())
    }

    pub(super) fn finish_plugins(&mut self, cursor: &Cursor<'a>) {
        let asked_for_beta = self.facts.model.as_deref() == Some("openrouter/auto-beta");
        let routers = std::mem::take(&mut self.routers);
        let ours = if asked_for_beta { routers.auto_beta } else { routers.auto };
        self.facts.preferences.allowed_models = ours.allowed;
        self.facts.preferences.excluded_models = ours.excluded;
        if ours.pin_model {
            let name = self.answered_by.filter(|name| name.span.len() <= MAX_NAME_CHARS);
            self.facts.preferences.pinned_model = name.map(|name| cursor.unescape(name).into_owned());
        } else {
            // Nothing to us, then: they stay as they are.
            self.facts.edits.message_models.clear();
        }
    }

    fn plugin(&mut self, id: &str, restrictions: Restrictions, span: Span) -> Result<(), Invalid> {
        match id {
            "auto-router" => self.routers.auto.add(restrictions)?,
            "auto-beta-router" => self.routers.auto_beta.add(restrictions)?,
            "context-compression" => self.facts.preferences.context_compression = true,
            "web" => self.soft(Capability::WebSearchOptions),
            _ => {}
        }
        if FREE_PLUGINS.contains(&id) {
            self.facts.edits.free_plugins.push(span);
        }
        Ok(())
    }
}

impl Restrictions {
    /// Adds those of another entry for the same router. Together they keep to the limits of one list.
    fn add(&mut self, more: Self) -> Result<(), Invalid> {
        self.pin_model |= more.pin_model;
        for (ours, theirs, name) in [
            (&mut self.allowed, more.allowed, "allowed_models"),
            (&mut self.excluded, more.excluded, "excluded_models"),
        ] {
            ours.extend(theirs);
            let chars = ours.iter().map(|pattern| pattern.chars().count()).sum::<usize>();
            if ours.len() > MAX_NAMES || chars > MAX_NAMES_CHARS {
                return Err(Invalid::value("is too long, all entries of the plugin together").under(name));
            }
        }
        Ok(())
    }
}

fn lower_case(names: Vec<String>) -> Vec<String> {
    names.into_iter().map(|name| name.to_lowercase()).collect()
}

/// A number, or an object with one by percentile, of which the lowest percentile counts: means are measured
/// here. Whatever else it is, it is no reason to refuse a request.
fn threshold(cursor: &mut Cursor<'_>) -> Result<Option<f32>, Invalid> {
    let sound = |number: &str| number.parse::<f32>().ok().filter(|n| n.is_finite() && *n >= 0.0);
    match cursor.kind()? {
        Kind::Number => Ok(sound(cursor.number()?)),
        Kind::Object => {
            let mut lowest: Option<(u8, f32)> = None;
            cursor.fields(|cursor, percentile| {
                let rank = percentile.strip_prefix('p').and_then(|rank| rank.parse::<u8>().ok());
                match (rank, cursor.kind()?) {
                    (Some(rank), Kind::Number) => {
                        let number = sound(cursor.number()?).map(|number| (rank, number));
                        lowest = number.filter(|_| lowest.is_none_or(|(known, _)| rank < known)).or(lowest);
                    }
                    _ => drop(cursor.skip()?),
                }
                Ok(())
            })?;
            Ok(lowest.map(|(_, number)| number))
        }
        _ => Ok(cursor.skip().map(|_| None)?),
    }
}

fn data_collection(cursor: &mut Cursor<'_>, wishes: &mut Preferences) -> Result<(), Invalid> {
    match cursor.name_or_null(MAX_NAME_CHARS)?.as_deref() {
        None | Some("allow") => Ok(()),
        Some("deny") => {
            wishes.deny_data_collection = true;
            Ok(())
        }
        Some(_) => Err(Invalid::value("must be allow or deny")),
    }
}

/// A word, or an object that has it as `by`; and whether it sorts across models.
fn sort(cursor: &mut Cursor<'_>) -> Result<(Option<Sort>, bool), Invalid> {
    if cursor.kind()? != Kind::Object {
        return Ok((sort_word(cursor)?, false));
    }
    let (mut by, mut across) = (None, false);
    cursor.fields(|cursor, field| {
        match field {
            "by" => by = sort_word(cursor)?,
            "partition" => across = partition(cursor)?,
            _ => drop(cursor.skip()?),
        }
        Ok(())
    })?;
    Ok((by, across))
}

fn partition(cursor: &mut Cursor<'_>) -> Result<bool, Invalid> {
    match cursor.name_or_null(MAX_NAME_CHARS)?.as_deref() {
        None | Some("model") => Ok(false),
        Some("none") => Ok(true),
        Some(_) => Err(Invalid::value("must be model or none")),
    }
}

fn sort_word(cursor: &mut Cursor<'_>) -> Result<Option<Sort>, Invalid> {
    match cursor.name_or_null(MAX_NAME_CHARS)?.as_deref() {
        None => Ok(None),
        Some("price") => Ok(Some(Sort::Price)),
        Some("throughput") => Ok(Some(Sort::Throughput)),
        Some("latency") => Ok(Some(Sort::Latency)),
        Some("exacto") => Ok(Some(Sort::Quality)),
        Some(_) => Err(Invalid::value("must be price, throughput, latency or exacto")),
    }
}
