//! Whatever the catalog, the conditions and the wishes: a plan is sound, and its explanation agrees.

use super::tests::provider;
use super::*;
use crate::catalog::{Capability, CapabilitySet, Model, Requirements};
use crate::protocol::facts::{Preferences, RequestFacts};
use proptest::prelude::*;

fn availability() -> impl Strategy<Value = Availability> {
    prop_oneof![
        4 => Just(Availability::Open),
        1 => (1..100_000u64).prop_map(|for_ms| Availability::Cooling { for_ms, cause: Cause::Misbehaving }),
        1 => Just(Availability::Disabled(Cause::BadKey)),
    ]
}

prop_compose! {
    fn condition()(
        availability in availability(),
        ttft_ms in 0.0..20_000f32,
        tokens_per_s in 0.0..2_000f32,
        success in 0.0..=1f32,
        in_flight in 0..100u32,
    ) -> Condition {
        Condition { availability, ttft_ms, tokens_per_s, success, in_flight, ..Condition::default() }
    }
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
    ) -> Preferences {
        let own = |list: Vec<&str>| list.into_iter().map(str::to_owned).collect();
        let [no_fallbacks, require_parameters, deny_data_collection, compress] = flags;
        Preferences {
            models, order: own(order), only: own(only), no_fallbacks, require_parameters, deny_data_collection,
            context_compression: compress, excluded_models: own(excluded), ..Preferences::default()
        }
    }
}

proptest! {
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
        let condition = |position: usize, _: u32| conditions[position];
        let inputs = Inputs {
            facts: &facts,
            classification: Classification { task: Task::Qa, difficulty, output_tokens: 250 },
            catalog: &catalog,
            condition: &condition,
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
