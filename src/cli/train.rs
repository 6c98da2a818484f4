//! `train`: the classifier's weights, made anew from prompts with known outcomes.

use super::lines::lines;
use crate::training::{Row, train, validate};
use clap::Args;
use std::error::Error;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(super) struct Train {
    /// A folder of `.jsonl` and `.jsonl.gz` files with rows to learn from.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The prompts written for the project.
    #[arg(long, value_name = "DIR", default_value = "conf/classifier/prompts")]
    prompts: PathBuf,
    /// Where the weights go. The program has to be built again to use them.
    #[arg(long, value_name = "FILE", default_value = "conf/classifier/weights.bin")]
    out: PathBuf,
    /// Measure nothing, only write the weights.
    #[arg(long)]
    quick: bool,
}

pub(super) fn run(args: &Train) -> Result<(), Box<dyn Error>> {
    let mut rows = Vec::new();
    for file in files(&args.data)?.into_iter().chain(files(&args.prompts)?) {
        let before = rows.len();
        for line in lines(&file)? {
            let (number, line) = line?;
            rows.push(Row::parse(&line).map_err(|e| format!("{}, line {number}: {e}", file.display()))?);
        }
        println!("{}: {} rows", file.display(), rows.len() - before);
    }
    let trained = train(rows);
    std::fs::write(&args.out, &trained.weights)
        .map_err(|e| format!("cannot write {}: {e}", args.out.display()))?;
    println!("{}: {} bytes", args.out.display(), trained.weights.len());
    if !args.quick {
        println!("{}", validate(&trained));
    }
    Ok(())
}

/// The folder's files, sorted: the order is part of what makes two trainings the same.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let entries = std::fs::read_dir(folder).map_err(|e| format!("cannot read {}: {e}", folder.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, std::io::Error>>()?;
    let ours = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.ends_with(".jsonl") || name.ends_with(".jsonl.gz")
    };
    files.retain(ours);
    files.sort();
    Ok(files)
}
