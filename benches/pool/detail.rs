//! Where a day's capacity went with Freeway, by model and by hour.

use super::sim::compare::{Load, Router, accounts, asked, route};
use super::sim::engine::{Ending, Record};
use super::sim::trace::Request;
use super::sim::world::{Route, World};
use freeway::catalog::{Period, Unit};

const QUARTERS: u64 = 4;

/// Prints, at a load of 1, what each model answered in each quarter of the day beside its limits, and what
/// became of each hour's requests.
pub fn print(world: &World) {
    let load = Load { share: 1.0, diurnal: true, seed: 1 };
    let requests = asked(world, load, &accounts());
    let records = route(world, &requests, load.seed, Router::FreewayQueue);
    println!(
        "\n| model | answers by quarter of the day | of them to hard ones | 429s | requests, tokens a day | a minute |"
    );
    println!("|---|---|---|---|---|---|");
    for route in world.routes().into_iter().filter(|route| route.key == 0) {
        model(world, route, &requests, &records);
    }
    println!(
        "\n| hour | asked | hard | client 429 % | client 5xx % | top tier for hard % |\n|---|---|---|---|---|---|"
    );
    for hour in 0..world.length_ms / 3_600_000 {
        by_hour(world, hour, &requests, &records);
    }
}

fn model(world: &World, route: Route, requests: &[Request], records: &[Record]) {
    let is_it = |r: &Route| (r.provider, r.model) == (route.provider, route.model);
    let mut answers = [0; QUARTERS as usize];
    let mut hard = 0;
    for (request, record) in requests.iter().zip(records) {
        if record.ending == Some(Ending::Answered) && record.route.as_ref().is_some_and(is_it) {
            answers[((request.at_ms - world.start_ms) * QUARTERS / world.length_ms) as usize] += 1;
            hard += u32::from(request.hard);
        }
    }
    let refusals = records.iter().flat_map(|record| &record.refused).filter(|route| is_it(route)).count();
    let spec = &world.providers[route.provider];
    let limit = |unit, day: bool| {
        let of = world.rules(route).filter(|r| r.unit == unit && (r.per >= Period::Day) == day);
        let keys = |r: &super::sim::window::Rule| {
            if r.scope == freeway::catalog::LimitScope::Account { 1 } else { spec.keys as u64 }
        };
        of.map(|r| (r.amount * keys(r)).to_string()).next().unwrap_or_else(|| "-".to_owned())
    };
    println!(
        "| {}/{} | {answers:?} | {hard} | {refusals} | {}, {} | {}, {} |",
        spec.slug,
        world.model(route).id,
        limit(Unit::Requests, true),
        limit(Unit::Tokens, true),
        limit(Unit::Requests, false),
        limit(Unit::Tokens, false),
    );
}

fn by_hour(world: &World, hour: u64, requests: &[Request], records: &[Record]) {
    let now = |r: &Request| (r.at_ms - world.start_ms) / 3_600_000 == hour;
    let pairs: Vec<_> = requests.iter().zip(records).filter(|(request, _)| now(request)).collect();
    let percent = |ending| {
        let count = pairs.iter().filter(|(_, record)| record.ending == Some(ending)).count();
        100.0 * count as f64 / pairs.len().max(1) as f64
    };
    let hard: Vec<_> = pairs.iter().filter(|(request, _)| request.hard).collect();
    let top = |r: &Record| {
        let strong = |route| world.model(route).quality >= super::sim::world::TOP_TIER;
        r.ending == Some(Ending::Answered) && r.route.is_some_and(strong)
    };
    let top = hard.iter().filter(|(_, record)| top(record)).count();
    println!(
        "| {hour} | {} | {} | {:.1} | {:.2} | {:.0} |",
        pairs.len(),
        hard.len(),
        percent(Ending::RateLimited),
        percent(Ending::Failed),
        100.0 * top as f64 / hard.len().max(1) as f64
    );
}
