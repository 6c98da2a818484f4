//! Recorded shapes of every provider, read with the profile that comes with the program.

use super::*;
use crate::catalog::{ListProfile, ProviderFile, ProviderProfile};
use serde_json::Value;

const TODAY: Date = jiff::civil::date(2026, 8, 22);

fn profile(slug: &str) -> ProviderProfile {
    let file: ProviderFile =
        toml::from_str(crate::catalog::BUILT_IN).expect("the built-in profiles are valid");
    file.providers.into_iter().find(|p| p.slug == slug).expect("a built-in profile")
}

fn parse(profile: &ProviderProfile, body: &[u8]) -> Result<Listing, BadList> {
    let provider = profile.provider(Vec::new(), None, &|_| Some("x".to_owned())).expect("a usable profile");
    parse_models(&profile.list_rules(), body, &Arc::new(provider), TODAY)
}

fn fixture(slug: &str) -> Listing {
    recorded(slug, "models.json")
}

fn recorded(slug: &str, file: &str) -> Listing {
    parse(&profile(slug), &read(slug, file)).expect("a readable list")
}

fn read(slug: &str, file: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/{slug}/{file}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(path).expect("a recorded list")
}

/// Which ids a recorded list comes to.
fn check(slug: &str, served: &[&str], not_free: &[&str], skipped: &[(&str, &str)]) -> Listing {
    let listing = fixture(slug);
    let ids: Vec<_> = listing.models.iter().map(|e| e.model.id.as_str()).collect();
    assert_eq!(ids, served, "{slug}: served");
    assert_eq!(listing.not_free, not_free, "{slug}: not free");
    let left_out: Vec<_> = listing.skipped.iter().map(|(id, why)| (id.as_str(), *why)).collect();
    assert_eq!(left_out, skipped, "{slug}: skipped");
    listing
}

fn model<'a>(listing: &'a Listing, id: &str) -> &'a Model {
    &listing.models.iter().find(|e| e.model.id == id).expect("served").model
}

fn names(model: &Model) -> Vec<&'static str> {
    model.capabilities.iter().map(Capability::name).collect()
}

#[test]
fn openrouter_rows_pass_the_free_test_one_by_one() {
    let listing = check(
        "openrouter",
        &[
            "google/gemma-4-31b-it:free",
            "openai/gpt-oss-20b:free",
            "openrouter/owl-alpha",
            "acme/last-day:free",
            "acme/no-window:free",
            "acme/small-provider:free",
            "acme/bare:free",
            "acme/odd:free",
        ],
        &[
            "openai/gpt-oss-20b",
            "acme/per-request:free",
            "acme/no-completion-price",
            "acme/long-prompts-cost",
        ],
        &[
            ("openrouter/auto", "a router"),
            ("openrouter/free", "a router"),
            ("google/lyria-3-pro-preview", "output is not just text"),
            ("nvidia/nemotron-3.5-content-safety:free", "a classifier"),
            ("acme/gone:free", "expired"),
            ("~acme/last-day-latest", "another name of a listed model"),
            ("", "no usable id"),
            ("", "no usable id"),
            ("", "no usable id"),
        ],
    );
    let gemma = model(&listing, "google/gemma-4-31b-it:free");
    assert_eq!((gemma.context_tokens, gemma.max_output_tokens), (Some(262_144), Some(32_768)));
    assert_eq!(gemma.name, "Google: Gemma 4 31B (free)");
    let needs = |c| gemma.capabilities.contains(c);
    assert!(needs(Capability::ImageInput) && needs(Capability::VideoInput) && needs(Capability::Tools));
    assert!(needs(Capability::ResponseFormat) && !needs(Capability::StructuredOutputs));
}

#[test]
fn openrouter_limits_are_the_smallest_of_all_that_are_named() {
    let listing = fixture("openrouter");
    let limits = |id| {
        let m = model(&listing, id);
        (m.context_tokens, m.max_output_tokens)
    };
    assert_eq!(limits("acme/small-provider:free"), (Some(30_000), Some(4_096)));
    assert_eq!(limits("acme/no-window:free"), (None, None));
    assert_eq!(limits("acme/odd:free"), (None, None));
}

#[test]
fn an_alias_row_names_its_target() {
    let listing = fixture("openrouter");
    assert_eq!(model(&listing, "acme/last-day:free").aliases, ["~acme/last-day-latest"]);
}

#[test]
fn schemas_imply_json_and_reasoning_may_be_mandatory() {
    let listing = fixture("openrouter");
    let oss = model(&listing, "openai/gpt-oss-20b:free");
    assert!(oss.reasoning_mandatory);
    assert!(oss.capabilities.contains(Capability::ResponseFormat));
}

#[test]
fn groq_says_windows_and_the_profile_says_the_rest() {
    let listing = check(
        "groq",
        &[
            "llama-3.3-70b-versatile",
            "llama-3.1-8b-instant",
            "openai/gpt-oss-120b",
            "meta-llama/llama-4-scout-17b-16e-instruct",
            "groq/compound",
        ],
        &[],
        &[
            ("whisper-large-v3", "not a chat model"),
            ("meta-llama/llama-guard-4-12b", "a classifier"),
            ("qwen-2.5-32b", "not active"),
        ],
    );
    let versatile = model(&listing, "llama-3.3-70b-versatile");
    assert_eq!((versatile.context_tokens, versatile.max_output_tokens), (Some(12_000), Some(32_768)));
    assert!(versatile.capabilities.contains(Capability::Tools));
    assert!(!model(&listing, "groq/compound").capabilities.contains(Capability::Tools));
    assert!(names(model(&listing, "meta-llama/llama-4-scout-17b-16e-instruct")).contains(&"image"));
}

#[test]
fn cerebras_takes_tools_but_does_not_force_them() {
    let listing = check("cerebras", &["gpt-oss-120b", "llama3.1-8b"], &[], &[]);
    let oss = model(&listing, "gpt-oss-120b");
    assert_eq!((oss.name.as_str(), oss.context_tokens), ("OpenAI GPT OSS", Some(60_000)));
    assert!(oss.capabilities.contains(Capability::ReasoningEffort));
    assert_eq!(model(&listing, "llama3.1-8b").context_tokens, Some(32_768));
    // Where the format is not known there, the plain list is as good.
    let listing = recorded("cerebras", "models-plain.json");
    let oss = model(&listing, "gpt-oss-120b");
    assert!(
        oss.capabilities.contains(Capability::Tools) && !oss.capabilities.contains(Capability::ToolChoice)
    );
    assert_eq!(oss.context_tokens, Some(60_000));
    assert_eq!(model(&listing, "llama3.1-8b").context_tokens, Some(8_192));
}

#[test]
fn gemini_ids_lose_their_prefix() {
    let listing = check(
        "gemini",
        &["gemini-2.5-flash", "gemini-2.5-flash-lite", "gemma-3-27b-it"],
        &[],
        &[
            ("gemini-2.5-pro", "excluded by the provider's profile"),
            ("gemini-embedding-001", "not a chat model"),
            ("gemini-2.5-flash-preview-tts", "not a chat model"),
            ("imagen-4.0-generate-001", "not a chat model"),
        ],
    );
    assert_eq!(listing.models[0].upstream_model, "gemini-2.5-flash");
    assert_eq!(&*listing.models[0].key, "gemini/gemini-2.5-flash");
    assert!(names(&listing.models[0].model).contains(&"audio"));
}

#[test]
fn mistral_lists_a_model_once_under_all_its_names() {
    let listing = check(
        "mistral",
        &["mistral-large-2411", "pixtral-12b-2409"],
        &[],
        &[
            ("mistral-large-latest", "another name of a listed model"),
            ("open-mistral-7b", "expired"),
            ("mistral-embed", "not a chat model"),
        ],
    );
    assert_eq!(model(&listing, "mistral-large-2411").aliases, ["mistral-large-latest"]);
    assert!(names(model(&listing, "pixtral-12b-2409")).contains(&"image"));
}

#[test]
fn nvidia_lists_everything_it_has() {
    let listing = check(
        "nvidia",
        &["meta/llama-3.3-70b-instruct", "openai/gpt-oss-120b"],
        &[],
        &[
            ("baai/bge-m3", "not a chat model"),
            ("nvidia/llama-3.1-nemotron-70b-reward", "not a chat model"),
            ("nvidia/nv-embed-v1", "not a chat model"),
            ("nvidia/llama-3.1-nemoguard-8b-topic-control", "a classifier"),
        ],
    );
    assert_eq!(model(&listing, "meta/llama-3.3-70b-instruct").context_tokens, Some(131_072));
}

#[test]
fn github_caps_its_free_tier() {
    let listing = check(
        "github",
        &["openai/gpt-4.1-mini", "microsoft/phi-4"],
        &[],
        &[
            ("openai/gpt-5", "excluded by the provider's profile"),
            ("openai/text-embedding-3-small", "output is not just text"),
        ],
    );
    let mini = model(&listing, "openai/gpt-4.1-mini");
    assert_eq!((mini.context_tokens, mini.max_output_tokens), (Some(8_000), Some(4_000)));
    assert!(names(mini).contains(&"image") && names(mini).contains(&"tools"));
    assert!(!names(model(&listing, "microsoft/phi-4")).contains(&"tools"));
}

#[test]
fn cloudflare_names_models_beside_the_id() {
    let listing = check(
        "cloudflare",
        &["@cf/meta/llama-3.3-70b-instruct-fp8-fast", "@cf/openai/gpt-oss-120b"],
        &[],
        &[
            ("@cf/meta/llama-2-7b-chat-int8", "expired"),
            ("@cf/baai/bge-large-en-v1.5", "not a chat model"),
            ("@cf/black-forest-labs/flux-1-schnell", "not a chat model"),
        ],
    );
    let llama = &listing.models[0].model;
    assert_eq!(llama.context_tokens, Some(24_000));
    assert!(names(llama).contains(&"tools"));
}

#[test]
fn cohere_lists_endpoints_and_features() {
    let listing = check(
        "cohere",
        &["command-a-03-2025", "command-a-vision-07-2025"],
        &[],
        &[
            ("embed-v4.0", "not a chat model"),
            ("rerank-v3.5", "not a chat model"),
            ("command-light", "not active"),
        ],
    );
    let command = names(model(&listing, "command-a-03-2025"));
    assert!(command.contains(&"structured_outputs") && command.contains(&"tools"));
    assert!(names(model(&listing, "command-a-vision-07-2025")).contains(&"image"));
}

#[test]
fn sambanova_is_free_by_its_key_whatever_it_lists() {
    let skipped = [("Whisper-Large-v3", "not a chat model")];
    let listing = check("sambanova", &["Meta-Llama-3.3-70B-Instruct"], &[], &skipped);
    assert_eq!(listing.models[0].model.max_output_tokens, Some(3_072));
}

#[test]
fn together_sells_most_of_its_bare_array() {
    let free = "meta-llama/Llama-3.3-70B-Instruct-Turbo-Free";
    let paid = "meta-llama/Llama-3.3-70B-Instruct-Turbo";
    let listing =
        check("together", &[free], &[paid], &[("black-forest-labs/FLUX.1-schnell-Free", "not a chat model")]);
    assert_eq!(listing.models[0].model.name, "Llama 3.3 70B Instruct Turbo Free");
}

#[test]
fn hugging_face_calls_the_provider_that_costs_nothing() {
    let listing = check(
        "huggingface",
        &["openai/gpt-oss-120b"],
        &["Qwen/Qwen3-32B", "acme/no-price"],
        &[("google/gemma-3-27b-it", "not active")],
    );
    assert_eq!(listing.models[0].upstream_model, "openai/gpt-oss-120b:gratis");
    assert_eq!(listing.models[0].model.context_tokens, Some(32_768));
}

#[test]
fn servers_of_ones_own_list_what_they_run() {
    let llamacpp = check("llamacpp", &["gemma-3-4b-it-Q4_K_M.gguf"], &[], &[]);
    assert_eq!(llamacpp.models[0].model.context_tokens, Some(8_192));
    assert!(names(&llamacpp.models[0].model).contains(&"image"));
    let vllm = check("vllm", &["Qwen/Qwen3-8B"], &[], &[]);
    assert_eq!(vllm.models[0].model.context_tokens, Some(40_960));
}

#[test]
fn ollama_describes_its_models_one_by_one() {
    let list = read("ollama", "models.json");
    let described: HashMap<String, Value> =
        serde_json::from_slice(&read("ollama", "show.json")).expect("descriptions");
    let names: Vec<_> = described.keys().map(String::as_str).collect();
    let to_describe = undescribed(&list);
    assert_eq!(to_describe.len(), names.len());
    assert_eq!(to_describe[0], ("llama3.2:latest".to_owned(), "sha256:00".to_owned()));

    let list = with_descriptions(&list, |name| description(described.get(name)?.to_string().as_bytes()));
    let listing = parse(&profile("ollama"), &list).expect("a readable list");

    let ids: Vec<_> = listing.models.iter().map(|e| e.model.id.as_str()).collect();
    assert_eq!(ids, ["llama3.2:latest", "qwen3-vl:8b"]);
    assert_eq!(listing.skipped, [("nomic-embed-text:latest".to_owned(), "not a chat model")]);
    let can = |id, c| model(&listing, id).capabilities.contains(c);
    assert!(can("qwen3-vl:8b", Capability::ImageInput) && can("qwen3-vl:8b", Capability::Reasoning));
    assert!(can("llama3.2:latest", Capability::Tools) && !can("llama3.2:latest", Capability::ImageInput));
    let window = |id| model(&listing, id).context_tokens;
    assert_eq!(window("llama3.2:latest"), Some(16_384), "what it is run with, not what it could");
    assert_eq!(window("qwen3-vl:8b"), Some(2_048), "the usual window, but no more than it could");
}

#[test]
fn a_model_that_could_not_be_described_is_served_as_listed() {
    let list = with_descriptions(&read("ollama", "models.json"), |_| None);
    let listing = parse(&profile("ollama"), &list).expect("a readable list");
    let llama = model(&listing, "llama3.2:latest");
    assert_eq!(llama.context_tokens, Some(4_096));
    assert!(!llama.capabilities.contains(Capability::Tools), "nobody said so");
    assert_eq!(with_descriptions(b"no list", |_| None), b"no list");
}

#[test]
fn an_unusable_list_is_refused_as_a_whole() {
    let check = |body: &str, expect| {
        assert_eq!(
            parse(&profile("openrouter"), body.as_bytes()).map(|l| l.models.len()),
            Err(expect),
            "{:.40}",
            body
        );
    };
    check("", BadList::NotJson(0));
    check(&"[".repeat(100_000), BadList::NotJson(100_000));
    check("<html>", BadList::NotJson(1));
    check("{\"data\":\n [1,}", BadList::NotJson(14));
    check("{\"error\":{\"message\":\"no\"}}", BadList::WrongShape);
    check("{\"data\":{}}", BadList::WrongShape);
    check("{\"data\":[]}", BadList::Empty);
    let long = format!("{{\"data\":[{}0]}}", "0,".repeat(MAX_ROWS));
    check(&long, BadList::TooLong(MAX_ROWS + 1));
}

#[test]
fn no_single_row_breaks_a_list() {
    let good = r#"{"id":"a/b:free","pricing":{"prompt":"0","completion":"0"}}"#;
    let bad = ["null", "[]", "\"x\"", "{}", r#"{"id":7}"#, r#"{"id":""}"#, r#"{"id":"sp ace"}"#, "1e999999"];
    for bad in bad {
        let body = format!("{{\"data\":[{bad},{good},{bad}]}}");
        let listing = parse(&profile("openrouter"), body.as_bytes()).expect("readable");
        assert_eq!(listing.models.len(), 1, "{bad}");
        assert_eq!(listing.skipped.len(), 2, "{bad}");
    }
}

#[test]
fn a_gateway_that_wraps_or_unwraps_a_list_is_read_all_the_same() {
    let rules = ListRules { dialect: ListDialect::Together, by_price: false, ..ListRules::default() };
    let provider = Arc::new(profile("together").provider(Vec::new(), None, &|_| None).expect("usable"));
    for body in [r#"[{"id":"a"}]"#, r#"{"data":[{"id":"a"}]}"#] {
        let listing = parse_models(&rules, body.as_bytes(), &provider, TODAY).expect("readable");
        assert_eq!(listing.models.len(), 1);
    }
    assert_eq!(ListProfile::default().path, "/models");
}
