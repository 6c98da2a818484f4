use super::*;
use crate::catalog::{Capability, CapabilitySet};
use crate::routing::verdict::{Situation, UpstreamReply, Verdict, in_band_status, verdict};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// 2026-08-22 12:00:00 UTC, unless a fixture says otherwise.
const NOW: u64 = 1_787_400_000_000;

/// What hint and verdict make of a recorded reply, in a fixture's words.
fn judge(fixture: &Value) -> Value {
    let body = match &fixture["body"] {
        Value::String(text) => text.clone().into_bytes(),
        json => json.to_string().into_bytes(),
    };
    let error = ErrorBody::parse(&body);
    let headers = |name: &str| fixture["headers"][name].as_str();
    let status = match fixture["status"].as_u64().and_then(|s| u16::try_from(s).ok()).expect("a status") {
        200 => in_band_status(&error),
        status => status,
    };
    let hint = hint(status, &headers, &error, fixture["now"].as_u64().unwrap_or(NOW));
    let uses: CapabilitySet =
        fixture["uses"].as_array().into_iter().flatten().filter_map(Value::as_str).map(capability).collect();
    let situation = Situation { uses, called_bad_before: false };
    let mut seen = match verdict(&UpstreamReply { status, error: &error, hint }, &situation) {
        Verdict::Deliver => json!({"verdict": "deliver"}),
        Verdict::NextCandidate { effect, otherwise } => {
            json!({"verdict": "next", "effect": effect.name(), "refusal": format!("{otherwise:?}")})
        }
        Verdict::TryOneOther { effect } => json!({"verdict": "one_other", "effect": effect.name()}),
        Verdict::GiveUp(refusal) => json!({"verdict": "give_up", "refusal": format!("{refusal:?}")}),
    };
    if let Some(Hint { wait_ms, scope, window }) = hint {
        seen["wait_ms"] = json!(wait_ms);
        seen["scope"] = json!(format!("{scope:?}"));
        seen["window"] = json!(format!("{window:?}"));
    }
    seen
}

fn capability(name: &str) -> Capability {
    *Capability::ALL.iter().find(|c| c.name() == name).expect("a known capability")
}

fn fixtures() -> Vec<(String, Value)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let folders = fs::read_dir(root).expect("the fixtures");
    let files = folders.filter_map(|f| fs::read_dir(f.ok()?.path()).ok()).flatten().filter_map(Result::ok);
    let errors = files.map(|f| f.path()).filter(|p| {
        let name = p.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        name.starts_with("error-") && name.ends_with(".json")
    });
    errors
        .map(|path| {
            let text = fs::read(&path).expect("readable");
            (path.display().to_string(), serde_json::from_slice(&text).expect("a fixture is JSON"))
        })
        .collect()
}

#[test]
fn every_providers_errors_are_understood() {
    let fixtures = fixtures();
    assert!(fixtures.len() >= 90, "only {} fixtures found", fixtures.len());
    let wrong: Vec<_> = fixtures
        .iter()
        .map(|(path, fixture)| (path, judge(fixture), &fixture["expect"]))
        .filter(|(_, seen, expect)| seen != *expect)
        .map(|(path, seen, expect)| format!("{path}\n  seen   {seen}\n  expect {expect}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn any_prefix_of_any_error_is_survived() {
    for (_, fixture) in fixtures() {
        let body = fixture["body"].to_string().into_bytes();
        for end in 0..=body.len() {
            let error = ErrorBody::parse(&body[..end]);
            let hint = hint(429, &|_| None, &error, NOW).expect("a 429 always waits");
            assert!((MIN_WAIT_MS..=MAX_WAIT_MS).contains(&hint.wait_ms) || hint.window == Window::TooBig);
        }
    }
}

#[test]
fn an_ordinary_refusal_says_nothing_about_waiting() {
    let none = |status| hint(status, &|_| None, &ErrorBody::default(), NOW);
    for status in [400, 401, 402, 403, 404, 413, 422, 500, 502, 503, 504] {
        assert_eq!(none(status), None, "{status}");
    }
}

#[test]
fn a_midnight_far_off_the_calendar_is_no_panic() {
    for now in [0, u64::MAX, u64::MAX / 2, 253_402_300_799_000] {
        assert!(until_midnight(true, now) <= 26 * 3_600_000);
    }
}

proptest::proptest! {
    #[test]
    fn no_reply_makes_a_wait_out_of_bounds(
        status in 100u16..=599,
        header in "\\PC{0,24}",
        number in proptest::num::f64::ANY,
        body in proptest::collection::vec(proptest::num::u8::ANY, 0..64),
        message in "(try again in |wait |retry after )?\\PC{0,24}",
        now in proptest::num::u64::ANY,
    ) {
        let number = number.to_string();
        let said = serde_json::json!({"error": {"message": message, "retry_after": header}}).to_string();
        for body in [body.as_slice(), said.as_bytes()] {
            let error = ErrorBody::parse(body);
            for value in [&header, &number] {
                let headers = |_: &str| Some(value.as_str());
                if let Some(hint) = hint(status, &headers, &error, now) {
                    proptest::prop_assert!((MIN_WAIT_MS..=MAX_WAIT_MS).contains(&hint.wait_ms));
                }
                let reply = UpstreamReply { status, error: &error, hint: None };
                verdict(&reply, &Situation::default());
            }
        }
    }
}
