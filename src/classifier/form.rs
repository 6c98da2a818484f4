//! What kind of text a prompt is: what makes it hard differs by that.

use super::marks::Marks;
use crate::catalog::Task;
use serde::{Deserialize, Serialize};

/// A kind of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// A question with the answers to choose from, left open where the answer is to follow.
    Exam,
    /// Another question with the answers to choose from.
    Choice,
    /// Something to calculate or to prove.
    Problem,
    /// A program, or one to be written.
    Program,
    /// Anything else.
    Open,
}

impl Form {
    /// Every form, in declaration order.
    pub const ALL: [Self; 5] = [Self::Exam, Self::Choice, Self::Problem, Self::Program, Self::Open];

    pub(crate) fn of(marks: &Marks, task: Task) -> Self {
        if marks.options >= 3 {
            return if marks.asks_to_complete { Self::Exam } else { Self::Choice };
        }
        match task {
            Task::Code => Self::Program,
            Task::Math => Self::Problem,
            _ => Self::Open,
        }
    }

    /// Its name in explanations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exam => "exam question",
            Self::Choice => "question with answers to choose from",
            Self::Problem => "problem to solve",
            Self::Program => "program",
            Self::Open => "open prompt",
        }
    }
}
