//! Whatever the catalog, the conditions and the wishes: a plan is sound, and its explanation agrees.

use super::tests::provider;
use super::*;
use crate::catalog::{Capability, CapabilitySet, Catalog, Model, Requirements, TaskGroup};
use crate::protocol::facts::{Preferences, RequestFacts, Sort};
use proptest::prelude::*;

fn availability() -> impl Strategy<Value = Availability> {
    prop_oneof![
        4 => Just(Availability::Open),
        1 => (1..100_000u64, prop::sample::select(&Cause::ALL[..]))
            .prop_map(|(for_ms, cause)| Availability::Cooling { for_ms, cause }),
        1 => Just(Availability::Disabled(Cause::BadKey)),
    ]
}

prop_compose! {
    fn condition()(
        availability in availability(),
        ttft_ms in 0.0..20_000f32,
        tokens_per_s in 0.0..2_000f32,
        success in 0.0..=1f32,
        fitness in prop::option::weighted(0.2, (prop::sample::select(&TaskGroup::ALL[..]), 0.0..=1f32)),
        in_flight in 0..100u32,
        in_doubt in prop::bool::weighted(0.1),
        denied in prop::option::weighted(0.1, capabilities()),
        share_left in 0.0..=1f32,
        ahead in prop_oneof![Just(f32::NEG_INFINITY), -0.5..0.2f32],
        pressure in prop_oneof![Just(0.0), 0.0..=1f32],
        most_tokens in prop_oneof![6 => Just(u32::MAX), 1 => 1_000..200_000u32],
    ) -> Condition {
        let denied = denied.unwrap_or_default();
        let fitness = fitness.map_or(Fitness::default(), |(group, share)| Fitness::default().with(group, share));
        Condition {
            availability, ttft_ms, tokens_per_s, success, fitness, in_doubt, in_flight, denied, share_left, ahead, pressure,
            most_tokens,
        }
    }
}

/// What a condition can have been at best.
fn at_best(condition: &Condition, better: f32) -> AtBest {
    let Condition { ttft_ms, tokens_per_s, pressure, .. } = condition;
    AtBest { ttft_ms: ttft_ms * better, tokens_per_s: tokens_per_s / better, pressure: pressure * better }
}

fn capabilities() -> impl Strategy<Value = CapabilitySet> {
    prop::collection::vec(prop::sample::select(Capability::ALL), 0..6)
        .prop_map(|list| list.into_iter().collect())
}

prop_compose! {
    fn endpoint()(
        provider_number in 0..4usize,
        id in 0..12usize,
        can in prop::collection::vec(prop::sample::select(Capability::ALL), 20..60),
        quality in 0.01..1f32,
        context in prop::option::of(100..200_000u32),
        longest in prop::option::of(100..50_000u32),
    ) -> Endpoint {
        let model = Model {
            id: format!("acme/m{id}"),
            quality,
            context_tokens: context,
            max_output_tokens: longest,
            capabilities: can.into_iter().collect(),
            ..Model::default()
        };
        let slug = ["a", "b", "c", "d"][provider_number];
        Endpoint::new(provider(slug, provider_number == 0), model, id.to_string())
    }
}

fn remembered() -> impl Strategy<Value = Remembered> {
    prop_oneof![
        1 => Just(Remembered::Nothing),
        1 => Just(Remembered::Gone),
        6 => (0..40u32).prop_map(Remembered::At),
    ]
}

prop_compose! {
    fn preferences()(
        models in prop::collection::vec((0..14usize).prop_map(|i| format!("acme/m{i}")), 0..3),
        order in prop::collection::vec(prop::sample::select(vec!["a", "b", "z"]), 0..2),
        only in prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 0..3),
        flags in prop::array::uniform4(prop::bool::weighted(0.2)),
        excluded in prop::collection::vec(prop::sample::select(vec!["acme/*1", "c/*", "*m2"]), 0..2),
        min_tokens_per_s in prop::option::weighted(0.3, 0.0..2_000f32),
    ) -> Preferences {
        let own = |list: Vec<&str>| list.into_iter().map(str::to_owned).collect();
        let [no_fallbacks, require_parameters, deny_data_collection, compress] = flags;
        Preferences {
            models, order: own(order), only: own(only), no_fallbacks, require_parameters, deny_data_collection,
            context_compression: compress, excluded_models: own(excluded), min_tokens_per_s, ..Preferences::default()
        }
    }
}

prop_compose! {
    fn policy()(
        quality in 0.0..=1f32,
        reserve in any::<bool>(),
        max_candidates in 0..10usize,
        boosts in prop::collection::vec(
            (prop::sample::select(vec!["acme/*1", "c/*", "*m2"]), 0.0..3f32), 0..2,
        ),
        pins in prop::collection::vec(
            (prop::sample::select(vec!["acme/m4", "b/*"]), prop::option::of(prop::sample::select(&Task::ALL[..]))), 0..2,
        ),
        forbid in prop::option::weighted(0.2, prop::sample::select(vec!["a/*", "*m3"])),
    ) -> Policy {
        let boosts = boosts.into_iter().map(|(pattern, by)| Boost { pattern: pattern.to_owned(), by }).collect();
        let forbid = forbid.into_iter().map(str::to_owned).collect();
        let pins = pins.into_iter().map(|(pattern, task)| Pin { pattern: pattern.to_owned(), task }).collect();
        Policy { quality, reserve, max_candidates, boosts, forbid, pins }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn a_plan_is_the_same_whether_all_endpoints_are_looked_at_or_only_the_best(
        endpoints in prop::collection::vec((endpoint(), condition()), 0..150),
        alike in prop::bool::weighted(0.2),
        hard in prop::option::weighted(0.3, capabilities()),
        soft in capabilities(),
        prompt_tokens in 0..20_000u32,
        preferences in prop::option::weighted(0.4, preferences()),
        sort in prop::option::weighted(
            0.3, prop::sample::select(vec![Sort::Throughput, Sort::Latency, Sort::Quality]),
        ),
        difficulty in 0.0..=1f32,
        policy in policy(),
        better in 0.3..=1f32,
        flags in (any::<bool>(), any::<u64>(), prop::option::of(remembered())),
    ) {
        let (mut endpoints, conditions): (Vec<_>, Vec<_>) = endpoints.into_iter().unzip();
        for (at, endpoint) in endpoints.iter_mut().enumerate() {
            endpoint.key = format!("{}{at}", endpoint.key).into();
            if alike {
                endpoint.model = Model { id: endpoint.model.id.clone(), ..Model::default() };
            }
        }
        let catalog = Catalog::new(endpoints);
        let hard = hard.unwrap_or_default();
        let requirements = Requirements { hard, soft, prompt_tokens, max_output_tokens: None };
        let preferences = Preferences { sort, ..preferences.unwrap_or_default() };
        let facts = RequestFacts { choices: 1, requirements, preferences, ..RequestFacts::default() };
        let (last_chance, seed, remembered) = flags;
        let at = |position: usize| match alike {
            true => Condition { availability: conditions[position].availability, ..Condition::default() },
            false => conditions[position],
        };
        let all = Inputs {
            facts: &facts,
            classification: Classification { task: Task::Qa, difficulty, output_tokens: 250 },
            catalog: &catalog,
            condition: &|position, _| at(position),
            at_best: None,
            policy: &policy,
            seed,
            last_chance,
            remembered,
        };
        let best = Inputs { at_best: Some(&|position| at_best(&at(position), better)), ..all };
        prop_assert_eq!(plan(&best), plan(&all));
    }

    #[test]
    fn a_plan_is_sound_and_its_explanation_agrees(
        endpoints in prop::collection::vec((endpoint(), condition()), 0..40),
        pin in prop::option::weighted(0.3, (0..14usize).prop_map(|i| format!("acme/m{i}"))),
        hard in capabilities(),
        soft in capabilities(),
        prompt_tokens in 0..150_000u32,
        max_output_tokens in prop::option::of(1..40_000u32),
        preferences in preferences(),
        difficulty in 0.0..=1f32,
        max_candidates in 0..10usize,
        seed in any::<u64>(),
        remembered in prop::option::of(remembered()),
    ) {
        let (endpoints, conditions): (Vec<_>, Vec<_>) = endpoints.into_iter().unzip();
        let catalog = Catalog::new(endpoints);
        let requirements = Requirements { hard, soft, prompt_tokens, max_output_tokens };
        let compressed = preferences.context_compression;
        let facts = RequestFacts { model: pin, choices: 1, requirements, preferences, ..RequestFacts::default() };
        let policy = Policy { max_candidates, ..Policy::default() };
        let condition =
            |position: usize, _: u32| Condition { denied: CapabilitySet::EMPTY, ..conditions[position] };
        let inputs = Inputs {
            facts: &facts,
            classification: Classification { task: Task::Qa, difficulty, output_tokens: 250 },
            catalog: &catalog,
            condition: &condition,
            at_best: Some(&|position| at_best(&conditions[position], 1.0)),
            policy: &policy,
            seed,
            last_chance: false,
            remembered,
        };
        let planned = plan(&inputs);
        prop_assert_eq!(&planned, &plan(&inputs), "the same inputs give the same plan");

        let explained = explain(&inputs);
        let chosen: Vec<u32> = explained.endpoints.iter()
            .filter(|e| matches!(e.outcome, Outcome::Chosen(_))).map(|e| e.endpoint).collect();
        let candidates: Vec<u32> =
            planned.iter().flat_map(|plan| plan.candidates.iter().map(|c| c.endpoint)).collect();
        prop_assert_eq!(&chosen, &candidates, "the explanation agrees");
        prop_assert_eq!(explained.no_route, planned.as_ref().err().map(NoRoute::to_string));

        let Ok(plan) = planned else { return Ok(()) };
        prop_assert!(!plan.candidates.is_empty() && plan.candidates.len() <= max_candidates.max(1));
        let distinct: std::collections::BTreeSet<_> = candidates.iter().collect();
        prop_assert_eq!(distinct.len(), candidates.len(), "each endpoint once");
        for candidate in candidates {
            let endpoint = &catalog.endpoints[candidate as usize];
            let mut needs = facts.requirements.clone();
            if compressed {
                needs.prompt_tokens = 0;
            }
            prop_assert_eq!(endpoint.model.satisfies(&needs), Ok(()));
            let open = condition(candidate as usize, 0).availability == Availability::Open;
            prop_assert!(open != plan.last_resort, "those that failed lately are asked only as a last resort");
            prop_assert!(!facts.preferences.deny_data_collection || !endpoint.provider.may_train_on_prompts());
        }
    }
}
