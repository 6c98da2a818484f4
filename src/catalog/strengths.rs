//! How good a model is at each group of tasks: what is published of its family (`conf/models.toml`), moved to
//! where the operator sees it.

use super::{Model, TaskGroup, quality};
use serde::{Deserialize, Serialize, Serializer};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Benchmark results, and how they are read.
const PUBLISHED: &str = include_str!("../../conf/models.toml");

/// What a model made for programming is better at code than its size says, and worse at the rest.
const MADE_FOR_CODE: f32 = 0.08;

/// Nobody is certain to fail.
const LEAST: f32 = 0.01;

/// How good answers are on hard prompts of each group, 0 to 1, as far as somebody said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(try_from = "BTreeMap<TaskGroup, f32>")]
pub struct Strengths([Option<f32>; TaskGroup::ALL.len()]);

/// A strength is out of range.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("strengths must be above 0 and at most 1, not {0}")]
pub struct BadStrength(f32);

impl Strengths {
    /// The one of a group.
    pub fn of(&self, group: TaskGroup) -> Option<f32> {
        self.0[group as usize]
    }

    /// These, and where they say nothing, others.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        Self(std::array::from_fn(|at| self.0[at].or(others.0[at])))
    }
}

impl TryFrom<BTreeMap<TaskGroup, f32>> for Strengths {
    type Error = BadStrength;

    fn try_from(said: BTreeMap<TaskGroup, f32>) -> Result<Self, BadStrength> {
        let mut strengths = Self::default();
        for (group, strength) in said {
            if !(strength > 0.0 && strength <= 1.0) {
                return Err(BadStrength(strength));
            }
            strengths.0[group as usize] = Some(strength);
        }
        Ok(strengths)
    }
}

impl Serialize for Strengths {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(TaskGroup::ALL.into_iter().filter_map(|group| Some((group, self.of(group)?))))
    }
}

/// Fills in what nobody said of a model: its quality, and its strengths. A quality that somebody said moves them
/// all by what it differs from the one that would have been filled in.
pub(super) fn fill_in(model: &mut Model) {
    let (usual, published) = match family(&model.id) {
        Some(family) => (family.quality, family.strengths),
        None => (quality::guess(&model.id), Strengths::default()),
    };
    if model.quality <= 0.0 {
        model.quality = usual;
    }
    let moved = model.quality - usual;
    let of = |group: TaskGroup| {
        let special = match group {
            _ if !model.for_code || published.of(TaskGroup::Code).is_some() => 0.0,
            TaskGroup::Code => MADE_FOR_CODE,
            TaskGroup::Math => 0.0,
            _ => -MADE_FOR_CODE,
        };
        (published.of(group).unwrap_or(usual) + moved + special).clamp(LEAST, 1.0)
    };
    model.strengths = model.strengths.or(Strengths(TaskGroup::ALL.map(|group| Some(of(group)))));
}

/// The longest family that is part of an id.
fn family(id: &str) -> Option<&'static Family> {
    static FAMILIES: LazyLock<Vec<(String, Family)>> =
        LazyLock::new(|| parse(PUBLISHED).expect("a unit test reads the built-in families"));
    let id = spelled(id);
    let fitting = FAMILIES.iter().filter(|(part, _)| id.contains(part));
    fitting.max_by_key(|(part, _)| part.len()).map(|(_, family)| family)
}

/// One spelling for `llama3.1:8b`, `Llama-3.1-8B` and `meta/llama_3.1_8b`; words begin with `-`.
fn spelled(id: &str) -> String {
    let mut out = String::from("-");
    let mut last = '-';
    for c in id.chars().map(|c| c.to_ascii_lowercase()) {
        let c = if c.is_alphanumeric() || c == '.' { c } else { '-' };
        if last.is_ascii_alphabetic() && c.is_ascii_digit() {
            out.push('-');
        }
        out.push(c);
        last = c;
    }
    out
}

/// A family as it is used.
#[derive(Debug)]
struct Family {
    quality: f32,
    /// Without those that are no more than its quality.
    strengths: Strengths,
}

/// `conf/models.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Published {
    benchmarks: BTreeMap<String, Benchmark>,
    sources: BTreeMap<String, String>,
    families: BTreeMap<String, Scores>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Benchmark {
    groups: Vec<TaskGroup>,
    /// Scores and the strengths they come to, ascending.
    points: Vec<(f32, f32)>,
}

#[derive(Deserialize)]
struct Scores {
    quality: Option<f32>,
    /// Names of sources.
    #[serde(default)]
    from: Vec<String>,
    /// By benchmark.
    #[serde(flatten)]
    scores: BTreeMap<String, f32>,
}

/// The families by their spelled names.
fn parse(text: &str) -> Result<Vec<(String, Family)>, String> {
    let published: Published = toml::from_str(text).map_err(|e| e.to_string())?;
    let family = |(name, scores): (&String, &Scores)| {
        let family = published.family(scores).map_err(|why| format!("{name}: {why}"))?;
        Ok((spelled(name), family))
    };
    published.families.iter().map(family).collect()
}

impl Published {
    fn family(&self, scores: &Scores) -> Result<Family, String> {
        if let Some(unknown) = scores.from.iter().find(|source| !self.sources.contains_key(*source)) {
            return Err(format!("no source is named {unknown}"));
        }
        if scores.from.is_empty() != scores.scores.is_empty() {
            return Err("scores have sources, and sources scores".to_owned());
        }
        let mut found: [Vec<f32>; TaskGroup::ALL.len()] = Default::default();
        for (name, score) in &scores.scores {
            let benchmark = self.benchmarks.get(name).ok_or(format!("no benchmark is named {name}"))?;
            let strength = benchmark.strength(*score);
            benchmark.groups.iter().for_each(|group| found[*group as usize].push(strength));
        }
        let means = found.map(|all| mean(&all));
        let known: Vec<f32> = means.into_iter().flatten().collect();
        let other = scores.quality.or(mean(&known)).ok_or("neither scores nor a quality")?;
        let quality = mean(&means.map(|of_group| of_group.unwrap_or(other))).unwrap_or(other);
        // A group without a benchmark stays at `other`, which need not be the quality.
        let strengths = Strengths(if known.is_empty() { means } else { means.map(|m| m.or(Some(other))) });
        Ok(Family { quality, strengths })
    }
}

impl Benchmark {
    /// Straight lines through the points; beyond them the last one's.
    fn strength(&self, score: f32) -> f32 {
        let between = self.points.windows(2).find(|pair| (pair[0].0..=pair[1].0).contains(&score));
        match (between, self.points.as_slice()) {
            (Some(&[(low, at_low), (high, at_high)]), _) => {
                at_low + (at_high - at_low) * (score - low) / (high - low)
            }
            (_, [(least, at_least), ..]) if score < *least => *at_least,
            (_, [.., (_, at_most)]) => *at_most,
            _ => quality::UNKNOWN,
        }
    }
}

fn mean(values: &[f32]) -> Option<f32> {
    (!values.is_empty()).then(|| values.iter().sum::<f32>() / values.len() as f32)
}

#[cfg(test)]
mod tests;
