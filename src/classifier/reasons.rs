//! Why a prompt was judged as it was: the features that mattered most.

use super::weights::{Head, WIDTH};
use super::{BUILT_IN, Form, judge, scan, window};
use crate::protocol::facts::PromptFeatures;
use serde::Serialize;
use std::fmt;

/// Something in a prompt that spoke for its task, or made it harder or easier.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reason {
    /// The words, or what was counted. They are the prompt's: for its own sender's eyes.
    pub what: String,
    /// How much it spoke for the task that was found.
    pub task: f32,
    /// How much harder (or, below 0, easier) it made the prompt, in logits.
    pub difficulty: f32,
}

/// What kind of text a prompt is, and what in it mattered most to its task and its difficulty, largest first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reasons {
    /// The kind of text: what makes prompts hard differs by it.
    pub form: Form,
    /// What mattered.
    pub features: Vec<Reason>,
}

impl fmt::Display for Reasons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; for the task and the difficulty:", self.form.name())?;
        let told = |reason: &Reason| (reason.what.escape_debug().to_string(), reason.task, reason.difficulty);
        self.features.iter().map(told).try_for_each(|(what, task, difficulty)| {
            write!(f, " \u{201c}{what}\u{201d} {task:+.2} {difficulty:+.2}")
        })
    }
}

/// So many are told.
const MOST: usize = 8;

/// Why a prompt was judged as it was. Takes longer than judging it.
pub fn reasons(body: &[u8], features: &PromptFeatures) -> Reasons {
    let judged = judge(&BUILT_IN, body, features);
    let mixture = &BUILT_IN.header.mixtures[judged.form as usize];
    let window = window(body, features);
    let text = window.text();
    let (mut found, mut count) = (Vec::new(), 0);
    scan::scan(text, |feature| {
        count += 1;
        let heads: [f32; WIDTH] = BUILT_IN.feature(feature.row);
        let difficulty = mixture.gain * heads[Head::Gain as usize]
            + mixture.hardness * heads[Head::Hardness as usize]
            + mixture.within * heads[Head::Within as usize];
        let bytes = text.get(feature.start as usize..feature.end as usize).unwrap_or_default();
        let what =
            if bytes.is_empty() { "counts".into() } else { String::from_utf8_lossy(bytes).into_owned() };
        found.push(Reason { what, task: heads[judged.task as usize], difficulty });
    });
    let size = (count.max(1) as f32).sqrt();
    let mut reasons: Vec<Reason> = Vec::new();
    for Reason { what, task, difficulty } in found {
        let (task, difficulty) = (task / size, difficulty / size);
        match reasons.iter_mut().find(|reason| reason.what == what) {
            Some(reason) => {
                reason.task += task;
                reason.difficulty += difficulty;
            }
            None => reasons.push(Reason { what, task, difficulty }),
        }
    }
    let weight = |reason: &Reason| reason.task.abs() + reason.difficulty.abs();
    reasons.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
    reasons.truncate(MOST);
    Reasons { form: judged.form, features: reasons }
}
