//! What Freeway is compared with: the next in turn, and the least used.

use super::chance::Chance;
use super::engine::{Ending, Failure, Step, Strategy};
use super::trace::Request;
use super::world::{Route, World};
use freeway::catalog::{LimitScope, Period, Unit};
use std::collections::HashMap;

/// Attempts for a request, the first included.
const ATTEMPTS: usize = 4;

/// Whoever is next in turn and can answer; after a failure the next.
pub struct RoundRobin<'a> {
    world: &'a World,
    requests: &'a [Request],
    routes: Vec<Route>,
    turn: usize,
    tried: HashMap<usize, Tries>,
}

#[derive(Default)]
struct Tries {
    routes: Vec<Route>,
    rate_limited: bool,
}

impl Tries {
    fn ending(&self) -> Ending {
        if self.rate_limited || self.routes.is_empty() { Ending::RateLimited } else { Ending::Failed }
    }
}

impl<'a> RoundRobin<'a> {
    pub fn new(world: &'a World, requests: &'a [Request]) -> Self {
        Self { world, requests, routes: world.routes(), turn: 0, tried: HashMap::new() }
    }
}

impl Strategy for RoundRobin<'_> {
    fn next(&mut self, id: usize, _: u64) -> Step {
        let tried = self.tried.entry(id).or_default();
        if tried.routes.len() < ATTEMPTS {
            for _ in 0..self.routes.len() {
                let route = self.routes[self.turn % self.routes.len()];
                self.turn += 1;
                if !tried.routes.contains(&route) && self.world.able(route, &self.requests[id]) {
                    tried.routes.push(route);
                    return Step::Send(route);
                }
            }
        }
        Step::End(tried.ending())
    }

    fn failed(&mut self, id: usize, failure: &Failure, _: u64) {
        self.tried.entry(id).or_default().rate_limited = is_429(failure);
    }

    fn first_token(&mut self, _: usize, _: u64) {}

    fn answered(&mut self, id: usize, _: u64, _: u64, _: u64) {
        self.tried.remove(&id);
    }
}

fn is_429(failure: &Failure) -> bool {
    matches!(failure, Failure::Refused(refusal) if refusal.status == 429)
}

/// The second version of LiteLLM's usage-based routing, as it documents it: of the deployments whose requests
/// and tokens of this minute are below their limits the one with the fewest tokens; a refused deployment
/// cools down for as long as it says, or a few seconds; a few retries. It knows no days.
pub struct UsageBased<'a> {
    world: &'a World,
    requests: &'a [Request],
    deployments: Vec<Deployment>,
    tried: HashMap<usize, Tries>,
}

struct Deployment {
    route: Route,
    rpm: f64,
    tpm: f64,
    minute: u64,
    requests: f64,
    tokens: f64,
    cool_until_ms: u64,
}

/// Without a `Retry-After`.
const COOLDOWN_MS: u64 = 5_000;
/// A longer `Retry-After` is not believed.
const LONGEST_COOLDOWN_MS: u64 = 60_000;

impl<'a> UsageBased<'a> {
    pub fn new(world: &'a World, requests: &'a [Request]) -> Self {
        let deployments = world.routes().into_iter().map(|route| Deployment::new(world, route)).collect();
        Self { world, requests, deployments, tried: HashMap::new() }
    }
}

impl Deployment {
    /// Limits that several deployments share are divided among them, as a careful operator would.
    fn new(world: &World, route: Route) -> Self {
        let models = world.providers[route.provider].models.len() as f64;
        let keys = world.providers[route.provider].keys as f64;
        let limit = |unit| {
            let of = world.rules(route).filter(|rule| rule.unit == unit && rule.per == Period::MINUTE);
            let shares = of.map(|rule| {
                rule.amount as f64
                    / match rule.scope {
                        LimitScope::Model => 1.0,
                        LimitScope::Key => models,
                        LimitScope::Account => models * keys,
                    }
            });
            shares.fold(f64::INFINITY, f64::min)
        };
        let (rpm, tpm) = (limit(Unit::Requests), limit(Unit::Tokens));
        Self { route, rpm: rpm.max(1.0), tpm, minute: 0, requests: 0.0, tokens: 0.0, cool_until_ms: 0 }
    }

    fn advance(&mut self, now_ms: u64) {
        if now_ms / 60_000 != self.minute {
            (self.minute, self.requests, self.tokens) = (now_ms / 60_000, 0.0, 0.0);
        }
    }
}

impl Strategy for UsageBased<'_> {
    fn next(&mut self, id: usize, now_ms: u64) -> Step {
        let (request, tried) = (&self.requests[id], self.tried.entry(id).or_default());
        if tried.routes.len() >= ATTEMPTS {
            return Step::End(tried.ending());
        }
        let prompt = f64::from(request.estimate);
        let mut chance = Chance::of(&[id as u64, tried.routes.len() as u64]);
        let mut best: Option<(f64, f64, usize)> = None;
        for (position, deployment) in self.deployments.iter_mut().enumerate() {
            deployment.advance(now_ms);
            let fits =
                deployment.requests + 1.0 <= deployment.rpm && deployment.tokens + prompt <= deployment.tpm;
            let usable =
                fits && deployment.cool_until_ms <= now_ms && self.world.able(deployment.route, request);
            let rank = (deployment.tokens, chance.unit());
            if usable && best.is_none_or(|(tokens, luck, _)| rank < (tokens, luck)) {
                best = Some((rank.0, rank.1, position));
            }
        }
        let Some((_, _, position)) = best else {
            tried.rate_limited = true;
            return Step::End(Ending::RateLimited);
        };
        let deployment = &mut self.deployments[position];
        deployment.requests += 1.0;
        tried.routes.push(deployment.route);
        Step::Send(deployment.route)
    }

    fn failed(&mut self, id: usize, failure: &Failure, now_ms: u64) {
        let tried = self.tried.entry(id).or_default();
        tried.rate_limited = is_429(failure);
        let told = match failure {
            Failure::Refused(refusal) => refusal.header("retry-after").and_then(|v| v.parse::<f64>().ok()),
            Failure::NoReply(_) => None,
        };
        let told = told.map(|s| (s * 1_000.0) as u64).filter(|ms| (1..=LONGEST_COOLDOWN_MS).contains(ms));
        let Some(last) = tried.routes.last() else { return };
        let used = self.deployments.iter_mut().find(|deployment| deployment.route == *last);
        used.into_iter()
            .for_each(|deployment| deployment.cool_until_ms = now_ms + told.unwrap_or(COOLDOWN_MS));
    }

    fn first_token(&mut self, _: usize, _: u64) {}

    fn answered(&mut self, id: usize, _: u64, _: u64, now_ms: u64) {
        let Some(tries) = self.tried.remove(&id) else { return };
        let used = self.deployments.iter_mut().find(|d| Some(&d.route) == tries.routes.last());
        if let Some(deployment) = used {
            deployment.advance(now_ms);
            deployment.tokens += f64::from(self.requests[id].prompt + self.requests[id].answer);
        }
    }
}
