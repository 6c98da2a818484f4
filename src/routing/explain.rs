//! A decision laid open: every endpoint, why it is in or out, and its score by parts.
//!
//! Made by the very function that plans, so that the two cannot disagree.

use super::{Classification, Exclusion, Inputs, Score, decide};
use crate::classifier::Reasons;
use serde::Serialize;
use std::fmt;

/// A decision and its reasons.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// The model asked for, `auto` when none was.
    pub requested: String,
    /// What the prompt looks like.
    pub classification: Classification,
    /// What kind of text the prompt is, and what in it mattered most; nothing where the text is not at hand.
    pub reasons: Option<Reasons>,
    /// How much quality weighs against speed, 0 to 1.
    pub quality_weight: f32,
    /// How long the answer will probably be, tokens; absent when nobody can be asked.
    pub expected_output_tokens: Option<u32>,
    /// Why nobody can be asked.
    pub no_route: Option<String>,
    /// Every endpoint: those chosen in order, then the others that could answer, best first, then the rest.
    pub endpoints: Vec<Considered>,
}

/// One endpoint and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Considered {
    /// Its key.
    pub key: String,
    /// Its position in the catalog.
    pub endpoint: u32,
    /// In or out.
    pub outcome: Outcome,
    /// Its score, where it could answer.
    pub score: Option<Score>,
}

/// What became of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is asked at this place, from 1.
    Chosen(u32),
    /// It could answer; others are better.
    Outranked,
    /// It cannot or must not answer.
    Out(Exclusion),
}

/// Explains the decision that [`super::plan`] takes on the same inputs.
pub fn explain(inputs: &Inputs<'_>) -> Explanation {
    let mut endpoints = Vec::with_capacity(inputs.catalog.endpoints.len());
    let mut on = |position: usize, judged: Result<&Score, Exclusion>| {
        let (outcome, score) = match judged {
            Ok(score) => (Outcome::Outranked, Some(*score)),
            Err(exclusion) => (Outcome::Out(exclusion), None),
        };
        let key = inputs.catalog.endpoints[position].key.to_string();
        endpoints.push(Considered { key, endpoint: position as u32, outcome, score });
    };
    let planned = decide(inputs, Some(&mut on));
    if let Ok(plan) = &planned {
        for (place, candidate) in plan.candidates.iter().enumerate() {
            endpoints[candidate.endpoint as usize].outcome = Outcome::Chosen(place as u32 + 1);
        }
    }
    endpoints.sort_by(|a, b| {
        let total = |c: &Considered| c.score.map_or(0.0, |score| score.total);
        place(a.outcome).cmp(&place(b.outcome)).then(total(b).total_cmp(&total(a)))
    });
    Explanation {
        requested: inputs.facts.model.clone().unwrap_or_else(|| "auto".to_owned()),
        classification: inputs.classification,
        reasons: None,
        quality_weight: inputs.policy.quality_weight(inputs.classification.difficulty, inputs.facts),
        expected_output_tokens: planned.as_ref().ok().map(|plan| plan.expected_output_tokens),
        no_route: planned.err().map(|no_route| no_route.to_string()),
        endpoints,
    }
}

fn place(outcome: Outcome) -> u32 {
    match outcome {
        Outcome::Chosen(place) => place,
        Outcome::Outranked => u32::MAX - 1,
        Outcome::Out(_) => u32::MAX,
    }
}

/// Quality that weighs less than this decides nothing.
const SPEED_DECIDES: f32 = 0.1;

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Classification { task, difficulty, .. } = self.classification;
        write!(f, "{}: {}, difficulty {difficulty:.2}, ", self.requested, task.name())?;
        writeln!(f, "quality weighs {:.0} %", self.quality_weight * 100.0)?;
        if let Some(reasons) = &self.reasons {
            writeln!(f, "{reasons}")?;
        }
        if self.quality_weight < SPEED_DECIDES {
            writeln!(f, "any model will do: speed, health and quota decide")?;
        }
        if let Some(no_route) = &self.no_route {
            writeln!(f, "nobody: {no_route}")?;
        }
        let width = self.endpoints.iter().map(|e| e.key.len()).max().unwrap_or(0).clamp(8, 60);
        let scores = ["score", "quality", "good", "speed", "ms", "success", "fit", "room"];
        write!(f, "{:>3} {:width$}", "", "endpoint")?;
        scores.iter().try_for_each(|name| write!(f, " {name:>7}"))?;
        writeln!(f)?;
        for endpoint in &self.endpoints {
            endpoint.row(f, width)?;
        }
        Ok(())
    }
}

impl Considered {
    fn row(&self, f: &mut fmt::Formatter<'_>, width: usize) -> fmt::Result {
        match self.outcome {
            Outcome::Chosen(place) => write!(f, "{place:>3} ")?,
            Outcome::Outranked => write!(f, "{:>3} ", "·")?,
            Outcome::Out(_) => write!(f, "{:>3} ", "–")?,
        }
        write!(f, "{:width$}", self.key)?;
        if let Some(score) = self.score {
            let Score { total, quality, good, speed, expected_ms, success, fit, room, .. } = score;
            write!(
                f,
                " {total:>7.3} {quality:>7.2} {good:>7.2} {speed:>7.2} {expected_ms:>7.0} {success:>7.2} {fit:>7.2} {room:>7.2}"
            )?;
        }
        if let Outcome::Out(exclusion) = self.outcome {
            write!(f, " {exclusion}")?;
        }
        writeln!(f)
    }
}

impl fmt::Display for Exclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherModel => f.write_str("another model was asked for"),
            Self::Restricted => f.write_str("left out by the caller's model patterns"),
            Self::Provider => f.write_str("left out by the caller's provider lists"),
            Self::Privacy => f.write_str("may train on prompts"),
            Self::Forbidden => f.write_str("forbidden by the operator"),
            Self::Lacks { capability, more: 0 } => write!(f, "lacks {capability}"),
            Self::Lacks { capability, more } => write!(f, "lacks {capability} and {more} more"),
            Self::Output { needs, has } => write!(f, "answers end at {has} tokens, {needs} were asked for"),
            Self::Context { needs, has } => write!(f, "window of {has} tokens, {needs} needed"),
            Self::Disabled { cause } => write!(f, "out of service: {}", cause.name()),
            Self::Cooling { cause, for_ms } => write!(f, "cooling for {for_ms} ms: {}", cause.name()),
            Self::Kept => f.write_str("kept for harder requests: its day is spent faster than evenly"),
        }
    }
}
