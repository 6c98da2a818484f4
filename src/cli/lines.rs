//! Files of one JSON object a line, plain or compressed, read one line at a time.

use flate2::read::MultiGzDecoder;
use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// A line and its number, or why it could not be read.
type Line = Result<(usize, String), Box<dyn Error>>;

/// The lines of a `.jsonl` or `.jsonl.gz` file that are not empty, with their numbers from 1.
pub(super) fn lines(path: &Path) -> Result<impl Iterator<Item = Line>, Box<dyn Error>> {
    let place = path.display().to_string();
    let file = File::open(path).map_err(|e| format!("cannot open {place}: {e}"))?;
    let packed = path.extension().is_some_and(|extension| extension == "gz");
    let reader: Box<dyn BufRead> = if packed {
        Box::new(BufReader::new(MultiGzDecoder::new(file)))
    } else {
        Box::new(BufReader::new(file))
    };
    let numbered = reader.lines().enumerate().map(move |(at, line)| match line {
        Ok(line) => Ok((at + 1, line)),
        Err(e) => Err(format!("{place}, line {}: {e}", at + 1).into()),
    });
    Ok(numbered.filter(|line| line.as_ref().map_or(true, |(_, line)| !line.trim().is_empty())))
}
