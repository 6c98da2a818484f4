//! Whatever a provider says of its limits, nobody waits for less than half a second or more than a day, a
//! guess stays short, and the mirror can live with what is learned.
#![no_main]

use freeway::catalog::{Endpoint, Model, Provider, ProviderProfile};
use freeway::routing::condition::Availability;
use freeway::routing::verdict::{
    Effect, ErrorBody, Hint, Situation, UpstreamReply, Verdict, Window, in_band_status, verdict,
};
use freeway::upstream::{Outcome, Pool, hints::hint, limit_headers::observed};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use std::sync::Arc;

const HOUR_MS: u64 = 3_600_000;
/// The year 2000: our clock shows no earlier time.
const LEAST_NOW_MS: u64 = 946_684_800_000;

// `tests/fixtures/limits/*.json` are seeds as they stand. What is none is the body of a 429.
fuzz_target!(|input: &[u8]| {
    let fixture = serde_json::from_slice(input).ok().filter(|f: &Value| f["status"].is_u64());
    let body = match fixture.as_ref().map(|fixture| &fixture["body"]) {
        None => input.to_vec(),
        Some(Value::String(text)) => text.clone().into_bytes(),
        Some(body) => body.to_string().into_bytes(),
    };
    let fixture = fixture.unwrap_or_default();
    let provider = Arc::new(provider(&fixture["profile"]));
    let quotas = &provider.quotas;
    let headers = |name: &str| fixture["headers"][name].as_str();
    let error = ErrorBody::parse(&body);
    let status = match fixture["status"].as_u64().unwrap_or(429) {
        200..300 => in_band_status(&error),
        status => u16::try_from(status).unwrap_or(599),
    };

    let now_ms = fixture["now"].as_u64().unwrap_or(1_787_400_000_000);
    let hint = hint(status, &headers, &error, quotas, now_ms);
    hint.iter().for_each(|hint| check(hint, status));
    let judged = verdict(&UpstreamReply { status, error: &error, hint }, &Situation::default());
    let told: Vec<_> = observed(&quotas.headers, &headers, now_ms).collect();
    assert!(told.iter().all(|told| told.limit != Some(0)));

    // The mirror takes in whatever it was.
    let now_ms = LEAST_NOW_MS + now_ms % (100 * 366 * 24 * HOUR_MS);
    let model = Model { id: "m".to_owned(), ..Model::default() };
    let state = Pool::new().state(&Endpoint::new(Arc::clone(&provider), model, "m".to_owned()));
    let Ok(guard) = state.begin(10, now_ms) else { return };
    if let Verdict::NextCandidate { effect, .. } = judged {
        guard.observe(Outcome::Failed { effect, took_ms: 1 }, now_ms);
        let shut = state.condition(0, now_ms).availability;
        assert!(!matches!(effect, Effect::Cool { .. }) || matches!(shut, Availability::Cooling { .. }));
    }
    guard.limits(told, now_ms);
    let _ = (state.condition(10, now_ms), state.readings(now_ms).count());
});

fn check(hint: &Hint, status: u16) {
    let Hint { wait_ms, guessed, window, unit, limit, .. } = *hint;
    let most = match window {
        _ if guessed => HOUR_MS / 12,
        Window::Day | Window::Month => 24 * HOUR_MS,
        _ => HOUR_MS,
    };
    match window {
        Window::TooBig => assert_eq!(wait_ms, 0),
        _ => assert!((500..=most).contains(&wait_ms), "{wait_ms} ms for {window:?}"),
    }
    assert!(!matches!(status, 401 | 402 | 404 | 410), "no waiting helps");
    assert!(limit.is_none() || (unit.is_some() && limit != Some(0)), "{limit:?} of {unit:?}");
    assert!(unit.is_none() || window.period().is_some() || window == Window::TooBig);
}

/// A provider with this profile, as far as it is one.
fn provider(members: &Value) -> Provider {
    let mut profile = json!({"slug": "p", "base_url": "http://localhost/v1"});
    for name in ["limits", "limit_headers", "midnight", "failures_count"] {
        if let Some(value) = members.get(name) {
            profile[name] = value.clone();
        }
    }
    let profile = serde_json::from_value::<ProviderProfile>(profile).ok();
    let provider = profile.and_then(|profile| profile.provider(Vec::new(), None, &|_| None).ok());
    provider.unwrap_or_else(|| Provider::new("p", "http://localhost".parse().expect("a URL")))
}
