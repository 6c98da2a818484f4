use super::*;
use TaskGroup::{Code, Knowledge, Language, Math, Writing};

fn filled(model: Model) -> Model {
    let mut model = model;
    fill_in(&mut model);
    model
}

fn named(id: &str) -> Model {
    filled(Model { id: id.to_owned(), ..Model::default() })
}

fn of(model: &Model, group: TaskGroup) -> f32 {
    model.strengths.of(group).expect("filled in")
}

/// Each model is better than the one before.
#[track_caller]
fn check(ascending: &[&str]) {
    for pair in ascending.windows(2) {
        assert!(named(pair[0]).quality < named(pair[1]).quality, "{} before {}", pair[0], pair[1]);
    }
}

#[test]
fn the_published_table_is_in_order() {
    let published: Published = toml::from_str(PUBLISHED).expect("it is read");
    for (name, benchmark) in &published.benchmarks {
        let ascends = |pair: &[(f32, f32)]| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1;
        assert!(benchmark.points.len() > 1 && benchmark.points.windows(2).all(ascends), "{name}");
        assert!(benchmark.points.iter().all(|(_, strength)| (0.0..=1.0).contains(strength)), "{name}");
        assert!(!benchmark.groups.is_empty(), "{name} says something");
        let used = published.families.values().any(|family| family.scores.contains_key(name));
        assert!(used, "{name} is of some family");
    }
    for (name, scores) in &published.families {
        assert!(scores.quality.is_none_or(|quality| quality > 0.0 && quality <= 1.0), "{name}");
        let most = |benchmark: &str| if benchmark == "arena" { 2_000.0 } else { 100.0 };
        assert!(
            scores.scores.iter().all(|(benchmark, score)| (0.0..=most(benchmark)).contains(score)),
            "{name}"
        );
    }
    for source in published.sources.keys() {
        assert!(
            published.families.values().any(|family| family.from.contains(source)),
            "{source} says something"
        );
    }
    let families = parse(PUBLISHED).expect("every name is known");
    assert!(families.iter().all(|(_, family)| (0.0..=1.0).contains(&family.quality)));
}

#[test]
fn larger_and_later_members_of_a_family_are_better() {
    check(&["gpt-5-nano", "openai/gpt-5-mini", "openai/gpt-5"]);
    check(&["llama-3.1-8b-instant", "llama-3.3-70b-versatile", "llama-3.1-405b-instruct"]);
    check(&["gemini-2.5-flash-lite", "gemini-2.5-flash", "gemini-2.5-pro"]);
    check(&["openai/gpt-oss-20b:free", "openai/gpt-oss-120b"]);
    check(&[
        "mistral-7b-instruct-v0.3",
        "mixtral-8x7b-instruct",
        "mistral-small-3.1",
        "mistral-large-latest",
    ]);
    check(&["qwen2.5-7b-instruct", "qwen2.5-72b-instruct", "qwen3-235b-a22b", "qwen3.5-397b-a17b"]);
}

#[test]
fn the_anchors_are_where_they_are_said_to_be() {
    assert!((named("llama-3.1-8b-instruct").quality - 0.40).abs() < 0.01);
    assert!((0.88..0.95).contains(&named("deepseek-v4-pro").quality));
}

#[test]
fn one_model_has_many_spellings() {
    let [a, b, c] =
        ["llama3.1:8b", "Meta-Llama-3.1-8B-Instruct", "@cf/meta/llama-3.1-8b-instruct"].map(named);
    assert_eq!((a.quality, b.quality), (b.quality, c.quality));
    assert_ne!(named("llama-3.1-8b").quality, named("myllama-3.1-8b").quality, "a word begins there");
}

#[test]
fn the_longest_name_that_fits_counts() {
    assert!(named("deepseek-r1-distill-llama-8b").quality < named("deepseek-r1").quality);
    assert!(named("gpt-4o-mini").quality < named("gpt-4o").quality);
    assert_eq!(named("hermes-3-llama-3.1-405b").quality, 0.60);
}

#[test]
fn models_differ_by_group() {
    let reasons = named("openai/gpt-oss-120b");
    assert!(of(&reasons, Math) > of(&reasons, Writing) + 0.1);
    let chats = named("google/gemma-3-12b-it");
    assert!(of(&chats, Writing) > of(&chats, Knowledge) + 0.1);
}

#[test]
fn of_an_unknown_family_every_strength_is_its_quality() {
    let model = named("acme/new-70b");
    assert!(TaskGroup::ALL.iter().all(|group| of(&model, *group) == model.quality));
}

#[test]
fn a_model_made_for_code_is_better_at_that() {
    let model = filled(Model { id: "acme/coder-70b".to_owned(), for_code: true, ..Model::default() });
    assert!(of(&model, Code) > of(&model, Math) && of(&model, Math) > of(&model, Language));
    let measured = filled(Model { id: "codestral".to_owned(), for_code: true, ..Model::default() });
    assert_eq!(of(&measured, Code), of(&named("codestral"), Code), "what is measured is not guessed");
}

#[test]
fn a_quality_that_is_said_moves_every_strength() {
    let id = "llama-3.3-70b".to_owned();
    let usual = named(&id);
    let better = filled(Model { id, quality: usual.quality + 0.1, ..Model::default() });
    for group in TaskGroup::ALL {
        assert!((of(&better, group) - of(&usual, group) - 0.1).abs() < 1e-5);
    }
}

#[test]
fn a_strength_that_is_said_stays() {
    let said: Strengths = toml::from_str("code = 0.9").expect("in range");
    let model = filled(Model { id: "llama-3.3-70b".to_owned(), strengths: said, ..Model::default() });
    assert_eq!(of(&model, Code), 0.9);
    assert_eq!(of(&model, Math), of(&named("llama-3.3-70b"), Math));
    assert_eq!(filled(model.clone()), model, "and filling in again changes nothing");
}

#[test]
fn strengths_are_shares_of_known_groups() {
    for wrong in ["code = 0.0", "code = 1.1", "code = nan", "cooking = 0.5"] {
        assert!(toml::from_str::<Strengths>(wrong).is_err(), "{wrong}");
    }
    let said: Strengths = toml::from_str("code = 0.5\nknowledge = 1.0").expect("in range");
    assert_eq!(serde_json::to_string(&said).expect("plain"), r#"{"knowledge":1.0,"code":0.5}"#);
}
