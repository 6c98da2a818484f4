//! The router itself: its real planning, quotas, breakers and reading of refusals, over virtual time.

use super::engine::{Ending, Failure, Step, Strategy};
use super::operator::catalog;
use super::trace::Request;
use super::waiting::{Look, Waiting};
use super::world::{Route, World};
use freeway::catalog::{Capability, Endpoint};
use freeway::protocol::facts::RequestFacts;
use freeway::routing::verdict::{
    Effect, ErrorBody, Refusal, Situation, UpstreamReply, Verdict, no_reply, verdict,
};
use freeway::routing::{Classification, NoRoute, Policy, Task};
use freeway::snapshot::{Ask, Begun, Choice, Snapshot};
use freeway::upstream::{InFlight, Outcome, Pool, hints};
use std::collections::HashMap;
use std::sync::Arc;

/// Attempts for a request, as configured by default.
const ATTEMPTS: usize = 4;

/// Freeway, deciding where requests go.
pub struct Freeway<'a> {
    world: &'a World,
    requests: &'a [Request],
    pool: Pool,
    snapshot: Snapshot,
    policy: Policy,
    under_way: HashMap<usize, UnderWay>,
    /// None: who finds no place at once gets none.
    waiting: Option<Waiting>,
}

/// A request between its first attempt and its end.
struct UnderWay {
    choice: Choice,
    guard: Option<InFlight>,
    position: usize,
    began_ms: u64,
    refusals: Vec<Refusal>,
    /// There is to be no other attempt.
    over: bool,
}

impl<'a> Freeway<'a> {
    pub fn new(world: &'a World, requests: &'a [Request], queue: bool) -> Self {
        let pool = Pool::new();
        let snapshot = Snapshot::new(catalog(world), &pool);
        let waiting = queue.then(Waiting::default);
        let (policy, under_way) = (Policy { reserve: true, ..Policy::default() }, HashMap::new());
        let mut freeway = Self { world, requests, pool, snapshot, policy, under_way, waiting };
        freeway.remember_the_day();
        freeway
    }

    /// What was used of a day that began before, as it is kept over restarts.
    fn remember_the_day(&mut self) {
        let now_ms = self.world.start_ms;
        for route in self.world.routes() {
            let Some(state) = self.snapshot.states.get(self.position(route)) else { continue };
            for rule in self.world.rules(route).filter(|rule| rule.used_at(now_ms) > 0.0) {
                let readings = state.readings(now_ms).filter(|(key, _)| *key == route.key);
                let same = readings.map(|(_, reading)| reading).find(|reading| {
                    (reading.scope, reading.unit, reading.per) == (rule.scope, rule.unit, rule.per)
                });
                if let Some(mut reading) = same {
                    reading.used = rule.used_at(now_ms) as u64;
                    state.restore(route.key, &reading, now_ms);
                }
            }
        }
    }

    fn position(&self, route: Route) -> usize {
        let name = (self.world.providers[route.provider].slug, self.world.model(route).id);
        let is_it = |e: &Arc<Endpoint>| (e.provider.slug.as_str(), e.model.id.as_str()) == name;
        self.snapshot.catalog.endpoints.iter().position(is_it).unwrap_or(usize::MAX)
    }

    fn route(&self, position: usize, guard: &InFlight) -> Route {
        let endpoint = &self.snapshot.catalog.endpoints[position];
        let at = |found: Option<usize>| found.unwrap_or(usize::MAX);
        let provider = at(self.world.providers.iter().position(|p| p.slug == endpoint.provider.slug));
        let model = at(self.world.providers[provider].models.iter().position(|m| m.id == endpoint.model.id));
        let key = guard.secret().and_then(|secret| secret.reveal().parse().ok()).unwrap_or(0);
        Route { provider, model, key }
    }

    fn send(&mut self, id: usize, position: usize, mut guard: InFlight, now_ms: u64) -> Step {
        let route = self.route(position, &guard);
        let Some(under_way) = self.under_way.get_mut(&id) else { return Step::End(Ending::Failed) };
        guard.sent();
        (under_way.position, under_way.began_ms, under_way.guard) = (position, now_ms, Some(guard));
        Step::Send(route)
    }

    /// A place where there is one, else in the queue, as `proxy/wait.rs` does it.
    fn arrive(&mut self, id: usize, now_ms: u64) -> Step {
        let request = &self.requests[id];
        let Some(waiting) = &mut self.waiting else { return self.last_chance(id, now_ms) };
        if waiting.is_empty() {
            match choose(&self.snapshot, &self.policy, request, id, false, now_ms) {
                Ok(begun) => return self.start(id, begun, now_ms),
                Err(NoRoute::Cooling { retry_after_ms }) if Waiting::in_time(retry_after_ms) => {}
                Err(_) => return self.last_chance(id, now_ms),
            }
        }
        match waiting.join(id, request, now_ms) {
            true => Step::Wait,
            false => Step::End(Ending::RateLimited),
        }
    }

    fn last_chance(&mut self, id: usize, now_ms: u64) -> Step {
        match choose(&self.snapshot, &self.policy, &self.requests[id], id, true, now_ms) {
            Ok(begun) => self.start(id, begun, now_ms),
            Err(_) => Step::End(Ending::RateLimited),
        }
    }

    fn start(&mut self, id: usize, begun: Begun, now_ms: u64) -> Step {
        let (choice, position) = (begun.choice, begun.position);
        let (guard, refusals) = (None, Vec::new());
        self.pool.retries().request(now_ms);
        self.under_way
            .insert(id, UnderWay { choice, guard, position, began_ms: now_ms, refusals, over: false });
        self.send(id, position, begun.guard, now_ms)
    }

    fn end(&mut self, id: usize) -> Step {
        let refusals = self.under_way.remove(&id).map(|under_way| under_way.refusals).unwrap_or_default();
        Step::End(match Refusal::of_all(refusals) {
            None | Some(Refusal::RateLimited) => Ending::RateLimited,
            Some(_) => Ending::Failed,
        })
    }
}

impl Strategy for Freeway<'_> {
    fn next(&mut self, id: usize, now_ms: u64) -> Step {
        let called = self.waiting.as_mut().and_then(|waiting| waiting.called(id));
        match called {
            Some(Some(begun)) => return self.start(id, begun, now_ms),
            Some(None) => return self.last_chance(id, now_ms),
            None => {}
        }
        let Some(under_way) = self.under_way.get_mut(&id) else { return self.arrive(id, now_ms) };
        if under_way.over {
            return self.end(id);
        }
        match under_way.choice.begin_next(&self.snapshot, now_ms, |_| false) {
            Some((position, guard)) => self.send(id, position, guard, now_ms),
            None => self.end(id),
        }
    }

    fn failed(&mut self, id: usize, failure: &Failure, now_ms: u64) {
        let Some(under_way) = self.under_way.get_mut(&id) else { return };
        let Some(mut guard) = under_way.guard.take() else { return };
        let judged = match failure {
            Failure::NoReply(cause) => no_reply(*cause),
            Failure::Refused(refusal) => {
                let error = ErrorBody::parse(refusal.body.as_bytes());
                let header = |name: &str| refusal.header(name);
                let quotas = &self.snapshot.catalog.endpoints[under_way.position].provider.quotas;
                let hint = hints::hint(refusal.status, &header, &error, quotas, now_ms);
                let reply = UpstreamReply { status: refusal.status, error: &error, hint };
                verdict(&reply, &Situation::default())
            }
        };
        let (effect, refusal) = match judged {
            Verdict::NextCandidate { effect, otherwise } => (effect, otherwise),
            Verdict::TryOneOther { effect } => (effect, Refusal::BadRequest),
            Verdict::GiveUp(refusal) => (Effect::None, refusal),
            Verdict::Deliver => (Effect::None, Refusal::ProviderError),
        };
        let took_ms = u32::try_from(now_ms - under_way.began_ms).unwrap_or(u32::MAX);
        guard.observe(Outcome::Failed { effect, took_ms }, now_ms);
        if matches!(failure, Failure::Refused(_)) {
            guard.refused();
        }
        under_way.refusals.push(refusal);
        let budget = self.pool.retries();
        let granted = guard.is_trial() || budget.take(now_ms);
        if guard.is_trial() {
            budget.spend(now_ms);
        }
        under_way.over = under_way.refusals.len() >= ATTEMPTS || !granted;
    }

    fn first_token(&mut self, id: usize, now_ms: u64) {
        let guard = self.under_way.get(&id).and_then(|under_way| under_way.guard.as_ref());
        guard.into_iter().for_each(|guard| guard.observe(Outcome::Alive, now_ms));
    }

    fn answered(&mut self, id: usize, ttft_ms: u64, took_ms: u64, now_ms: u64) {
        let Some(mut guard) = self.under_way.remove(&id).and_then(|under_way| under_way.guard) else {
            return;
        };
        let request = &self.requests[id];
        let ms = |ms: u64| u32::try_from(ms).unwrap_or(u32::MAX);
        guard.answered(request.prompt, request.answer, now_ms);
        let (ttft_ms, duration_ms) = (Some(ms(ttft_ms)), ms(took_ms));
        guard.observe(Outcome::Success { ttft_ms, tokens: request.answer, duration_ms }, now_ms);
        drop(guard);
        self.waiting.iter_mut().for_each(|waiting| waiting.kick(now_ms));
    }

    fn due_ms(&self) -> Option<u64> {
        self.waiting.as_ref().and_then(Waiting::due_ms)
    }

    fn turns(&mut self, now_ms: u64) -> Vec<usize> {
        let Some(waiting) = &mut self.waiting else { return Vec::new() };
        waiting.pass(now_ms, |id| {
            match choose(&self.snapshot, &self.policy, &self.requests[id], id, false, now_ms) {
                Ok(begun) => Look::Placed(Box::new(begun)),
                Err(NoRoute::Cooling { retry_after_ms }) => Look::NotBefore(retry_after_ms),
                Err(_) => Look::Never,
            }
        })
    }
}

fn choose(
    snapshot: &Snapshot,
    policy: &Policy,
    request: &Request,
    id: usize,
    last_chance: bool,
    now_ms: u64,
) -> Result<Begun, NoRoute> {
    let facts = facts(request);
    let Request { task, difficulty, .. } = *request;
    let classification = Classification { task, difficulty, output_tokens: usual_output(request) };
    let ask = Ask { facts: &facts, classification, policy, seed: id as u64, last_chance, remembered: None };
    snapshot.choose(&ask, now_ms)
}

/// What the router would expect of the answer's length, tokens.
fn usual_output(request: &Request) -> u32 {
    let usual = match request.task {
        Task::Rewriting => return request.estimate.max(30),
        Task::Code => 600.0,
        Task::Math => 500.0,
        Task::Reasoning => 400.0,
        Task::Chat => 120.0,
        _ => 250.0,
    };
    (usual * (0.65 + 2.5 * request.difficulty)) as u32
}

/// What inspection would find.
fn facts(request: &Request) -> RequestFacts {
    let mut facts = RequestFacts { choices: 1, stream: true, ..RequestFacts::default() };
    facts.requirements.prompt_tokens = request.estimate;
    facts.features.user_bytes = request.estimate * 4;
    if request.tools {
        facts.requirements.hard.insert(Capability::Tools);
    }
    if request.image {
        facts.requirements.hard.insert(Capability::ImageInput);
    }
    facts
}
