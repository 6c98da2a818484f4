//! Rows to learn from: prompts with what is known of them.

use crate::catalog::Task;
use crate::classifier::{self, Marks};
use crate::protocol::inspect::inspect;
use serde::Deserialize;

/// A prompt and its labels. Everything but the prompt may be unknown.
#[derive(Clone, Debug, Deserialize)]
pub struct Row {
    /// The text.
    pub prompt: String,
    /// Where it comes from; prompts written for the project have none.
    #[serde(default)]
    pub source: String,
    /// The part of the source.
    #[serde(default)]
    pub domain: Option<String>,
    /// Near-duplicates share a group, and are never on both sides of a split.
    #[serde(default)]
    pub group: Option<String>,
    /// The kind of work.
    #[serde(default)]
    pub task: Option<Task>,
    /// How well a weak and a strong model did, 0 to 1.
    #[serde(default)]
    pub weak: Option<f32>,
    /// See `weak`.
    #[serde(default)]
    pub strong: Option<f32>,
    /// The share of many models that failed.
    #[serde(default)]
    pub hardness: Option<f32>,
    /// How large a model has to be, by judgement: 1 (any will do) to 5 (the best fail).
    #[serde(default)]
    pub level: Option<u8>,
    /// How long a good answer is, tokens, by judgement.
    #[serde(default)]
    pub tokens: Option<f32>,
}

/// A line that is not a row.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadRow(#[from] serde_json::Error);

impl Row {
    /// Reads one line.
    ///
    /// # Errors
    /// [`BadRow`] when it is not an object with a `prompt`, or a label has the wrong type.
    pub fn parse(line: &str) -> Result<Self, BadRow> {
        Ok(serde_json::from_str(line)?)
    }

    /// Whether it was written for the project.
    pub(super) fn is_ours(&self) -> bool {
        self.source.is_empty()
    }

    /// What the strong model gets right more than the weak one.
    pub(super) fn gain(&self) -> Option<f32> {
        Some(self.strong? - self.weak?)
    }

    /// The share of models that failed; of two at least.
    pub(super) fn failed(&self) -> Option<f32> {
        let judged = || Some([0.05, 0.15, 0.40, 0.65, 0.90][usize::from(self.level?).clamp(1, 5) - 1]);
        let measured = self.hardness.or_else(|| Some(1.0 - f32::midpoint(self.weak?, self.strong?)));
        let counted = |failed| if self.is_matched_by_letter() { failed * BY_LETTER } else { failed };
        measured.map(counted).or_else(judged)
    }

    /// Whether a weak model fails where a stronger one succeeds. In mathematics and code the stronger one of a
    /// source's pair is weak by now: there any of the many models counts.
    pub(super) fn needs_more(&self) -> Option<bool> {
        if self.is_matched_by_letter() {
            return None;
        }
        let (Some(weak), Some(strong)) = (self.weak, self.strong) else { return Some(self.level? >= 3) };
        let work = matches!(self.task, Some(Task::Math | Task::Code));
        let some_succeed = work && self.hardness.is_some_and(|failed| failed < ALL_FAIL);
        Some(weak < 0.5 && (strong > weak || some_succeed))
    }

    /// Questions about facts whose answers had to be the expected words: the failures are mostly the matching's,
    /// and the strong model of the pair has more of them than the weak one.
    fn is_matched_by_letter(&self) -> bool {
        self.source == "llmrouter" && matches!(self.domain.as_deref(), Some("natural_qa" | "trivia_qa"))
    }

    /// Its source, in parts where those are tests of their own.
    pub(super) fn test(&self) -> String {
        match (self.source.as_str(), &self.domain) {
            ("llmrouter" | "routerbench", Some(domain)) => format!("{}/{domain}", self.source),
            ("", _) => OURS.to_owned(),
            _ => self.source.clone(),
        }
    }
}

/// The name of what was written for the project, among the sources.
pub(super) const OURS: &str = "the project's own";

/// What a failure of such a question counts.
const BY_LETTER: f32 = 0.3;

/// Of many models so many fail where none can be said to succeed.
const ALL_FAIL: f32 = 0.95;

/// What the classifier sees of a row.
pub(super) struct Seen {
    /// The features it has.
    pub(super) features: Vec<u32>,
    pub(super) marks: Marks,
}

impl Seen {
    /// Reads a prompt on the way that requests take.
    pub(super) fn of(prompt: &str) -> Self {
        let message = serde_json::json!({ "messages": [{ "role": "user", "content": prompt }] });
        let body = message.to_string().into_bytes();
        let mut features = Vec::new();
        let marks = match inspect(&body) {
            Ok(facts) => classifier::read(&body, &facts.features, |feature| features.push(feature.row)),
            Err(_) => Marks::default(),
        };
        Self { features, marks }
    }

    /// What one feature counts: long texts are no louder than short ones.
    pub(super) fn weight(&self) -> f32 {
        1.0 / (self.features.len().max(1) as f32).sqrt()
    }
}
