use super::super::inspect::inspect;
use super::*;
use crate::catalog::{CapabilitySet, FieldProfile, Model, Provider};
use proptest::prelude::*;
use serde_json::value::RawValue;
use std::sync::Arc;

const ALL: fn() -> CapabilitySet = || Capability::ALL.iter().copied().collect();

fn endpoint(profile: FieldProfile, capabilities: CapabilitySet) -> Endpoint {
    let base = "http://localhost".parse().expect("a URL");
    let provider = Provider { profile, ..Provider::new("p", base) };
    let model = Model { id: "m".into(), capabilities, ..Model::default() };
    Endpoint::new(Arc::new(provider), model, "up/m".into())
}

fn apply(body: &str, endpoint: &Endpoint) -> String {
    let body = Bytes::copy_from_slice(body.as_bytes());
    let facts = inspect(&body).expect("a sound body");
    let rope = rewrite(&body, &facts, endpoint);
    assert_eq!(rope.len(), rope.parts().iter().map(Bytes::len).sum::<usize>());
    String::from_utf8(rope.parts().concat()).expect("UTF-8")
}

const MESSAGES: &str = r#""messages":[{"role":"user","content":"hi"}]"#;

/// Rewrites `{"model":"auto",MESSAGES FIELDS}` and gives what stands in the place of FIELDS.
fn check_with(endpoint: &Endpoint, fields: &str, expect: &str) {
    let out = apply(&format!(r#"{{"model":"auto",{MESSAGES}{fields}}}"#), endpoint);
    assert_eq!(out, format!(r#"{{"model":"up/m",{MESSAGES}{expect}}}"#), "{fields}");
}

/// The same for a provider that knows OpenAI's fields and a model that can do everything.
fn check(fields: &str, expect: &str) {
    check_with(&endpoint(FieldProfile::default(), ALL()), fields, expect);
}

fn check_profile(profile: FieldProfile, fields: &str, expect: &str) {
    check_with(&endpoint(profile, ALL()), fields, expect);
}

fn check_lacking(lacking: &[Capability], fields: &str, expect: &str) {
    let mut capabilities = ALL();
    lacking.iter().for_each(|c| capabilities.remove(*c));
    check_with(&endpoint(FieldProfile::default(), capabilities), fields, expect);
}

fn router() -> FieldProfile {
    FieldProfile { router_fields: true, ..FieldProfile::default() }
}

#[test]
fn only_the_model_changes_in_a_plain_request() {
    check("", "");
    let body = " {\n \"a\" : 1e400 ,\t\"mod\\u0065l\":\"openrouter/auto\" , \"messages\" : \
                [{\"role\":\"user\",\"content\":\"\\u00e9\"}], \"z\":12345678901234567890\n}\n";
    let out = apply(body, &endpoint(FieldProfile::default(), ALL()));
    assert_eq!(out, body.replace("openrouter/auto", "up/m"));
}

#[test]
fn auto_and_its_long_name_go_out_alike() {
    let endpoint = endpoint(FieldProfile::default(), ALL());
    let body = |model| format!(r#"{{"model":"{model}",{MESSAGES}}}"#);
    assert_eq!(apply(&body("auto"), &endpoint), apply(&body("openrouter/auto"), &endpoint));
}

#[test]
fn a_missing_model_is_added_and_a_null_one_replaced() {
    let endpoint = endpoint(FieldProfile::default(), ALL());
    assert_eq!(apply(&format!("{{{MESSAGES}}}"), &endpoint), format!(r#"{{{MESSAGES},"model":"up/m"}}"#));
    assert_eq!(
        apply(&format!(r#"{{"model":null,{MESSAGES}}}"#), &endpoint),
        format!(r#"{{"model":"up/m",{MESSAGES}}}"#)
    );
}

#[test]
fn usage_is_asked_of_every_stream() {
    let asked = r#","stream":true,"stream_options":{"include_usage":true}"#;
    check(r#","stream":true"#, asked);
    check(r#","stream":true,"stream_options":{"include_usage":false,"x":1}"#, asked);
    check(r#","stream":true,"stream_options":null"#, asked);
    check(r#","stream":false,"stream_options":{"include_usage":true}"#, r#","stream":false"#);
    let silent = FieldProfile { no_stream_options: true, ..FieldProfile::default() };
    check_profile(silent.clone(), r#","stream":true"#, r#","stream":true"#);
    check_profile(silent, r#","stream_options":{},"stream":true"#, r#","stream":true"#);
}

#[test]
fn the_output_limit_goes_out_under_the_providers_name() {
    let spelled = |output_limit| FieldProfile { output_limit, ..FieldProfile::default() };
    let both = r#","max_tokens":1,"max_completion_tokens":2"#;
    for (spelling, name) in [
        (OutputLimitField::MaxTokens, "max_tokens"),
        (OutputLimitField::MaxCompletionTokens, "max_completion_tokens"),
    ] {
        let profile = || spelled(spelling);
        check_profile(profile(), r#","max_tokens": 1"#, &format!(r#","{name}": 1"#));
        check_profile(profile(), r#","max_completion_tokens":2"#, &format!(r#","{name}":2"#));
        check_profile(profile(), both, &format!(r#","{name}":2"#));
        check_profile(
            profile(),
            r#","max_completion_tokens":null,"max_tokens":1"#,
            &format!(r#","{name}":1"#),
        );
    }
    check(both, r#","max_completion_tokens":2"#);
    check_lacking(&[Capability::MaxTokens], r#","max_tokens":1"#, r#","max_tokens":1"#);
}

#[test]
fn routing_fields_stay_with_the_router() {
    let ours = r#","provider":{},"models":["a"],"route":"fallback","plugins":["web"],"transforms":[],"session_id":"s","trace":{},"debug":{},"usage":{"include":true}"#;
    check(ours, "");
    check(&format!(r#"{ours},"x":1"#), r#","x":1"#);
}

#[test]
fn a_router_is_told_nothing_that_costs_or_leaks() {
    let kept = r#","provider":{"sort":"price"},"session_id":"s","transforms":[],"reasoning":{"effort":"low"},"unknown":1"#;
    check_profile(router(), kept, kept);
    check_profile(
        router(),
        r#","models":["paid"],"route":"fallback","debug":{"echo_upstream_body":true},"web_search_options":{}"#,
        "",
    );
    check_profile(router(), r#","plugins":[{"id":"auto-router"},{"id":"web"},"pareto-router"]"#, "");
    check_profile(
        router(),
        r#","plugins":["web",{"id":"context-compression"}, "response-healing",{"id":"fusion"}]"#,
        r#","plugins":[{"id":"context-compression"},"response-healing"]"#,
    );
}

#[test]
fn parameters_the_model_lacks_are_stripped() {
    check_lacking(
        &[Capability::Seed, Capability::Logprobs, Capability::TopLogprobs],
        r#","seed":1,"logprobs":true,"top_logprobs":2,"temperature":0.5"#,
        r#","temperature":0.5"#,
    );
    // Providers refuse the second without the first.
    check_lacking(&[Capability::Logprobs], r#","logprobs":true,"top_logprobs":2"#, "");
    check_lacking(&[Capability::MultipleChoices], r#","n":1"#, "");
    check_lacking(
        &[Capability::ReasoningEffort],
        r#","reasoning_effort":"low""#,
        r#","reasoning_effort":"low""#,
    );
    check_lacking(
        &[Capability::ReasoningEffort, Capability::Reasoning],
        r#","reasoning_effort":"low","reasoning":{"effort":"low"}"#,
        "",
    );
}

#[test]
fn forbidden_tools_go_where_the_model_cannot_take_them() {
    let tools = r#","tools":[{"type":"function","function":{"name":"f"}}]"#;
    let forbidden = format!(r#"{tools},"tool_choice":"none","parallel_tool_calls":true"#);
    check(&forbidden, &forbidden);
    check_lacking(&[Capability::Tools], &forbidden, "");
    check_lacking(&[Capability::ToolChoice], &forbidden, "");
    let free = format!(r#"{tools},"tool_choice":"auto""#);
    check_lacking(&[Capability::ToolChoice], &free, tools);
    let functions = r#","functions":[{"name":"f"}],"function_call":"none""#;
    check(functions, functions);
    check_lacking(&[Capability::Tools], functions, "");
}

#[test]
fn no_tools_leave_no_trace() {
    check(r#","tools":[],"tool_choice":"auto","parallel_tool_calls":false"#, "");
    check(r#","tools":null,"tool_choice":"none""#, "");
}

#[test]
fn nulls_of_known_fields_are_dropped_and_of_unknown_ones_kept() {
    check(r#","temperature":null,"x":null,"stop":null"#, r#","x":null"#);
}

#[test]
fn reasoning_is_told_in_the_providers_words() {
    check(r#","reasoning":{"effort":"xhigh"}"#, r#","reasoning_effort":"high""#);
    check(r#","reasoning":{"effort":"minimal","exclude":true}"#, r#","reasoning_effort":"low""#);
    check(r#","reasoning":{"effort":"none"}"#, r#","reasoning_effort":"none""#);
    check(r#","reasoning":{"max_tokens":100}"#, "");
    check(r#","reasoning":{"effort":"low"},"reasoning_effort":"low""#, r#","reasoning_effort":"low""#);
    check(r#","reasoning_effort":null,"reasoning":{"effort":"low"}"#, r#","reasoning_effort":"low""#);
    let strict = FieldProfile { strip: vec!["reasoning_effort".into()], ..FieldProfile::default() };
    check_profile(strict, r#","reasoning":{"effort":"low"}"#, "");
    let mut thinker = endpoint(FieldProfile::default(), ALL());
    thinker.model.reasoning_mandatory = true;
    check_with(&thinker, r#","reasoning":{"effort":"none"}"#, "");
}

#[test]
fn a_strict_provider_gets_no_field_it_does_not_know() {
    let strict = FieldProfile { known_fields_only: true, ..FieldProfile::default() };
    check_profile(strict, r#","x":1,"top_k":3,"user":"u","stop":["a"]"#, r#","user":"u","stop":["a"]"#);
}

#[test]
fn profiles_strip_and_rename() {
    let profile = FieldProfile {
        strip: vec!["service_tier".into(), "odd\"name".into()],
        rename: vec![("seed".into(), "random_seed".into())],
        ..FieldProfile::default()
    };
    check_profile(profile.clone(), r#","seed":7,"service_tier":"auto","odd\"name":1"#, r#","random_seed":7"#);
    check_profile(profile.clone(), r#","seed":7,"random_seed":8"#, r#","random_seed":8"#);
    check_profile(profile, r#","random_seed":8,"seed":7"#, r#","random_seed":8"#);
    let double = FieldProfile {
        rename: vec![("a".into(), "x".into()), ("b".into(), "x".into())],
        ..FieldProfile::default()
    };
    check_profile(double, r#","a":1,"b":2"#, r#","x":1"#);
}

#[test]
fn names_of_messages_are_removed_wherever_they_stand() {
    let profile = || FieldProfile { strip_message_names: true, ..FieldProfile::default() };
    let named = r#"{"messages":[{"name":"a","role":"user","content":"x"},{"role":"user", "name":"b" ,"content":"y"},{"role":"user","content":"z", "name" : null}],"name":1}"#;
    let bare = r#"{"messages":[{"role":"user","content":"x"},{"role":"user", "content":"y"},{"role":"user","content":"z"}],"name":1,"model":"up/m"}"#;
    assert_eq!(apply(named, &endpoint(profile(), ALL())), bare);
    let kept = named.replace(r#""name":1}"#, r#""name":1,"model":"up/m"}"#);
    assert_eq!(apply(named, &endpoint(FieldProfile::default(), ALL())), kept);
}

#[test]
fn models_of_answers_are_removed_where_they_were_for_the_router() {
    let profile = || FieldProfile { strip_message_names: true, ..FieldProfile::default() };
    let plugins = |pin| format!(r#""plugins":[{{"id":"auto-router","pin_model":{pin}}}]"#);
    let answers = r#"[{"model":"a/b","role":"assistant","content":"x"},{"role":"assistant","content":"y", "name":"n" , "model":"c/d"},{"role":"user","model":1,"content":"z"}]"#;
    let body = |pin| format!(r#"{{"model":"auto","messages":{answers},{}}}"#, plugins(pin));
    let sent = |messages: &str| format!(r#"{{"model":"up/m","messages":{messages}}}"#);
    let bare = r#"[{"role":"assistant","content":"x"},{"role":"assistant","content":"y"},{"role":"user","model":1,"content":"z"}]"#;
    assert_eq!(apply(&body(true), &endpoint(profile(), ALL())), sent(bare));
    assert_eq!(apply(&body(false), &endpoint(FieldProfile::default(), ALL())), sent(answers));
}

#[test]
fn a_large_prompt_is_not_copied() {
    let image = "A".repeat(1 << 20);
    let body =
        format!(r#"{{"model":"auto","messages":[{{"role":"user","content":"{image}"}}],"stream":true}}"#);
    let body = Bytes::from(body);
    let facts = inspect(&body).expect("a sound body");
    let rope = rewrite(&body, &facts, &endpoint(FieldProfile::default(), ALL()));
    let range = body.as_ptr_range();
    let shared = rope.parts().iter().filter(|part| range.contains(&part.as_ptr()));
    assert!(shared.map(Bytes::len).sum::<usize>() > 1 << 20);
    assert!(rope.parts().len() <= 3);
}

/// Members of an object in order, values as written.
fn members(json: &str) -> Vec<(String, String)> {
    struct Members(Vec<(String, String)>);
    impl<'de> serde::de::Visitor<'de> for Members {
        type Value = Vec<(String, String)>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: serde::de::MapAccess<'de>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
            while let Some((key, value)) = map.next_entry::<String, Box<RawValue>>()? {
                self.0.push((key, value.get().to_owned()));
            }
            Ok(self.0)
        }
    }
    let mut deserializer = serde_json::Deserializer::from_str(json);
    serde::Deserializer::deserialize_map(&mut deserializer, Members(Vec::new())).expect("an object")
}

/// A member a client might send, or not: known and unknown, sound ones all.
fn any_member() -> impl Strategy<Value = (String, String)> {
    let values: Vec<(&str, &[&str])> = vec![
        ("stream", &["true", "false", "null"]),
        ("stream_options", &[r#"{"include_usage":true}"#, "null", "{}"]),
        ("temperature", &["0.10", "2", "null"]),
        ("seed", &["12345678901234567", "null"]),
        ("max_tokens", &["5", "null"]),
        ("max_completion_tokens", &["6", "null"]),
        ("tools", &["[]", r#"[{"type":"function","function":{"name":"f"}}]"#]),
        ("tool_choice", &[r#""none""#, r#""auto""#, "null"]),
        ("reasoning", &[r#"{"effort":"high"}"#, "{}", "null"]),
        ("provider", &[r#"{"sort":"latency"}"#, "null"]),
        ("plugins", &[r#"["web"]"#, r#"[ {"id":"response-healing"} , "context-compression"]"#]),
        ("random_seed", &["1e400", "{\"a\":{\"a\":[1 , 2]}}"]),
        ("x\\u0041\\n", &["\"\\ud83d\\ude00\"", "[[[]]]"]),
        ("user", &["\"é\""]),
    ];
    prop::sample::select(values).prop_flat_map(|(name, values)| {
        (Just(name.to_owned()), prop::sample::select(values).prop_map(str::to_owned))
    })
}

fn any_profile() -> impl Strategy<Value = FieldProfile> {
    let limit = prop::sample::select(vec![
        OutputLimitField::AsSent,
        OutputLimitField::MaxTokens,
        OutputLimitField::MaxCompletionTokens,
    ]);
    (limit, any::<[bool; 6]>()).prop_map(|(output_limit, flags)| FieldProfile {
        output_limit,
        strip: if flags[0] { vec!["user".into()] } else { Vec::new() },
        rename: if flags[1] { vec![("seed".into(), "random_seed".into())] } else { Vec::new() },
        router_fields: flags[2],
        known_fields_only: flags[3],
        strip_message_names: flags[4],
        no_stream_options: flags[5],
    })
}

proptest! {
    #[test]
    fn rewriting_changes_only_its_spans(
        given in prop::collection::vec(any_member(), 0..12),
        profile in any_profile(),
        capabilities in any::<u64>(),
        space in prop::sample::select(vec!["", " ", "\n\t "]),
    ) {
        let mut sent: Vec<(String, String)> = vec![("model".into(), "\"auto\"".into())];
        sent.push(("messages".into(), r#"[{"role":"user","content":"hi","name":"n"}]"#.into()));
        for (key, value) in given {
            if sent.iter().all(|(k, _)| *k != key) {
                sent.insert(sent.len() / 2, (key, value));
            }
        }
        let text: Vec<_> = sent.iter().map(|(k, v)| format!("{space}\"{k}\"{space}:{space}{v}{space}")).collect();
        let body = format!("{space}{{{}}}{space}", text.join(","));
        let capabilities = Capability::ALL.iter().copied().filter(|c| capabilities >> *c as u8 & 1 == 1).collect();
        let out = apply(&body, &endpoint(profile, capabilities));

        let before = members(&body);
        let after = members(&out);
        for (i, (key, value)) in after.iter().enumerate() {
            prop_assert!(after[..i].iter().all(|(k, _)| k != key), "{key} twice in {out}");
            let original = before.iter().find(|(k, _)| k == key);
            let edited = ["model", "messages", "stream_options", "plugins", "reasoning_effort", "max_tokens", "max_completion_tokens", "random_seed"];
            prop_assert!(original.is_some_and(|(_, v)| v == value) || edited.contains(&key.as_str()), "{key}: {out}");
        }
        prop_assert_eq!(&after.iter().find(|(k, _)| k == "model").expect("a model").1, "\"up/m\"");
        prop_assert!(after.iter().any(|(k, v)| k == "messages" && v.contains(r#""content":"hi""#)));
    }
}

/// Rewrites a plain request within a limit of 4096 tokens and gives what is added to it.
#[track_caller]
fn check_limit(endpoint: &Endpoint, fields: &str, expect: &str) {
    let body = format!(r#"{{"model":"auto",{MESSAGES}{fields}}}"#);
    let body = Bytes::from(body);
    let facts = inspect(&body).expect("a sound body");
    let out = rewrite_within(&body, &facts, endpoint, Some(4096)).parts().concat();
    let expect = format!(r#"{{"model":"up/m",{MESSAGES}{expect}}}"#);
    assert_eq!(String::from_utf8(out).expect("UTF-8"), expect, "{fields}");
}

#[test]
fn a_limit_is_added_by_the_providers_name_where_the_client_set_none() {
    let limited = |limit| endpoint(FieldProfile { output_limit: limit, ..FieldProfile::default() }, ALL());
    check_limit(&limited(OutputLimitField::AsSent), "", r#","max_tokens":4096"#);
    check_limit(&limited(OutputLimitField::MaxTokens), "", r#","max_tokens":4096"#);
    let completion = limited(OutputLimitField::MaxCompletionTokens);
    check_limit(&completion, "", r#","max_completion_tokens":4096"#);
    check_limit(&completion, r#","max_tokens":null"#, r#","max_completion_tokens":4096"#);
    let own = r#","max_tokens":10"#;
    check_limit(&limited(OutputLimitField::AsSent), own, own);
}

#[test]
fn a_limit_is_never_more_than_the_model_takes() {
    let mut endpoint = endpoint(FieldProfile::default(), ALL());
    endpoint.model.max_output_tokens = Some(1000);
    check_limit(&endpoint, "", r#","max_tokens":1000"#);
    endpoint.model.context_tokens = Some(1000);
    check_limit(&endpoint, "", "");
}

#[test]
fn a_limit_goes_only_where_it_is_understood() {
    let renamed =
        FieldProfile { rename: vec![("max_tokens".into(), "limit".into())], ..FieldProfile::default() };
    check_limit(&endpoint(renamed, ALL()), "", r#","limit":4096"#);
    let stripped = FieldProfile { strip: vec!["max_tokens".into()], ..FieldProfile::default() };
    check_limit(&endpoint(stripped, ALL()), "", "");
    let mut capabilities = ALL();
    capabilities.remove(Capability::MaxTokens);
    capabilities.remove(Capability::MaxCompletionTokens);
    check_limit(&endpoint(FieldProfile::default(), capabilities), "", "");
}
