//! What kind of work a prompt asks for, how hard it is, and how long its answer will be.
//!
//! Linear heads over hashed features of a bounded part of the text, microseconds. No model is called and
//! nothing is remembered. `conf/classifier/CARD.md` says what the weights were made from and how good they are.

mod asked;
mod form;
mod marks;
mod reasons;
mod scan;
mod weights;
mod window;

pub use form::Form;
pub(crate) use marks::Marks;
pub use reasons::{Reason, Reasons, reasons};
pub(crate) use scan::{Feature, ROWS};
pub use weights::BadWeights;
pub(crate) use weights::{Head, Header, Mixture, VERSION, WIDTH, Weights};

use crate::catalog::Task;
use crate::protocol::facts::{PromptFeatures, Role, Text};
use serde::Serialize;
use std::sync::LazyLock;
use window::Window;

/// The weights that come with the program.
static BUILT_IN: LazyLock<Weights<'static>> = LazyLock::new(|| {
    let file = include_bytes!("../../conf/classifier/weights.bin");
    Weights::parse(file).expect("a test reads these weights")
});

/// What the router makes of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Classification {
    /// The kind of work.
    pub task: Task,
    /// The probability that a weaker model fails where a stronger one succeeds: an 8B model where one of 70B
    /// or more does. Less what even the plainest prompts have, by chance: of those it is 0.
    pub difficulty: f32,
    /// How long the answer will probably be, tokens, before any limit.
    pub output_tokens: u32,
}

/// Classifies a request by the last things its user said, and by what stands around them.
pub fn classify(body: &[u8], features: &PromptFeatures) -> Classification {
    classify_with(&BUILT_IN, body, features)
}

/// The same with other weights.
pub(crate) fn classify_with(weights: &Weights<'_>, body: &[u8], features: &PromptFeatures) -> Classification {
    judge(weights, body, features).classification(features)
}

/// The probability that a weaker model fails at the text alone where a stronger one succeeds, chance included:
/// it tells even plain prompts apart, to be compared with what happened.
pub fn chance_to_fail(body: &[u8], features: &PromptFeatures) -> f32 {
    logistic(judge(&BUILT_IN, body, features).logit)
}

/// At the plainest prompts so many weak models fail where a strong one does not, and as many the other way round.
const PLAINEST: f32 = 0.15;

/// What was found out about a prompt.
pub(crate) struct Judgement {
    pub(crate) marks: Marks,
    pub(crate) heads: [f32; WIDTH],
    pub(crate) task: Task,
    pub(crate) form: Form,
    /// The logit of the difficulty of the text alone, before what stands around it counts.
    pub(crate) logit: f32,
    /// How long the answer is to be, where the prompt says it, tokens.
    pub(crate) asked_tokens: Option<u32>,
}

/// Reads and judges a prompt.
pub(crate) fn judge(weights: &Weights<'_>, body: &[u8], features: &PromptFeatures) -> Judgement {
    let window = window(body, features);
    let (marks, mut heads) = weights.read(window.text());
    if let Some(system) = system_prompt(body, features) {
        let (_, said) = weights.read(system.text());
        for (head, (said, usual)) in heads.iter_mut().zip(said.iter().zip(&weights.header.biases)).take(TASKS)
        {
            *head += SYSTEM_SAYS * (said - usual);
        }
    }
    let task = best_task(&heads);
    let form = Form::of(&marks, task);
    let logit = weights.header.mixtures[form as usize].of(&heads, &marks);
    Judgement { marks, heads, task, form, logit, asked_tokens: asked::tokens(window.text()) }
}

/// How much a system prompt says of the task, beside the message itself: "translate whatever the user writes"
/// decides what a plain sentence is for, and "you are a helpful assistant" should not.
const SYSTEM_SAYS: f32 = 0.6;

/// A shorter system prompt says nothing, bytes.
const SYSTEM_AT_LEAST: usize = 40;

/// So much of it is read, bytes: instructions come first.
const SYSTEM_AT_MOST: u32 = 800;

/// The heads for tasks come first.
const TASKS: usize = Task::ALL.len();

/// The beginning of the first system message, where it is long enough to say something.
fn system_prompt(body: &[u8], features: &PromptFeatures) -> Option<Window> {
    let mut text = *features.texts.iter().find(|text| text.role == Role::System)?;
    if text.span.len() < SYSTEM_AT_LEAST {
        return None;
    }
    text.span.end = text.span.end.min(text.span.start + SYSTEM_AT_MOST);
    let mut window = Window::new();
    window.fill(body, &[text]);
    Some(window)
}

/// The features and counts of a prompt; `found` hears each feature once.
pub(crate) fn read(body: &[u8], features: &PromptFeatures, found: impl FnMut(Feature)) -> Marks {
    scan::scan(window(body, features).text(), found)
}

/// What is read of a prompt: the last user message; when it says little, also the one before.
fn window(body: &[u8], features: &PromptFeatures) -> Window {
    let mut texts = features.texts.as_slice();
    let mut window = Window::new();
    while let Some(message) = last_user_message(&mut texts) {
        window.fill(body, message);
        if window.text().len() >= TOO_SHORT {
            break;
        }
    }
    window
}

/// A message shorter than this ("go on", "and in Python?") is understood by the one before it.
const TOO_SHORT: usize = 12;

pub(crate) fn best_task(heads: &[f32; WIDTH]) -> Task {
    let best = Task::ALL.into_iter().max_by(|a, b| heads[*a as usize].total_cmp(&heads[*b as usize]));
    best.unwrap_or(Task::Qa)
}

impl Mixture {
    pub(crate) fn of(&self, heads: &[f32; WIDTH], marks: &Marks) -> f32 {
        self.gain * heads[Head::Gain as usize]
            + self.hardness * heads[Head::Hardness as usize]
            + self.within * heads[Head::Within as usize]
            + self.length * marks.log_bytes()
            + self.constant
    }
}

impl Judgement {
    fn classification(&self, features: &PromptFeatures) -> Classification {
        let chance = logistic(self.logit + around(features));
        let difficulty = ((chance - PLAINEST) / (1.0 - PLAINEST)).max(0.0);
        Classification { task: self.task, difficulty, output_tokens: self.output_tokens() }
    }

    fn output_tokens(&self) -> u32 {
        if let Some(asked) = self.asked_tokens {
            return asked.min(LONGEST as u32);
        }
        let learned = self.heads[Head::Length as usize].exp();
        let prompt = self.marks.bytes as f32 / 4.0;
        let length = match self.task {
            // As long as what is given, which the head does not see.
            Task::Translation | Task::Rewriting => prompt.max(learned.min(60.0)),
            _ => learned,
        };
        length.clamp(1.0, LONGEST) as u32
    }
}

/// No answer is expected to be longer, tokens.
const LONGEST: f32 = 8192.0;

/// What stands around the last message, in logits: long contexts, tools, schemas and attachments make work
/// harder; who asks for effort says that it is hard.
fn around(features: &PromptFeatures) -> f32 {
    let doublings = |bytes: u32, from: f32| (bytes as f32 / from).max(1.0).log2();
    let flag = |on: bool, worth: f32| if on { worth } else { 0.0 };
    let context = (0.1 * doublings(features.context_bytes, 1000.0)).min(0.6)
        + (0.1 * features.user_turns.saturating_sub(1) as f32).min(0.4);
    let tools = flag(features.tools > 0, 0.6)
        + (0.04 * features.tools as f32).min(0.3)
        + flag(features.tool_history, 0.3);
    let schema = flag(features.schema_bytes > 0, 0.3) + flag(features.schema_bytes > 2000, 0.3);
    let attached = flag(features.attachments > 0, 0.4);
    let effort = features.reasoning_effort.map_or(0.0, |effort| 0.7 * (f32::from(effort) - 2.0));
    context + tools + schema + attached + effort
}

fn logistic(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// The texts of the last user message in `texts`, which is cut to what lies before it.
fn last_user_message<'a>(texts: &mut &'a [Text]) -> Option<&'a [Text]> {
    let last = texts.iter().rposition(|text| text.role == Role::User)?;
    let message = texts[last].message;
    let before = texts[..last].iter().rposition(|text| text.message != message);
    let first = before.map_or(0, |before| before + 1);
    let found = &texts[first..=last];
    *texts = &texts[..first];
    Some(found)
}

#[cfg(test)]
mod tests;
