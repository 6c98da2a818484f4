//! The router itself: its real planning, quotas, breakers and reading of refusals, over virtual time.

use super::engine::{Ending, Failure, Step, Strategy};
use super::trace::Request;
use super::world::{ModelSpec, ProviderSpec, Route, World};
use freeway::catalog::{Capability, Catalog, Endpoint, Midnight, Model, Provider, Quotas, Secret};
use freeway::protocol::facts::RequestFacts;
use freeway::routing::verdict::{
    Effect, ErrorBody, Refusal, Situation, UpstreamReply, Verdict, no_reply, verdict,
};
use freeway::routing::{Classification, Policy};
use freeway::snapshot::{Ask, Choice, Snapshot};
use freeway::upstream::{InFlight, Outcome, Pool, hints};
use serde::Deserialize;
use serde::de::value::{Error, StrDeserializer};
use std::collections::HashMap;
use std::sync::Arc;

/// Attempts for a request, as configured by default.
const ATTEMPTS: usize = 4;

/// Freeway, deciding where requests go.
pub struct Freeway<'a> {
    world: &'a World,
    requests: &'a [Request],
    snapshot: Snapshot,
    policy: Policy,
    under_way: HashMap<usize, UnderWay>,
}

/// A request between its first attempt and its end.
struct UnderWay {
    choice: Choice,
    guard: Option<InFlight>,
    position: usize,
    began_ms: u64,
    refusals: Vec<Refusal>,
}

impl<'a> Freeway<'a> {
    pub fn new(world: &'a World, requests: &'a [Request]) -> Self {
        let pool = Pool::new();
        let snapshot = Snapshot::new(catalog(world), &pool);
        let mut freeway =
            Self { world, requests, snapshot, policy: Policy::default(), under_way: HashMap::new() };
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

    fn begin(&mut self, id: usize, now_ms: u64) -> Step {
        let request = &self.requests[id];
        let facts = facts(request);
        let classification = Classification { task: request.task, complexity: request.complexity };
        let ask =
            Ask { facts: &facts, classification, policy: &self.policy, seed: id as u64, last_chance: true };
        let Ok(begun) = self.snapshot.choose(&ask, now_ms) else { return Step::End(Ending::RateLimited) };
        let position = begun.position;
        let under_way =
            UnderWay { choice: begun.choice, guard: None, position, began_ms: now_ms, refusals: Vec::new() };
        self.under_way.insert(id, under_way);
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
        let Some(under_way) = self.under_way.get_mut(&id) else { return self.begin(id, now_ms) };
        if under_way.refusals.len() >= ATTEMPTS {
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
                guard.refused();
                let error = ErrorBody::parse(refusal.body.as_bytes());
                let header = |name: &str| refusal.header(name);
                let hint = hints::hint(refusal.status, &header, &error, now_ms);
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
        under_way.refusals.push(refusal);
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
        guard.used(request.prompt + request.answer);
        let (ttft_ms, duration_ms) = (Some(ms(ttft_ms)), ms(took_ms));
        guard.observe(Outcome::Success { ttft_ms, tokens: request.answer, duration_ms }, now_ms);
    }
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

/// The world as an operator would configure it.
fn catalog(world: &World) -> Catalog {
    let mut endpoints = Vec::new();
    for spec in &world.providers {
        let provider = Arc::new(provider(spec));
        for model in &spec.models {
            endpoints.push(Endpoint::new(Arc::clone(&provider), self::model(model), model.id.to_owned()));
        }
    }
    Catalog::new(endpoints)
}

fn provider(spec: &ProviderSpec) -> Provider {
    let mut limits: Vec<_> = spec.rules.iter().map(|rule| rule.told()).collect();
    for model in &spec.models {
        let of = |rule: &super::window::Rule| freeway::catalog::Limit {
            pattern: Some(model.id.to_owned()),
            ..rule.told()
        };
        limits.extend(model.rules.iter().map(of));
    }
    let zone: Result<Midnight, Error> = Midnight::deserialize(StrDeserializer::new(spec.midnight.1));
    let quotas = Quotas {
        limits,
        midnight: zone.expect("a zone"),
        failures_count: spec.failures_count,
        ..Quotas::default()
    };
    let base = "http://127.0.0.1:1/v1".parse().expect("a URL");
    let keys = (0..spec.keys).filter_map(|key| Secret::new(&key.to_string())).collect();
    Provider { keys, quotas, max_concurrency: spec.concurrency, ..Provider::new(spec.slug, base) }
}

fn model(spec: &ModelSpec) -> Model {
    let mut model = Model {
        id: spec.id.to_owned(),
        context_tokens: Some(spec.context_tokens),
        quality: spec.quality,
        tokens_per_s: Some(spec.tokens_per_s as f32),
        ..Model::default()
    };
    if spec.tools {
        model.capabilities.insert(Capability::Tools);
    }
    if spec.images {
        model.capabilities.insert(Capability::ImageInput);
    }
    model
}
