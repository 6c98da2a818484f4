//! Accounts, leases and charges through crashes, failing commits and clocks that are set, in an order that
//! one number decides: the real `ledger` and `accounts`, with their writer moved by hand.
//!
//! After every step the books have to balance; see `checks.rs`. A seed that fails says how to run it again:
//! `FREEWAY_SEED=7 cargo test --test simulation`. `FREEWAY_SEEDS` says how many there are.

mod backing;
mod checks;
mod faults;
mod memory;
mod process;
mod twins;
mod world;

use backing::Backing;
use memory::{Broken, Memory};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use world::{Summary, World};

/// Seeds of an ordinary run.
const SEEDS: u64 = 10_000;
/// Every so many run on the real store.
const SQLITE_EVERY: u64 = 40;
/// What is broken on purpose has to be found within so many.
const SEEDS_TO_FIND_IT: u64 = 1_000;

#[test]
fn the_books_balance_after_every_step() {
    if let Some(seed) = number("FREEWAY_SEED") {
        for backing in [Backing::Memory(Memory::new(None)), Backing::sqlite()] {
            let (outcome, trace) = live(seed, backing, false);
            println!("{trace}{outcome:?}");
            outcome.expect("the books balance");
        }
        return;
    }
    let seeds = number("FREEWAY_SEEDS").unwrap_or(SEEDS);
    let began = Instant::now();
    let summary = run_all(seeds, |seed| {
        let real = seed.is_multiple_of(SQLITE_EVERY);
        let backing = if real { Backing::sqlite() } else { Backing::Memory(Memory::new(None)) };
        live(seed, backing, false).0
    });
    let (summary, took) = (summary.unwrap_or_else(|failed| panic!("{failed}")), began.elapsed());
    println!("{seeds} seeds in {took:.1?}, {:.0} a second: {summary:?}", seeds as f64 / took.as_secs_f64());
}

#[track_caller]
fn check_found(broken: Option<Broken>, lies: bool) {
    let found = (0..SEEDS_TO_FIND_IT).find_map(|seed| {
        let (outcome, _) = live(seed, Backing::Memory(Memory::new(broken)), lies);
        Some((seed, outcome.err()?))
    });
    let (seed, problem) = found.unwrap_or_else(|| panic!("{broken:?} was not noticed"));
    let what = broken.map_or("LostCommits".to_owned(), |broken| format!("{broken:?}"));
    println!("{what}: noticed with seed {seed}: {problem}");
}

#[test]
fn a_store_that_says_durable_too_early_is_found_out() {
    check_found(None, true);
}

#[test]
fn broken_rules_are_found_out() {
    for broken in [
        Broken::ChargesTwice,
        Broken::KeepsLease,
        Broken::NeverReaps,
        Broken::IgnoresCap,
        Broken::LeasesTwice,
        Broken::IgnoresDay,
    ] {
        check_found(Some(broken), false);
    }
}

/// Runs the seeds on all processors; the first that fails ends it.
fn run_all(seeds: u64, run: impl Fn(u64) -> Result<Summary, String> + Sync) -> Result<Summary, String> {
    let next = AtomicU64::new(0);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let work = || -> Result<Summary, String> {
        let mut sum = Summary::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return Ok(sum);
            }
            let outcome = run(seed).map_err(|problem| {
                next.store(seeds, Ordering::Relaxed);
                format!("seed {seed}: {problem}\nagain: FREEWAY_SEED={seed} cargo test --test simulation the_books")
            })?;
            sum.add(outcome);
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let mut sum = Summary::default();
        for thread in threads {
            sum.add(thread.join().expect("panics are caught")?);
        }
        Ok(sum)
    })
}

/// Runs one seed. What came of it, and what happened.
fn live(seed: u64, backing: Backing, lies: bool) -> (Result<Summary, String>, String) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime");
    let mut world = World::new(seed, backing, lies);
    let running =
        catch_unwind(AssertUnwindSafe(|| runtime.block_on(tokio::task::unconstrained(world.run()))));
    let outcome = running.unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().map(String::as_str);
        Err(words.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic").to_owned())
    });
    let trace = std::mem::take(&mut world.trace);
    // What waits wants the runtime's clock to its end.
    let _guard = runtime.enter();
    drop(world);
    (outcome, trace)
}

impl Summary {
    fn add(&mut self, other: Self) {
        self.admitted += other.admitted;
        self.told += other.told;
        self.crashes += other.crashes;
        self.refused += other.refused;
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
