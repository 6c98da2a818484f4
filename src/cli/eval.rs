//! `eval`: what the classifier says of many prompts, for judging it.

use super::lines::lines;
use crate::classifier::{chance_to_fail, classify};
use crate::protocol::inspect::inspect;
use clap::Args;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::time::Instant;

#[derive(Debug, Args)]
pub(super) struct Eval {
    /// Prompts, `.jsonl` or `.jsonl.gz`: a line has an `id` and a `prompt` or `messages`.
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Where the predictions go: `id`, `score` (difficulty, 0 to 1), `task`.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Say also how long the classifier took for each, as `us`.
    #[arg(long)]
    timings: bool,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    #[serde(borrow)]
    prompt: Option<&'a RawValue>,
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
}

pub(super) fn eval(args: &Eval) -> Result<(), Box<dyn Error>> {
    let file = File::create(&args.out).map_err(|e| format!("cannot write {}: {e}", args.out.display()))?;
    let mut out = BufWriter::new(file);
    let mut count = 0;
    for line in lines(&args.data)? {
        let (number, line) = line?;
        let wrong = |what: &str| format!("{}, line {number}: {what}", args.data.display());
        let Line { id, prompt, messages } = serde_json::from_str(&line).map_err(|e| wrong(&e.to_string()))?;
        let body = match (messages, prompt) {
            (Some(messages), _) => format!(r#"{{"messages":{messages}}}"#),
            (None, Some(prompt)) => format!(r#"{{"messages":[{{"role":"user","content":{prompt}}}]}}"#),
            (None, None) => return Err(wrong("neither `prompt` nor `messages`").into()),
        };
        let facts = inspect(body.as_bytes()).map_err(|invalid| wrong(&invalid.message))?;
        let began = Instant::now();
        let task = classify(body.as_bytes(), &facts.features).task;
        let us = began.elapsed().as_nanos() as f64 / 1000.0;
        let score = chance_to_fail(body.as_bytes(), &facts.features);
        write!(out, r#"{{"id":{id},"score":{score},"task":"{}""#, task.name())?;
        if args.timings {
            write!(out, r#","us":{us}"#)?;
        }
        writeln!(out, "}}")?;
        count += 1;
    }
    out.flush()?;
    println!("{count} prompts");
    Ok(())
}
