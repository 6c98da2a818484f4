//! The trained weights: a header that says what they are, and one small integer a feature and head.
//!
//! The file is a line of JSON, the [`Header`], and then the table, row by row. `freeway train` writes it.

use super::form::Form;
use super::marks::Marks;
use super::scan::{ROWS, scan};
use crate::catalog::Task;
use serde::{Deserialize, Serialize};

/// The version of the features and of the file: weights of another one are refused.
pub(crate) const VERSION: u32 = 1;

/// Heads in a row of the table, the spare ones included: a row is loaded at once.
pub(crate) const WIDTH: usize = 20;

/// What the linear heads say, besides one for each task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    /// How much more a strong model gets right than a weak one, where the prompt is an exam question.
    Gain = Task::ALL.len() as isize,
    /// How many models fail, over all sources.
    Hardness,
    /// The same among prompts of one source: what makes one word problem harder than another.
    Within,
    /// The logarithm of the answer's tokens.
    Length,
}

impl Head {
    /// The last one and all before.
    pub(crate) const COUNT: usize = Self::Length as usize + 1;
}

/// What stands before the table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Header {
    pub(crate) version: u32,
    /// What one step of a head's integers is worth, and what it says of a text without features.
    pub(crate) scales: [f32; WIDTH],
    pub(crate) biases: [f32; WIDTH],
    /// How the heads make up the difficulty of prompts of each form.
    pub(crate) mixtures: [Mixture; Form::ALL.len()],
}

/// A weighted sum of heads and length: the logit of the probability that a weaker model fails where a stronger
/// one succeeds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Mixture {
    pub(crate) gain: f32,
    pub(crate) hardness: f32,
    pub(crate) within: f32,
    /// Of the logarithm of the length.
    pub(crate) length: f32,
    pub(crate) constant: f32,
}

/// Header and table.
#[derive(Debug)]
pub(crate) struct Weights<'a> {
    pub(crate) header: Header,
    table: &'a [u8],
}

/// Why a file of weights cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadWeights {
    /// The first line is not a header.
    #[error("no header: {0}")]
    Header(String),
    /// They were made for other features.
    #[error("weights of version {0}, {VERSION} is needed")]
    Version(u32),
    /// The table is cut or too long.
    #[error("a table of {0} bytes instead of {expected}", expected = ROWS * WIDTH)]
    Table(usize),
}

impl<'a> Weights<'a> {
    pub(crate) fn parse(file: &'a [u8]) -> Result<Self, BadWeights> {
        let end = memchr::memchr(b'\n', file).unwrap_or(file.len());
        let header: Header =
            serde_json::from_slice(&file[..end]).map_err(|e| BadWeights::Header(e.to_string()))?;
        if header.version != VERSION {
            return Err(BadWeights::Version(header.version));
        }
        let table = file.get(end + 1..).unwrap_or_default();
        if table.len() != ROWS * WIDTH {
            return Err(BadWeights::Table(table.len()));
        }
        Ok(Self { header, table })
    }

    /// The file's bytes.
    pub(crate) fn write(header: &Header, table: &[[i8; WIDTH]]) -> Vec<u8> {
        let mut file = serde_json::to_vec(header).unwrap_or_default();
        file.push(b'\n');
        file.extend(table.iter().flatten().map(|step| *step as u8));
        file
    }

    /// What a text looks like, and what each head says of it.
    pub(super) fn read(&self, text: &[u8]) -> (Marks, [f32; WIDTH]) {
        let mut sum = Sum { weights: self, steps: [0; WIDTH], features: 0 };
        let marks = scan(text, |feature| sum.add(feature.row));
        (marks, sum.heads())
    }

    /// What each head thinks of a single feature, before the text's length is taken into account.
    pub(super) fn feature(&self, row: u32) -> [f32; WIDTH] {
        let steps = self.row(row);
        std::array::from_fn(|head| f32::from(steps[head] as i8) * self.header.scales[head])
    }

    fn row(&self, row: u32) -> &[u8] {
        let start = row as usize * WIDTH;
        &self.table[start..start + WIDTH]
    }
}

/// The heads of a text, while it is read.
struct Sum<'a> {
    weights: &'a Weights<'a>,
    steps: [i32; WIDTH],
    features: u32,
}

impl Sum<'_> {
    fn add(&mut self, row: u32) {
        self.features += 1;
        for (sum, step) in self.steps.iter_mut().zip(self.weights.row(row)) {
            *sum += i32::from(*step as i8);
        }
    }

    /// What each head says of the whole: long texts are no louder than short ones.
    fn heads(&self) -> [f32; WIDTH] {
        let Header { scales, biases, .. } = &self.weights.header;
        let size = (self.features.max(1) as f32).sqrt();
        std::array::from_fn(|head| biases[head] + scales[head] * self.steps[head] as f32 / size)
    }
}
