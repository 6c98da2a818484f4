//! A day of free tiers over virtual time: round robin, usage-based routing and Freeway over the same requests.
//!
//! `cargo bench --bench pool` prints the tables; `-- --full` with every load and seed, which takes minutes;
//! `-- --quick` with four hours of the day, `-- --study` without the day; `-- --detail` where each model's
//! answers went in the day. Every figure follows from the seeds: the machine does not matter.

#![expect(unreachable_pub, reason = "`pub` marks what the other modules of this binary use")]

#[path = "../../tests/pool_simulation/sim/mod.rs"]
mod sim;

mod detail;

use sim::compare::{Load, Router, accounts, compare};
use sim::report::Report;
use sim::world::World;
use sim::{published, study};

const LOADS: [f64; 4] = [0.8, 1.0, 1.3, 2.0];

fn main() {
    let given = |flag: &str| std::env::args().any(|argument| argument == flag);
    let mut world = published::day();
    if given("--detail") {
        return detail::print(&world);
    }
    study_table(if given("--full") { 1..=3 } else { 1..=1 });
    fairness_table();
    if given("--study") {
        return;
    }
    if given("--quick") {
        world.length_ms /= 6;
    }
    day_table(&world, if given("--full") { &LOADS } else { &LOADS[1..2] });
}

fn study_table(seeds: std::ops::RangeInclusive<u64>) {
    println!("\n# Half an hour at eight upstreams\n\n{}", Report::HEAD);
    let world = study::half_hour();
    for share in LOADS {
        for seed in seeds.clone() {
            table(&world, Load { share, diurnal: false, seed });
        }
    }
}

fn day_table(world: &World, loads: &[f64]) {
    println!("\n# {} hours of published free tiers\n\n{}", world.length_ms / 3_600_000, Report::HEAD);
    for share in loads {
        table(world, Load { share: *share, diurnal: true, seed: 1 });
    }
}

/// One account asks for ten times as much as each of nine others, twice what there is in all.
fn fairness_table() {
    println!(
        "\n# One account at ten times the others' load\n\n| router | its answers % | the others', worst first % |\n|---|---|---|"
    );
    let accounts: Vec<f64> = (0..10).map(|account| if account == 0 { 10.0 } else { 1.0 }).collect();
    let load = Load { share: 2.0, diurnal: false, seed: 1 };
    for report in compare(&study::half_hour(), load, &accounts, &[Router::Freeway, Router::FreewayQueue]) {
        let mut others: Vec<_> = report.accounts[1..].iter().map(|share| (share * 100.0).round()).collect();
        others.sort_unstable_by(f64::total_cmp);
        println!("| {} | {:.0} | {others:?} |", report.strategy, report.accounts[0] * 100.0);
    }
}

fn table(world: &World, load: Load) {
    for report in compare(world, load, &accounts(), &Router::ALL) {
        println!("{}", report.row());
    }
}
