use super::*;
use crate::catalog::{Capability, Model, OutputLimitField};

fn built_in() -> Vec<ProviderProfile> {
    toml::from_str::<ProviderFile>(BUILT_IN).expect("the built-in profiles are valid").providers
}

fn profile(toml: &str) -> ProviderProfile {
    toml::from_str(toml).expect("a valid profile")
}

fn variables(name: &str) -> Option<String> {
    (name == "CLOUDFLARE_ACCOUNT_ID").then(|| "acc0".to_owned())
}

#[test]
fn every_built_in_profile_makes_a_provider() {
    let mut slugs: Vec<_> = built_in()
        .iter()
        .map(|p| p.provider(Vec::new(), None, &variables).expect("a usable profile").slug)
        .collect();
    slugs.sort_unstable();
    let count = slugs.len();
    slugs.dedup();
    assert_eq!(slugs.len(), count, "each slug once");
    for slug in ["openrouter", "groq", "cerebras", "gemini", "mistral", "nvidia", "github", "cloudflare"] {
        assert!(slugs.iter().any(|s| s == slug), "{slug}");
    }
    for slug in ["cohere", "sambanova", "together", "huggingface", "ollama", "llamacpp", "vllm"] {
        assert!(slugs.iter().any(|s| s == slug), "{slug}");
    }
}

#[test]
fn remote_profiles_name_their_key_and_use_tls_and_local_ones_need_neither() {
    for p in built_in() {
        assert_eq!(p.local, p.key_env.is_none(), "{}", p.slug);
        assert_eq!(p.local, !p.base_url.starts_with("https://"), "{}", p.slug);
        assert!(!p.terms.note.is_empty(), "{}", p.slug);
    }
}

#[test]
fn sellers_of_models_are_read_by_price() {
    let by_price: Vec<_> =
        built_in().into_iter().filter(|p| p.list_rules().by_price).map(|p| p.slug).collect();
    assert_eq!(by_price, ["openrouter", "together", "huggingface"]);
}

#[test]
fn a_list_may_lie_below_the_base_or_elsewhere() {
    let url = |slug: &str| {
        let profiles = built_in();
        let p = profiles.iter().find(|p| p.slug == slug).expect("built in");
        let provider = p.provider(Vec::new(), None, &variables).expect("usable");
        p.url(&p.list.path, &provider.base, &variables).expect("no variable missing")
    };
    assert_eq!(url("groq"), "https://api.groq.com/openai/v1/models");
    assert_eq!(url("github"), "https://models.github.ai/catalog/models");
    assert_eq!(url("ollama"), "http://127.0.0.1:11434/api/tags");
    assert!(
        url("cloudflare").starts_with("https://api.cloudflare.com/client/v4/accounts/acc0/ai/models/search")
    );
}

#[test]
fn a_missing_variable_is_named() {
    let p = profile("slug = \"x\"\nbase_url = \"https://h/${ACCOUNT}/v1\"");
    let expect = BadProfile::Variable { slug: "x".to_owned(), variable: "ACCOUNT".to_owned() };
    assert_eq!(p.provider(Vec::new(), None, &|_| None).map(|p| p.slug), Err(expect));
    assert!(p.provider(Vec::new(), None, &|_| Some("a".to_owned())).is_ok());
    assert!(p.provider(Vec::new(), Some("http://127.0.0.1:1/v1"), &|_| None).is_ok());
}

#[test]
fn unknown_settings_and_bad_figures_are_refused() {
    let parse = |extra: &str| {
        let text = format!("slug = \"x\"\nbase_url = \"https://h\"\n{extra}");
        toml::from_str::<ProviderProfile>(&text).map_err(|e| e.to_string())
    };
    assert!(parse("colour = 1").is_err());
    assert!(parse("[fields]\nstripp = []").is_err());
    assert!(parse("[defaults]\ncapabilities = [\"telepathy\"]").is_err());
    let p = parse("[[model]]\nmatch = \"*\"\nquality = 1.5").expect("well formed");
    assert!(matches!(p.provider(Vec::new(), None, &|_| None), Err(BadProfile::Quality { .. })));
    let p = profile("slug = \"A b\"\nbase_url = \"https://h\"");
    assert!(matches!(p.provider(Vec::new(), None, &|_| None), Err(BadProfile::Slug(_))));
}

#[test]
fn fields_read_as_written() {
    let p = profile(
        "slug = \"m\"\nbase_url = \"https://h/v1\"\nauth = { header = \"api-key\" }\n\
         [fields]\noutput_limit = \"max_tokens\"\nstrip = [\"n\"]\nrename = [[\"seed\", \"random_seed\"]]",
    );
    let provider = p.provider(vec![Secret::new("k").expect("a key")], None, &|_| None).expect("usable");
    assert_eq!(provider.auth, Auth::Header("api-key".to_owned()));
    assert_eq!(provider.profile.output_limit, OutputLimitField::MaxTokens);
    assert_eq!(provider.profile.rename, [("seed".to_owned(), "random_seed".to_owned())]);
}

#[test]
fn later_rules_win_and_caps_always_hold() {
    let p = profile(
        "slug = \"x\"\nbase_url = \"https://h\"\n\
         [defaults]\ncontext_tokens = 100\ncontext_cap_tokens = 150\n\
         [[model]]\nmatch = \"big*\"\ncontext_tokens = 900\nquality = 0.9\ncapabilities = [\"tools\", \"seed\"]\n\
         [[model]]\nmatch = \"*-old\"\nquality = 0.2\nlacks = [\"tools\"]",
    );
    let mut model = Model { id: "big-old".to_owned(), ..Model::default() };
    p.list_rules().apply(&mut model);
    assert_eq!((model.context_tokens, model.quality), (Some(150), 0.2));
    assert!(model.capabilities.contains(Capability::Seed));
    assert!(!model.capabilities.contains(Capability::Tools));
    let mut other = Model { id: "x".to_owned(), ..Model::default() };
    p.list_rules().apply(&mut other);
    assert_eq!(other.context_tokens, Some(100));
}
