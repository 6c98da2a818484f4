use super::*;

#[test]
fn provider_wishes_are_read() {
    let wishes = with(
        r#""provider":{"order":["groq","cerebras"],"only":["groq"],"ignore":["x"],"allow_fallbacks":false,"require_parameters":true,"data_collection":"deny","sort":"throughput","max_price":{"prompt":"1"},"quantizations":["fp8"],"new":1}"#,
    )
    .preferences;
    assert_eq!(wishes.order, ["groq", "cerebras"]);
    assert_eq!(wishes.only, ["groq"]);
    assert_eq!(wishes.ignore, ["x"]);
    assert!(wishes.no_fallbacks && wishes.require_parameters && wishes.deny_data_collection);
    assert_eq!(wishes.sort, Some(Sort::Throughput));
}

#[test]
fn neutral_provider_wishes_change_nothing() {
    let neutral = r#""provider":{"order":null,"only":[],"allow_fallbacks":true,"require_parameters":false,"data_collection":"allow","zdr":false,"sort":null}"#;
    assert_eq!(with(neutral).preferences, Default::default());
    assert_eq!(with(r#""provider":null"#).preferences, Default::default());
}

#[test]
fn privacy_is_asked_for_in_three_ways() {
    for wish in [r#""data_collection":"deny""#, r#""zdr":true"#, r#""enforce_distillable_text":true"#] {
        assert!(with(&format!(r#""provider":{{{wish}}}"#)).preferences.deny_data_collection, "{wish}");
    }
}

#[test]
fn sorting_is_a_word_or_an_object() {
    let sort = |json: &str| with(&format!(r#""provider":{{"sort":{json}}}"#)).preferences.sort;
    assert_eq!(sort(r#""price""#), Some(Sort::Price));
    assert_eq!(sort(r#""exacto""#), Some(Sort::Quality));
    assert_eq!(sort(r#"{"by":"latency","partition":"none"}"#), Some(Sort::Latency));
    assert_eq!(sort("{}"), None);
}

#[test]
fn unsound_provider_wishes_are_refused_by_name() {
    for (wish, param) in [
        (r#""order":"groq""#, "order"),
        (r#""only":[1]"#, "only.[0]"),
        (r#""allow_fallbacks":"no""#, "allow_fallbacks"),
        (r#""data_collection":"maybe""#, "data_collection"),
        (r#""sort":"best""#, "sort"),
        (r#""sort":{"by":"best"}"#, "sort.by"),
        (r#""zdr":1"#, "zdr"),
    ] {
        refuse_field(&format!(r#""provider":{{{wish}}}"#), &format!("provider.{param}"));
    }
}

#[test]
fn models_are_an_ordered_list() {
    assert_eq!(with(r#""models":["b","a"]"#).preferences.models, ["b", "a"]);
    refuse_field(r#""models":["b",null]"#, "models.[1]");
    refuse_field(&format!(r#""models":["{}"]"#, "m".repeat(1025)), "models.[0]");
    refuse_field(&format!(r#""models":["a"{}]"#, ",\"a\"".repeat(1024)), "models.[1024]");
    let patterns = |n: usize| format!(r#""models":["{}"]"#, vec!["m".repeat(1024); n].join("\",\""));
    with(&patterns(64));
    refuse_field(&patterns(65), "models.[64]");
}

#[test]
fn plugins_are_objects_or_bare_names() {
    let plugin = |json: &str| with(&format!(r#""plugins":[{json}]"#));
    let router =
        r#"{"allowed_models":["a/*"],"excluded_models":["*x"],"id":"auto-router","cost_tier":"low"}"#;
    assert_eq!(plugin(router).preferences.allowed_models, ["a/*"]);
    assert_eq!(plugin(router).preferences.excluded_models, ["*x"]);
    let off = router.replace("\"cost", "\"enabled\":false,\"cost");
    assert_eq!(plugin(&off).preferences, Default::default());
    for compression in [r#""context-compression""#, r#"{"id":"context-compression"}"#] {
        assert!(plugin(compression).preferences.context_compression);
    }
    check(&plugin(r#"{"id":"web"}"#), &[], &[Capability::WebSearchOptions]);
    check(&plugin(r#""web","file-parser",{"id":"unheard-of","x":1}"#), &[], &[Capability::WebSearchOptions]);
    refuse_field(r#""plugins":[1]"#, "plugins.[0]");
    refuse_field(r#""plugins":["web",{}]"#, "plugins.[1].id");
    refuse_field(r#""plugins":[{"id":"auto-router","allowed_models":"a"}]"#, "plugins.[0].allowed_models");
}

#[test]
fn settings_of_the_other_router_do_not_count() {
    let plugins = r#""plugins":[{"id":"auto-beta-router","allowed_models":["b"]},{"id":"auto-router","allowed_models":["a"]}]"#;
    assert_eq!(with(plugins).preferences.allowed_models, ["a"]);
    let beta = with(&format!(r#"{plugins},"model":"openrouter/auto-beta""#));
    assert_eq!(beta.preferences.allowed_models, ["b"]);
}

#[test]
fn middle_out_is_context_compression() {
    assert!(with(r#""transforms":["middle-out"]"#).preferences.context_compression);
    assert!(!with(r#""transforms":[]"#).preferences.context_compression);
    assert!(!with(r#""transforms":null"#).preferences.context_compression);
}

#[test]
fn a_session_is_named_by_its_id_or_its_cache_key() {
    let session = |fields: &str| with(fields).preferences.session;
    let cache_key = |fields: &str| with(fields).preferences.cache_key;
    assert_eq!(session(r#""prompt_cache_key":"k","session_id":"s""#).as_deref(), Some("s"));
    assert_eq!(cache_key(r#""prompt_cache_key":"k""#).as_deref(), Some("k"));
    assert_eq!(session(r#""session_id":"""#), None);
    assert!(session(&format!(r#""session_id":"{}""#, "é".repeat(256))).is_some());
    refuse_field(&format!(r#""session_id":"{}""#, "s".repeat(257)), "session_id");
    assert_eq!(cache_key(&format!(r#""prompt_cache_key":"{}""#, "s".repeat(9999))), None);
}

#[test]
fn speed_may_be_wished_for_by_number_or_percentile() {
    let wishes = |json: &str| with(&format!(r#""provider":{{{json}}}"#)).preferences;
    let throughput = |json: &str| wishes(&format!(r#""preferred_min_throughput":{json}"#)).min_tokens_per_s;
    assert_eq!(throughput("50"), Some(50.0));
    assert_eq!(throughput(r#"{"p90":20,"p50":80,"p99":5}"#), Some(80.0));
    assert_eq!(wishes(r#""preferred_max_latency":1.5"#).max_ttft_ms, Some(1_500.0));
    for harmless in ["null", "{}", r#""fast""#, "-1", "1e999", "[1]", r#"{"p50":null}"#, r#"{"x":1}"#] {
        assert_eq!(throughput(harmless), None, "{harmless}");
    }
}

#[test]
fn quantizations_are_read_whatever_their_case() {
    let quantizations =
        |json: &str| with(&format!(r#""provider":{{"quantizations":{json}}}"#)).preferences.quantizations;
    assert_eq!(quantizations(r#"["FP8","bf16"]"#), ["fp8", "bf16"]);
    assert!(quantizations("null").is_empty());
    refuse_field(r#""provider":{"quantizations":"fp8"}"#, "provider.quantizations");
}

#[test]
fn sorting_across_models_is_asked_for_by_partition() {
    let across = |json: &str| with(&format!(r#""provider":{{"sort":{json}}}"#)).preferences.across_models;
    assert!(across(r#"{"by":"latency","partition":"none"}"#));
    assert!(!across(r#"{"by":"latency","partition":"model"}"#));
    assert!(!across(r#"{"by":"latency","partition":null}"#) && !across(r#""latency""#));
    refuse_field(r#""provider":{"sort":{"partition":"all"}}"#, "provider.sort.partition");
}

#[test]
fn entries_of_one_plugin_keep_to_one_limit() {
    let entry = |patterns: usize| {
        format!(r#"{{"id":"auto-router","allowed_models":[{}]}}"#, vec![r#""a""#; patterns].join(","))
    };
    let plugins = |a: usize, b: usize| format!(r#""plugins":[{},{}]"#, entry(a), entry(b));
    assert_eq!(with(&plugins(1_000, 24)).preferences.allowed_models.len(), 1024);
    refuse_field(&plugins(1_000, 25), "plugins.[1].allowed_models");
}

#[test]
fn a_pin_is_the_model_that_the_last_answer_names() {
    let pinned = |settings: &str, answers: &str| {
        let body = format!(
            r#"{{"plugins":[{{"id":"auto-router"{settings}}}],"messages":[{{"role":"user","content":"hi"}}{answers}]}}"#
        );
        let facts = inspect(body.as_bytes()).expect("a request");
        (facts.preferences.pinned_model, facts.edits.message_models.len())
    };
    let answer = |model: &str| format!(r#",{{"role":"assistant","model":"{model}","content":"A"}}"#);
    let two = answer("a/b") + &answer("c/d");
    assert_eq!(pinned(r#","pin_model":true"#, &two), (Some("c/d".to_owned()), 2));
    assert_eq!(pinned(r#","pin_model":false"#, &two), (None, 0), "they are left alone");
    assert_eq!(pinned(r#","pin_model":true,"enabled":false"#, &two), (None, 0));
    assert_eq!(pinned(r#","pin_model":true"#, ""), (None, 0));
    let users = r#",{"role":"user","model":"c/d","content":"A"}"#;
    assert_eq!(pinned(r#","pin_model":true"#, users), (None, 0));
}

#[test]
fn a_conversation_is_known_by_its_first_messages() {
    let body = br#"{"messages":[{"role":"user","content":"hi"},{"content": [{"type":"text","text":"be brief"}],"role":"system"},{"role":"user","content":"more"}]}"#;
    let facts = inspect(body).expect("a request");
    let opening =
        facts.opening.map(|span| String::from_utf8_lossy(span.expect("there").of(body)).into_owned());
    assert_eq!(opening, [r#"[{"type":"text","text":"be brief"}]"#, r#""hi""#]);
}

#[test]
fn models_are_compared_as_written() {
    assert_eq!(with(r#""model":"Auto ""#).model.as_deref(), Some("Auto "));
    assert_eq!(with(r#""model":null"#).model, None);
}
