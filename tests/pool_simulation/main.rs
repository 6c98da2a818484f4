//! A pool of free tiers over virtual time, in short: what `cargo bench --bench pool` measures over a day.

#![expect(unreachable_pub, reason = "`pub` marks what the other modules of this binary use")]

mod sim;

use sim::compare::{Load, Router, accounts, compare};
use sim::report::Report;
use sim::{published, study};

#[test]
fn the_day_in_short() {
    let mut world = published::day();
    world.length_ms = std::env::var("HOURS").ok().and_then(|h| h.parse().ok()).unwrap_or(2) * 3_600_000;
    println!("{}", Report::HEAD);
    for share in [0.8, 1.0, 1.3, 2.0] {
        let reports = compare(&world, Load { share, diurnal: true, seed: 1 }, &accounts(), &Router::ALL);
        reports.iter().for_each(|report| println!("{}", report.row()));
    }
}

#[test]
fn the_study() {
    let world = study::half_hour();
    println!("{}", Report::HEAD);
    for share in [0.8, 1.0, 1.3, 2.0] {
        let reports = compare(&world, Load { share, diurnal: false, seed: 1 }, &accounts(), &Router::ALL);
        reports.iter().for_each(|report| println!("{}", report.row()));
    }
}
