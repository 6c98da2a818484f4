//! A disk whose power is cut: what was synced is there, and of the rest what a model of the disk leaves.

use crate::log::Record;
use std::collections::BTreeMap;

/// Written whole or not at all.
const SECTOR: usize = 512;

/// What is left of writes that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Model {
    Nothing,
    /// As when the process is killed.
    Everything,
    /// Each write with probability one half.
    SomeWrites,
    /// Each sector of each write with probability one half.
    SomeSectors,
}

pub const MODELS: [Model; 4] = [Model::Nothing, Model::Everything, Model::SomeWrites, Model::SomeSectors];

#[derive(Default)]
pub struct Disk {
    durable: BTreeMap<String, Vec<u8>>,
    /// What was done to a file since it was last synced, in order.
    unsynced: BTreeMap<String, Vec<Change>>,
}

enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Truncate { length: usize },
}

impl Disk {
    pub fn with(files: BTreeMap<String, Vec<u8>>) -> Self {
        Self { durable: files, unsynced: BTreeMap::new() }
    }

    /// Names are durable at once; how they become so is not modelled.
    pub fn apply(&mut self, record: &Record) {
        match record {
            Record::Written { file, at, bytes } => {
                self.changes(file).push(Change::Write { at: *at, bytes: bytes.clone() });
            }
            Record::Truncated { file, length } => {
                self.changes(file).push(Change::Truncate { length: *length });
            }
            Record::Synced { file } => {
                let content = self.durable.entry(file.clone()).or_default();
                let unsynced = self.unsynced.remove(file).unwrap_or_default();
                unsynced.iter().for_each(|change| change.apply(content, |_| true));
            }
            Record::Deleted { file } => {
                self.durable.remove(file);
                self.unsynced.remove(file);
            }
            Record::Renamed { from, to } => {
                if let Some(content) = self.durable.remove(from) {
                    self.durable.insert(to.clone(), content);
                }
                if let Some(changes) = self.unsynced.remove(from) {
                    self.unsynced.insert(to.clone(), changes);
                }
            }
            Record::Acknowledged { .. } => {}
        }
    }

    /// The files as they are found when the power is back.
    pub fn cut(&self, model: Model, rng: &mut fastrand::Rng) -> BTreeMap<String, Vec<u8>> {
        let mut files = self.durable.clone();
        for (file, changes) in &self.unsynced {
            let content = files.entry(file.clone()).or_default();
            for change in changes {
                let survives = match model {
                    Model::Nothing => false,
                    Model::Everything | Model::SomeSectors => true,
                    Model::SomeWrites => rng.bool(),
                };
                if survives {
                    change.apply(content, |_| model != Model::SomeSectors || rng.bool());
                }
            }
        }
        files
    }

    fn changes(&mut self, file: &str) -> &mut Vec<Change> {
        self.unsynced.entry(file.to_owned()).or_default()
    }
}

impl Change {
    /// Applies it, as far as its sectors survive.
    fn apply(&self, content: &mut Vec<u8>, mut survives: impl FnMut(usize) -> bool) {
        match self {
            Self::Truncate { length } => {
                if survives(0) {
                    content.resize(*length, 0);
                }
            }
            Self::Write { at, bytes } => {
                let mut from = *at;
                while from < at + bytes.len() {
                    let to = (from / SECTOR + 1) * SECTOR;
                    let to = to.min(at + bytes.len());
                    if survives(from) {
                        if content.len() < to {
                            content.resize(to, 0);
                        }
                        content[from..to].copy_from_slice(&bytes[from - at..to - at]);
                    }
                    from = to;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(at: usize, bytes: &[u8]) -> Record {
        Record::Written { file: "f".to_owned(), at, bytes: bytes.to_vec() }
    }

    #[test]
    fn what_was_synced_survives_and_the_rest_as_the_model_says() {
        let rng = &mut fastrand::Rng::with_seed(1);
        let mut disk = Disk::default();
        disk.apply(&written(0, b"abc"));
        disk.apply(&Record::Synced { file: "f".to_owned() });
        disk.apply(&written(1, b"XYZ"));
        assert_eq!(disk.cut(Model::Nothing, rng)["f"], b"abc");
        assert_eq!(disk.cut(Model::Everything, rng)["f"], b"aXYZ");
        let found: std::collections::BTreeSet<_> =
            (0..50).map(|_| disk.cut(Model::SomeWrites, rng)["f"].clone()).collect();
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn sectors_tear() {
        let rng = &mut fastrand::Rng::with_seed(1);
        let mut disk = Disk::default();
        disk.apply(&written(0, &[1; 1024]));
        disk.apply(&Record::Synced { file: "f".to_owned() });
        disk.apply(&written(256, &[2; 512]));
        let found: std::collections::BTreeSet<_> = (0..50)
            .map(|_| {
                let cut = disk.cut(Model::SomeSectors, rng);
                (cut["f"][256], cut["f"][511], cut["f"][512], cut["f"][767], cut["f"][768])
            })
            .collect();
        let whole = [(1, 1, 1, 1, 1), (1, 1, 2, 2, 1), (2, 2, 1, 1, 1), (2, 2, 2, 2, 1)];
        assert_eq!(found, whole.into_iter().collect());
    }
}
