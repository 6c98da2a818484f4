use super::*;
use Capability::*;

#[test]
fn formats_need_what_guarantees_them() {
    check(&with(r#""response_format":{"type":"text"}"#), &[], &[]);
    check(&with(r#""response_format":{}"#), &[], &[]);
    check(&with(r#""response_format":null"#), &[], &[]);
    check(&with(r#""response_format":{"type":"json_object"}"#), &[ResponseFormat], &[]);
    let schema = with(
        r#""response_format":{"json_schema":{"name":"s","strict":true,"schema":{"type":"object"}},"type":"json_schema"}"#,
    );
    check(&schema, &[ResponseFormat, StructuredOutputs], &[]);
    assert_eq!(schema.features.schema_bytes as usize, r#"{"type":"object"}"#.len());
    check(&with(r#""response_format":{"type":"grammar","grammar":"x"}"#), &[Grammar], &[]);
    check(&with(r#""response_format":{"type":"python"}"#), &[Grammar], &[]);
    check(&with(r#""structured_outputs":true"#), &[StructuredOutputs], &[]);
    check(&with(r#""structured_outputs":false"#), &[], &[]);
}

#[test]
fn formats_nobody_knows_are_refused() {
    refuse_field(r#""response_format":{"type":"xml"}"#, "response_format.type");
    refuse_field(r#""response_format":{"type":1}"#, "response_format.type");
    refuse_field(r#""response_format":"json""#, "response_format");
    refuse_field(r#""response_format":{"type":"json_schema"}"#, "response_format.json_schema");
    let named = |n| {
        format!(r#""response_format":{{"type":"json_schema","json_schema":{{"name":"{}"}}}}"#, "s".repeat(n))
    };
    with(&named(64));
    refuse_field(&named(65), "response_format.json_schema.name");
    refuse_field(
        r#""response_format":{"type":"json_schema","json_schema":{"schema":"x"}}"#,
        "response_format.json_schema.schema",
    );
}

#[test]
fn images_and_speech_are_asked_for_by_modality() {
    check(&with(r#""modalities":["text"]"#), &[], &[]);
    check(&with(r#""modalities":["text","image"]"#), &[ImageOutput], &[]);
    check(&with(r#""modalities":["audio"],"audio":{"voice":"a"}"#), &[AudioOutput], &[]);
    check(&with(r#""audio":{}"#), &[AudioOutput], &[]);
    check(&with(r#""audio":null,"modalities":null"#), &[], &[]);
    refuse_field(r#""modalities":["smell"]"#, "modalities.[0]");
}

#[test]
fn the_output_limit_is_the_newer_of_its_two_names() {
    let limit = |fields: &str| with(fields).requirements.max_output_tokens;
    assert_eq!(limit(r#""max_tokens":10"#), Some(10));
    assert_eq!(limit(r#""max_completion_tokens":20,"max_tokens":10"#), Some(20));
    assert_eq!(limit(r#""max_completion_tokens":null,"max_tokens":10"#), Some(10));
    assert_eq!(limit(r#""max_tokens":null"#), None);
    assert_eq!(limit(r#""max_tokens":4294967295"#), Some(u32::MAX));
    for field in ["max_tokens", "max_completion_tokens"] {
        for bad in ["0", "-1", "100.0", "1e2", "4294967296", "12345678901234567890123", "\"5\"", "true"] {
            refuse_field(&format!(r#""{field}":{bad}"#), field);
        }
    }
}

#[test]
fn parameters_in_use_are_wishes() {
    check(
        &with(
            r#""seed":-5,"temperature":0,"top_p":1,"top_k":40,"min_p":0.1,"top_a":0,"frequency_penalty":-2,"presence_penalty":2.0,"repetition_penalty":2,"logit_bias":{"1":5},"prediction":{},"verbosity":"low","logprobs":true,"top_logprobs":20,"web_search_options":{}"#,
        ),
        &[],
        &[
            Seed,
            Temperature,
            TopP,
            TopK,
            MinP,
            TopA,
            FrequencyPenalty,
            PresencePenalty,
            RepetitionPenalty,
            LogitBias,
            Prediction,
            Verbosity,
            Logprobs,
            TopLogprobs,
            WebSearchOptions,
        ],
    );
    check(&with(r#""seed":null,"temperature":null,"logprobs":false,"top_logprobs":0,"stop":"x""#), &[], &[]);
}

#[test]
fn several_choices_are_a_hard_need() {
    assert_eq!(with(r#""n":1"#).choices, 1);
    assert_eq!(with(r#""n":null"#).choices, 1);
    assert_eq!(with(r#""x":1"#).choices, 1);
    let two = with(r#""n":2"#);
    assert_eq!(two.choices, 2);
    check(&two, &[MultipleChoices], &[]);
    for bad in ["0", "-1", "1.5", "129", "\"2\""] {
        refuse_field(&format!(r#""n":{bad}"#), "n");
    }
}

#[test]
fn numbers_out_of_range_are_refused_by_name() {
    for (field, good, bad) in [
        ("temperature", &["0", "2", "1.0"][..], &["-0.1", "2.01", "1e400", "\"1\"", "[]"][..]),
        ("top_p", &["0.0001", "1"], &["0", "0.0", "1.01", "-1"]),
        ("frequency_penalty", &["-2", "2"], &["-2.1", "2.1"]),
        ("presence_penalty", &["-2", "2"], &["-2.1", "2.1"]),
        ("repetition_penalty", &["0.1", "2"], &["0", "2.1", "-1"]),
        ("top_logprobs", &["0", "20"], &["-1", "21", "1.0"]),
        ("seed", &["9223372036854775807"], &["9223372036854775808", "1.5", "\"1\""]),
        ("top_k", &["-1", "0", "40"], &["1e999", "\"1\""]),
        ("min_p", &["0", "1"], &["-1e999", "{}"]),
    ] {
        for value in good {
            with(&format!(r#""logprobs":true,"{field}":{value}"#));
        }
        for value in bad {
            refuse_field(&format!(r#""logprobs":true,"{field}":{value}"#), field);
        }
    }
    refuse_field(r#""top_logprobs":3"#, "top_logprobs");
}

#[test]
fn at_most_four_stop_sequences() {
    for good in ["null", "\"a\"", "[]", r#"["a","b","c","d"]"#] {
        with(&format!(r#""stop":{good}"#));
    }
    refuse_field(r#""stop":["a","b","c","d","e"]"#, "stop");
    refuse_field(r#""stop":["a",1]"#, "stop.[1]");
    refuse_field(r#""stop":1"#, "stop");
}

#[test]
fn wrong_types_are_refused_by_name() {
    for (field, bad) in [
        ("model", "1"),
        ("stream", "\"true\""),
        ("stream_options", "true"),
        ("logit_bias", "[]"),
        ("prediction", "\"x\""),
        ("verbosity", "1"),
        ("logprobs", "1"),
        ("audio", "\"x\""),
        ("reasoning", "true"),
        ("include_reasoning", "1"),
        ("provider", "\"groq\""),
        ("models", "\"a\""),
        ("plugins", "{}"),
        ("transforms", "\"middle-out\""),
        ("session_id", "1"),
        ("prompt_cache_key", "{}"),
        ("structured_outputs", "1"),
    ] {
        refuse_field(&format!(r#""{field}":{bad}"#), field);
    }
    refuse_field(r#""stream_options":{"include_usage":1}"#, "stream_options.include_usage");
}

#[test]
fn reasoning_is_a_wish_in_either_dialect() {
    let level = |fields: &str| with(fields).features.reasoning_effort;
    for (word, expect) in
        [("none", 0), ("minimal", 1), ("low", 2), ("medium", 3), ("high", 4), ("xhigh", 5), ("max", 5)]
    {
        assert_eq!(level(&format!(r#""reasoning_effort":"{word}""#)), Some(expect));
        assert_eq!(level(&format!(r#""reasoning":{{"effort":"{word}"}}"#)), Some(expect));
    }
    check(&with(r#""reasoning_effort":"low""#), &[], &[Reasoning]);
    check(&with(r#""reasoning":{"max_tokens":2000,"exclude":true}"#), &[], &[Reasoning]);
    check(&with(r#""reasoning":{"enabled":true}"#), &[], &[Reasoning]);
    check(&with(r#""include_reasoning":true"#), &[], &[Reasoning]);
    for none in [
        r#""reasoning_effort":"none""#,
        r#""reasoning":{"effort":"none"}"#,
        r#""reasoning":{"enabled":false}"#,
        r#""reasoning":{},"reasoning_effort":null"#,
        r#""include_reasoning":false"#,
    ] {
        check(&with(none), &[], &[]);
    }
    assert_eq!(level(r#""reasoning":{"enabled":false}"#), Some(0));
    assert_eq!(level(r#""reasoning":{}"#), None);
}

#[test]
fn contradicting_efforts_are_refused() {
    with(r#""reasoning":{"effort":"low"},"reasoning_effort":"low""#);
    refuse_field(r#""reasoning":{"effort":"low"},"reasoning_effort":"high""#, "reasoning_effort");
    refuse_field(r#""reasoning":{"effort":"huge"}"#, "reasoning.effort");
    refuse_field(r#""reasoning":{"max_tokens":-1}"#, "reasoning.max_tokens");
    refuse_field(r#""reasoning_effort":3"#, "reasoning_effort");
}

#[test]
fn streams_and_their_usage() {
    let facts = with(r#""stream":true,"stream_options":{"include_usage":true,"x":[]}"#);
    assert!(facts.stream && facts.include_usage);
    let facts = with(r#""stream":null,"stream_options":null"#);
    assert!(!facts.stream && !facts.include_usage);
    assert!(with(r#""stream_options":{"include_usage":true}"#).include_usage);
}

#[test]
fn the_prompt_is_estimated_with_everything_in_it() {
    let tokens = |facts: RequestFacts| facts.requirements.prompt_tokens;
    let text = |text: &str| tokens(message(&format!(r#"{{"role":"user","content":"{text}"}}"#)));
    assert_eq!(text(&"a".repeat(4000)), 1004);
    assert_eq!(text(&"日".repeat(1000)), 1004);
    assert_eq!(text(&r"\u65e5".repeat(1000)), 754);
    assert_eq!(text(&r"\n".repeat(4000)), 1004);
    let image = |url: &str| tokens(part(&format!(r#"{{"type":"image_url","image_url":"{url}"}}"#)));
    assert_eq!(image(&"A".repeat(1 << 20)), image("x"));
    assert_eq!(image("x"), 258 + 4 + 1);
    let schema = format!(r#"{{"enum":["{}"]}}"#, "e".repeat(4000));
    let format = r#""response_format":{"type":"json_schema","json_schema":{"schema":"#;
    assert!(tokens(with(&format!("{format}{schema}}}}}"))) > 1000);
    let tool = format!(r#""tools":[{{"type":"function","function":{{"name":"f","parameters":{schema}}}}}]"#);
    assert!(tokens(with(&tool)) > 1000);
    let audio = format!(r#"{{"type":"input_audio","input_audio":{{"data":"{}"}}}}"#, "A".repeat(600_000));
    assert!(tokens(part(&audio)) > 1200);
}
