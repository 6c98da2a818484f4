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
