//! Cutting the power at random moments, and looking what is left.

use crate::disk::{Disk, MODELS, Model};
use crate::log::Record;
use freeway::store::{SqliteStore, Store};
use rusqlite::Connection;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use tempfile::TempDir;

/// What was found.
#[derive(Debug, Default)]
pub struct Findings {
    pub images: usize,
    pub records: usize,
    pub acknowledged: usize,
    /// Commits that were put into the database file meanwhile.
    pub checkpoints: usize,
    /// Images that lack charges whose clients had seen the end of their answers, by model.
    pub lossy: BTreeMap<Model, usize>,
    /// Charges lacking, in all images.
    pub lost: usize,
    /// Images that are damaged, do not add up, or charge other amounts.
    pub broken: Vec<String>,
}

/// Cuts the power after `points` records, in all models of the disk.
pub fn cut(before: BTreeMap<String, Vec<u8>>, log: &[Record], points: usize, seed: u64) -> Findings {
    let rng = &mut fastrand::Rng::with_seed(seed);
    let first = log.iter().position(|record| matches!(record, Record::Acknowledged { .. }));
    let first = first.expect("something was acknowledged");
    let mut ends: Vec<usize> = (0..points).map(|_| rng.usize(first + 1..=log.len())).collect();
    ends.sort_unstable();

    let mut findings = Findings { records: log.len(), ..Findings::default() };
    let (mut disk, mut paid) = (Disk::with(before), HashMap::new());
    let mut next = ends.into_iter().peekable();
    for at in 0..=log.len() {
        while next.next_if_eq(&at).is_some() {
            for model in MODELS {
                findings.images += 1;
                look(&disk.cut(model, rng), &paid, model, &mut findings);
            }
        }
        let Some(record) = log.get(at) else { break };
        disk.apply(record);
        if let Record::Acknowledged { id, paid: amount } = record {
            paid.insert(id.clone(), *amount);
        }
        findings.checkpoints += usize::from(matches!(record, Record::Synced { file } if file == "ledger.db"));
    }
    findings.acknowledged = paid.len();
    findings
}

/// Opens what a power cut has left, as a new process does.
fn look(
    files: &BTreeMap<String, Vec<u8>>,
    paid: &HashMap<String, i64>,
    model: Model,
    findings: &mut Findings,
) {
    let folder = shared_memory();
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content).expect("a file");
    }
    let charged = match reopen(folder.path()) {
        Ok(charged) => charged,
        Err(problem) => return findings.broken.push(format!("{model:?}: {problem}")),
    };
    let lost = paid.keys().filter(|id| !charged.contains_key(*id)).count();
    findings.lost += lost;
    *findings.lossy.entry(model).or_default() += usize::from(lost > 0);
    let wrong = paid.iter().find(|(id, paid)| charged.get(*id).is_some_and(|charged| charged != *paid));
    if let Some((id, paid)) = wrong {
        findings.broken.push(format!("{model:?}: {id} paid {paid}, and was charged {}", charged[id]));
    }
}

/// Charges by id.
fn reopen(folder: &Path) -> Result<HashMap<String, i64>, String> {
    let words = |error: &dyn std::fmt::Display| error.to_string();
    let store = SqliteStore::open(folder).map_err(|error| words(&error))?;
    let mut writer = store.writer().map_err(|error| words(&error))?;
    writer.reap().map_err(|error| words(&error))?;
    let verified = store.reader().and_then(|mut reader| reader.verify(&mut |_| ()));
    let verified = verified.map_err(|error| words(&error))?;
    if verified.leased.get() != 0 || !verified.discrepancies.is_empty() {
        return Err(format!("{verified:?}"));
    }
    charges(folder).map_err(|error| words(&error))
}

fn charges(folder: &Path) -> rusqlite::Result<HashMap<String, i64>> {
    let connection = Connection::open(folder.join("ledger.db"))?;
    let found: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    if found != "ok" {
        return Err(rusqlite::Error::InvalidParameterName(found));
    }
    let mut select = connection.prepare("SELECT id, -amount FROM ledger WHERE kind = 'charge'")?;
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

/// A folder on no disk, where there is one.
pub fn shared_memory() -> TempDir {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    folder.expect("a folder")
}
