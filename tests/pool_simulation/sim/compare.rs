//! One demand, several routers.

use super::baselines::{RoundRobin, UsageBased};
use super::engine::{Strategy, run};
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
}

impl Router {
    pub const ALL: [Self; 3] = [Self::RoundRobin, Self::UsageBased, Self::Freeway];

    const fn name(self) -> &'static str {
        match self {
            Self::RoundRobin => "round robin, retries",
            Self::UsageBased => "usage-based v2",
            Self::Freeway => "Freeway, no queue",
        }
    }

    fn over<'a>(self, world: &'a World, requests: &'a [Request]) -> Box<dyn Strategy + 'a> {
        match self {
            Self::RoundRobin => Box::new(RoundRobin::new(world, requests)),
            Self::UsageBased => Box::new(UsageBased::new(world, requests)),
            Self::Freeway => Box::new(Freeway::new(world, requests)),
        }
    }
}

/// What a load is.
#[derive(Clone, Copy)]
pub struct Load {
    /// Of the pool's capacity.
    pub share: f64,
    pub diurnal: bool,
    pub seed: u64,
}

/// Runs each router over the same requests, in parallel, and reports in order.
pub fn compare(world: &World, load: Load, accounts: &[f64], routers: &[Router]) -> Vec<Report> {
    let market = Market::of(world);
    let per_minute = market.per_minute() * load.share;
    let demand = Demand { per_minute, diurnal: load.diurnal, accounts: accounts.to_vec(), seed: load.seed };
    let requests = &requests(world, &demand);
    let bound = market.serves(requests, PATIENCE_MS);
    let report = |router: Router| {
        let mut strategy = router.over(world, requests);
        let records = run(world, requests, load.seed, strategy.as_mut());
        Report::of(world, router.name(), load.share, bound, requests, &records)
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = routers.iter().map(|router| scope.spawn(move || report(*router))).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
    })
}
