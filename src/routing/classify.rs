//! What kind of work a prompt asks for, and how hard it looks.
//!
//! Rules over cheap signs, a bounded part of the text, microseconds. No model is called and nothing is
//! remembered.

use super::signs::Signs;
use crate::protocol::facts::PromptFeatures;
use serde::Serialize;

/// The kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
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

    /// Its name in explanations and metrics.
    pub const fn name(self) -> &'static str {
        self.facts().0
    }

    /// Its name, how hard its plainest case is (0 to 1), and how long its answers run (tokens).
    const fn facts(self) -> (&'static str, f32, f32) {
        match self {
            Self::Qa => ("qa", 0.10, 250.0),
            Self::Reading => ("reading", 0.18, 120.0),
            Self::Summarization => ("summarization", 0.18, 250.0),
            Self::Extraction => ("extraction", 0.18, 150.0),
            Self::Classification => ("classification", 0.12, 40.0),
            Self::Rewriting => ("rewriting", 0.12, 150.0),
            Self::Translation => ("translation", 0.14, 100.0),
            Self::Writing => ("writing", 0.22, 600.0),
            Self::Brainstorming => ("brainstorming", 0.14, 400.0),
            Self::Code => ("code", 0.42, 600.0),
            Self::Math => ("math", 0.38, 500.0),
            Self::Reasoning => ("reasoning", 0.42, 400.0),
            Self::Chat => ("chat", 0.04, 120.0),
        }
    }
}

/// What the router makes of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Classification {
    /// The kind of work.
    pub task: Task,
    /// 0 (any model will do) to 1 (only the best may do).
    pub complexity: f32,
}

/// Classifies a request by the last things its user said, and by the counts of the whole.
pub fn classify(body: &[u8], features: &PromptFeatures) -> Classification {
    let signs = Signs::read(body, features);
    let task = signs.task();
    Classification { task, complexity: complexity(task, &signs, features) }
}

fn complexity(task: Task, signs: &Signs, features: &PromptFeatures) -> f32 {
    let (_, plainest, _) = task.facts();
    let doublings = |bytes: u32, from: f32| (bytes as f32 / from).max(1.0).log2();
    let flag = |on: bool, worth: f32| if on { worth } else { 0.0 };
    // A long prompt is hard where it is work to do, not where it is a text to shorten or translate.
    let per_doubling = match task {
        Task::Summarization | Task::Translation | Task::Rewriting | Task::Chat => 0.02,
        _ => 0.05,
    };
    let text = plainest
        + (per_doubling * doublings(features.user_bytes, 160.0)).min(0.30)
        + (0.09 * signs.hard_words as f32).min(0.27)
        + flag(signs.formula, 0.12)
        + flag(signs.exam, 0.12)
        + flag(signs.code_lines > 12, 0.10)
        - flag(signs.easy_words > 0, 0.08);
    let shape = (0.02 * doublings(features.context_bytes, 1000.0)).min(0.12)
        + (0.02 * features.user_turns.saturating_sub(1) as f32).min(0.10)
        + flag(features.tools > 0, 0.14)
        + (0.01 * features.tools as f32).min(0.06)
        + flag(features.tool_history, 0.06)
        + flag(features.schema_bytes > 0, 0.08)
        + flag(features.schema_bytes > 2000, 0.06)
        + flag(features.attachments > 0, 0.10);
    // Who asks for effort says the work is hard; who asks for none says it is not.
    let effort = match features.reasoning_effort {
        Some(effort) => 0.15 * (f32::from(effort) - 2.0),
        None => 0.0,
    };
    (text + shape + effort).clamp(0.0, 1.0)
}

impl Classification {
    /// How long the answer will probably be, tokens, before any limit.
    pub fn expected_output_tokens(&self, features: &PromptFeatures) -> u32 {
        let (_, _, usual) = self.task.facts();
        let prompt = (features.user_bytes / 4) as f32;
        let length = match self.task {
            Task::Translation | Task::Rewriting => prompt.max(30.0),
            Task::Summarization => (prompt / 4.0).clamp(60.0, 600.0),
            _ => usual * (0.6 + 1.4 * self.complexity),
        };
        length.min(8192.0) as u32
    }
}

#[cfg(test)]
mod tests;
