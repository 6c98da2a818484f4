//! Every way a provider refuses: what is made of it, whom it closes for how long, and what it teaches of the
//! provider's limits. See `tests/fixtures/README.md`.
#![allow(clippy::unwrap_used)]

use freeway::catalog::{
    BUILT_IN, Capability, CapabilitySet, Endpoint, Model, Period, Provider, ProviderFile, ProviderProfile,
    Quotas, Secret, Unit,
};
use freeway::routing::verdict::{
    Effect, ErrorBody, Hint, Learned, Scope, Situation, UpstreamReply, Verdict, Window, in_band_status,
    verdict,
};
use freeway::upstream::{EndpointState, Outcome, Pool, hints::hint};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// 2026-08-22 12:00:00 UTC, unless a fixture says otherwise.
const NOW: u64 = 1_787_400_000_000;
/// The shortest and the longest wait a reply can ask for.
const WAIT_MS: std::ops::RangeInclusive<u64> = 500..=24 * 3_600_000;

/// A recorded refusal.
struct Fixture {
    name: String,
    text: Value,
    provider: Arc<Provider>,
    error: ErrorBody,
}

impl Fixture {
    fn read(path: &Path) -> Self {
        let name = path.display().to_string();
        let text: Value = serde_json::from_slice(&std::fs::read(path).expect(&name)).expect(&name);
        let mut profile = json!({"slug": "p", "base_url": "http://127.0.0.1:1/v1"});
        for (key, value) in text["profile"].as_object().into_iter().flatten() {
            profile[key] = value.clone();
        }
        let profile: ProviderProfile = serde_json::from_value(profile).expect(&name);
        let provider = profile.provider(Vec::new(), None, &|_| None).expect(&name);
        let error = ErrorBody::parse(&body(&text["body"]));
        Self { name, text, provider: Arc::new(provider), error }
    }

    fn status(&self) -> u16 {
        match self.text["status"].as_u64().and_then(|status| u16::try_from(status).ok()).expect(&self.name) {
            200 => in_band_status(&self.error),
            status => status,
        }
    }

    fn now(&self) -> u64 {
        self.text["now"].as_u64().unwrap_or(NOW)
    }

    fn quotas(&self) -> &Quotas {
        &self.provider.quotas
    }

    fn hint(&self) -> Option<Hint> {
        let headers = |name: &str| self.text["headers"][name].as_str();
        hint(self.status(), &headers, &self.error, self.quotas(), self.now())
    }

    fn verdict(&self) -> Verdict {
        let capability = |name: &str| *Capability::ALL.iter().find(|c| c.name() == name).expect(&self.name);
        let uses = self.text["uses"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let uses: CapabilitySet = uses.map(capability).collect();
        let reply = UpstreamReply { status: self.status(), error: &self.error, hint: self.hint() };
        verdict(&reply, &Situation { uses, called_bad_before: false })
    }

    /// What is made of it, in the words of the fixtures.
    fn judged(&self) -> Value {
        let mut seen = match self.verdict() {
            Verdict::Deliver => json!({"verdict": "deliver"}),
            Verdict::NextCandidate { effect, otherwise } => {
                json!({"verdict": "next", "effect": effect.name(), "refusal": format!("{otherwise:?}")})
            }
            Verdict::TryOneOther { effect } => json!({"verdict": "one_other", "effect": effect.name()}),
            Verdict::GiveUp(refusal) => json!({"verdict": "give_up", "refusal": format!("{refusal:?}")}),
        };
        if let Some(Hint { wait_ms, guessed, scope, window, unit, limit }) = self.hint() {
            seen["wait_ms"] = json!(wait_ms);
            if wait_ms == self.until_midnight() && matches!(window, Window::Day) {
                seen["wait_ms"] = json!("midnight");
            }
            seen["guessed"] = json!(guessed);
            seen["scope"] = json!(format!("{scope:?}"));
            seen["window"] = json!(format!("{window:?}"));
            seen["unit"] = json!(unit.map(Unit::name));
            seen["limit"] = json!(limit);
        }
        seen
    }

    fn until_midnight(&self) -> u64 {
        let now = jiff::Timestamp::from_millisecond(self.now() as i64).unwrap();
        let here = now.to_zoned(self.quotas().midnight.zone().clone());
        let midnight = here.tomorrow().unwrap().start_of_day().unwrap().timestamp();
        (midnight.as_millisecond() - now.as_millisecond()) as u64
    }

    fn is_about_a_limit(&self) -> bool {
        self.name.contains("/limits/")
    }
}

fn body(body: &Value) -> Vec<u8> {
    match body {
        Value::String(text) => text.clone().into_bytes(),
        json => json.to_string().into_bytes(),
    }
}

/// `limits/*.json` and every provider's `error-*.json`.
fn fixtures() -> Vec<Fixture> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let entries = |dir: &Path| std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect::<Vec<_>>();
    let folders = entries(&root).into_iter().filter(|path| path.is_dir());
    let mut files: Vec<PathBuf> = folders.flat_map(|folder| entries(&folder)).collect();
    files.retain(|path| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.ends_with(".json") && (name.starts_with("error-") || path.parent().unwrap().ends_with("limits"))
    });
    files.sort();
    files.iter().map(|path| Fixture::read(path)).collect()
}

#[test]
fn every_refusal_is_understood() {
    let fixtures = fixtures();
    let limits = fixtures.iter().filter(|fixture| fixture.is_about_a_limit()).count();
    assert!(limits >= 60 && fixtures.len() >= 120, "only {limits} of limits, {} in all", fixtures.len());
    let wrong: Vec<_> = fixtures
        .iter()
        .map(|fixture| (&fixture.name, fixture.judged(), &fixture.text["expect"]))
        .filter(|(_, seen, expect)| seen != *expect)
        .map(|(path, seen, expect)| format!("{path}\n  seen   {seen}\n  expect {expect}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_profiles_that_come_with_the_program_make_the_same_of_it() {
    let shipped: ProviderFile = toml::from_str(BUILT_IN).unwrap();
    let mut wrong = Vec::new();
    for profile in shipped.providers {
        let provider = Arc::new(profile.provider(Vec::new(), None, &|_| Some("x".to_owned())).unwrap());
        let of_it = format!("/limits/{}-", profile.slug);
        for mut fixture in fixtures().into_iter().filter(|fixture| fixture.name.contains(&of_it)) {
            let before = fixture.judged();
            fixture.provider = Arc::clone(&provider);
            let seen = fixture.judged();
            if seen != before {
                wrong.push(format!("{}\n  seen   {seen}\n  expect {before}", fixture.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A provider's account: two models, each with two keys.
struct Account {
    asked: Arc<EndpointState>,
    other: Arc<EndpointState>,
}

impl Account {
    fn of(fixture: &Fixture) -> Self {
        let keys = ["one", "two"].into_iter().filter_map(Secret::new).collect();
        let provider = Provider { keys, max_concurrency: Some(1), ..(*fixture.provider).clone() };
        let provider = Arc::new(provider);
        let pool = Pool::new();
        let state = |name: &str| {
            let model = Model { id: name.to_owned(), ..Model::default() };
            pool.state(&Endpoint::new(Arc::clone(&provider), model, name.to_owned()))
        };
        Self { asked: state("asked"), other: state("other") }
    }

    /// Of the asked model and the other one: how many of the two keys may be used.
    fn open(&self, now_ms: u64) -> [usize; 2] {
        [&self.asked, &self.other].map(|state| {
            // A key takes one request at a time.
            let held: Vec<_> =
                std::iter::from_fn(|| state.begin_regardless(0, now_ms).ok()).take(3).collect();
            held.len()
        })
    }

    /// The asked model refuses a request of so many tokens.
    fn refuse(&self, effect: Effect, now_ms: u64) {
        let guard = self.asked.begin(10, now_ms).expect("room");
        guard.observe(Outcome::Failed { effect, took_ms: 5 }, now_ms);
    }

    /// The limits the asked model is known to be under.
    fn limits(&self, now_ms: u64) -> Vec<(Unit, Period, u64)> {
        let readings = self.asked.readings(now_ms);
        readings.filter_map(|(_, reading)| Some((reading.unit, reading.per, reading.limit?))).collect()
    }
}

#[test]
fn a_refusal_closes_what_it_is_about_for_as_long_as_it_says() {
    for fixture in fixtures() {
        let Verdict::NextCandidate { effect, .. } = fixture.verdict() else { continue };
        let Effect::Cool { scope, for_ms, .. } = effect else { continue };
        let (name, now, account) = (&fixture.name, fixture.now(), Account::of(&fixture));
        assert_eq!(account.open(now), [2, 2], "{name}");
        account.refuse(effect, now);
        let shut = match scope {
            Scope::Model => [1, 2],
            Scope::Key => [1, 1],
            Scope::Provider => [0, 0],
        };
        for at in [now, now + for_ms - 1] {
            assert_eq!(account.open(at), shut, "{name}");
        }
        assert_eq!(account.open(now + for_ms + 61_000), [2, 2], "{name} is over");
    }
}

#[test]
fn a_limit_that_was_named_is_in_the_mirror() {
    let mut named = 0;
    for fixture in fixtures() {
        let (now, account) = (fixture.now(), Account::of(&fixture));
        let Verdict::NextCandidate { effect, .. } = fixture.verdict() else { continue };
        let (Effect::Cool { learned, .. } | Effect::NeedsLargerContext { learned }) = effect else {
            continue;
        };
        let Some(Learned { unit, per, limit: Some(limit) }) = learned else { continue };
        account.refuse(effect, now);
        // An account without limits is not counted, nor is an hour or a month that nobody limits.
        let is_counted = account.asked.readings(now).any(|(_, r)| (r.unit, r.per) == (unit, per));
        if is_counted {
            assert!(account.limits(now).contains(&(unit, per, limit)), "{}: {learned:?}", fixture.name);
            named += 1;
        }
    }
    assert!(named >= 12, "only {named}");
}

#[test]
fn a_refusal_that_is_about_no_limit_teaches_none() {
    for fixture in fixtures() {
        let Some(Hint { window: Window::Concurrency | Window::Unknown, .. }) = fixture.hint() else {
            continue;
        };
        let Verdict::NextCandidate { effect, .. } = fixture.verdict() else { continue };
        let (now, account) = (fixture.now(), Account::of(&fixture));
        let before = account.limits(now);
        account.refuse(effect, now);
        assert_eq!(account.limits(now), before, "{}", fixture.name);
    }
}

#[test]
fn any_prefix_of_any_refusal_is_survived() {
    for fixture in fixtures() {
        let body = body(&fixture.text["body"]);
        for end in 0..=body.len() {
            let error = ErrorBody::parse(&body[..end]);
            let hint = hint(429, &|_| None, &error, fixture.quotas(), NOW).expect("a 429 always waits");
            assert!(WAIT_MS.contains(&hint.wait_ms) || hint.window == Window::TooBig, "{}", fixture.name);
        }
    }
}
