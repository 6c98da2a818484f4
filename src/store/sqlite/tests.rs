//! The suite of all stores, and what is this one's own.

use super::writer::SqliteWriter;
use super::{Mischief, SqliteStore, connection};
use crate::accounts::BootId;
use crate::store::conformance::{self, Desk, GRANT, charge, settled, ucr};
use crate::store::{Op, Store, StoreError, Writer};
use rusqlite::Connection;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;

fn fresh() -> (TempDir, SqliteStore) {
    let folder = TempDir::new().expect("a folder");
    let store = SqliteStore::open(&folder.path().join("data")).expect("it opens");
    (folder, store)
}

/// Applies operations in a writer that nothing is given back of, and whose lock the system frees.
fn die(folder: &Path, ops: &[Op]) {
    let mut writer = SqliteWriter::open(folder, Mischief::default()).expect("a writer");
    writer.apply(ops).expect("applied");
    writer.die();
}

#[test]
fn it_does_what_every_store_has_to_do() {
    for (name, test) in conformance::SUITE {
        println!("{name}");
        let (_folder, store) = fresh();
        test(&store, &|ops| die(&store.folder, ops));
    }
}

fn direct(store: &SqliteStore) -> Connection {
    Connection::open(connection::file(&store.folder)).expect("a connection")
}

#[test]
fn the_ledger_cannot_be_changed() {
    let (_folder, store) = fresh();
    Desk::new(&store).charge(charge("gen-1", 5));
    for sql in [
        "UPDATE ledger SET amount = -1 WHERE id = 'gen-1'",
        "DELETE FROM ledger",
        "UPDATE ledger SET at_ms = 0",
    ] {
        let error = direct(&store).execute(sql, []).expect_err(sql).to_string();
        assert!(error.contains("only ever added to"), "{error}");
    }
}

#[test]
fn no_balance_goes_below_zero_whatever_the_program_does() {
    let (_folder, store) = fresh();
    let mut desk = Desk::new(&store);
    desk.lease(500, 500);
    for sql in
        ["balance = -1", "balance = 499", "leased = -1", "leased = balance + 1", "balance = credited + 1"]
    {
        direct(&store).execute(&format!("UPDATE accounts SET {sql}"), []).expect_err(sql);
    }
}

#[test]
fn nobody_else_may_read_it() {
    let (folder, store) = fresh();
    Desk::new(&store).lease(5, 5);
    let mode = |name: &str| {
        let path = folder.path().join("data").join(name);
        std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777
    };
    assert_eq!(["", "run"].map(mode), [0o700; 2]);
    let desk = Desk::named(&store, 2);
    assert_eq!(["ledger.db", "ledger.db-wal", "ledger.db-shm"].map(mode), [0o600; 3]);
    drop(desk);
}

#[test]
fn what_was_written_is_there_when_it_is_opened_again() {
    let (_folder, store) = fresh();
    Desk::new(&store).charge(charge("gen-1", 5));
    let again = SqliteStore::open(&store.folder).expect("it opens");
    let mut reader = again.reader().expect("a reader");
    assert_eq!(reader.accounts(None, 9).expect("it reads")[0].balance, ucr(GRANT - 5));
}

#[test]
fn several_processes_may_make_it_at_once() {
    let folder = TempDir::new().expect("a folder");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| SqliteStore::open(folder.path()).expect("it opens").writer().expect("a writer"));
        }
    });
}

#[test]
fn what_is_no_ledger_is_left_alone() {
    let (_folder, store) = fresh();
    direct(&store).execute_batch("PRAGMA user_version = 99").expect("set");
    let error = SqliteStore::open(&store.folder).expect_err("made by a later version").to_string();
    assert!(error.contains("later version"), "{error}");

    let folder = TempDir::new().expect("a folder");
    let file = connection::file(folder.path());
    std::fs::write(&file, "this is a letter, and not a database at all".repeat(100)).expect("written");
    let error = SqliteStore::open(folder.path()).expect_err("not a database").to_string();
    assert!(error.contains("ledger.db") && error.contains("damaged"), "{error}");
}

#[test]
fn a_ledger_that_was_taken_away_is_not_made_anew() {
    let (_folder, store) = fresh();
    std::fs::remove_file(connection::file(&store.folder)).expect("removed");
    assert!(matches!(store.writer().map(drop), Err(StoreError::Open { .. })));
}

#[test]
fn a_batch_that_changes_nothing_writes_nothing() {
    let (_folder, store) = fresh();
    let mut desk = Desk::new(&store);
    desk.lease(500, 500);
    desk.charge(charge("gen-1", 5));
    let log = connection::file(&store.folder).with_extension("db-wal");
    let size = || std::fs::metadata(&log).expect("it is there").len();
    let before = size();
    let again = desk.settle(Some(charge("gen-1", 5)));
    desk.one(again);
    desk.give_back(0, 0, 0);
    desk.lease(0, 0);
    desk.one(Op::RevokeKey { key: crate::accounts::KeyId::from_random(99), account: None, at_ms: 0 });
    assert_eq!(size(), before);
    desk.one(Op::Probe);
    assert!(size() > before);
}

#[test]
fn a_full_disk_fails_the_batch_whole_and_the_next_one_works() {
    let (_folder, store) = fresh();
    let mut desk = Desk::new(&store);
    let mut writer = SqliteWriter::open(&store.folder, Mischief::default()).expect("a writer");
    writer.limit_pages();
    let ops: Vec<_> = (0..2_000).map(|n| desk.settle(Some(charge(&format!("gen-{n}"), 5)))).collect();
    assert!(matches!(writer.apply(&ops), Err(StoreError::Full)));
    assert_eq!(desk.figures().0, GRANT);
    let outcomes = writer.apply(&ops).expect("there is room again");
    assert!(outcomes.into_iter().all(|outcome| settled(outcome).charged == ucr(5)));
    assert_eq!(desk.verify().entries, 2_001);
    assert_eq!(desk.charge(charge("gen-1", 5)).balance, ucr(GRANT - 10_000));
}

#[test]
fn locks_of_the_dead_are_cleared_away() {
    let (_folder, store) = fresh();
    let mut desk = Desk::new(&store);
    desk.lease(5, 5);
    let run = super::boot::folder(&store.folder);
    let stale = run.join(format!("{}.lock", BootId::from_random(5)));
    std::fs::write(&stale, "").expect("written");
    std::fs::write(run.join("notes.txt"), "").expect("written");
    let count = || std::fs::read_dir(&run).expect("it is there").count();
    assert_eq!(count(), 4);
    desk.writer.reap().expect("it looks");
    assert!(!stale.exists());
    assert_eq!(count(), 3);
    drop(desk);
    assert_eq!(count(), 2, "its own goes with it");
}

#[test]
fn errors_hold_no_values() {
    let (_folder, store) = fresh();
    let desk = Desk::new(&store);
    direct(&store).execute_batch("DROP TABLE idempotency").expect("dropped");
    let mut writer = desk.store.writer().expect("a writer");
    let op = desk.settle(Some(conformance::with_key(1, charge("gen-secret", 5))));
    let error = writer.apply(&[op]).expect_err("a table is gone").to_string();
    assert!(!error.contains("secret") && !error.contains("SELECT"), "{error}");
}

/// What `verify` finds after the file was tampered with.
#[track_caller]
fn tampered(sql: &str, expect: &str) {
    let (_folder, store) = fresh();
    let mut desk = Desk::new(&store);
    desk.lease(500_000_000, 500_000_000);
    for n in 1..=3 {
        desk.charge(charge(&format!("gen-{n}"), 100_000));
    }
    let direct = direct(&store);
    direct
        .execute_batch(
            "PRAGMA ignore_check_constraints = ON; PRAGMA foreign_keys = OFF; \
             DROP TRIGGER ledger_is_not_changed; DROP TRIGGER ledger_keeps_everything",
        )
        .expect("prepared");
    direct.execute_batch(sql).expect("tampered with");
    drop(direct);
    let found = desk.reader().verify(&mut |_| {}).expect("it reads").discrepancies;
    let said: Vec<_> = found.iter().map(|found| found.problem.as_str()).collect();
    assert!(said.iter().any(|problem| problem.contains(expect)), "{sql}: {said:?}");
}

#[test]
fn whatever_was_changed_by_other_means_is_found() {
    tampered(
        "UPDATE accounts SET balance = balance + 1",
        "the balance is 999.700001, the ledger's sum 999.7",
    );
    tampered("UPDATE accounts SET credited = credited + 1000000", "credited in all is 1001");
    tampered("UPDATE leases SET amount = amount + 7", "leased is");
    tampered("UPDATE accounts SET leased = 7", "the leases' sum");
    tampered("UPDATE keys SET spent = 0", "has spent 0, by the ledger 0.3");
    tampered("DELETE FROM ledger WHERE id = 'gen-2'", "entry 4: leaves 999.7 by its own account, and 999.8");
    tampered("UPDATE ledger SET amount = -1 WHERE id = 'gen-2'", "entry 3: leaves");
    tampered("UPDATE ledger SET amount = 1 WHERE id = 'gen-2'", "CHECK constraint failed in ledger");
    tampered("UPDATE ledger SET key = NULL WHERE id = 'gen-2'", "no key");
    tampered("UPDATE ledger SET kind = 'grant', amount = 5 WHERE id = 'gen-2'", "entry 3: ");
    tampered("UPDATE ledger SET kind = 'gift' WHERE id = 'gen-2'", "unknown kind \"gift\"");
    tampered("DELETE FROM accounts", "has entries, and is no account");
    tampered("DELETE FROM keys", "was charged, and is no key");
    tampered("UPDATE accounts SET balance = -5, leased = 0", "the balance is -0.000005");
}
