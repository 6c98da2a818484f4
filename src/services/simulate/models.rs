//! The simulated models as data: what they can do, how fast they are, and when they fail.

use super::stream::Pace;
use serde::Deserialize;
use serde_json::json;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const BUILT_IN: &str = include_str!("../../../conf/simulated.toml");
/// The rate limit's window.
const MINUTE: Duration = Duration::from_secs(60);
/// Simulated answers are built in memory.
const MAX_OUTPUT_TOKENS: u32 = 100_000;

/// The set of simulated models, as in `conf/simulated.toml`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimulatedModels {
    /// The models.
    pub model: Vec<SimulatedModel>,
}

/// One simulated model.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimulatedModel {
    /// Its id, as in `simulated/fast-8b:free`.
    pub id: String,
    /// A name for people.
    #[serde(default)]
    pub name: String,
    /// Tokens of prompt and answer together.
    pub context: u32,
    /// The longest answer in tokens.
    pub max_output: u32,
    /// OpenRouter's `input_modalities`.
    pub inputs: Vec<String>,
    /// OpenRouter's `supported_parameters`.
    pub supports: Vec<String>,
    /// How good its answers are meant to be, 0 to 1.
    #[serde(default)]
    pub quality: f32,
    /// Time to the first token, milliseconds.
    #[serde(default)]
    pub ttft_ms: u32,
    /// Output speed; 0 is as fast as possible.
    #[serde(default)]
    pub tokens_per_s: f32,
    /// Tokens of a plain answer.
    pub output_tokens: u32,
    /// Requests a minute before it answers 429; 0 for no limit.
    #[serde(default)]
    pub requests_per_minute: u32,
    /// Its faults; the first that applies to a request counts.
    #[serde(default)]
    pub fault: Vec<FaultRule>,
}

/// A fault that strikes every N-th request of a model.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// What happens.
    pub kind: Fault,
    /// To every N-th request, counted from 1: with 3 the third, sixth, …
    pub every: u64,
    /// Status of [`Fault::Status`].
    #[serde(default = "server_error")]
    pub status: u16,
    /// `retry-after` of a 429, seconds.
    #[serde(default = "one_second")]
    pub retry_after_s: u32,
    /// Tokens before [`Fault::DieAfterTokens`] and [`Fault::Stall`] strike.
    #[serde(default)]
    pub tokens: u32,
}

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// An error status instead of an answer.
    Status,
    /// A 200 whose first event, or whole body, is an error.
    ErrorEventFirst,
    /// The head, then the connection breaks.
    DieBeforeToken,
    /// The connection breaks after `tokens` tokens.
    DieAfterTokens,
    /// Silence after `tokens` tokens, the connection open; with 0 there is not even a head.
    Stall,
    /// A 200 without a token and without a `finish_reason`.
    Empty,
    /// An answer without usage.
    NoUsage,
    /// A stream was asked for, whole JSON comes.
    JsonWhenStream,
    /// Bytes that are neither JSON nor events.
    Garbage,
}

fn server_error() -> u16 {
    500
}

fn one_second() -> u32 {
    1
}

/// Why a set of simulated models was refused.
#[derive(Debug, thiserror::Error)]
pub enum BadModels {
    /// Not the TOML expected.
    #[error("simulated models: {0}")]
    Syntax(#[from] toml::de::Error),
    /// No model at all, or two with one id.
    #[error("simulated models need at least one `[[model]]`, each with an id of its own")]
    Ids,
    /// A number out of range.
    #[error("simulated model `{0}`: `{1}` is out of range")]
    Range(String, &'static str),
}

impl SimulatedModels {
    /// The set that comes with the program.
    pub fn built_in() -> Self {
        Self::parse(BUILT_IN).expect("a test parses conf/simulated.toml")
    }

    /// Reads a set in the format of `conf/simulated.toml`.
    ///
    /// # Errors
    /// Says which field of which model is wrong.
    pub fn parse(toml: &str) -> Result<Self, BadModels> {
        let models: Self = toml::from_str(toml)?;
        models.check()?;
        Ok(models)
    }

    /// Checks what types cannot; [`parse`](Self::parse) has done so.
    ///
    /// # Errors
    /// Says which field of which model is wrong.
    pub fn check(&self) -> Result<(), BadModels> {
        let repeated = |m: &SimulatedModel| self.model.iter().filter(|other| other.id == m.id).count() > 1;
        if self.model.is_empty() || self.model.iter().any(repeated) {
            return Err(BadModels::Ids);
        }
        for m in &self.model {
            let bad = |field| Err(BadModels::Range(m.id.clone(), field));
            if m.output_tokens > MAX_OUTPUT_TOKENS {
                return bad("output_tokens");
            }
            if !(m.tokens_per_s >= 0.0 && m.tokens_per_s.is_finite()) {
                return bad("tokens_per_s");
            }
            if m.fault.iter().any(|rule| rule.every == 0) {
                return bad("fault.every");
            }
            if m.fault.iter().any(|rule| !(400..=599).contains(&rule.status)) {
                return bad("fault.status");
            }
        }
        Ok(())
    }

    /// The answer to `GET /models`: OpenRouter's rows, and `quality` and `tokens_per_s` beside them.
    pub fn list(&self) -> Vec<u8> {
        list(self.model.iter())
    }
}

impl SimulatedModel {
    /// The fault that strikes its `count`-th request.
    pub(super) fn fault(&self, count: u64) -> Option<&FaultRule> {
        self.fault.iter().find(|rule| count.is_multiple_of(rule.every))
    }

    /// Whether it has an input modality or knows a parameter.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.inputs.iter().chain(&self.supports).any(|n| n == name)
    }

    pub(super) fn pace(&self) -> Pace {
        let per_token = if self.tokens_per_s > 0.0 {
            Duration::from_secs_f32((1.0 / self.tokens_per_s).min(60.0))
        } else {
            Duration::ZERO
        };
        Pace { first: Duration::from_millis(u64::from(self.ttft_ms)), per_token }
    }
}

pub(super) fn list<'a>(models: impl Iterator<Item = &'a SimulatedModel>) -> Vec<u8> {
    let rows: Vec<_> = models
        .map(|m| {
            json!({
                "id": m.id,
                "canonical_slug": m.id,
                "name": if m.name.is_empty() { &m.id } else { &m.name },
                "object": "model",
                "created": 1_767_225_600,
                "owned_by": "simulated",
                "context_length": m.context,
                "architecture": {
                    "modality": format!("{}->text", m.inputs.join("+")),
                    "input_modalities": m.inputs,
                    "output_modalities": ["text"],
                    "tokenizer": "Other",
                },
                "pricing": {"prompt": "0", "completion": "0", "request": "0", "image": "0"},
                "top_provider": {
                    "context_length": m.context,
                    "max_completion_tokens": m.max_output,
                    "is_moderated": false,
                },
                "supported_parameters": m.supports,
                "quality": m.quality,
                "tokens_per_s": m.tokens_per_s,
            })
        })
        .collect();
    json!({"object": "list", "data": rows}).to_string().into_bytes()
}

/// A model at work: its request counter and its minute.
pub(super) struct Served {
    pub(super) spec: SimulatedModel,
    requests: AtomicU64,
    minute: Mutex<VecDeque<Instant>>,
}

impl Served {
    pub(super) fn all(models: SimulatedModels) -> Vec<Self> {
        models.model.into_iter().map(Self::new).collect()
    }

    fn new(spec: SimulatedModel) -> Self {
        Self { spec, requests: AtomicU64::new(0), minute: Mutex::default() }
    }

    /// Counts a request; the first is 1.
    pub(super) fn count(&self) -> u64 {
        self.requests.fetch_add(1, Relaxed) + 1
    }

    /// Enters a request into the minute; seconds to wait where it is full.
    pub(super) fn over_limit(&self) -> Option<u32> {
        let limit = self.spec.requests_per_minute as usize;
        if limit == 0 {
            return None;
        }
        let now = Instant::now();
        let mut minute = self.minute.lock().unwrap_or_else(PoisonError::into_inner);
        while minute.front().is_some_and(|at| now.duration_since(*at) >= MINUTE) {
            minute.pop_front();
        }
        if let (true, Some(oldest)) = (minute.len() >= limit, minute.front()) {
            let left = MINUTE.saturating_sub(now.duration_since(*oldest));
            return Some(left.as_secs() as u32 + 1);
        }
        minute.push_back(now);
        None
    }
}
