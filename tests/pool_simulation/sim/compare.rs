//! One demand, several routers.

use super::baselines::{RoundRobin, UsageBased};
use super::engine::{Record, Strategy, run};
use super::freeway_strategy::Freeway;
use super::oracle::Market;
use super::report::Report;
use super::trace::{Demand, Request, requests};
use super::world::World;

/// Freeway's requests wait so long for a place, as configured by default.
pub const PATIENCE_MS: u64 = 5_000;

/// Who routes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Router {
    RoundRobin,
    UsageBased,
    Freeway,
    /// With requests that wait for a place.
    FreewayQueue,
}

impl Router {
    pub const ALL: [Self; 4] = [Self::RoundRobin, Self::UsageBased, Self::Freeway, Self::FreewayQueue];

    const fn name(self) -> &'static str {
        match self {
            Self::RoundRobin => "round robin, retries",
            Self::UsageBased => "usage-based v2",
            Self::Freeway => "Freeway, no queue",
            Self::FreewayQueue => "Freeway",
        }
    }

    fn over<'a>(self, world: &'a World, requests: &'a [Request]) -> Box<dyn Strategy + 'a> {
        match self {
            Self::RoundRobin => Box::new(RoundRobin::new(world, requests)),
            Self::UsageBased => Box::new(UsageBased::new(world, requests)),
            Self::Freeway => Box::new(Freeway::new(world, requests, false)),
            Self::FreewayQueue => Box::new(Freeway::new(world, requests, true)),
        }
    }
}

/// Some accounts, the second half as large as the first, the third a third.
pub fn accounts() -> Vec<f64> {
    (1..=40).map(|rank| 1.0 / f64::from(rank)).collect()
}

/// What a load is.
#[derive(Clone, Copy)]
pub struct Load {
    /// Of the pool's capacity.
    pub share: f64,
    pub diurnal: bool,
    pub seed: u64,
}

/// Everything that is asked of a world under a load.
pub fn asked(world: &World, load: Load, accounts: &[f64]) -> Vec<Request> {
    let per_minute = Market::of(world).per_minute() * load.share;
    let demand = Demand { per_minute, diurnal: load.diurnal, accounts: accounts.to_vec(), seed: load.seed };
    requests(world, &demand)
}

/// What becomes of the requests with a router.
pub fn route(world: &World, requests: &[Request], seed: u64, router: Router) -> Vec<Record> {
    run(world, requests, seed, router.over(world, requests).as_mut())
}

/// Runs each router over the same requests, in parallel, and reports in order.
pub fn compare(world: &World, load: Load, accounts: &[f64], routers: &[Router]) -> Vec<Report> {
    let requests = &asked(world, load, accounts);
    let bounds = Market::of(world).serve(requests, PATIENCE_MS);
    let report = |router: Router| {
        let records = route(world, requests, load.seed, router);
        Report::of(world, router.name(), load.share, bounds, requests, &records)
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = routers.iter().map(|router| scope.spawn(move || report(*router))).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
    })
}
