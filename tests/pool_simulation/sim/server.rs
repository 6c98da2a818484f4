//! A simulated provider: it enforces its true limits, and answers or refuses.

use super::chance::Chance;
use super::dialect::{Dialect, Refusal};
use super::trace::Request;
use super::window::Window;
use super::world::{ProviderSpec, Route, World};
use freeway::catalog::{LimitScope, Unit};

/// One request in a hundred fails at the provider.
const FAILING: f64 = 0.01;
/// How much times to the first token and speeds vary.
const SPREAD: f64 = 0.35;

/// What becomes of a request that has reached its provider, and when.
pub enum Fate {
    /// The first token and the last, Unix ms.
    Answer { first_ms: u64, last_ms: u64 },
    /// An error.
    Refused { at_ms: u64, refusal: Refusal },
    /// No connection.
    Unreachable { at_ms: u64 },
    /// Nothing comes.
    Silent,
}

/// A provider's counters.
pub struct Server {
    /// By model and key.
    models: Vec<Vec<Vec<Window>>>,
    /// By key.
    keys: Vec<Vec<Window>>,
    account: Vec<Window>,
    in_flight: Vec<u32>,
}

impl Server {
    pub fn new(spec: &ProviderSpec, start_ms: u64) -> Self {
        let windows = |scope: LimitScope, rules: &[super::window::Rule]| -> Vec<Window> {
            let own = rules.iter().filter(|rule| rule.scope == scope);
            own.map(|rule| Window::new(*rule, start_ms)).collect()
        };
        let by_key = |scope, rules: &[_]| (0..spec.keys).map(|_| windows(scope, rules)).collect();
        Self {
            models: spec.models.iter().map(|model| by_key(LimitScope::Model, &model.rules)).collect(),
            keys: by_key(LimitScope::Key, &spec.rules),
            account: windows(LimitScope::Account, &spec.rules),
            in_flight: vec![0; spec.keys],
        }
    }

    /// Takes a request in or refuses it.
    pub fn take(
        &mut self,
        world: &World,
        route: Route,
        request: &Request,
        now_ms: u64,
        chance: &mut Chance,
    ) -> Fate {
        let spec = &world.providers[route.provider];
        if let Some(down) = spec.down.filter(|down| (down.from_ms..down.to_ms).contains(&now_ms)) {
            return if down.refuses { Fate::Unreachable { at_ms: now_ms } } else { Fate::Silent };
        }
        let soon = |refusal| Fate::Refused { at_ms: now_ms + 30, refusal };
        if let Some(refusal) = self.refusal(spec, route, request, now_ms) {
            if spec.failures_count {
                self.count(route, 1.0, 0.0, now_ms);
            }
            return soon(refusal);
        }
        if chance.unit() < FAILING {
            self.count(route, 1.0, 0.0, now_ms);
            return soon(Refusal::server_error());
        }
        self.count(route, 1.0, f64::from(request.prompt), now_ms);
        self.in_flight[route.key] += 1;
        let model = world.model(route);
        let first_ms = now_ms + chance.log_normal(model.ttft_ms, SPREAD) as u64;
        let speed = chance.log_normal(model.tokens_per_s, SPREAD);
        Fate::Answer { first_ms, last_ms: first_ms + (f64::from(request.answer) * 1_000.0 / speed) as u64 }
    }

    /// An answer has ended: its tokens count now.
    pub fn ended(&mut self, route: Route, request: &Request, now_ms: u64) {
        self.in_flight[route.key] -= 1;
        self.count(route, 0.0, f64::from(request.answer), now_ms);
    }

    fn refusal(
        &mut self,
        spec: &ProviderSpec,
        route: Route,
        request: &Request,
        now_ms: u64,
    ) -> Option<Refusal> {
        if let Some(most) = spec.concurrency.filter(|most| self.in_flight[route.key] >= *most) {
            return Some(Dialect::too_many_at_once(most));
        }
        let prompt = f64::from(request.prompt);
        let full = self.windows(route).filter_map(|window| {
            let amount = if window.rule.unit == Unit::Tokens { prompt } else { 1.0 };
            let wait_ms = window.wait_ms(amount, now_ms);
            (wait_ms > 0).then_some((wait_ms, window.rule))
        });
        let (wait_ms, rule) = full.max_by_key(|(wait_ms, _)| *wait_ms)?;
        Some(spec.dialect.refusal(&rule, rule.amount as f64, wait_ms, now_ms))
    }

    fn count(&mut self, route: Route, requests: f64, tokens: f64, now_ms: u64) {
        for window in self.windows(route) {
            let amount = if window.rule.unit == Unit::Tokens { tokens } else { requests };
            if amount > 0.0 {
                window.add(amount, now_ms);
            }
        }
    }

    fn windows(&mut self, route: Route) -> impl Iterator<Item = &mut Window> {
        let own = &mut self.models[route.model][route.key];
        own.iter_mut().chain(&mut self.keys[route.key]).chain(&mut self.account)
    }
}
