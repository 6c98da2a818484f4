use super::*;
use crate::routing::verdict::{Situation, UpstreamReply, verdict};

/// 2026-08-22 12:00:00 UTC.
const NOW: u64 = 1_787_400_000_000;

#[test]
fn an_ordinary_refusal_says_nothing_about_waiting() {
    let none = |status| hint(status, &|_| None, &ErrorBody::default(), &Quotas::default(), NOW);
    for status in [400, 401, 402, 403, 404, 413, 422, 500, 502, 503, 504] {
        assert_eq!(none(status), None, "{status}");
    }
}

#[test]
fn a_midnight_far_off_the_calendar_is_no_panic() {
    let error = ErrorBody { code: "4006".to_owned(), ..ErrorBody::default() };
    for now in [0, u64::MAX, u64::MAX / 2, 253_402_300_799_000] {
        let hint = hint(429, &|_| None, &error, &Quotas::default(), now).expect("a limit");
        assert!((MIN_WAIT_MS..=MAX_WAIT_MS).contains(&hint.wait_ms) && hint.window == Window::Day);
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
        let (number, quotas) = (number.to_string(), Quotas::default());
        let said = serde_json::json!({"error": {"message": message, "retry_after": header}}).to_string();
        for body in [body.as_slice(), said.as_bytes()] {
            let error = ErrorBody::parse(body);
            for value in [&header, &number] {
                let headers = |_: &str| Some(value.as_str());
                if let Some(hint) = hint(status, &headers, &error, &quotas, now) {
                    proptest::prop_assert!((MIN_WAIT_MS..=MAX_WAIT_MS).contains(&hint.wait_ms));
                }
                let reply = UpstreamReply { status, error: &error, hint: None };
                verdict(&reply, &Situation::default());
            }
        }
    }
}
