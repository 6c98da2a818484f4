//! A pool of free tiers over virtual time, in short: what `cargo bench --bench pool` measures over a day.

#![expect(unreachable_pub, reason = "`pub` marks what the other modules of this binary use")]

mod sim;

use sim::compare::{Load, Router, accounts, compare};
use sim::published::{self, MIDNIGHT_MS};
use sim::report::Report;
use sim::study;

/// One account asks for ten times as much as each of nine others.
const GREEDY: [f64; 10] = [10.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];

fn study(share: f64, accounts: &[f64], routers: &[Router]) -> Vec<Report> {
    let reports = compare(&study::half_hour(), Load { share, diurnal: false, seed: 1 }, accounts, routers);
    println!("{}", Report::HEAD);
    reports.iter().for_each(|report| println!("{}", report.row()));
    reports
}

#[test]
fn at_full_load_nearly_all_is_served_that_could_be_and_round_robin_falls_behind() {
    let [round_robin, usage_based, freeway, with_queue] = &study(1.0, &accounts(), &Router::ALL)[..] else {
        panic!("a report for each router")
    };
    for freeway in [freeway, with_queue] {
        assert!(freeway.share >= 0.97, "{}", freeway.row());
        assert!(freeway.upstream_429 <= 5.0, "{}", freeway.row());
    }
    assert!(round_robin.share < 0.92 && round_robin.upstream_429 > 500.0, "{}", round_robin.row());
    assert!(usage_based.share < freeway.share && usage_based.upstream_429 > 50.0, "{}", usage_based.row());
}

#[test]
fn twice_the_load_does_not_lower_what_is_served() {
    let routers = [Router::Freeway, Router::FreewayQueue];
    let (full, twice) = (study(1.0, &accounts(), &routers), study(2.0, &accounts(), &routers));
    for (full, twice) in full.iter().zip(&twice) {
        assert!(twice.goodput >= full.goodput, "{}", twice.row());
    }
}

#[test]
fn one_account_at_ten_times_its_share_hurts_itself_first() {
    let others = |report: &Report| report.accounts[1..].iter().copied().fold(1.0, f64::min);
    let [without, with_queue] = &study(2.0, &GREEDY, &[Router::Freeway, Router::FreewayQueue])[..] else {
        panic!("a report for each router")
    };
    let greedy = with_queue.accounts[0];
    assert!(others(with_queue) >= greedy + 0.15, "{:?}", with_queue.accounts);
    assert!(others(with_queue) >= others(without) + 0.1, "without turns: {:?}", without.accounts);
}

#[test]
fn an_hour_of_published_free_tiers_is_served_whole() {
    let mut world = published::day();
    (world.start_ms, world.length_ms) = (MIDNIGHT_MS + 10 * 3_600_000, 3_600_000);
    // The rest of a day's budget is there within the hour, so that this is the usual load at ten.
    let load = Load { share: 0.4, diurnal: true, seed: 1 };
    let reports = compare(&world, load, &accounts(), &[Router::RoundRobin, Router::Freeway]);
    println!("{}", Report::HEAD);
    reports.iter().for_each(|report| println!("{}", report.row()));
    let [round_robin, freeway] = &reports[..] else { panic!("a report for each router") };
    assert!(freeway.share >= 0.97 && freeway.upstream_429 <= 5.0, "{}", freeway.row());
    assert!(freeway.hard.iter().all(|share| *share > 0.6), "{}", freeway.row());
    assert!(round_robin.share < 0.9, "{}", round_robin.row());
}
