use super::*;
use proptest::prelude::*;

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
