//! From rows to weights.

use super::ridge::{self, Example, Linear};
use super::rows::{Row, Seen};
use crate::catalog::Task;
use crate::classifier::{
    BadWeights, Classification, Form, Head, Header, Mixture, ROWS, VERSION, WIDTH, Weights, classify_with,
};
use crate::protocol::facts::PromptFeatures;
use std::collections::HashMap;

/// Weights, and what is needed to judge them.
pub struct Trained {
    /// The file: see `conf/classifier/CARD.md`.
    pub weights: Vec<u8>,
    pub(super) data: Data,
    /// The heads of each row, from a fit that did not see its group.
    pub(super) unseen: Vec<[f32; WIDTH]>,
    pub(super) header: Header,
}

/// Rows as the classifier sees them.
pub(super) struct Data {
    pub(super) rows: Vec<Row>,
    pub(super) seen: Vec<Seen>,
    pub(super) folds: Vec<u64>,
    /// How hard a row is among those of its source: mean 0, deviation 1.
    pub(super) within: Vec<Option<f32>>,
    /// How much a row counts for the tasks, and for hardness.
    task_counts: Vec<f32>,
    hardness_counts: Vec<f32>,
}

pub(super) const FOLDS: u64 = 5;

/// Penalties, found by cross-validation.
const TASK_PENALTY: f32 = 2.0;
const GAIN_PENALTY: f32 = 5.0;
const HARDNESS_PENALTY: f32 = 4.0;
const WITHIN_PENALTY: f32 = 2.0;
const LENGTH_PENALTY: f32 = 1.0;

/// Exam questions whose weak and strong model are far enough apart for their gain to say something.
pub(super) const GAIN_SOURCE: &str = "routellm_mmlu";

/// A source counts as much as this many of its rows, and half as much again for each doubling.
const PER_SOURCE: f32 = 600.0;

/// The same for hardness: their levels are judgements.
const OUR_HARDNESS: f32 = 12.0;

/// Prompts written for the project are people's own wording: for the tasks each counts as many of a benchmark's.
const OURS: f32 = 60.0;

/// Fits all heads, five times without a fifth of the rows and once with all.
pub fn train(rows: Vec<Row>) -> Trained {
    let data = Data::of(rows);
    let unseen = cross_fit(&data);
    let header = header(&data, &unseen);
    let heads = fit_heads(&data, |_| true);
    let (header, table) = rounded(header, &heads);
    Trained { weights: Weights::write(&header, &table), data, unseen, header }
}

impl Trained {
    /// What a router with these weights makes of a prompt.
    ///
    /// # Errors
    /// [`BadWeights`]: they are those of another version, which cannot happen to weights trained just now.
    pub fn classify(&self, body: &[u8], features: &PromptFeatures) -> Result<Classification, BadWeights> {
        Ok(classify_with(&Weights::parse(&self.weights)?, body, features))
    }
}

impl Data {
    fn of(rows: Vec<Row>) -> Self {
        let seen: Vec<Seen> = rows.iter().map(|row| Seen::of(&row.prompt)).collect();
        let folds = rows.iter().map(|row| fnv(row.group.as_deref().unwrap_or(&row.prompt)) % FOLDS).collect();
        let within = within(&rows);
        let task_counts = task_counts(&rows);
        let hardness_counts = hardness_counts(&rows);
        Self { rows, seen, folds, within, task_counts, hardness_counts }
    }

    /// What a head is to learn from the rows that `takes` lets in.
    pub(super) fn examples(&self, head: usize, takes: impl Fn(usize) -> bool) -> Vec<Example> {
        let label = |at: usize| self.label(head, at).map(|(value, count)| (at, value, count));
        (0..self.rows.len()).filter(|at| takes(*at)).filter_map(label).collect()
    }

    fn label(&self, head: usize, at: usize) -> Option<(f32, f32)> {
        let row = &self.rows[at];
        if let Some(task) = Task::ALL.get(head) {
            let count = self.task_counts[at];
            return Some((f32::from(u8::from(row.task? == *task)), count));
        }
        if head == Head::Gain as usize {
            (row.source == GAIN_SOURCE).then_some((row.gain()?, 1.0))
        } else if head == Head::Hardness as usize {
            (row.source != GAIN_SOURCE)
                .then_some((row.failed()?, if row.is_ours() { OUR_HARDNESS } else { 1.0 }))
        } else if head == Head::Within as usize {
            Some((self.within[at]?, self.hardness_counts[at]))
        } else {
            Some((row.tokens?.max(1.0).ln(), 1.0))
        }
    }
}

fn within(rows: &[Row]) -> Vec<Option<f32>> {
    let mut tests: HashMap<String, Vec<f32>> = HashMap::new();
    for row in rows {
        if let Some(failed) = row.failed() {
            tests.entry(row.test()).or_default().push(failed);
        }
    }
    let moments: HashMap<_, _> =
        tests.iter().map(|(test, values)| (test, moments(values.iter().copied()))).collect();
    let standard = |row: &Row| {
        let (mean, deviation) = *moments.get(&row.test())?;
        Some((row.failed()? - mean) / deviation)
    };
    rows.iter().map(standard).collect()
}

/// Rows of large sources count less each, so that all sources have a say; then all tasks alike.
fn task_counts(rows: &[Row]) -> Vec<f32> {
    let mut cells: HashMap<(&str, Task), f32> = HashMap::new();
    for row in rows {
        if let Some(task) = row.task {
            *cells.entry((&row.source, task)).or_default() += 1.0;
        }
    }
    let raw = |row: &Row| {
        row.task.map_or(
            0.0,
            |task| if row.is_ours() { OURS } else { 1.0 } / cells[&(row.source.as_str(), task)].sqrt(),
        )
    };
    let mut counts: Vec<f32> = rows.iter().map(raw).collect();
    let mut totals: HashMap<Task, f32> = HashMap::new();
    for (row, count) in rows.iter().zip(&counts) {
        if let Some(task) = row.task {
            *totals.entry(task).or_default() += count;
        }
    }
    for (row, count) in rows.iter().zip(&mut counts) {
        *count /= row.task.map_or(1.0, |task| totals[&task].sqrt());
    }
    averaged(counts)
}

fn hardness_counts(rows: &[Row]) -> Vec<f32> {
    let mut tests: HashMap<String, f32> = HashMap::new();
    for row in rows.iter().filter(|row| row.failed().is_some()) {
        *tests.entry(row.test()).or_default() += 1.0;
    }
    let count = |row: &Row| tests.get(&row.test()).map_or(0.0, |rows| (PER_SOURCE / rows).sqrt().min(1.0));
    rows.iter().map(count).collect()
}

/// Scaled so that those that count at all average 1.
fn averaged(mut counts: Vec<f32>) -> Vec<f32> {
    let used = counts.iter().filter(|count| **count > 0.0).count().max(1);
    let mean = counts.iter().sum::<f32>() / used as f32;
    counts.iter_mut().for_each(|count| *count /= mean.max(f32::MIN_POSITIVE));
    counts
}

/// Fits every head to the rows that `takes` lets in.
pub(super) fn fit_heads(data: &Data, takes: impl Fn(usize) -> bool) -> Vec<Linear> {
    (0..Head::COUNT).map(|head| fit_head(data, head, &takes)).collect()
}

pub(super) fn fit_head(data: &Data, head: usize, takes: impl Fn(usize) -> bool) -> Linear {
    let penalty = match head {
        head if head == Head::Gain as usize => GAIN_PENALTY,
        head if head == Head::Hardness as usize => HARDNESS_PENALTY,
        head if head == Head::Within as usize => WITHIN_PENALTY,
        head if head == Head::Length as usize => LENGTH_PENALTY,
        _ => TASK_PENALTY,
    };
    ridge::fit(&data.seen, &data.examples(head, takes), penalty)
}

fn cross_fit(data: &Data) -> Vec<[f32; WIDTH]> {
    let mut unseen = vec![[0.0; WIDTH]; data.rows.len()];
    for fold in 0..FOLDS {
        let heads = fit_heads(data, |at| data.folds[at] != fold);
        for at in (0..data.rows.len()).filter(|at| data.folds[*at] == fold) {
            for (head, linear) in heads.iter().enumerate() {
                unseen[at][head] = linear.of(&data.seen[at]);
            }
        }
    }
    unseen
}

/// What makes prompts of each form hard, in deviations: gain, hardness, within, and the logarithm of the length.
/// Found by leaving out one source after the other.
const RECIPES: [(Form, [f32; 4]); Form::ALL.len()] = [
    (Form::Exam, [1.0, 0.5, 0.0, 0.4]),
    (Form::Choice, [0.3, 1.0, 0.0, 0.1]),
    (Form::Problem, [0.0, 0.2, 0.8, 1.3]),
    (Form::Program, [0.0, 0.4, 0.6, 2.0]),
    (Form::Open, [0.0, 1.0, 0.2, 0.3]),
];

fn header(data: &Data, unseen: &[[f32; WIDTH]]) -> Header {
    let forms: Vec<Form> = unseen
        .iter()
        .zip(&data.seen)
        .map(|(heads, seen)| Form::of(&seen.marks, crate::classifier::best_task(heads)))
        .collect();
    let mixtures = RECIPES.map(|(form, recipe)| {
        let of_form = |at: &usize| forms[*at] == form && data.rows[*at].needs_more().is_some();
        let rows: Vec<usize> = (0..forms.len()).filter(of_form).collect();
        mixture(data, unseen, &rows, recipe)
    });
    Header { version: VERSION, scales: [0.0; WIDTH], biases: [0.0; WIDTH], mixtures }
}

/// Brings a recipe to scale: its parts to deviations, and its sum to the logit of what happened.
fn mixture(data: &Data, unseen: &[[f32; WIDTH]], rows: &[usize], recipe: [f32; 4]) -> Mixture {
    let parts = |at: usize| {
        let heads = &unseen[at];
        [
            heads[Head::Gain as usize],
            heads[Head::Hardness as usize],
            heads[Head::Within as usize],
            data.seen[at].marks.log_bytes(),
        ]
    };
    let deviations: [f32; 4] = std::array::from_fn(|part| deviation(rows.iter().map(|at| parts(*at)[part])));
    let weights: [f32; 4] = std::array::from_fn(|part| recipe[part] / deviations[part]);
    let sum = |at: usize| parts(at).iter().zip(weights).map(|(part, weight)| part * weight).sum::<f32>();
    let count =
        |at: usize| data.hardness_counts[at] * if data.rows[at].is_ours() { OUR_HARDNESS } else { 1.0 };
    let outcome = |at: &usize| Some((sum(*at), data.rows[*at].needs_more()?, count(*at)));
    let outcomes: Vec<_> = rows.iter().filter_map(outcome).collect();
    let (slope, constant) = calibrate(&outcomes);
    let [gain, hardness, within, length] = weights.map(|weight| weight * slope);
    Mixture { gain, hardness, within, length, constant }
}

fn deviation(values: impl Iterator<Item = f32> + Clone) -> f32 {
    moments(values).1
}

/// Mean and deviation.
fn moments(values: impl Iterator<Item = f32> + Clone) -> (f32, f32) {
    let count = values.clone().count().max(1) as f64;
    let mean = values.clone().map(f64::from).sum::<f64>() / count;
    let variance = values.map(|value| (f64::from(value) - mean).powi(2)).sum::<f64>() / count;
    (mean as f32, variance.sqrt().max(1e-6) as f32)
}

/// Logistic regression on one number, by Newton's method: slope and offset. The slope is not negative.
fn calibrate(outcomes: &[(f32, bool, f32)]) -> (f32, f32) {
    let (mut slope, mut offset) = (0.1_f64, -1.0_f64);
    for _ in 0..25 {
        let (mut g, mut h) = ([0.0; 2], [1e-6, 0.0, 1e-6]);
        for (x, truth, weight) in outcomes {
            let (x, weight) = (f64::from(*x), f64::from(*weight));
            let p = 1.0 / (1.0 + (-(slope * x + offset)).exp());
            let error = weight * (p - f64::from(u8::from(*truth)));
            let curve = weight * p * (1.0 - p);
            g = [g[0] + error * x, g[1] + error];
            h = [h[0] + curve * x * x, h[1] + curve * x, h[2] + curve];
        }
        let determinant = h[0] * h[2] - h[1] * h[1];
        slope -= (h[2] * g[0] - h[1] * g[1]) / determinant;
        offset -= (h[0] * g[1] - h[1] * g[0]) / determinant;
    }
    (slope.max(0.05) as f32, offset as f32)
}

/// Rounds the heads to small integers.
fn rounded(mut header: Header, heads: &[Linear]) -> (Header, Vec<[i8; WIDTH]>) {
    let mut table = vec![[0_i8; WIDTH]; ROWS];
    for (head, linear) in heads.iter().enumerate() {
        let largest = linear.weights.iter().fold(0.0_f32, |largest, weight| largest.max(weight.abs()));
        let scale = largest.max(f32::MIN_POSITIVE) / 127.0;
        (header.scales[head], header.biases[head]) = (scale, linear.bias);
        for (row, weight) in table.iter_mut().zip(&linear.weights) {
            row[head] = (weight / scale).round() as i8;
        }
    }
    (header, table)
}

/// FNV-1a: the same on every machine.
fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, b| (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}
