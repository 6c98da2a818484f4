//! The inspector accepts no body that a reference parser refuses, refuses as malformed none that it
//! accepts, and finds every field where it stands.
#![no_main]

use freeway::protocol::facts::Span;
use freeway::protocol::inspect::{InvalidCode, MAX_DEPTH, MAX_MEMBERS, inspect};
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;

fuzz_target!(|body: &[u8]| {
    match inspect(body) {
        Ok(facts) => {
            assert!(is_sound(body), "accepted what is no sound JSON");
            let edits = &facts.edits;
            assert!(edits.members.len() <= MAX_MEMBERS);
            assert_eq!(body[edits.object_start as usize], b'{');
            assert_eq!(body[edits.object_end as usize - 1], b'}');
            let object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(
                &without_huge_numbers(body),
            )
            .expect("a sound object");
            assert_eq!(object.len(), edits.members.len(), "each member once");
            let mut end = edits.object_start;
            for member in &edits.members {
                assert!(end < member.key.start && member.key.end < member.value.start);
                end = member.value.end;
                assert!(object.contains_key(&*member.name(body)));
                serde_json::from_slice::<IgnoredAny>(member.value.of(body)).expect("a value");
            }
            assert!(end < edits.object_end);
            for text in &facts.features.texts {
                let quoted = Span { start: text.span.start - 1, end: text.span.end + 1 };
                serde_json::from_slice::<String>(quoted.of(body)).expect("a string");
            }
            for name in &edits.message_names {
                assert!(name.of(body).starts_with(b"\""));
            }
            assert!(facts.choices >= 1 && facts.features.messages >= 1);
            assert!(facts.requirements.hard.len() + facts.requirements.soft.len() < 128);
        }
        Err(invalid) => {
            let malformed = invalid.code == InvalidCode::MalformedJson;
            assert!(!malformed || invalid.param.is_none());
            let object = body.iter().find(|b| !b" \n\t\r".contains(b)) == Some(&b'{');
            assert!(!(malformed && object && is_sound(body)), "refused sound JSON: {invalid}");
        }
    }
});

/// What a reference parser says, plus what it does not look at: depth and halves of surrogates.
fn is_sound(body: &[u8]) -> bool {
    std::str::from_utf8(body).is_ok()
        && serde_json::from_slice::<IgnoredAny>(body).is_ok()
        && depth(body) <= MAX_DEPTH
        && strings(body).all(|string| serde_json::from_slice::<String>(string).is_ok())
}

/// Deepest nesting of sound JSON.
fn depth(body: &[u8]) -> usize {
    let mut outside = body.to_vec();
    for string in strings(body) {
        let start = string.as_ptr() as usize - body.as_ptr() as usize;
        outside[start..start + string.len()].fill(b' ');
    }
    let levels = outside.iter().scan(0_usize, |level, b| {
        match b {
            b'[' | b'{' => *level += 1,
            b']' | b'}' => *level = level.saturating_sub(1),
            _ => {}
        }
        Some(*level)
    });
    levels.max().unwrap_or(0)
}

/// The strings of sound JSON, quotes included.
fn strings(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + body[at..].iter().position(|&b| b == b'"')?;
        let mut end = start + 1;
        while *body.get(end)? != b'"' {
            end += if body[end] == b'\\' { 2 } else { 1 };
        }
        at = end + 1;
        Some(&body[start..at])
    })
}

/// serde_json's values hold no number beyond a double; the text may.
fn without_huge_numbers(body: &[u8]) -> Vec<u8> {
    let mut tame = body.to_vec();
    let mut inside = vec![false; body.len()];
    for string in strings(body) {
        let start = string.as_ptr() as usize - body.as_ptr() as usize;
        inside[start..start + string.len()].fill(true);
    }
    // Exponents become zeros: `1e999` turns into `1e000`.
    let mut exponent = false;
    for (byte, _) in tame.iter_mut().zip(inside).filter(|(_, inside)| !inside) {
        match byte {
            b'e' | b'E' => exponent = true,
            b'0'..=b'9' if exponent => *byte = b'0',
            b'+' | b'-' => {}
            _ => exponent = false,
        }
    }
    tame
}
