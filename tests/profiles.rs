//! Every provider that comes with the program, held against what was recorded of it: a provider without
//! recordings fails here, so that none is added unverified. See `tests/fixtures/README.md`.

use bytes::Bytes;
use freeway::catalog::{
    BUILT_IN, Date, LimitScope, Listing, Period, ProviderFile, ProviderProfile, Unit, Window, description,
    parse_models, with_descriptions,
};
use freeway::protocol::inspect::inspect;
use freeway::protocol::rewrite::rewrite;
use serde_json::{Map, Value, json};
use std::path::Path;
use std::sync::Arc;

/// The recorded lists are of this day.
const TODAY: Date = jiff::civil::date(2026, 8, 22);

/// Uses every field some provider rejects or spells in its own way.
const REQUEST: &str = include_str!("fixtures/request.json");

#[test]
fn every_provider_lists_its_models_as_recorded() {
    each(|recorded| {
        let listing = recorded.listing();
        let served: Vec<_> = listing.models.iter().map(|e| e.model.id.as_str()).collect();
        assert_eq!(json!(served), recorded.expect["serves"], "{}", recorded.profile.slug);
    });
}

#[test]
fn every_provider_gets_requests_in_its_own_words() {
    let body = Bytes::from_static(REQUEST.as_bytes());
    let facts = inspect(&body).expect("a sound request");
    each(|recorded| {
        let slug = &recorded.profile.slug;
        let listing = recorded.listing();
        let sent = recorded.object("sends");
        assert!(!sent.is_empty(), "{slug}: at least one model's request is recorded");
        for (id, expect) in sent {
            let endpoint = listing.models.iter().find(|e| e.model.id == *id).expect("it is served");
            let rope = rewrite(&body, &facts, endpoint);
            let sent: Map<String, Value> =
                serde_json::from_slice(&rope.parts().concat()).expect("still a request");
            let original: Map<String, Value> = serde_json::from_str(REQUEST).expect("a request");
            // What is recorded is what becomes of the request: fields that go, and those that come or change.
            let gone: Vec<_> = original.keys().filter(|key| !sent.contains_key(*key)).collect();
            let differs = |(key, value): &(&String, &Value)| original.get(*key) != Some(*value);
            let new: Map<_, _> = sent.iter().filter(differs).map(|(k, v)| (k.clone(), v.clone())).collect();
            assert_eq!(json!({"without": gone, "with": new}), *expect, "{slug}: what {id} is sent");
        }
    });
}

#[test]
fn every_provider_has_the_limits_that_were_published() {
    each(|recorded| {
        let slug = &recorded.profile.slug;
        let provider = recorded.profile.provider(Vec::new(), None, &variable).expect("usable");
        let limits = recorded.object("limits");
        assert!(!limits.is_empty(), "{slug}: the limits of at least one model are recorded");
        for (id, expect) in limits {
            let listing = recorded.listing();
            assert!(listing.models.iter().any(|e| e.model.id == *id), "{slug}: {id} is served");
            let over: Vec<_> = provider.quotas.over(id).into_iter().map(in_words).collect();
            assert_eq!(json!(over), *expect, "{slug}: the limits of {id}");
        }
        let zone = provider.quotas.midnight.zone().iana_name().unwrap_or("UTC");
        assert_eq!(json!(zone), recorded.expect["midnight"], "{slug}");
        assert_eq!(json!(provider.quotas.failures_count), recorded.expect["failures_count"], "{slug}");
        assert_eq!(json!(provider.max_concurrency), recorded.expect["max_concurrency"], "{slug}");
    });
}

#[test]
fn every_provider_says_in_these_headers_what_is_left() {
    each(|recorded| {
        let provider = recorded.profile.provider(Vec::new(), None, &variable).expect("usable");
        let headers = provider.quotas.headers.iter().map(|header| {
            let what = format!("{} {} {}", header.scope.name(), header.unit.name(), header.per);
            for name in [&header.limit, &header.remaining, &header.reset].into_iter().flatten() {
                assert_eq!(*name, name.to_ascii_lowercase(), "names of headers are in lower case");
            }
            (what, json!([header.limit, header.remaining, header.reset]))
        });
        let headers = Value::Object(headers.collect());
        assert_eq!(headers, recorded.expect["limit_headers"], "{}", recorded.profile.slug);
    });
}

/// A provider and what was recorded of it.
struct Recorded {
    profile: ProviderProfile,
    expect: Value,
}

fn each(check: impl Fn(&Recorded)) {
    let file: ProviderFile = toml::from_str(BUILT_IN).expect("the built-in profiles are valid");
    assert!(file.providers.len() >= 15);
    for profile in file.providers {
        let expect = serde_json::from_slice(&read(&profile.slug, "profile.json")).expect("JSON");
        check(&Recorded { profile, expect });
    }
}

impl Recorded {
    fn listing(&self) -> Listing {
        let slug = &self.profile.slug;
        let mut list = read(slug, "models.json");
        if self.profile.list.show.is_some() {
            let described: Value = serde_json::from_slice(&read(slug, "show.json")).expect("JSON");
            list = with_descriptions(&list, |name| description(described.get(name)?.to_string().as_bytes()));
        }
        let provider = self.profile.provider(Vec::new(), None, &variable).expect("usable");
        parse_models(&self.profile.list_rules(), &list, &Arc::new(provider), TODAY).expect("a readable list")
    }

    fn object(&self, member: &str) -> &Map<String, Value> {
        let object = self.expect[member].as_object();
        object.unwrap_or_else(|| panic!("{}: `{member}` is recorded", self.profile.slug))
    }
}

fn read(slug: &str, file: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(slug).join(file);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{slug} is not verified: {}: {e}", path.display()))
}

fn variable(_: &str) -> Option<String> {
    Some("x".to_owned())
}

/// As in `model: 30 requests a minute`, or `… a sliding day`.
fn in_words((scope, unit, per, amount, window): (LimitScope, Unit, Period, u64, Window)) -> String {
    let cut = match window {
        Window::Sliding => "sliding",
        Window::Calendar => "calendar",
    };
    format!("{}: {amount} {} a {cut} {per}", scope.name(), unit.name())
}
