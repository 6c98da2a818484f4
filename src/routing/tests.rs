use super::*;
use crate::catalog::{Capability, CapabilitySet, Catalog, Model, Provider, Requirements, Terms};
use crate::protocol::facts::{Preferences, RequestFacts, Sort};
use std::sync::Arc;

pub(super) fn provider(slug: &str, trains_on_prompts: bool) -> Arc<Provider> {
    let base = "http://127.0.0.1:1/v1".parse().expect("a base URL");
    let terms = Terms { trains_on_prompts: Some(trains_on_prompts), ..Terms::default() };
    Arc::new(Provider { name: slug.to_uppercase(), terms, ..Provider::new(slug, base) })
}

/// Endpoints over three providers: `fast` (small, quick), `slow` (large, slow, trains on prompts), `eyes`.
struct World {
    endpoints: Vec<Endpoint>,
    not_free: Vec<String>,
    conditions: Vec<(String, Condition)>,
    facts: RequestFacts,
    difficulty: f32,
    policy: Policy,
}

fn world() -> World {
    let (fast, slow, eyes) = (provider("fast", false), provider("slow", true), provider("eyes", false));
    let model = |id: &str, quality, speed, context, can: &[Capability]| Model {
        id: id.to_owned(),
        quality,
        tokens_per_s: Some(speed),
        context_tokens: Some(context),
        capabilities: can.iter().copied().collect(),
        ..Model::default()
    };
    use Capability::{ImageInput, ResponseFormat, Seed, StructuredOutputs, Tools};
    let endpoint = |p: &Arc<Provider>, model: Model| {
        let upstream = model.id.clone();
        Endpoint::new(Arc::clone(p), model, upstream)
    };
    World {
        endpoints: vec![
            endpoint(&fast, model("acme/small:free", 0.4, 900.0, 8_000, &[Tools])),
            endpoint(&fast, model("acme/middle", 0.6, 300.0, 32_000, &[Tools, ResponseFormat])),
            endpoint(
                &slow,
                model(
                    "acme/large:free",
                    0.9,
                    30.0,
                    200_000,
                    &[Tools, ResponseFormat, StructuredOutputs, Seed],
                ),
            ),
            endpoint(&slow, model("acme/middle", 0.6, 40.0, 32_000, &[Tools, ResponseFormat])),
            endpoint(&eyes, model("sight/see", 0.5, 20.0, 16_000, &[ImageInput, Tools])),
        ],
        not_free: vec!["acme/paid".to_owned()],
        conditions: Vec::new(),
        facts: RequestFacts { choices: 1, ..RequestFacts::default() },
        difficulty: 0.05,
        policy: Policy::default(),
    }
}

impl World {
    fn wants(mut self, change: impl FnOnce(&mut Preferences)) -> Self {
        change(&mut self.facts.preferences);
        self
    }

    fn needs(mut self, change: impl FnOnce(&mut Requirements)) -> Self {
        change(&mut self.facts.requirements);
        self
    }

    fn hard(self, c: Capability) -> Self {
        self.needs(|needs| needs.hard.insert(c))
    }

    fn model(mut self, id: &str) -> Self {
        self.facts.model = Some(id.to_owned());
        self
    }

    fn difficulty(mut self, difficulty: f32) -> Self {
        self.difficulty = difficulty;
        self
    }

    fn is(mut self, key: &str, condition: Condition) -> Self {
        self.conditions.push((key.to_owned(), condition));
        self
    }

    fn cooling(self, key: &str, for_ms: u64) -> Self {
        let availability = Availability::Cooling { for_ms, cause: Cause::RateLimited };
        self.is(key, Condition { availability, ..Condition::default() })
    }

    fn disabled(self, key: &str) -> Self {
        let availability = Availability::Disabled(Cause::BadKey);
        self.is(key, Condition { availability, ..Condition::default() })
    }

    fn with<T>(&self, run: impl FnOnce(&Inputs<'_>) -> T) -> T {
        let catalog = Catalog::new(self.endpoints.clone()).with_not_free(self.not_free.clone());
        let condition = |position: usize, _: u32| {
            let key = &*catalog.endpoints[position].key;
            self.conditions.iter().find(|(k, _)| k == key).map_or_else(Condition::default, |(_, c)| *c)
        };
        run(&Inputs {
            facts: &self.facts,
            classification: Classification {
                task: Task::Qa,
                difficulty: self.difficulty,
                output_tokens: 250,
            },
            catalog: &catalog,
            condition: &condition,
            at_best: None,
            policy: &self.policy,
            seed: 7,
            last_chance: false,
            remembered: None,
        })
    }

    fn keys(&self) -> Result<Vec<String>, NoRoute> {
        self.with(|inputs| {
            let key = |c: &Candidate| inputs.catalog.endpoints[c.endpoint as usize].key.to_string();
            plan(inputs).map(|plan| plan.candidates.iter().map(key).collect())
        })
    }
}

/// The whole order of candidates.
fn check(world: World, expect: &[&str]) {
    assert_eq!(world.keys(), Ok(expect.iter().map(|key| (*key).to_owned()).collect()));
}

/// Only who is asked first.
fn first(world: World, expect: &str) {
    assert_eq!(world.keys().map(|keys| keys[0].clone()), Ok(expect.to_owned()));
}

fn none(world: World, expect: NoRoute) {
    assert_eq!(world.keys(), Err(expect));
}

const SMALL: &str = "fast/acme/small:free";
const MIDDLE: &str = "fast/acme/middle";
const LARGE: &str = "slow/acme/large:free";
const SLOW_MIDDLE: &str = "slow/acme/middle";
const SEE: &str = "eyes/sight/see";

#[test]
fn simple_text_goes_to_the_fastest_and_hard_text_to_the_strongest() {
    first(world(), SMALL);
    first(world().difficulty(0.9), LARGE);
}

#[test]
fn what_is_neither_goes_to_one_between() {
    first(world().difficulty(0.2), MIDDLE);
}

#[test]
fn a_callers_knob_goes_before_the_operators() {
    let asks = |quality, difficulty| world().difficulty(difficulty).wants(|p| p.quality = Some(quality));
    first(asks(1.0, 0.05), LARGE);
    first(asks(0.0, 0.6), SMALL);
    first(asks(0.5, 0.6), LARGE);
    let mut operator = asks(0.5, 0.05);
    operator.policy.quality = 1.0;
    first(operator, SMALL);
}

#[test]
fn the_operators_pins_come_first_while_they_can_answer() {
    let pinned = |pattern: &str, task| {
        let mut w = world();
        w.policy.pins = vec![Pin { pattern: pattern.to_owned(), task }];
        w
    };
    let spent = Condition { ahead: 0.5, share_left: 0.01, ..Condition::default() };
    check(pinned("acme/middle", None), &[MIDDLE, SLOW_MIDDLE, SMALL, LARGE, SEE]);
    first(pinned("slow/*", Some(Task::Qa)).is(LARGE, spent).is(SLOW_MIDDLE, spent), LARGE);
    first(pinned("eyes/*", Some(Task::Code)), SMALL);
    first(pinned("eyes/*", None).cooling(SEE, 5_000), SMALL);
    first(pinned("eyes/*", None).wants(|p| p.models = vec!["acme/large:free".to_owned()]), LARGE);
    let mut two = pinned("eyes/*", None);
    two.policy.pins.insert(0, Pin { pattern: "slow/*".to_owned(), task: None });
    check(two, &[LARGE, SLOW_MIDDLE, SEE, SMALL, MIDDLE]);
}

#[test]
fn the_operators_knob_goes_both_ways() {
    let knob = |quality, difficulty| {
        let mut w = world().difficulty(difficulty);
        w.policy.quality = quality;
        w
    };
    first(knob(1.0, 0.0), LARGE);
    first(knob(0.0, 1.0), SMALL);
}

#[test]
fn every_spelling_of_auto_is_the_same() {
    let expect = world().keys();
    for name in AUTO_MODELS {
        assert_eq!(world().model(name).keys(), expect, "{name}");
    }
    assert_eq!(expect.map(|keys| keys.len()), Ok(5));
}

#[test]
fn what_was_measured_outweighs_what_was_expected() {
    let slow = Condition { ttft_ms: 30_000.0, tokens_per_s: 5.0, ..Condition::default() };
    first(world().is(SMALL, slow), MIDDLE);
    first(world().is(SMALL, Condition { success: 0.2, ..Condition::default() }), MIDDLE);
    first(world().is(SMALL, Condition { in_flight: 200, ..Condition::default() }), MIDDLE);
}

#[test]
fn nonsense_measurements_count_as_none() {
    let mad = Condition {
        ttft_ms: f32::NAN,
        tokens_per_s: f32::INFINITY,
        success: f32::NAN,
        ..Condition::default()
    };
    first(world().is(SMALL, mad), SMALL);
}

#[test]
fn a_hard_requirement_leaves_only_who_has_it() {
    check(world().hard(Capability::ImageInput), &[SEE]);
    check(world().hard(Capability::StructuredOutputs), &[LARGE]);
}

#[test]
fn the_only_capable_endpoint_is_asked_even_if_it_is_the_slowest() {
    check(world().hard(Capability::ImageInput).hard(Capability::Tools), &[SEE]);
}

#[test]
fn nobody_being_able_names_what_is_missing() {
    let missing = |list: &[Capability]| NoRoute::Unsupported { missing: list.to_vec() };
    none(world().hard(Capability::AudioInput), missing(&[Capability::AudioInput]));
    none(
        world().hard(Capability::ImageInput).hard(Capability::StructuredOutputs),
        missing(&[Capability::StructuredOutputs]),
    );
    let error = world().hard(Capability::AudioInput).keys().expect_err("nobody hears");
    assert_eq!(error.to_string(), "no endpoints found that support audio input");
}

#[test]
fn a_soft_requirement_prefers_and_require_parameters_insists() {
    let seeded = || world().difficulty(0.5).needs(|needs| needs.soft.insert(Capability::Seed));
    assert_eq!(seeded().keys().map(|keys| keys.len()), Ok(5));
    check(seeded().wants(|p| p.require_parameters = true), &[LARGE]);
    let mut equals = world().needs(|needs| needs.soft.insert(Capability::ResponseFormat));
    equals.endpoints.iter_mut().for_each(|e| e.model.tokens_per_s = Some(100.0));
    equals.endpoints.retain(|e| &*e.key == SMALL || &*e.key == MIDDLE);
    first(equals, MIDDLE);
}

#[test]
fn several_choices_are_never_stripped() {
    let mut w = world();
    w.facts.choices = 2;
    none(w, NoRoute::Unsupported { missing: vec![Capability::MultipleChoices] });
}

#[test]
fn prompts_go_where_they_fit() {
    let long = |tokens| world().needs(|needs| needs.prompt_tokens = tokens);
    check(long(100_000), &[LARGE]);
    none(long(300_000), NoRoute::ContextTooLong { needs: 300_001, largest: 200_000 });
    check(long(300_000).wants(|p| p.context_compression = true), &[LARGE]);
    none(
        long(500_000).wants(|p| p.context_compression = true),
        NoRoute::ContextTooLong { needs: 250_001, largest: 200_000 },
    );
}

#[test]
fn a_request_above_the_tokens_of_a_minute_fits_as_little_as_one_above_the_window() {
    let at_most = |most_tokens| Condition { most_tokens, ..Condition::default() };
    let long = |most| world().is(LARGE, at_most(most)).needs(|needs| needs.prompt_tokens = 100_000);
    check(long(200_000), &[LARGE]);
    let refusal = long(90_000).keys().expect_err("nobody ever has room");
    assert!(matches!(refusal, NoRoute::ContextTooLong { largest: 90_000, .. }), "{refusal:?}");
}

#[test]
fn answers_longer_than_any_model_gives_are_refused() {
    let mut w = world().needs(|needs| needs.max_output_tokens = Some(5_000));
    w.endpoints.iter_mut().for_each(|e| e.model.max_output_tokens = Some(4_096));
    none(w, NoRoute::OutputTooLong { asked: 5_000, largest: 4_096 });
}

#[test]
fn a_nearly_full_window_is_a_last_resort() {
    first(world().needs(|needs| needs.prompt_tokens = 7_990), MIDDLE);
}

#[test]
fn a_named_model_is_served_by_whoever_has_it_and_nobody_else() {
    check(world().model("acme/middle"), &[MIDDLE, SLOW_MIDDLE]);
    check(world().model("slow/acme/middle"), &[SLOW_MIDDLE]);
    assert!(world().model("acme/middle").with(plan).expect("served").pinned);
}

#[test]
fn an_alias_names_its_model() {
    let mut w = world().model("acme/large-latest");
    w.endpoints[2].model.aliases.push("acme/large-latest".to_owned());
    check(w, &[LARGE]);
}

#[test]
fn paid_and_unknown_models_are_never_called() {
    none(world().model("acme/paid"), NoRoute::NotFree("acme/paid".to_owned()));
    none(world().model("acme/none"), NoRoute::UnknownModel("acme/none".to_owned()));
    none(world().model("acme/large"), NoRoute::UnknownModel("acme/large".to_owned()));
    none(world().model("AUTO"), NoRoute::UnknownModel("AUTO".to_owned()));
    let all = world().keys().expect("open");
    let listed = world().wants(|p| p.models = vec!["acme/paid".to_owned(), "acme/none".to_owned()]);
    assert_eq!(listed.keys(), Ok(all));
}

#[test]
fn a_model_list_comes_first_and_then_the_pool() {
    let listed = || world().wants(|p| p.models = vec!["sight/see".to_owned(), "acme/large:free".to_owned()]);
    check(listed(), &[SEE, LARGE, SMALL, MIDDLE, SLOW_MIDDLE]);
    check(listed().model("acme/small:free"), &[SMALL, SEE, LARGE]);
    let with_auto = world().model("acme/large:free").wants(|p| p.models = vec!["openrouter/auto".to_owned()]);
    check(with_auto, &[LARGE, SMALL, MIDDLE, SLOW_MIDDLE, SEE]);
}

#[test]
fn providers_can_be_ordered_required_and_ruled_out() {
    let slugs = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    check(world().wants(|p| p.only = slugs(&["eyes"])), &[SEE]);
    check(world().wants(|p| p.only = slugs(&["EYES/fp8"])), &[SEE]);
    check(world().wants(|p| p.ignore = slugs(&["fast", "eyes"])), &[LARGE, SLOW_MIDDLE]);
    first(world().wants(|p| p.order = slugs(&["eyes", "slow"])), SEE);
    none(world().wants(|p| p.only = slugs(&["nobody"])), NoRoute::NoAllowedProviders);
    let both = world().wants(|p| (p.only, p.ignore) = (slugs(&["eyes"]), slugs(&["eyes"])));
    none(both, NoRoute::NoAllowedProviders);
}

#[test]
fn without_fallbacks_there_is_one_candidate() {
    check(world().wants(|p| p.no_fallbacks = true), &[SMALL]);
    let ordered = |slug: &str| world().wants(|p| (p.no_fallbacks, p.order) = (true, vec![slug.to_owned()]));
    check(ordered("eyes"), &[SEE]);
    none(ordered("nobody"), NoRoute::NoAllowedProviders);
}

#[test]
fn patterns_allow_and_exclude_and_exclusion_wins() {
    let patterns = |allow: &[&str], exclude: &[&str]| {
        let own = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
        world().wants(|p| (p.allowed_models, p.excluded_models) = (own(allow), own(exclude)))
    };
    check(patterns(&["sight/*"], &[]), &[SEE]);
    check(patterns(&["acme/small"], &[]), &[SMALL]);
    check(patterns(&["*"], &["*/*:free", "fast/*", "*/see"]), &[SLOW_MIDDLE]);
    check(patterns(&[], &["acme/*"]), &[SEE]);
    none(patterns(&["sight/*"], &["*"]), NoRoute::Restricted);
    none(patterns(&["acme/paid"], &[]), NoRoute::Restricted);
    check(patterns(&["acme/*"], &[]).model("sight/see"), &[SEE]);
}

#[test]
fn who_denies_data_collection_gets_only_who_does_not_train() {
    let deny = |p: &mut Preferences| p.deny_data_collection = true;
    check(world().wants(deny), &[SMALL, MIDDLE, SEE]);
    none(world().model("acme/large:free").wants(deny), NoRoute::Privacy);
}

#[test]
fn sort_re_ranks() {
    let sort = |by, difficulty| world().difficulty(difficulty).wants(|p| p.sort = Some(by));
    first(sort(Sort::Quality, 0.0), LARGE);
    first(sort(Sort::Throughput, 0.9), SMALL);
    first(sort(Sort::Price, 0.9), LARGE);
    let quick = Condition { ttft_ms: 50.0, ..Condition::default() };
    first(sort(Sort::Latency, 0.9).is(SEE, quick), SEE);
}

#[test]
fn what_cools_or_is_out_of_service_is_not_asked() {
    first(world().cooling(SMALL, 5_000), MIDDLE);
    first(world().disabled(SMALL), MIDDLE);
    let see = || world().hard(Capability::ImageInput);
    none(see().cooling(SEE, 5_000), NoRoute::Cooling { retry_after_ms: 5_000 });
    none(see().disabled(SEE), NoRoute::Down);
}

#[test]
fn when_all_cool_the_soonest_counts() {
    let middle = || world().model("acme/middle");
    none(
        middle().cooling(MIDDLE, 9_000).cooling(SLOW_MIDDLE, 3_000),
        NoRoute::Cooling { retry_after_ms: 3_000 },
    );
    none(middle().disabled(MIDDLE).cooling(SLOW_MIDDLE, 3_000), NoRoute::Cooling { retry_after_ms: 3_000 });
    none(middle().disabled(MIDDLE).disabled(SLOW_MIDDLE), NoRoute::Down);
}

#[test]
fn the_operator_forbids_and_favours() {
    let mut w = world();
    w.policy.forbid = vec!["fast/*".to_owned(), "*:free".to_owned()];
    check(w, &[SLOW_MIDDLE, SEE]);
    let mut w = world();
    w.policy.boosts = vec![Boost { pattern: "sight/*".to_owned(), by: 10.0 }];
    first(w, SEE);
    let mut w = world();
    w.policy.forbid = vec!["*".to_owned()];
    none(w, NoRoute::Forbidden);
}

#[test]
fn an_empty_catalog_says_so() {
    let mut w = world();
    w.endpoints.clear();
    none(w, NoRoute::NothingConfigured);
}

#[test]
fn a_model_that_must_reason_is_avoided_by_who_wants_none() {
    let mut w = world();
    w.endpoints.retain(|e| &*e.key == SMALL || &*e.key == MIDDLE);
    w.endpoints.iter_mut().for_each(|e| e.model.tokens_per_s = Some(200.0));
    w.endpoints[0].model.reasoning_mandatory = true;
    w.facts.features.reasoning_effort = Some(0);
    first(w, MIDDLE);
}

#[test]
fn a_coding_model_gets_the_code() {
    let mut w = world().difficulty(0.9);
    w.endpoints[1].model.for_code = true;
    w.endpoints[2].model.quality = 0.62;
    let task = |task| {
        w.with(|inputs| {
            let inputs = Inputs {
                classification: Classification { task, difficulty: 0.9, output_tokens: 250 },
                ..*inputs
            };
            let plan = plan(&inputs).expect("open");
            inputs.catalog.endpoints[plan.candidates[0].endpoint as usize].key.to_string()
        })
    };
    assert_eq!(task(Task::Code), MIDDLE);
    assert_ne!(task(Task::Translation), MIDDLE);
}

/// As many equal endpoints as asked for, at one provider, and one worse elsewhere.
fn crowd(count: usize) -> Catalog {
    let (crowded, other) = (provider("crowded", false), provider("other", false));
    let model = |id: String, quality| Model { id, quality, ..Model::default() };
    let mut endpoints: Vec<_> = (0..count)
        .map(|i| Endpoint::new(Arc::clone(&crowded), model(format!("m{i}"), 0.5), format!("m{i}")))
        .collect();
    endpoints.push(Endpoint::new(
        other,
        Model { tokens_per_s: Some(1.0), ..model("x".to_owned(), 0.1) },
        "x".to_owned(),
    ));
    Catalog::new(endpoints)
}

fn planned(catalog: &Catalog, seed: u64) -> Vec<u32> {
    let facts = RequestFacts { choices: 1, ..RequestFacts::default() };
    let inputs = Inputs {
        facts: &facts,
        classification: Classification { task: Task::Qa, difficulty: 0.1, output_tokens: 250 },
        catalog,
        condition: &|_, _| Condition::default(),
        at_best: Some(&|_| AtBest::default()),
        policy: &Policy::default(),
        seed,
        last_chance: false,
        remembered: None,
    };
    plan(&inputs).expect("open").candidates.iter().map(|c| c.endpoint).collect()
}

#[test]
fn one_provider_never_holds_every_place() {
    let catalog = crowd(20);
    let chosen = planned(&catalog, 1);
    assert_eq!(chosen.len(), 8);
    assert_eq!(&*catalog.endpoints[chosen[2] as usize].key, "other/x");
}

#[test]
fn equals_are_ordered_by_the_seed_and_by_nothing_else() {
    let catalog = crowd(20);
    assert_eq!(planned(&catalog, 1), planned(&catalog, 1));
    let firsts: std::collections::BTreeSet<_> = (0..200).map(|seed| planned(&catalog, seed)[0]).collect();
    assert_eq!(firsts.len(), 20, "every equal comes first for some seed");
}

#[test]
fn an_explanation_reads_as_a_table() {
    let text = world().cooling(MIDDLE, 5_000).hard(Capability::Tools).with(|i| explain(i).to_string());
    assert!(text.starts_with("auto: qa, difficulty 0.05, quality weighs 9 %"), "{text}");
    assert!(text.contains("  1 fast/acme/small:free"), "{text}");
    assert!(text.contains("cooling for 5000 ms: rate_limited"), "{text}");
    let json =
        world().cooling(MIDDLE, 5_000).with(|i| serde_json::to_value(explain(i)).expect("serializable"));
    let last = &json["endpoints"][4];
    assert_eq!(last["outcome"]["out"]["reason"], "cooling", "{json}");
    assert_eq!(last["outcome"]["out"]["cause"], "rate_limited");
    assert_eq!(json["endpoints"][0]["outcome"]["chosen"], 1);
}

#[test]
fn an_explanation_says_why_nobody_is_left() {
    let explained = world().hard(Capability::AudioInput).with(explain);
    assert_eq!(explained.no_route.as_deref(), Some("no endpoints found that support audio input"));
    assert!(explained.endpoints.iter().all(|e| matches!(e.outcome, Outcome::Out(_))));
}

#[test]
fn what_its_replies_denied_an_endpoint_lacks_unless_nobody_else_can() {
    let denied = |c| Condition { denied: CapabilitySet::EMPTY.with(c), ..Condition::default() };
    let schemas = Capability::StructuredOutputs;
    let only = world().hard(schemas).is("slow/acme/large:free", denied(schemas));
    assert_eq!(only.keys(), Ok(vec!["slow/acme/large:free".to_owned()]), "what was learned may be wrong");
    let others = world().hard(Capability::Tools).is(SMALL, denied(Capability::Tools)).keys().expect("others");
    assert!(!others.contains(&SMALL.to_owned()), "{others:?}");
}

#[test]
fn an_endpoint_whose_limits_are_nearly_used_up_gives_way_to_its_equal() {
    let under = |pressure| Condition { pressure, ..Condition::default() };
    let hard = || world().hard(Capability::ResponseFormat);
    let room = |pressure| {
        let explained = hard().is(MIDDLE, under(pressure)).with(explain);
        let middle = explained.endpoints.into_iter().find(|e| e.key == MIDDLE).expect("listed");
        middle.score.expect("it can answer").room
    };
    assert_eq!(room(0.0), 1.0);
    assert!((0.6..0.8).contains(&room(1.0)));
}

#[test]
fn what_takes_images_is_spared_where_there_are_none() {
    let left = Condition { pressure: 0.6, ..Condition::default() };
    let room = |world: World| {
        let explained = world.is(SEE, left).with(explain);
        let see = explained.endpoints.into_iter().find(|e| e.key == SEE).expect("listed");
        see.score.expect("it can answer").room
    };
    assert!(room(world()) < room(world().hard(Capability::ImageInput)) - 0.01);
}

/// `LARGE` is strong, and its day is not far enough behind for easy requests.
fn ahead() -> Condition {
    Condition { ahead: -0.025, ..Condition::default() }
}

#[test]
fn what_is_kept_for_harder_requests_comes_after_the_others() {
    check(world().is(LARGE, ahead()), &[SMALL, MIDDLE, "slow/acme/middle", SEE, LARGE]);
    let hard = World { difficulty: 0.9, ..world().is(LARGE, ahead()) };
    assert_eq!(hard.keys().expect("open")[0], LARGE);
}

#[test]
fn what_is_kept_is_not_touched_while_others_are_only_busy() {
    let busy = || world().hard(Capability::ResponseFormat).is(LARGE, ahead());
    let busy = || busy().cooling(MIDDLE, 900).cooling("slow/acme/middle", 400);
    assert_eq!(busy().keys(), Err(NoRoute::Cooling { retry_after_ms: 400 }));
    let last = busy().with(|inputs| plan(&Inputs { last_chance: true, ..*inputs }));
    assert_eq!(last.map(|plan| plan.candidates.len()), Ok(1), "before it is refused");
}

#[test]
fn what_is_kept_is_used_where_nobody_else_can_answer() {
    let alone = world().hard(Capability::Seed).is(LARGE, ahead());
    assert_eq!(alone.keys(), Ok(vec![LARGE.to_owned()]));
}

#[test]
fn one_failure_among_many_is_no_reason_to_ask_the_failed_one() {
    let failed = Condition {
        availability: Availability::Cooling { for_ms: 5_000, cause: Cause::Misbehaving },
        ..Condition::default()
    };
    assert!(!world().is(SMALL, failed).keys().expect("open").contains(&SMALL.to_owned()));
}

#[test]
fn endpoints_that_failed_lately_are_the_last_resort_and_no_more() {
    let failed = |for_ms| Condition {
        availability: Availability::Cooling { for_ms, cause: Cause::ServerError },
        ..Condition::default()
    };
    let world = || world().hard(Capability::ImageInput);
    assert_eq!(world().is(SEE, failed(5_000)).keys(), Ok(vec![SEE.to_owned()]));
    let two = self::world().is(SMALL, failed(5_000)).keys().expect("others are open");
    assert!(!two.contains(&SMALL.to_owned()));
}
