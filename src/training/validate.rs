//! How good the classifier is on what it has not seen.

use super::fit::{Data, FOLDS, Trained, fit_head};
use super::measure::{apgr, brier, f1_by_label, macro_f1, spearman};
use crate::catalog::Task;
use crate::classifier::{Form, Head, WIDTH, best_task};
use std::fmt;

/// The figures of one training.
pub struct Report {
    rows: usize,
    /// By source: from fits without the row's group, and without the whole source.
    sources: Vec<Source>,
    tasks: Vec<(Task, f64)>,
    task_f1: f64,
    /// The same for prompts written for the project.
    our_task_f1: f64,
    brier: (f64, f64),
    length_error: f64,
}

struct Source {
    name: String,
    rows: usize,
    length: Figures,
    cross: Figures,
    left_out: Figures,
    /// What a plain hashed ridge says that was fit without the source.
    plain: Figures,
}

/// APGR, where the source has a pair of models; and the rank correlation with the share of models that fail.
#[derive(Clone, Copy)]
struct Figures {
    apgr: Option<f64>,
    spearman: f64,
}

/// Smaller sources say nothing.
const LEAST_ROWS: usize = 100;

/// Measures a training: cross-validation, then leaving out one source after the other.
pub fn validate(trained: &Trained) -> Report {
    let Trained { data, unseen, .. } = trained;
    let mut names: Vec<String> =
        data.rows.iter().filter(|r| r.failed().is_some()).map(|r| r.test()).collect();
    names.sort();
    let mut counted: Vec<(String, usize)> = Vec::new();
    for name in names {
        match counted.last_mut() {
            Some((last, rows)) if *last == name => *rows += 1,
            _ => counted.push((name, 1)),
        }
    }
    counted.retain(|(_, rows)| *rows >= LEAST_ROWS);
    let sources = counted.into_iter().map(|(name, rows)| source(trained, name, rows)).collect();
    let labelled = |ours: bool| {
        let of = move |at: &usize| data.rows[*at].is_ours() == ours;
        let pair = |at: usize| Some((data.rows[at].task? as usize, best_task(&unseen[at]) as usize));
        (0..data.rows.len()).filter(of).filter_map(pair).collect::<Vec<_>>()
    };
    let (theirs, ours) = (labelled(false), labelled(true));
    Report {
        rows: data.rows.len(),
        sources,
        tasks: f1_by_label(&ours).into_iter().map(|(task, f1)| (Task::ALL[task], f1)).collect(),
        task_f1: macro_f1(&theirs),
        our_task_f1: macro_f1(&ours),
        brier: calibration(trained),
        length_error: length_error(data, unseen),
    }
}

fn source(trained: &Trained, name: String, rows: usize) -> Source {
    let data = &trained.data;
    let mine: Vec<usize> = (0..data.rows.len()).filter(|at| data.rows[*at].test() == name).collect();
    let figures = |score: &dyn Fn(usize) -> f32| {
        let pairs: Vec<_> = mine.iter().filter_map(|at| Some((data.rows[*at].gain()?, score(*at)))).collect();
        let (gains, scores): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        let known: Vec<_> =
            mine.iter().filter_map(|at| Some((data.rows[*at].failed()?, score(*at)))).collect();
        let (failed, scored): (Vec<_>, Vec<_>) = known.into_iter().unzip();
        Figures { apgr: apgr(&gains, &scores), spearman: spearman(&failed, &scored) }
    };
    // The same tasks from another source would give it away.
    let family = |test: &str| test.rsplit('/').next().unwrap_or_default().replace(['-', '_'], "");
    let takes = |at: usize| family(&data.rows[at].test()) != family(&name);
    let heads =
        [Head::Gain, Head::Hardness, Head::Within].map(|head| (head, fit_head(data, head as usize, takes)));
    let left_out = |at: usize| {
        let mut values = trained.unseen[at];
        for (head, linear) in &heads {
            values[*head as usize] = linear.of(&data.seen[at]);
        }
        logit(trained, at, &values)
    };
    let plain = |at: usize| heads[1].1.of(&data.seen[at]);
    Source {
        length: figures(&|at| data.rows[at].prompt.len() as f32),
        cross: figures(&|at| logit(trained, at, &trained.unseen[at])),
        left_out: figures(&left_out),
        plain: figures(&plain),
        name,
        rows,
    }
}

fn logit(trained: &Trained, at: usize, heads: &[f32; WIDTH]) -> f32 {
    let marks = &trained.data.seen[at].marks;
    let form = Form::of(marks, best_task(heads));
    trained.header.mixtures[form as usize].of(heads, marks)
}

/// The error of the probabilities, and that of the same probability for all.
fn calibration(trained: &Trained) -> (f64, f64) {
    let data = &trained.data;
    let truth = |at: usize| Some((at, data.rows[at].needs_more()?));
    let known: Vec<_> = (0..data.rows.len()).filter_map(truth).collect();
    let rate = known.iter().filter(|(_, truth)| *truth).count() as f32 / known.len().max(1) as f32;
    let p = |at: usize| 1.0 / (1.0 + (-logit(trained, at, &trained.unseen[at])).exp());
    let ours: Vec<_> = known.iter().map(|(at, truth)| (*truth, p(*at))).collect();
    let constant: Vec<_> = known.iter().map(|(_, truth)| (*truth, rate)).collect();
    (brier(&ours), brier(&constant))
}

/// By which factor lengths are off, in the mean.
fn length_error(data: &Data, unseen: &[[f32; WIDTH]]) -> f64 {
    let error = |at: usize| {
        Some(f64::from((data.rows[at].tokens?.max(1.0).ln() - unseen[at][Head::Length as usize]).abs()))
    };
    let errors: Vec<f64> = (0..data.rows.len()).filter_map(error).collect();
    (errors.iter().sum::<f64>() / errors.len().max(1) as f64).exp()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} rows, {FOLDS} folds; APGR (0.5 is chance) and rank correlation with hardness",
            self.rows
        )?;
        writeln!(
            f,
            "{:32} {:>6}  {:^13}  {:^13}  {:^13}  {:^13}",
            "source", "rows", "length", "folds", "left out", "plain, left out"
        )?;
        for source in &self.sources {
            write!(f, "{:32} {:>6}", source.name, source.rows)?;
            for figures in [source.length, source.cross, source.left_out, source.plain] {
                match figures.apgr {
                    Some(apgr) => write!(f, "  {apgr:.3} {:+.3} ", figures.spearman)?,
                    None => write!(f, "      - {:+.3} ", figures.spearman)?,
                }
            }
            writeln!(f)?;
        }
        writeln!(
            f,
            "tasks: macro-F1 {:.3} on the sources, {:.3} on prompts written for the project:",
            self.task_f1, self.our_task_f1
        )?;
        for (task, f1) in &self.tasks {
            write!(f, " {} {f1:.2}", task.name())?;
        }
        writeln!(f)?;
        writeln!(f, "difficulty: Brier {:.4}, of the mean alone {:.4}", self.brier.0, self.brier.1)?;
        writeln!(f, "lengths are off by a factor of {:.2} in the mean", self.length_error)
    }
}
