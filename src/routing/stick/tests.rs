use super::*;
use crate::catalog::{Capability, Catalog, Endpoint, Model, Task};
use crate::protocol::facts::RequestFacts;
use crate::routing::tests::provider;
use crate::routing::{Availability, Cause, Classification, Condition, Inputs, Policy, RoutePlan, plan};

/// Positions in the catalog: one model at two providers, and a model that answers a little faster.
const HERE: u32 = 0;
const ELSEWHERE: u32 = 1;
const FASTER: u32 = 2;

struct Turn {
    remembered: Option<Remembered>,
    conditions: [Condition; 3],
    speeds: [f32; 3],
    facts: RequestFacts,
    policy: Policy,
}

fn turn(remembered: Remembered) -> Turn {
    Turn {
        remembered: Some(remembered),
        conditions: [Condition::default(); 3],
        speeds: [90.0, 80.0, 120.0],
        facts: RequestFacts { choices: 1, ..RequestFacts::default() },
        policy: Policy::default(),
    }
}

impl Turn {
    fn is(mut self, at: u32, availability: Availability) -> Self {
        self.conditions[at as usize].availability = availability;
        self
    }

    fn cools(self, at: u32, cause: Cause) -> Self {
        self.is(at, Availability::Cooling { for_ms: 1_000, cause })
    }

    fn wants(mut self, change: impl FnOnce(&mut RequestFacts)) -> Self {
        change(&mut self.facts);
        self
    }

    fn plan(&self) -> RoutePlan {
        let endpoint = |slug, id: &str, speed, can: &[Capability]| {
            let capabilities = can.iter().copied().collect();
            let tokens_per_s = Some(speed);
            let model =
                Model { id: id.to_owned(), quality: 0.5, tokens_per_s, capabilities, ..Model::default() };
            Endpoint::new(provider(slug, false), model, id.to_owned())
        };
        let catalog = Catalog::new(vec![
            endpoint("a", "acme/m", self.speeds[0], &[]),
            endpoint("b", "acme/m", self.speeds[1], &[]),
            endpoint("c", "acme/x", self.speeds[2], &[Capability::ImageInput]),
        ]);
        let inputs = Inputs {
            facts: &self.facts,
            classification: Classification { task: Task::Qa, difficulty: 0.1, output_tokens: 250 },
            catalog: &catalog,
            condition: &|position, _| self.conditions[position],
            at_best: None,
            policy: &self.policy,
            seed: 7,
            last_chance: false,
            remembered: self.remembered,
        };
        plan(&inputs).expect("somebody answers")
    }
}

/// Who is asked first, and what is said of it.
fn check(turn: Turn, first: u32, stick: Stick) {
    let plan = turn.plan();
    assert_eq!((plan.candidates[0].endpoint, plan.session), (first, Some(stick)));
    assert!(plan.candidates.len() <= turn.policy.max_candidates, "{:?}", plan.candidates);
}

fn moved(turn: Turn, first: u32, why: Moved) {
    check(turn, first, Stick::Moved(why));
}

#[test]
fn a_conversation_stays_though_another_is_a_little_better() {
    check(turn(Remembered::At(HERE)), HERE, Stick::Kept);
    check(turn(Remembered::Nothing), FASTER, Stick::New);
    let mut free = turn(Remembered::Nothing);
    free.remembered = None;
    assert_eq!((free.plan().candidates[0].endpoint, free.plan().session), (FASTER, None));
}

#[test]
fn it_stays_with_its_model_elsewhere_before_it_leaves_it() {
    check(turn(Remembered::At(HERE)).cools(HERE, Cause::RateLimited), ELSEWHERE, Stick::Kept);
}

#[test]
fn it_moves_when_another_is_much_better() {
    let mut much = turn(Remembered::At(HERE));
    much.speeds = [9.0, 8.0, 120.0];
    moved(much, FASTER, Moved::Better);
}

#[test]
fn it_moves_when_this_turn_needs_more() {
    let image = |facts: &mut RequestFacts| facts.requirements.hard.insert(Capability::ImageInput);
    moved(turn(Remembered::At(HERE)).wants(image), FASTER, Moved::Capability);
}

#[test]
fn it_moves_when_its_endpoints_fail_or_are_full() {
    let both = |cause| turn(Remembered::At(HERE)).cools(HERE, cause).cools(ELSEWHERE, cause);
    moved(both(Cause::ServerError), FASTER, Moved::Health);
    moved(both(Cause::RateLimited), FASTER, Moved::Quota);
    let out = Availability::Disabled(Cause::BadKey);
    moved(turn(Remembered::At(HERE)).is(HERE, out).is(ELSEWHERE, out), FASTER, Moved::Health);
}

#[test]
fn it_moves_when_its_day_is_ahead_of_the_others() {
    let mut ahead = turn(Remembered::At(HERE));
    ahead.conditions[..2].iter_mut().for_each(|condition| condition.ahead = 0.001);
    ahead.speeds = [90.0, 80.0, 500.0];
    let plan = ahead.plan();
    assert_eq!(plan.candidates[0].endpoint, FASTER);
    assert_eq!(plan.session, Some(Stick::Moved(Moved::Quota)));
}

#[test]
fn it_moves_when_the_caller_says_so_or_its_endpoint_is_gone() {
    let named = |facts: &mut RequestFacts| facts.preferences.models = vec!["acme/x".to_owned()];
    moved(turn(Remembered::At(HERE)).wants(named), FASTER, Moved::Preference);
    let only = |facts: &mut RequestFacts| facts.preferences.only = vec!["c".to_owned()];
    moved(turn(Remembered::At(HERE)).wants(only), FASTER, Moved::Preference);
    moved(turn(Remembered::Gone), FASTER, Moved::Gone);
}

#[test]
fn it_stays_even_where_few_are_asked() {
    let mut single = turn(Remembered::At(HERE)).wants(|facts| facts.preferences.no_fallbacks = true);
    assert_eq!(single.plan().candidates.len(), 1);
    check(single, HERE, Stick::Kept);
    single = turn(Remembered::At(ELSEWHERE));
    single.policy.max_candidates = 2;
    check(single, ELSEWHERE, Stick::Kept);
}
