//! The suite of all stores, and what is this one's own.

use super::SqliteStore;
use crate::store::conformance::{self, Desk};
use tempfile::TempDir;

fn fresh() -> (TempDir, SqliteStore) {
    let folder = TempDir::new().expect("a folder");
    let store = SqliteStore::open(folder.path()).expect("it opens");
    (folder, store)
}

#[test]
fn a_charge_is_posted() {
    let (_folder, store) = fresh();
    let mut desk = Desk::new(&store);
    conformance::a_charge_is_posted(&mut desk);
}
