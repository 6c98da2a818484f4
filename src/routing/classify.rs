//! What kind of work a prompt asks for, and how hard it looks.
//!
//! Rules over cheap signs, a bounded part of the text, microseconds. No model is called and nothing is
//! remembered.

use super::signs::Signs;
use crate::catalog::Task;
use crate::protocol::facts::PromptFeatures;
use serde::Serialize;

/// How hard a task's plainest case is (0 to 1), and how long its answers run (tokens).
const fn usual(task: Task) -> (f32, f32) {
    match task {
        Task::Qa => (0.10, 250.0),
        Task::Reading => (0.18, 120.0),
        Task::Summarization => (0.18, 250.0),
        Task::Extraction => (0.18, 150.0),
        Task::Classification => (0.12, 40.0),
        Task::Rewriting => (0.12, 150.0),
        Task::Translation => (0.14, 100.0),
        Task::Writing => (0.22, 600.0),
        Task::Brainstorming => (0.14, 400.0),
        Task::Code => (0.42, 600.0),
        Task::Math => (0.38, 500.0),
        Task::Reasoning => (0.42, 400.0),
        Task::Chat => (0.04, 120.0),
    }
}

/// What the router makes of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Classification {
    /// The kind of work.
    pub task: Task,
    /// 0 (any model will do) to 1 (only the best may do).
    pub difficulty: f32,
    /// How long the answer will probably be, tokens, before any limit.
    pub output_tokens: u32,
}

/// Classifies a request by the last things its user said, and by the counts of the whole.
pub fn classify(body: &[u8], features: &PromptFeatures) -> Classification {
    let signs = Signs::read(body, features);
    let task = signs.task();
    let difficulty = difficulty(task, &signs, features);
    Classification { task, difficulty, output_tokens: output_tokens(task, difficulty, features) }
}

fn difficulty(task: Task, signs: &Signs, features: &PromptFeatures) -> f32 {
    let (plainest, _) = usual(task);
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

fn output_tokens(task: Task, difficulty: f32, features: &PromptFeatures) -> u32 {
    let (_, usual) = usual(task);
    let prompt = (features.user_bytes / 4) as f32;
    let length = match task {
        Task::Translation | Task::Rewriting => prompt.max(30.0),
        Task::Summarization => (prompt / 4.0).clamp(60.0, 600.0),
        _ => usual * (0.6 + 1.4 * difficulty),
    };
    length.min(8192.0) as u32
}

#[cfg(test)]
mod tests;
