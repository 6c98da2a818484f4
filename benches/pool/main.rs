//! A day of free tiers over virtual time: round robin, usage-based routing and Freeway over the same requests.
//!
//! `cargo bench --bench pool` prints the tables; `-- --quick` only four hours of the day, `-- --study` only
//! the half-hour study, `-- --detail` where each model's answers went in the day. Every figure follows from the seeds: the machine does not matter.

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
    if given("--detail") {
        return detail::print(&published::day());
    }
    if let Ok(load) = std::env::var("DAY") {
        println!("{}", Report::HEAD);
        return table(&published::day(), Load { share: load.parse().expect("n"), diurnal: true, seed: 1 });
    }
    study_table();
    if given("--study") {
        return;
    }
    let mut world = published::day();
    if given("--quick") {
        world.length_ms /= 6;
    }
    day_table(&world);
}

fn study_table() {
    println!("\n# Half an hour at eight upstreams, three seeds\n\n{}", Report::HEAD);
    let world = study::half_hour();
    for share in LOADS {
        for seed in 1..=3 {
            table(&world, Load { share, diurnal: false, seed });
        }
    }
}

fn day_table(world: &World) {
    println!("\n# {} hours of published free tiers\n\n{}", world.length_ms / 3_600_000, Report::HEAD);
    for share in LOADS {
        table(world, Load { share, diurnal: true, seed: 1 });
    }
}

fn table(world: &World, load: Load) {
    let only = std::env::var("ONLY").is_ok();
    let routers = if only { &Router::ALL[3..] } else { &Router::ALL };
    for report in compare(world, load, &accounts(), routers) {
        println!("{}", report.row());
    }
}
