//! What a provider allows: how much of what in which time, over what, and where its replies say so.

use super::pattern::glob;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// What a provider allows, and how it speaks of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Quotas {
    /// Its limits; of several over the same thing the last that matches a model holds.
    pub limits: Vec<Limit>,
    /// Where its replies say what is left.
    pub headers: Vec<LimitHeader>,
    /// Where its days begin.
    pub midnight: Midnight,
    /// Requests it refuses or fails count, too.
    pub failures_count: bool,
}

/// One limit of a free tier.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// What shares it.
    #[serde(default)]
    pub scope: LimitScope,
    /// The time it is over.
    pub per: Period,
    /// Requests in that time.
    pub requests: Option<u64>,
    /// Tokens in that time, prompts and answers together.
    pub tokens: Option<u64>,
    /// How the time is cut; [`Period::usual_window`] when absent.
    pub window: Option<Window>,
    /// The models it is about, a pattern over ids; all when absent.
    #[serde(rename = "match")]
    pub pattern: Option<String>,
}

/// What shares a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LimitScope {
    /// Each model has its own, for each key.
    #[default]
    Model,
    /// All models called with a key.
    Key,
    /// All keys of the operator: more keys do not help.
    Account,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Requests.
    Requests,
    /// Tokens of prompt and answer.
    Tokens,
}

/// The time a limit is over. Written `"minute"`, `"day"` or as a number of seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Period {
    /// So many seconds.
    Seconds(u32),
    /// A day of the calendar, or 24 hours.
    Day,
    /// A month of the calendar, or 30 days.
    Month,
}

/// How time is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Window {
    /// The last so many seconds, whenever one looks. Safe whatever the provider does.
    Sliding,
    /// From midnight to midnight, or from the first of a month.
    Calendar,
}

/// Where a reply says what is left of one limit. Names are in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitHeader {
    /// What is counted.
    pub unit: Unit,
    /// The time it is over.
    pub per: Period,
    /// What shares it.
    #[serde(default)]
    pub scope: LimitScope,
    /// The header with the limit.
    pub limit: Option<String>,
    /// The header with what is left.
    pub remaining: Option<String>,
    /// The header that says when all of it is back.
    pub reset: Option<String>,
}

impl Period {
    /// A minute.
    pub const MINUTE: Self = Self::Seconds(60);
    /// An hour.
    pub const HOUR: Self = Self::Seconds(3_600);

    /// Its length, seconds; a month has 30 days.
    pub const fn seconds(self) -> u32 {
        match self {
            Self::Seconds(seconds) => seconds,
            Self::Day => 86_400,
            Self::Month => 30 * 86_400,
        }
    }

    /// How it is cut where nobody says: days and months by the calendar.
    pub const fn usual_window(self) -> Window {
        match self {
            Self::Seconds(_) => Window::Sliding,
            Self::Day | Self::Month => Window::Calendar,
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Seconds(1) => f.write_str("second"),
            Self::MINUTE => f.write_str("minute"),
            Self::HOUR => f.write_str("hour"),
            Self::Seconds(seconds) => write!(f, "{seconds}s"),
            Self::Day => f.write_str("day"),
            Self::Month => f.write_str("month"),
        }
    }
}

impl std::str::FromStr for Period {
    type Err = BadPeriod;

    fn from_str(text: &str) -> Result<Self, BadPeriod> {
        match text {
            "second" => Ok(Self::Seconds(1)),
            "minute" => Ok(Self::MINUTE),
            "hour" => Ok(Self::HOUR),
            "day" => Ok(Self::Day),
            "month" => Ok(Self::Month),
            _ => {
                let seconds = text.strip_suffix('s').and_then(|digits| digits.parse().ok());
                seconds.filter(|s| *s > 0).map(Self::Seconds).ok_or(BadPeriod)
            }
        }
    }
}

/// A time over which nothing can be limited.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a period is \"second\", \"minute\", \"hour\", \"day\", \"month\" or a number of seconds as in \"90s\""
)]
pub struct BadPeriod;

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Period {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Unit {
    /// Its name in metrics and views.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
        }
    }
}

impl LimitScope {
    /// Its name in metrics and views.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Key => "key",
            Self::Account => "account",
        }
    }
}

/// Where a provider's days begin: a time zone by its IANA name.
#[derive(Clone, Debug, PartialEq)]
pub struct Midnight(TimeZone);

impl Default for Midnight {
    fn default() -> Self {
        Self(TimeZone::UTC)
    }
}

impl Midnight {
    /// The zone.
    pub fn zone(&self) -> &TimeZone {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Midnight {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let zone = TimeZoneDatabase::bundled().get(&name);
        zone.map(Self).map_err(|_| serde::de::Error::custom(format_args!("unknown time zone `{name}`")))
    }
}

impl Quotas {
    /// The limits a request for the model `id` falls under: what shares it, the unit, the time, the amount (the
    /// last that was written down) and how the time is cut (as the first says).
    pub fn over(&self, id: &str) -> Vec<(LimitScope, Unit, Period, u64, Window)> {
        let mut over: Vec<(LimitScope, Unit, Period, u64, Window)> = Vec::new();
        for limit in self.limits.iter().filter(|l| l.scope != LimitScope::Model || l.covers(id)) {
            for (unit, amount) in limit.amounts() {
                let what = (limit.scope, unit, limit.per);
                match over.iter_mut().find(|(scope, unit, per, ..)| (*scope, *unit, *per) == what) {
                    Some(known) => known.3 = amount,
                    None => over.push((limit.scope, unit, limit.per, amount, limit.window())),
                }
            }
        }
        over
    }
}

impl Limit {
    /// Whether it is about the model `id`.
    pub fn covers(&self, id: &str) -> bool {
        self.pattern.as_deref().is_none_or(|pattern| glob(pattern, id))
    }

    /// The amounts it sets.
    pub fn amounts(&self) -> impl Iterator<Item = (Unit, u64)> {
        let amounts = [(Unit::Requests, self.requests), (Unit::Tokens, self.tokens)];
        amounts.into_iter().filter_map(|(unit, amount)| Some((unit, amount?)))
    }

    /// How its time is cut.
    pub fn window(&self) -> Window {
        self.window.unwrap_or(self.per.usual_window())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<Period>) {
        assert_eq!(text.parse().ok(), expect, "{text}");
        if let Some(period) = expect {
            assert_eq!(period.to_string().parse(), Ok(period), "{period}");
        }
    }

    #[test]
    fn periods_are_words_or_seconds() {
        check("second", Some(Period::Seconds(1)));
        check("minute", Some(Period::MINUTE));
        check("hour", Some(Period::HOUR));
        check("day", Some(Period::Day));
        check("month", Some(Period::Month));
        check("90s", Some(Period::Seconds(90)));
        for odd in ["", "0s", "s", "-1s", "week", "1.5s", "60"] {
            check(odd, None);
        }
    }

    #[test]
    fn a_limit_without_a_pattern_is_about_every_model() {
        let limit = |pattern: Option<&str>| Limit {
            scope: LimitScope::Model,
            per: Period::Day,
            requests: Some(50),
            tokens: None,
            window: None,
            pattern: pattern.map(str::to_owned),
        };
        assert!(limit(None).covers("gemma-3-27b-it"));
        assert!(
            limit(Some("gemma-3*")).covers("gemma-3-27b-it") && !limit(Some("gemma-3*")).covers("gemini")
        );
        assert_eq!(limit(None).amounts().collect::<Vec<_>>(), [(Unit::Requests, 50)]);
        assert_eq!(limit(None).window(), Window::Calendar);
    }

    #[test]
    fn the_last_limit_that_matches_holds() {
        #[derive(Deserialize)]
        struct Rows {
            limits: Vec<Limit>,
        }
        let rows: Rows = toml::from_str(
            "limits = [{ per = \"minute\", requests = 30 }, { per = \"day\", scope = \"account\", requests = 50 },\n\
             { per = \"minute\", requests = 5, tokens = 100, match = \"big*\" }]",
        )
        .expect("limits");
        let quotas = Quotas { limits: rows.limits, ..Quotas::default() };
        let day = (LimitScope::Account, Unit::Requests, Period::Day, 50, Window::Calendar);
        let minute = |unit, amount| (LimitScope::Model, unit, Period::MINUTE, amount, Window::Sliding);
        assert_eq!(quotas.over("small"), [minute(Unit::Requests, 30), day]);
        assert_eq!(quotas.over("big-1"), [minute(Unit::Requests, 5), day, minute(Unit::Tokens, 100)]);
    }

    #[test]
    fn a_day_begins_where_the_provider_says() {
        #[derive(Deserialize)]
        struct Row {
            midnight: Midnight,
        }
        let row: Row = toml::from_str("midnight = \"America/Los_Angeles\"").expect("a zone");
        assert_eq!(row.midnight.zone().iana_name(), Some("America/Los_Angeles"));
        assert!(toml::from_str::<Row>("midnight = \"Mars/Olympus\"").is_err());
    }
}
