use super::*;

fn check(body: &str, status: Option<u16>, code: &str, kind: &str, message: &str) {
    let e = ErrorBody::parse(body.as_bytes());
    assert_eq!((e.status, &*e.code, &*e.kind, &*e.message), (status, code, kind, message), "{body}");
}

#[test]
fn an_object_under_error_is_read() {
    check(
        r#"{"error":{"message":"No.","type":"tokens","code":"rate_limit_exceeded"}}"#,
        None,
        "rate_limit_exceeded",
        "tokens",
        "no.",
    );
    check(r#"{"error":{"message":"x","type":"t","code":400}}"#, Some(400), "", "t", "x");
}

#[test]
fn an_array_a_flat_object_a_list_and_a_string_are_read() {
    check(
        r#"[{"error":{"code":429,"message":"Q","status":"RESOURCE_EXHAUSTED"}}]"#,
        Some(429),
        "resource_exhausted",
        "",
        "q",
    );
    check(
        r#"{"object":"error","message":"M","type":"rate_limited","code":"1300","raw_status_code":429}"#,
        Some(429),
        "1300",
        "rate_limited",
        "m",
    );
    check(r#"{"success":false,"errors":[{"code":4006,"message":"Used up"}]}"#, None, "4006", "", "used up");
    check(r#"{"error":"Plain"}"#, None, "", "", "plain");
    check(r#""Plain""#, None, "", "", "plain");
    check(r#"{"status":429,"title":"Too Many Requests"}"#, Some(429), "", "", "too many requests");
    check(
        r#"{"detail":[{"type":"extra_forbidden","loc":["body","seed"],"msg":"Extra inputs"}]}"#,
        None,
        "",
        "extra_forbidden",
        "extra inputs",
    );
}

#[test]
fn what_is_no_json_is_text_or_a_page() {
    check("", None, "", "", "");
    check("upstream connect error", None, "", "", "upstream connect error");
    check("<html><h1>502 Bad Gateway</h1>", None, "", "", "");
    check("error code: 1015", None, "1015", "", "");
    assert!(ErrorBody::parse(b"<!DOCTYPE html>").from_edge);
    for odd in ["[]", "[[[]]]", "{}", "null", "7", "{\"error\":[]}", "{\"error\":null}", "\u{0}"] {
        assert_eq!(ErrorBody::parse(odd.as_bytes()).status, None, "{odd}");
    }
}

#[test]
fn the_error_a_router_wraps_is_read_too() {
    let body = r#"{"error":{"code":400,"message":"Provider returned error","metadata":
        {"raw":"{\"error\":{\"message\":\"Too long\",\"code\":\"context_length_exceeded\"}}"}}}"#;
    check(body, Some(400), "context_length_exceeded", "", "provider returned error\ntoo long");
}

#[test]
fn nesting_and_length_are_bounded() {
    let deep = "[".repeat(MAX_ERROR_BYTES * 2);
    assert_eq!(ErrorBody::parse(deep.as_bytes()).code, "");
    let long = format!(r#"{{"error":{{"message":"{}"}}}}"#, "é".repeat(4000));
    assert!(ErrorBody::parse(long.as_bytes()).message.len() <= MAX_MESSAGE);
}

#[test]
fn foreign_text_is_not_printed() {
    let error = ErrorBody::parse(br#"{"error":{"message":"secret prompt","code":"c0de"}}"#);
    let shown = format!("{error:?}");
    assert!(!shown.contains("secret") && !shown.contains("c0de"), "{shown}");
}
