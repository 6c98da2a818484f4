use super::super::facts::{Role, Sort};
use super::*;
use crate::catalog::{Capability, CapabilitySet};
use proptest::prelude::*;

const MESSAGES: &str = r#""messages":[{"role":"user","content":"hi"}]"#;

fn facts(body: &str) -> RequestFacts {
    inspect(body.as_bytes()).unwrap_or_else(|e| panic!("{e:?}: {body}"))
}

/// Facts of a request with these fields besides a short message.
fn with(fields: &str) -> RequestFacts {
    facts(&format!("{{{MESSAGES},{fields}}}"))
}

/// Facts of a request with this one message.
fn message(message: &str) -> RequestFacts {
    facts(&format!(r#"{{"messages":[{message}]}}"#))
}

/// Facts of a request with this one part in a user's message.
fn part(part: &str) -> RequestFacts {
    message(&format!(r#"{{"role":"user","content":[{{"type":"text","text":"see"}},{part}]}}"#))
}

fn set(capabilities: &[Capability]) -> CapabilitySet {
    capabilities.iter().copied().collect()
}

fn check(facts: &RequestFacts, hard: &[Capability], soft: &[Capability]) {
    assert_eq!(facts.requirements.hard, set(hard), "hard");
    assert_eq!(facts.requirements.soft, set(soft), "soft");
}

fn refused(body: &str) -> Invalid {
    inspect(body.as_bytes()).expect_err(body)
}

/// The body is refused for what is at `param`.
fn check_refused(body: &str, param: &str) {
    let invalid = refused(body);
    assert_eq!(invalid.param.as_deref(), Some(param), "{body}: {invalid:?}");
    assert_eq!(invalid.code, InvalidCode::InvalidRequest);
    assert!(invalid.message.starts_with(&format!("`{param}` ")), "{invalid}");
}

fn refuse_field(fields: &str, param: &str) {
    check_refused(&format!("{{{MESSAGES},{fields}}}"), param);
}

fn refuse_message(message: &str, param: &str) {
    check_refused(&format!(r#"{{"messages":[{{"role":"user","content":"a"}},{message}]}}"#), param);
}

mod body {
    use super::*;

    #[test]
    fn what_is_no_json_object_is_malformed() {
        for body in ["", " ", "[]", "null", "\"a\"", "{", "{}}", "{\"model\":}", "not json", "\u{feff}{}"] {
            let invalid = refused(body);
            assert_eq!(invalid.code, InvalidCode::MalformedJson, "{body}");
            assert_eq!(invalid.param, None);
        }
    }

    #[test]
    fn invalid_utf8_is_refused_anywhere() {
        for bad in [&b"\xff"[..], b"\xc3", b"\xed\xa0\x80"] {
            let body = [br#"{"messages":[{"role":"user","content":""#, bad, br#""}]}"#].concat();
            let invalid = inspect(&body).expect_err("invalid");
            assert_eq!(invalid.message, "the body is no valid JSON: not UTF-8 at byte 39");
        }
    }

    #[test]
    fn half_surrogates_and_control_characters_are_refused() {
        for text in [r"\ud800", r"\udc00", r"\ud800\u0041", "a\nb", "\u{0}", r"\q"] {
            let body = format!(r#"{{"messages":[{{"role":"user","content":"{text}"}}]}}"#);
            assert_eq!(refused(&body).code, InvalidCode::MalformedJson, "{text}");
        }
    }

    #[test]
    fn messages_are_required() {
        for body in [
            "{}",
            r#"{"model":"auto"}"#,
            r#"{"messages":[]}"#,
            r#"{"messages":null}"#,
            r#"{"messages":"hi"}"#,
            r#"{"messages":{}}"#,
        ] {
            check_refused(body, "messages");
        }
    }

    #[test]
    fn a_field_given_twice_is_refused_however_it_is_written() {
        refuse_field(r#""model":"a","model":"b""#, "model");
        refuse_field(r#""model":"a","mod\u0065l":"b""#, "model");
        refuse_field(r#""messages":[]"#, "messages");
        for fields in [r#""x":1,"x":2"#, r#""x":1,"\u0078":2"#] {
            assert_eq!(refused(&format!("{{{MESSAGES},{fields}}}")).param, None);
        }
    }

    #[test]
    fn unknown_fields_are_walked_over_up_to_a_limit() {
        let many = |n: usize| {
            let fields: Vec<_> = (0..n).map(|i| format!(r#""x{i}":{i}"#)).collect();
            inspect(format!("{{{MESSAGES},{}}}", fields.join(",")).as_bytes())
        };
        assert_eq!(many(MAX_MEMBERS - 1).expect("allowed").edits.members.len(), MAX_MEMBERS);
        assert!(many(MAX_MEMBERS).is_err());
        check(&with(r#""x":1e400,"y":[{"z":12345678901234567890}],"":null"#), &[], &[]);
        assert!(inspect(format!(r#"{{{MESSAGES},"{}":1}}"#, "k".repeat(257)).as_bytes()).is_err());
    }

    #[test]
    fn nesting_is_bounded_in_known_and_unknown_fields() {
        let nested = |n| format!("{}{}", "[".repeat(n), "]".repeat(n));
        let unknown = |n| inspect(format!(r#"{{{MESSAGES},"x":{}}}"#, nested(n)).as_bytes());
        assert!(unknown(MAX_DEPTH - 1).is_ok());
        assert_eq!(unknown(MAX_DEPTH).expect_err("deep").code, InvalidCode::MalformedJson);
        let known = |n| format!(r#"{{"messages":[{{"role":"user","content":"","x":{}}}]}}"#, nested(n));
        assert!(inspect(known(MAX_DEPTH - 3).as_bytes()).is_ok());
        assert!(inspect(known(MAX_DEPTH - 2).as_bytes()).is_err());
        assert!(inspect("[".repeat(1 << 20).as_bytes()).is_err());
        assert!(inspect(format!(r#"{{"x":{}"#, "[".repeat(1 << 20)).as_bytes()).is_err());
    }

    #[test]
    fn members_are_found_where_they_stand() {
        let body =
            " { \"mod\\u0065l\" : \"a\\u0062\" ,\n\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}] } ";
        let facts = facts(body);
        assert_eq!(facts.model.as_deref(), Some("ab"));
        let values: Vec<_> = facts.edits.members.iter().map(|m| m.value.of(body.as_bytes())).collect();
        assert_eq!(values, [&b"\"a\\u0062\""[..], br#"[{"role":"user","content":"hi"}]"#]);
        assert_eq!(facts.edits.members[0].name(body.as_bytes()), "model");
        assert_eq!((facts.edits.object_start, facts.edits.object_end as usize), (1, body.len() - 1));
    }

    #[test]
    fn errors_show_nothing_of_the_body() {
        for body in [
            r#"{"messages":[{"role":"SECRET","content":"x"}]}"#,
            r#"{"messages":[{"role":"user","content":[{"type":"SECRET"}]}]}"#,
            r#"{"SECRET":1,"SECRET":2}"#,
            r#"{"messages":[{"role":"user","content":"SECRET}"#,
        ] {
            assert!(!format!("{:?}", refused(body)).contains("SECRET"));
        }
    }
}

mod messages {
    use super::*;
    use Capability::*;

    #[test]
    fn every_known_role_is_accepted_and_no_other() {
        for role in ["system", "developer", "user", "assistant", "tool", "function"] {
            message(&format!(r#"{{"role":"{role}","content":"x"}}"#));
        }
        refuse_message(r#"{"role":"User","content":"x"}"#, "messages.[1].role");
        refuse_message(r#"{"role":null,"content":"x"}"#, "messages.[1].role");
        refuse_message(r#"{"role":1,"content":"x"}"#, "messages.[1].role");
        refuse_message(r#"{"content":"x"}"#, "messages.[1].role");
        refuse_message(r#""x""#, "messages.[1]");
        refuse_message("null", "messages.[1]");
    }

    #[test]
    fn content_is_text_parts_or_null() {
        message(r#"{"role":"user","content":""}"#);
        message(r#"{"role":"user","content":[]}"#);
        message(r#"{"role":"assistant","content":null}"#);
        message(r#"{"role":"assistant","tool_calls":[]}"#);
        for bad in ["null", "1", "{}", "true"] {
            refuse_message(&format!(r#"{{"role":"user","content":{bad}}}"#), "messages.[1].content");
        }
        refuse_message(r#"{"role":"system"}"#, "messages.[1].content");
        refuse_message(r#"{"role":"user","content":["x"]}"#, "messages.[1].content.[0]");
    }

    #[test]
    fn what_decides_may_not_be_given_twice() {
        refuse_message(r#"{"role":"user","content":"a","content":"b"}"#, "messages.[1].content");
        refuse_message(r#"{"role":"user","role":"tool","content":"b"}"#, "messages.[1].role");
        refuse_message(
            r#"{"role":"user","content":[{"type":"text","type":"image_url","text":""}]}"#,
            "messages.[1].content.[0].type",
        );
        message(r#"{"role":"user","content":"a","x":1,"x":2}"#);
    }

    #[test]
    fn parts_name_the_input_a_model_must_read() {
        let url = r#"{"url":"https://example.com/a.png"}"#;
        for (json, needs) in [
            (format!(r#"{{"type":"image_url","image_url":{url}}}"#), ImageInput),
            (
                r#"{"image_url":{"url":"data:image/png;base64,AAAA","detail":"low"},"type":"image_url"}"#
                    .into(),
                ImageInput,
            ),
            (r#"{"type":"image_url","image_url":"https://example.com/a.png"}"#.into(), ImageInput),
            (r#"{"type":"image\u005furl","image_url":"x"}"#.into(), ImageInput),
            (r#"{"type":"input_image","image_url":"x"}"#.into(), ImageInput),
            (r#"{"type":"image","image":"AAAA"}"#.into(), ImageInput),
            (r#"{"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}}"#.into(), AudioInput),
            (format!(r#"{{"type":"video_url","video_url":{url}}}"#), VideoInput),
            (r#"{"type":"input_video","video_url":{"url":"x"}}"#.into(), VideoInput),
            (r#"{"type":"file","file":{"file_data":"data:application/pdf;base64,AAAA"}}"#.into(), FileInput),
        ] {
            let facts = part(&json);
            check(&facts, &[needs], &[]);
            assert_eq!(facts.features.attachments, 1, "{json}");
        }
        check(&part(r#"{"type":"text","text":"x","cache_control":{"type":"ephemeral"}}"#), &[], &[]);
    }

    #[test]
    fn unknown_and_incomplete_parts_are_refused() {
        let refuse = |part: &str, param: &str| {
            let at = format!("messages.[1].content.[1].{param}");
            refuse_message(
                &format!(r#"{{"role":"user","content":[{{"type":"text","text":"a"}},{part}]}}"#),
                &at,
            );
        };
        refuse(r#"{"type":"hologram"}"#, "type");
        refuse(r#"{"type":null}"#, "type");
        refuse(r#"{"text":"x"}"#, "type");
        refuse(r#"{"type":"text"}"#, "text");
        refuse(r#"{"type":"text","text":1}"#, "text");
        refuse(r#"{"type":"image_url"}"#, "image_url");
        refuse(r#"{"type":"input_audio","input_audio":null}"#, "input_audio");
        refuse(r#"{"type":"refusal","refusal":"no"}"#, "type");
        message(r#"{"content":[{"type":"refusal","refusal":"no"}],"role":"assistant"}"#);
    }

    #[test]
    fn an_image_counts_in_any_turn_and_role() {
        let image = r#"{"type":"image_url","image_url":{"url":"x"}}"#;
        let turn = r#",{"role":"assistant","content":"a"},{"role":"user","content":"b"}"#;
        let first = format!(r#"{{"messages":[{{"role":"user","content":[{image}]}}{}]}}"#, turn.repeat(5));
        check(&facts(&first), &[ImageInput], &[]);
        check(
            &message(&format!(r#"{{"role":"tool","tool_call_id":"c","content":[{image}]}}"#)),
            &[ImageInput, Tools],
            &[],
        );
        check(&message(&format!(r#"{{"role":"system","content":[{image}]}}"#)), &[ImageInput], &[]);
    }

    #[test]
    fn talk_of_images_is_no_image() {
        check(&message(r#"{"role":"user","content":"image_url https://example.com/a.png"}"#), &[], &[]);
        check(
            &part(r#"{"type":"text","text":"{\"type\":\"image_url\",\"image_url\":{\"url\":\"x\"}}"}"#),
            &[],
            &[],
        );
        check(&with(r#""metadata":{"type":"image_url","tools":"[1]"}"#), &[], &[]);
    }

    #[test]
    fn tools_in_the_history_need_a_model_with_tools() {
        let call = r#""tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]"#;
        for json in [
            r#"{"role":"tool","tool_call_id":"c","content":"42"}"#.to_owned(),
            r#"{"role":"function","name":"f","content":null}"#.into(),
            format!(r#"{{"role":"assistant","content":null,{call}}}"#),
            r#"{"role":"assistant","function_call":{"name":"f","arguments":"{}"}}"#.into(),
        ] {
            let facts = message(&json);
            check(&facts, &[Tools], &[]);
            assert!(facts.features.tool_history, "{json}");
        }
        check(
            &message(r#"{"role":"assistant","content":"x","tool_calls":null,"function_call":null}"#),
            &[],
            &[],
        );
    }

    #[test]
    fn texts_are_found_with_their_speaker_whatever_the_order() {
        let body = r#"{"messages":[{"content":"be brief","role":"developer"},{"content":[{"text":"a\n","type":"text"},{"type":"text","text":"bc"}],"role":"user"},{"role":"assistant","content":"ok"}]}"#;
        let features = facts(body).features;
        let texts: Vec<_> =
            features.texts.iter().map(|t| (t.role, t.message, t.span.of(body.as_bytes()))).collect();
        assert_eq!(
            texts,
            [
                (Role::System, 0, &b"be brief"[..]),
                (Role::User, 1, b"a\\n"),
                (Role::User, 1, b"bc"),
                (Role::Assistant, 2, b"ok")
            ]
        );
        assert_eq!((features.messages, features.user_turns), (3, 1));
        assert_eq!((features.user_bytes, features.context_bytes), (5, 10));
    }

    #[test]
    fn names_of_messages_can_be_cut_out() {
        let body = r#"{"messages":[{"role":"user","name" : "bo\"b","content":"x"}]}"#;
        let names = facts(body).edits.message_names;
        assert_eq!(names.len(), 1);
        assert_eq!(names[0].of(body.as_bytes()), br#""name" : "bo\"b""#);
        refuse_message(r#"{"role":"user","content":"x","name":1}"#, "messages.[1].name");
    }
}

mod tools {
    use super::*;
    use Capability::*;

    const F: &str = r#"{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}"#;

    #[test]
    fn offered_tools_are_a_hard_need_and_empty_lists_none() {
        let facts = with(&format!(r#""tools":[{F},{}]"#, F.replace("\"f\"", "\"g\"")));
        check(&facts, &[Tools], &[]);
        assert_eq!(facts.features.tools, 2);
        assert!(facts.features.tool_bytes as usize > 2 * F.len());
        check(&with(r#""functions":[{"name":"f"}]"#), &[Tools], &[]);
        for none in [r#""tools":[]"#, r#""tools":null"#, r#""functions":[]"#, r#""functions":null"#] {
            check(&with(none), &[], &[]);
        }
    }

    #[test]
    fn a_choice_that_forces_tools_needs_support_for_it() {
        check(&with(&format!(r#""tools":[{F}],"tool_choice":"auto""#)), &[Tools], &[]);
        check(&with(&format!(r#""tools":[{F}],"tool_choice":null"#)), &[Tools], &[]);
        check(&with(&format!(r#""tool_choice":"required","tools":[{F}]"#)), &[Tools, ToolChoice], &[]);
        let forced = r#""tool_choice":{"type":"function","function":{"name":"f"}}"#;
        check(&with(&format!(r#"{forced},"tools":[{F}]"#)), &[Tools, ToolChoice], &[]);
        check(&with(r#""functions":[{"name":"f"}],"function_call":{"name":"f"}"#), &[Tools, ToolChoice], &[]);
        check(
            &with(&format!(r#""tools":[{F}],"tool_choice":{{"type":"allowed_tools","allowed_tools":{{}}}}"#)),
            &[Tools, ToolChoice],
            &[],
        );
    }

    #[test]
    fn forbidden_tools_are_only_a_wish_unless_the_history_has_some() {
        let none = with(&format!(r#""tools":[{F}],"tool_choice":"none""#));
        check(&none, &[], &[Tools, ToolChoice]);
        assert!(none.edits.tools_forbidden);
        check(&with(r#""functions":[{"name":"f"}],"function_call":"none""#), &[], &[Tools, ToolChoice]);
        let history =
            format!(r#"{{"messages":[{{"role":"tool","content":"x"}}],"tools":[{F}],"tool_choice":"none"}}"#);
        check(&facts(&history), &[Tools], &[Tools, ToolChoice]);
    }

    #[test]
    fn a_choice_of_what_is_not_offered_is_refused() {
        let forced = r#""tool_choice":{"type":"function","function":{"name":"g"}}"#;
        refuse_field(forced, "tool_choice");
        refuse_field(&format!(r#""tools":[{F}],{forced}"#), "tool_choice");
        refuse_field(r#""tool_choice":"required""#, "tool_choice");
        refuse_field(r#""tools":[],"tool_choice":"required""#, "tool_choice");
        refuse_field(r#""functions":[{"name":"f"}],"function_call":{"name":"g"}"#, "function_call");
        refuse_field(&format!(r#""tools":[{F}],"tool_choice":"sometimes""#), "tool_choice");
        refuse_field(&format!(r#""tools":[{F}],"tool_choice":1"#), "tool_choice");
        refuse_field(
            &format!(r#""tools":[{F}],"tool_choice":{{"type":"function"}}"#),
            "tool_choice.function.name",
        );
    }

    #[test]
    fn tools_of_the_server_are_told_from_the_clients() {
        for kind in ["openrouter:web_search", "web_search_preview", "bash", "mcp"] {
            check(&with(&format!(r#""tools":[{{"type":"{kind}"}}]"#)), &[Tools, ServerTools], &[]);
        }
        check(&with(r#""tools":[{"type":"custom","custom":{"name":"f"}}]"#), &[Tools], &[]);
        check(
            &with(r#""tools":[{"type":"bash"}],"tool_choice":"none""#),
            &[],
            &[Tools, ToolChoice, ServerTools],
        );
    }

    #[test]
    fn functions_need_a_plain_name() {
        let tool = |function: &str| format!(r#""tools":[{F},{{"type":"function","function":{function}}}]"#);
        let long = "n".repeat(64);
        with(&tool(&format!(r#"{{"name":"{long}"}}"#)));
        refuse_field(&tool(&format!(r#"{{"name":"{long}n"}}"#)), "tools.[1].function.name");
        for bad in [r#"{"name":""}"#, r#"{"name":"a b"}"#, r#"{"name":"é"}"#, r#"{"name":1}"#, "{}"] {
            refuse_field(&tool(bad), "tools.[1].function.name");
        }
        refuse_field(r#""functions":[{"name":"a.b"}]"#, "functions.[0].name");
        refuse_field(r#""tools":[{"type":"function"}]"#, "tools.[0].function");
        refuse_field(r#""tools":[{"function":{"name":"f"}}]"#, "tools.[0].type");
        refuse_field(r#""tools":["f"]"#, "tools.[0]");
        refuse_field(r#""tools":{}"#, "tools");
    }

    #[test]
    fn strict_functions_and_parallel_calls_are_wishes() {
        check(
            &with(r#""tools":[{"type":"function","function":{"name":"f","strict":true}}]"#),
            &[Tools],
            &[StructuredOutputs],
        );
        let parallel = with(&format!(r#""tools":[{F}],"parallel_tool_calls":false"#));
        check(&parallel, &[Tools], &[ParallelToolCalls]);
        refuse_field(r#""parallel_tool_calls":"yes""#, "parallel_tool_calls");
    }
}

mod output {
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
            format!(
                r#""response_format":{{"type":"json_schema","json_schema":{{"name":"{}"}}}}"#,
                "s".repeat(n)
            )
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
        check(
            &with(r#""seed":null,"temperature":null,"logprobs":false,"top_logprobs":0,"stop":"x""#),
            &[],
            &[],
        );
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
        let tool =
            format!(r#""tools":[{{"type":"function","function":{{"name":"f","parameters":{schema}}}}}]"#);
        assert!(tokens(with(&tool)) > 1000);
        let audio = format!(r#"{{"type":"input_audio","input_audio":{{"data":"{}"}}}}"#, "A".repeat(600_000));
        assert!(tokens(part(&audio)) > 1200);
    }
}

mod preferences {
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
        check(
            &plugin(r#""web","file-parser",{"id":"unheard-of","x":1}"#),
            &[],
            &[Capability::WebSearchOptions],
        );
        refuse_field(r#""plugins":[1]"#, "plugins.[0]");
        refuse_field(r#""plugins":["web",{}]"#, "plugins.[1].id");
        refuse_field(
            r#""plugins":[{"id":"auto-router","allowed_models":"a"}]"#,
            "plugins.[0].allowed_models",
        );
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
        assert_eq!(session(r#""prompt_cache_key":"k","session_id":"s""#).as_deref(), Some("s"));
        assert_eq!(session(r#""prompt_cache_key":"k""#).as_deref(), Some("k"));
        assert_eq!(session(r#""session_id":"""#), None);
        assert!(session(&format!(r#""session_id":"{}""#, "é".repeat(256))).is_some());
        refuse_field(&format!(r#""session_id":"{}""#, "s".repeat(257)), "session_id");
        assert_eq!(session(&format!(r#""prompt_cache_key":"{}""#, "s".repeat(9999))), None);
    }

    #[test]
    fn models_are_compared_as_written() {
        assert_eq!(with(r#""model":"Auto ""#).model.as_deref(), Some("Auto "));
        assert_eq!(with(r#""model":null"#).model, None);
    }
}

/// Any JSON, by the grammar of what serde_json writes.
fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Into::into),
            prop::collection::btree_map(any::<String>(), inner, 0..8)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_value_of_an_unknown_field_is_accepted_and_found(value in any_json(), pretty in any::<bool>()) {
        let body = serde_json::json!({"messages": [{"role": "user", "content": "hi"}], "unknown": value});
        let body = if pretty { serde_json::to_string_pretty(&body) } else { serde_json::to_string(&body) };
        let body = body.expect("a value can be written");
        let facts = facts(&body);
        let found: serde_json::Value =
            serde_json::from_slice(facts.edits.members[1].value.of(body.as_bytes())).expect("a value");
        let expect: serde_json::Value = serde_json::from_str(&body).expect("a value");
        prop_assert_eq!(&found, &expect["unknown"]);
    }

    #[test]
    fn any_text_is_found_as_it_was_said(text in ".{1,200}") {
        let body = serde_json::json!({"messages": [{"role": "user", "content": text}]}).to_string();
        let span = facts(&body).features.texts[0].span;
        let quoted = &body[span.start as usize - 1..span.end as usize + 1];
        prop_assert_eq!(serde_json::from_str::<String>(quoted).expect("a string"), text);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = inspect(&bytes);
    }

    #[test]
    fn a_changed_byte_never_makes_it_panic_or_accept_broken_json(
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut body = br#"{"model":"auto","messages":[{"role":"user","content":[{"type":"text","text":"a\u00e9"}]}],"tools":[{"type":"function","function":{"name":"f"}}],"temperature":1.5e0,"provider":{"only":["a"]},"plugins":["web"]}"#.to_vec();
        let at = at.index(body.len());
        body[at] = byte;
        for body in [&body[..], &body[..cut.index(body.len())]] {
            if inspect(body).is_ok() {
                prop_assert!(serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok());
            }
        }
    }
}
