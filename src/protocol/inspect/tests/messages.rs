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
            r#"{"image_url":{"url":"data:image/png;base64,AAAA","detail":"low"},"type":"image_url"}"#.into(),
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
        refuse_message(&format!(r#"{{"role":"user","content":[{{"type":"text","text":"a"}},{part}]}}"#), &at);
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
    check(&message(r#"{"role":"assistant","content":"x","tool_calls":null,"function_call":null}"#), &[], &[]);
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
