//! The overlay of provider profiles: the built-in ones, what the file changes of them, and the operator's own.

use super::ConfiguredProvider;
use crate::catalog::{BUILT_IN, CapabilitySet, Endpoint, Model, ProviderProfile, Secret, Strengths};
use serde::Deserialize;
use std::path::PathBuf;
use std::sync::Arc;
use toml::{Table, Value};

/// The field, and what is wrong with it.
type Problem = (String, String);

/// A model of the operator's own provider, written down instead of listed by it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StaticModel {
    id: String,
    upstream_model: Option<String>,
    name: Option<String>,
    context_tokens: Option<u32>,
    max_output_tokens: Option<u32>,
    #[serde(default)]
    capabilities: CapabilitySet,
    quality: Option<f32>,
    #[serde(default)]
    strengths: Strengths,
    tokens_per_s: Option<f32>,
}

/// The providers in use: built-in ones whose key is in the environment, and those of the file,
/// which may also change a built-in one by its slug.
pub(super) fn in_use(
    own: &[Table],
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<ConfiguredProvider>, Problem> {
    let built_in: Table = toml::from_str(BUILT_IN).expect("a unit test reads the built-in profiles");
    let mut tables: Vec<(Table, bool)> = match built_in.get("provider") {
        Some(Value::Array(rows)) => {
            rows.iter().filter_map(Value::as_table).map(|t| (t.clone(), false)).collect()
        }
        _ => Vec::new(),
    };
    for (position, table) in own.iter().enumerate() {
        let slug = table.get("slug").and_then(Value::as_str);
        let slug = slug.ok_or_else(|| (format!("provider[{position}].slug"), "is missing".to_owned()))?;
        match tables.iter_mut().find(|(t, _)| t.get("slug").and_then(Value::as_str) == Some(slug)) {
            Some((known, named)) => {
                overlay(known, table);
                *named = true;
            }
            None => tables.push((table.clone(), true)),
        }
    }
    let mut used = Vec::new();
    for (table, named) in tables {
        used.extend(provider(table, named, env)?);
    }
    Ok(used)
}

fn provider(
    mut table: Table,
    named: bool,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<ConfiguredProvider>, Problem> {
    let slug = table.get("slug").and_then(Value::as_str).unwrap_or_default().to_owned();
    let problem = |e: &dyn std::fmt::Display| (format!("provider `{slug}`"), e.to_string());
    let key = take_string(&mut table, "key").map_err(|e| problem(&e))?;
    let ca_file = take_string(&mut table, "ca_file").map_err(|e| problem(&e))?.map(PathBuf::from);
    let listed = shorthand_list(&mut table);
    let models = static_models(&mut table).map_err(|e| problem(&e))?;
    let profile: ProviderProfile =
        Value::Table(table).try_into().map_err(|e: toml::de::Error| problem(&e.message()))?;
    let keys = keys(&key.or_else(|| profile.key_env.as_deref().and_then(env)).unwrap_or_default());
    // A server of one's own needs no key, but has to be named.
    if !named && (keys.is_empty() || profile.local) {
        return Ok(None);
    }
    let provider = Arc::new(profile.provider(keys, None, env).map_err(|e| problem(&e))?);
    let url = |path: &str| profile.url(path, &provider.base, env).map_err(|e| problem(&e));
    let list_url = listed.then(|| url(&profile.list.path)).transpose()?;
    let show_url = profile.list.show.as_deref().map(url).transpose()?;
    let quota = match &profile.quota {
        Some(quota) => Some((url(&quota.path)?, quota.dialect)),
        None => None,
    };
    let endpoint = |m: StaticModel| {
        let upstream = m.upstream_model.clone().unwrap_or_else(|| m.id.clone());
        Endpoint::new(Arc::clone(&provider), m.into(), upstream)
    };
    let models = models.into_iter().map(endpoint).collect();
    let rules = profile.list_rules();
    Ok(Some(ConfiguredProvider { models, rules, list_url, show_url, quota, ca_file, provider }))
}

/// Each key given replaces the known one whole. Only rules and models are added to those known: the last rule
/// that matches holds, so that the operator has the last word on a model without repeating the others.
fn overlay(known: &mut Table, own: &Table) {
    let mut rules = match known.remove("model") {
        Some(Value::Array(rules)) => rules,
        _ => Vec::new(),
    };
    known.extend(own.clone());
    match known.get_mut("model") {
        Some(Value::Array(more)) => {
            rules.append(more);
            *more = rules;
        }
        // What is no array is refused when the table is read.
        Some(_) => {}
        None => drop(known.insert("model".to_owned(), Value::Array(rules))),
    }
}

/// Several keys stand with commas between them.
fn keys(written: &str) -> Vec<Secret> {
    written.split(',').filter_map(Secret::new).collect()
}

/// `list = "none"` is no list; `list = "groq"` is short for its dialect.
fn shorthand_list(table: &mut Table) -> bool {
    match table.get("list") {
        Some(Value::String(dialect)) if dialect == "none" => {
            table.remove("list");
            false
        }
        Some(Value::String(dialect)) => {
            let long = Table::from_iter([("dialect".to_owned(), Value::String(dialect.clone()))]);
            table.insert("list".to_owned(), Value::Table(long));
            true
        }
        _ => true,
    }
}

fn take_string(table: &mut Table, key: &str) -> Result<Option<String>, String> {
    match table.remove(key) {
        None => Ok(None),
        Some(Value::String(value)) => Ok(Some(value)),
        Some(_) => Err(format!("`{key}` must be a string")),
    }
}

/// `[[provider.model]]` tables with an `id` are models; those with a `match` are rules and stay.
fn static_models(table: &mut Table) -> Result<Vec<StaticModel>, String> {
    let Some(Value::Array(rows)) = table.get_mut("model") else { return Ok(Vec::new()) };
    let (models, rules) = std::mem::take(rows).into_iter().partition(|row| row.get("id").is_some());
    *rows = rules;
    let models: Vec<Value> = models;
    models.into_iter().map(|m| m.try_into().map_err(|e: toml::de::Error| e.message().to_owned())).collect()
}

impl From<StaticModel> for Model {
    fn from(m: StaticModel) -> Self {
        Self {
            name: m.name.unwrap_or_else(|| m.id.clone()),
            id: m.id,
            context_tokens: m.context_tokens,
            max_output_tokens: m.max_output_tokens,
            capabilities: m.capabilities,
            quality: m.quality.unwrap_or_default(),
            strengths: m.strengths,
            tokens_per_s: m.tokens_per_s,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::super::{Config, Overrides};
    use crate::catalog::{Capability, Date, Secret, TaskGroup, parse_models};

    fn load(text: &str, env: &[(&str, &str)]) -> Result<Config, String> {
        let env = |name: &str| env.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        let file = file::parse("freeway.toml", text).map_err(|e| e.to_string())?;
        file.validate("freeway.toml", &Overrides::default(), &env).map_err(|e| e.to_string())
    }

    fn slugs(config: &Config) -> Vec<&str> {
        config.providers.iter().map(|p| p.provider.slug.as_str()).collect()
    }

    #[test]
    fn a_key_in_the_environment_brings_its_provider_in() {
        let config = load("", &[("GROQ_API_KEY", "k"), ("MISTRAL_API_KEY", " ")]).expect("valid");
        assert_eq!(slugs(&config), ["groq"]);
        assert!(config.simulated.is_none(), "never mixed with real models unless asked");
    }

    #[test]
    fn local_servers_are_found_when_named() {
        let config = load("[[provider]]\nslug = \"ollama\"", &[]).expect("valid");
        assert_eq!(slugs(&config), ["ollama"]);
    }

    #[test]
    fn a_built_in_profile_can_be_changed_by_its_slug() {
        let text = "[[provider]]\nslug = \"groq\"\nbase_url = \"http://127.0.0.1:9/v1\"\nkey = \"k\"";
        let config = load(text, &[]).expect("valid");
        assert_eq!(config.providers[0].provider.base.to_string(), "http://127.0.0.1:9/v1");
        assert_eq!(config.providers[0].provider.name, "Groq");
    }

    #[test]
    fn a_rule_of_the_operators_adds_to_those_of_a_known_provider_and_has_the_last_word() {
        let text = "[[provider]]\nslug = \"gemini\"\nkey = \"k\"\n\
                    [[provider.model]]\nmatch = \"gemini-2.5-flash\"\nquality = 0.99\ncontext_tokens = 5000\n\
                    [[provider.model]]\nmatch = \"gemini-2.5-pro\"\nexclude = false";
        let config = load(text, &[]).expect("valid");
        let provider = &config.providers[0];
        let list = br#"{"data": [{"id": "models/gemini-2.5-flash"}, {"id": "models/gemini-2.5-pro"},
                       {"id": "models/gemini-3.1-pro"}]}"#;
        let listing = parse_models(&provider.rules, list, &provider.provider, Date::ZERO).expect("a list");
        let ids: Vec<_> = listing.models.iter().map(|e| e.model.id.as_str()).collect();
        assert_eq!(ids, ["gemini-2.5-flash", "gemini-2.5-pro"]);
        let flash = &listing.models[0].model;
        assert_eq!((flash.quality, flash.context_tokens), (0.99, Some(5_000)));
        assert!(flash.capabilities.contains(Capability::Tools), "what was known of it still holds");
    }

    #[test]
    fn a_rule_may_say_what_models_are_good_at() {
        let rule = |strengths: &str| {
            format!(
                "[[provider]]\nslug = \"groq\"\nkey = \"k\"\n[[provider.model]]\nmatch = \"*\"\n{strengths}"
            )
        };
        let config = load(&rule("strengths = { code = 0.8 }"), &[]).expect("valid");
        let rules = &config.providers[0].rules.models;
        let said = rules.last().and_then(|rule| rule.strengths.of(TaskGroup::Code));
        assert_eq!(said, Some(0.8));
        assert!(
            load(&rule("strengths = { code = 1.2 }"), &[]).is_err_and(|e| e.contains("at most 1, not 1.2"))
        );
        assert!(load(&rule("strengths = { cooking = 0.2 }"), &[]).is_err());
    }

    #[test]
    fn several_keys_stand_with_commas_between_them() {
        let config = load("", &[("GROQ_API_KEY", "one, two,,")]).expect("valid");
        let keys: Vec<_> = config.providers[0].provider.keys.iter().map(Secret::reveal).collect();
        assert_eq!(keys, ["one", "two"]);
    }

    #[test]
    fn a_provider_of_ones_own_may_write_its_models_down() {
        let text = "[[provider]]\nslug = \"a\"\nbase_url = \"http://127.0.0.1:9/v1\"\nlist = \"none\"\n\
                    [[provider.model]]\nid = \"a/m\"\nupstream_model = \"m\"\ncapabilities = [\"tools\"]";
        let config = load(text, &[]).expect("valid");
        assert!(config.providers[0].list_url.is_none());
        assert_eq!(&*config.providers[0].models[0].key, "a/a/m");
    }
}
