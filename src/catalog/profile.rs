//! Provider profiles: everything that sets one provider apart, as data (`conf/providers.toml`).
//!
//! Reading the file and the environment is `config`'s; the values come in as arguments.

mod rules;

pub use rules::{ListRules, ModelDefaults, ModelRule};

use super::limits::{Limit, LimitHeader, Midnight, Quotas};
use super::terms::Terms;
use super::{Auth, BaseUrl, FieldProfile, ListDialect, Provider, Secret};
use serde::Deserialize;

/// The profiles that come with the program.
pub const BUILT_IN: &str = include_str!("../../conf/providers.toml");

/// A file of profiles.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderFile {
    /// The profiles, `[[provider]]` each.
    #[serde(default, rename = "provider")]
    pub providers: Vec<ProviderProfile>,
}

/// One provider as configured.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderProfile {
    /// Short lower-case name; `provider.only` and friends name it.
    pub slug: String,
    /// A name for people, the slug when absent.
    pub name: Option<String>,
    /// Where its API is. `${NAME}` stands for a variable of the environment.
    pub base_url: String,
    /// The variable that holds its key; the provider is in use when that is set.
    pub key_env: Option<String>,
    /// How it wants the key.
    #[serde(default)]
    pub auth: Auth,
    /// In use only where the operator names it: a server of their own.
    #[serde(default)]
    pub local: bool,
    /// It is called with callers' own keys only; the operator's, if any, reads the model list.
    #[serde(default)]
    pub callers_keys: bool,
    /// It speaks HTTP/2 without TLS.
    #[serde(default)]
    pub h2c: bool,
    /// More request headers, `[name, value]` each.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// The most requests under way at once.
    pub max_concurrency: Option<u32>,
    /// Its free limits; of several over the same thing the last that matches a model holds.
    #[serde(default)]
    pub limits: Vec<Limit>,
    /// Where its replies say what is left of them.
    #[serde(default)]
    pub limit_headers: Vec<LimitHeader>,
    /// The time zone in which its days begin, UTC when absent.
    #[serde(default)]
    pub midnight: Midnight,
    /// Requests it refuses or fails count as requests, too.
    #[serde(default = "yes")]
    pub failures_count: bool,
    /// What its terms say of its free tier.
    #[serde(default)]
    pub terms: Terms,
    /// Where it says what is left of the account's limits.
    pub quota: Option<QuotaProfile>,
    /// How its model list is read.
    #[serde(default)]
    pub list: ListProfile,
    /// How its requests differ from OpenAI's.
    #[serde(default)]
    pub fields: FieldProfile,
    /// What is true of each of its models.
    #[serde(default)]
    pub defaults: ModelDefaults,
    /// What is true of some of its models; all that match apply, in order.
    #[serde(default, rename = "model")]
    pub models: Vec<ModelRule>,
}

/// Where a provider's model list is and how it is read.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListProfile {
    /// A path below the base URL, one beside it as in `../api/tags`, or a whole URL; `${NAME}` as in the
    /// base URL.
    pub path: String,
    /// Its shape.
    pub dialect: ListDialect,
    /// Which of its models cost nothing.
    pub free_when: FreeWhen,
    /// Where one model is described, where the list says no more than names: asked with `{"model": ID}`.
    pub show: Option<String>,
}

impl Default for ListProfile {
    fn default() -> Self {
        Self {
            path: "/models".to_owned(),
            dialect: ListDialect::default(),
            free_when: FreeWhen::default(),
            show: None,
        }
    }
}

/// Where a provider says what is left of the account's limits, without counting as a request.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuotaProfile {
    /// A path like that of the model list.
    pub path: String,
    /// The shape of the answer.
    pub dialect: QuotaDialect,
}

/// How a provider says what is left of the account's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QuotaDialect {
    /// OpenRouter's `GET /key`: `free_model_daily_requests`.
    OpenRouter,
}

/// Which listed models cost nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FreeWhen {
    /// Those whose every price is zero.
    #[default]
    Price,
    /// All: the key itself is on a free tier, or the server is the operator's own.
    All,
}

/// Why a profile is unusable.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadProfile {
    /// The slug is empty, or not of lower-case letters, digits, `-`, `_` and `.`.
    #[error("`{0}` is no provider slug: use lower-case letters, digits, `-`, `_`, `.`")]
    Slug(String),
    /// The base URL or list path wants a variable that is not set.
    #[error("provider `{slug}` needs the variable {variable}")]
    Variable {
        /// The provider.
        slug: String,
        /// The variable's name.
        variable: String,
    },
    /// The base URL is none.
    #[error("provider `{0}` has no http:// or https:// base URL")]
    BaseUrl(String),
    /// A figure of a rule is out of range.
    #[error("provider `{slug}`: quality of `{pattern}` must be above 0 and at most 1")]
    Quality {
        /// The provider.
        slug: String,
        /// The rule's pattern.
        pattern: String,
    },
}

impl ProviderProfile {
    /// The provider of this profile. `base` replaces the profile's base URL; `variable` looks a name of the
    /// environment up.
    ///
    /// # Errors
    /// [`BadProfile`] naming what to change.
    pub fn provider(
        &self,
        keys: Vec<Secret>,
        base: Option<&str>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Provider, BadProfile> {
        let slug = self.slug.clone();
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
        if slug.is_empty() || !slug.bytes().all(plain) {
            return Err(BadProfile::Slug(slug));
        }
        let in_range = |rule: &&ModelRule| rule.quality.is_none_or(|q| q > 0.0 && q <= 1.0);
        if let Some(rule) = self.models.iter().find(|rule| !in_range(rule)) {
            return Err(BadProfile::Quality { slug, pattern: rule.pattern.clone() });
        }
        let url = self.expand(base.unwrap_or(&self.base_url), variable)?;
        let base: BaseUrl = url.parse().map_err(|_| BadProfile::BaseUrl(slug.clone()))?;
        Ok(Provider {
            name: self.name.clone().unwrap_or_else(|| slug.clone()),
            slug,
            base,
            auth: self.auth.clone(),
            keys,
            profile: self.fields.clone(),
            terms: self.terms.clone(),
            h2c: self.h2c,
            headers: self.headers.clone(),
            max_concurrency: self.max_concurrency,
            quotas: Quotas {
                limits: self.limits.clone(),
                headers: self.limit_headers.clone(),
                midnight: self.midnight.clone(),
                failures_count: self.failures_count,
            },
            callers_keys: self.callers_keys,
            simulated: false,
        })
    }

    /// The URL of `path`: below `base`, beside it as in `../api/tags`, or elsewhere.
    ///
    /// # Errors
    /// [`BadProfile::Variable`] when the path wants a variable that is not set.
    pub fn url(
        &self,
        path: &str,
        base: &BaseUrl,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<String, BadProfile> {
        let path = self.expand(path, variable)?;
        if path.contains("://") {
            return Ok(path);
        }
        Ok(match path.strip_prefix("../") {
            Some(beside) => format!("{}/{beside}", base.parent()),
            None => format!("{base}{path}"),
        })
    }

    /// How this provider's list is read.
    pub fn list_rules(&self) -> ListRules {
        ListRules {
            dialect: self.list.dialect,
            by_price: self.list.free_when == FreeWhen::Price,
            defaults: self.defaults.clone(),
            models: self.models.clone(),
        }
    }

    fn expand(
        &self,
        template: &str,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<String, BadProfile> {
        let mut pieces = template.split("${");
        let mut out = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let (name, rest) = piece.split_once('}').unwrap_or((piece, ""));
            let value = variable(name).filter(|value| !value.is_empty());
            let missing = || BadProfile::Variable { slug: self.slug.clone(), variable: name.to_owned() };
            out.push_str(&value.ok_or_else(missing)?);
            out.push_str(rest);
        }
        Ok(out)
    }
}

const fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests;
