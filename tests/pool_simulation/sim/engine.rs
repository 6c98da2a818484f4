//! Virtual time: requests arrive, attempts reach providers, answers come back, and nothing waits for a clock.

use super::chance::Chance;
use super::dialect::Refusal;
use super::server::{Fate, Server};
use super::trace::Request;
use super::world::{Route, World};
use freeway::routing::Cause;
use std::collections::BTreeMap;

/// An attempt without a first token for so long has failed.
const FIRST_TOKEN_MS: u64 = 20_000;
/// The way to a provider, milliseconds.
const WAY_MS: (f64, f64) = (15.0, 60.0);

/// Who decides where requests go.
pub trait Strategy {
    /// What to do with a request that has come, whose attempt has failed, or whose turn it is.
    fn next(&mut self, id: usize, now_ms: u64) -> Step;

    /// An attempt brought no answer.
    fn failed(&mut self, id: usize, failure: &Failure, now_ms: u64);

    /// An attempt brought its first token.
    fn first_token(&mut self, id: usize, now_ms: u64);

    /// An answer is whole: from the attempt's beginning to its first token and to its end.
    fn answered(&mut self, id: usize, ttft_ms: u64, took_ms: u64, now_ms: u64);

    /// When waiting requests should be looked at.
    fn due_ms(&self) -> Option<u64> {
        None
    }

    /// Those whose turn it is.
    fn turns(&mut self, _now_ms: u64) -> Vec<usize> {
        Vec::new()
    }
}

/// What to do next.
pub enum Step {
    Send(Route),
    /// Until its turn.
    Wait,
    End(Ending),
}

/// Why there is no answer.
pub enum Failure {
    Refused(Refusal),
    NoReply(Cause),
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ending {
    Answered,
    /// The client got a 429.
    RateLimited,
    /// The client got another error.
    Failed,
}

/// What became of a request.
#[derive(Clone, Debug, Default)]
pub struct Record {
    pub ending: Option<Ending>,
    pub attempts: u32,
    /// Who answered attempts with 429.
    pub refused: Vec<Route>,
    /// Who answered.
    pub route: Option<Route>,
    /// From the client's request to the first token.
    pub ttft_ms: u64,
    /// When the attempt under way began.
    began_ms: u64,
}

enum Event {
    Arrive(usize),
    Reach(usize, Route),
    First(usize),
    Last(usize),
    Fail(usize, Route, Failure),
    Turn,
}

/// Runs every request to its end.
pub fn run(world: &World, requests: &[Request], seed: u64, strategy: &mut dyn Strategy) -> Vec<Record> {
    let servers = world.providers.iter().map(|spec| Server::new(spec, world.start_ms)).collect();
    let records = vec![Record::default(); requests.len()];
    let mut run =
        Run { world, requests, seed, servers, records, events: BTreeMap::new(), count: 0, turn_ms: None };
    for (id, request) in requests.iter().enumerate() {
        run.at(request.at_ms, Event::Arrive(id));
    }
    while let Some(((now_ms, _), event)) = run.events.pop_first() {
        run.handle(event, now_ms, strategy);
        run.set_alarm(now_ms, strategy);
    }
    run.records
}

struct Run<'a> {
    world: &'a World,
    requests: &'a [Request],
    seed: u64,
    servers: Vec<Server>,
    records: Vec<Record>,
    events: BTreeMap<(u64, u64), Event>,
    count: u64,
    /// The next turn that is planned.
    turn_ms: Option<u64>,
}

impl Run<'_> {
    fn at(&mut self, at_ms: u64, event: Event) {
        self.count += 1;
        self.events.insert((at_ms, self.count), event);
    }

    fn set_alarm(&mut self, now_ms: u64, strategy: &dyn Strategy) {
        let Some(due) = strategy.due_ms().map(|due| due.max(now_ms)) else { return };
        if self.turn_ms.is_none_or(|planned| due < planned) {
            self.turn_ms = Some(due);
            self.at(due, Event::Turn);
        }
    }

    fn handle(&mut self, event: Event, now_ms: u64, strategy: &mut dyn Strategy) {
        match event {
            Event::Arrive(id) => self.step(id, now_ms, strategy),
            Event::Turn => {
                self.turn_ms = None;
                for id in strategy.turns(now_ms) {
                    self.step(id, now_ms, strategy);
                }
            }
            Event::Reach(id, route) => self.reach(id, route, now_ms),
            Event::First(id) => {
                self.records[id].ttft_ms = now_ms - self.requests[id].at_ms;
                strategy.first_token(id, now_ms);
            }
            Event::Last(id) => self.end(id, now_ms, strategy),
            Event::Fail(id, route, failure) => {
                if matches!(&failure, Failure::Refused(refusal) if refusal.status == 429) {
                    self.records[id].refused.push(route);
                }
                strategy.failed(id, &failure, now_ms);
                self.step(id, now_ms, strategy);
            }
        }
    }

    fn step(&mut self, id: usize, now_ms: u64, strategy: &mut dyn Strategy) {
        match strategy.next(id, now_ms) {
            Step::Wait => {}
            Step::End(ending) => self.records[id].ending = Some(ending),
            Step::Send(route) => {
                self.records[id].attempts += 1;
                self.records[id].began_ms = now_ms;
                let way = self.chance(id, route).between(WAY_MS.0, WAY_MS.1);
                self.at(now_ms + way as u64, Event::Reach(id, route));
            }
        }
    }

    fn reach(&mut self, id: usize, route: Route, now_ms: u64) {
        let mut chance = self.chance(id, route);
        let request = &self.requests[id];
        let fate = self.servers[route.provider].take(self.world, route, request, now_ms, &mut chance);
        match fate {
            Fate::Answer { first_ms, last_ms } => {
                self.records[id].route = Some(route);
                self.at(first_ms, Event::First(id));
                self.at(last_ms.max(first_ms), Event::Last(id));
            }
            Fate::Refused { at_ms, refusal } => {
                self.at(at_ms, Event::Fail(id, route, Failure::Refused(refusal)))
            }
            Fate::Unreachable { at_ms } => {
                self.at(at_ms, Event::Fail(id, route, Failure::NoReply(Cause::Connect)))
            }
            Fate::Silent => {
                self.at(now_ms + FIRST_TOKEN_MS, Event::Fail(id, route, Failure::NoReply(Cause::Timeout)))
            }
        }
    }

    fn end(&mut self, id: usize, now_ms: u64, strategy: &mut dyn Strategy) {
        let request = &self.requests[id];
        let record = &mut self.records[id];
        let Some(route) = record.route else { return };
        record.ending = Some(Ending::Answered);
        self.servers[route.provider].ended(route, request, now_ms);
        let first_ms = request.at_ms + record.ttft_ms;
        strategy.answered(id, first_ms - record.began_ms, now_ms - record.began_ms, now_ms);
    }

    /// The same attempt has the same luck, whoever makes it.
    fn chance(&self, id: usize, route: Route) -> Chance {
        let Route { provider, model, key } = route;
        let attempt = self.records[id].attempts;
        Chance::of(&[self.seed, id as u64, u64::from(attempt), provider as u64, model as u64, key as u64])
    }
}
