//! The kinds of work a prompt may ask for, and a model may be good at.

use serde::{Deserialize, Serialize};

/// A kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Facts, advice, exam questions.
    Qa,
    /// A question over a passage that is given.
    Reading,
    /// Shorten a text.
    Summarization,
    /// Pick facts out of a text.
    Extraction,
    /// Sort into given classes.
    Classification,
    /// Say the same otherwise: paraphrase, correct, change the style.
    Rewriting,
    /// Into another language.
    Translation,
    /// Stories, letters, essays, advertisements.
    Writing,
    /// A list of ideas.
    Brainstorming,
    /// Write, explain or repair a program.
    Code,
    /// Calculate or prove.
    Math,
    /// Puzzles and multi-step deduction.
    Reasoning,
    /// Small talk and role play.
    Chat,
}

impl Task {
    /// Every task, in declaration order.
    pub const ALL: [Self; 13] = [
        Self::Qa,
        Self::Reading,
        Self::Summarization,
        Self::Extraction,
        Self::Classification,
        Self::Rewriting,
        Self::Translation,
        Self::Writing,
        Self::Brainstorming,
        Self::Code,
        Self::Math,
        Self::Reasoning,
        Self::Chat,
    ];

    /// Its name in files, explanations and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Qa => "qa",
            Self::Reading => "reading",
            Self::Summarization => "summarization",
            Self::Extraction => "extraction",
            Self::Classification => "classification",
            Self::Rewriting => "rewriting",
            Self::Translation => "translation",
            Self::Writing => "writing",
            Self::Brainstorming => "brainstorming",
            Self::Code => "code",
            Self::Math => "math",
            Self::Reasoning => "reasoning",
            Self::Chat => "chat",
        }
    }

    /// The group it is of.
    pub const fn group(self) -> TaskGroup {
        match self {
            Self::Qa | Self::Reading => TaskGroup::Knowledge,
            Self::Summarization
            | Self::Extraction
            | Self::Classification
            | Self::Rewriting
            | Self::Translation => TaskGroup::Language,
            Self::Writing | Self::Brainstorming | Self::Chat => TaskGroup::Writing,
            Self::Code => TaskGroup::Code,
            Self::Math | Self::Reasoning => TaskGroup::Math,
        }
    }

    /// The task of this name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|task| task.name() == name)
    }
}

/// Tasks that ask the same of a model: benchmarks are published of these, and answers teach about these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskGroup {
    /// Question answering and reading comprehension.
    Knowledge,
    /// Doing something to a given text: summarize, extract, classify, rewrite, translate.
    Language,
    /// Writing, ideas and chat.
    Writing,
    /// Programs.
    Code,
    /// Mathematics and reasoning.
    Math,
}

impl TaskGroup {
    /// Every group, in declaration order.
    pub const ALL: [Self; 5] = [Self::Knowledge, Self::Language, Self::Writing, Self::Code, Self::Math];
}
