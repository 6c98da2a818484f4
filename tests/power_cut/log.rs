//! What happened to the ledger's files and in front of its clients, in one order.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One record.
#[derive(Debug)]
pub enum Record {
    Written {
        file: String,
        at: usize,
        bytes: Vec<u8>,
    },
    Truncated {
        file: String,
        length: usize,
    },
    Synced {
        file: String,
    },
    Deleted {
        file: String,
    },
    Renamed {
        from: String,
        to: String,
    },
    /// A client has seen the end of its answer, and what it paid.
    Acknowledged {
        id: String,
        paid: i64,
    },
}

/// The file the records go to.
#[derive(Clone)]
pub struct Log(PathBuf);

impl Log {
    pub fn new(path: PathBuf) -> Self {
        File::create(&path).expect("a file");
        Self(path)
    }

    pub fn at(path: PathBuf) -> Self {
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes down, at once, that a client has seen the end of an answer.
    pub fn acknowledge(&self, id: &str, paid: i64) {
        let line = format!("A {paid} 0 {id}\n");
        let mut file = OpenOptions::new().append(true).open(&self.0).expect("the log");
        // In one piece: others write to it as well.
        assert_eq!(file.write(line.as_bytes()).expect("written"), line.len());
    }

    pub fn read(&self) -> Vec<Record> {
        let bytes = std::fs::read(&self.0).expect("the log");
        let mut rest = &bytes[..];
        let mut records = Vec::new();
        while !rest.is_empty() {
            let end = memchr::memchr(b'\n', rest).expect("a line");
            let line = std::str::from_utf8(&rest[..end]).expect("text");
            let mut fields = line.splitn(4, ' ');
            let mut field = || fields.next().expect("a field");
            let (kind, number, length, name) = (field(), field(), field(), field());
            let (number, length): (i64, usize) = (number.parse().expect("one"), length.parse().expect("one"));
            let data = &rest[end + 1..end + 1 + length];
            rest = &rest[end + 1 + length..];
            records.push(record(kind, number, name, data));
        }
        records
    }
}

fn record(kind: &str, number: i64, name: &str, data: &[u8]) -> Record {
    let file_of = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
    let (file, place) = (file_of(name), usize::try_from(number).unwrap_or(0));
    match kind {
        "W" => Record::Written { file, at: place, bytes: data.to_vec() },
        "T" => Record::Truncated { file, length: place },
        "S" => Record::Synced { file },
        "D" => Record::Deleted { file },
        "R" => Record::Renamed { from: file, to: file_of(&String::from_utf8_lossy(data)) },
        "A" => Record::Acknowledged { id: name.to_owned(), paid: number },
        other => panic!("no record is a {other}"),
    }
}

/// Builds the library that records.
pub fn recorder(folder: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/power_cut/recorder.c");
    let library = folder.join("recorder.so");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).args(["-ldl", "-lpthread"]);
    assert!(compiler.status().expect("a C compiler").success(), "the library is built");
    library
}

/// The ledger's files as they are, by name.
pub fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let ledger = names.filter(|name| name.starts_with("ledger.db") && !name.ends_with("-shm"));
    ledger.map(|name| (name.clone(), std::fs::read(folder.join(&name)).expect("a file"))).collect()
}
