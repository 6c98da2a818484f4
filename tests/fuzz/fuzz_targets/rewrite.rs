//! Whatever the body and the provider's profile, the rewritten body is sound JSON with no field
//! twice, and every field that is not ours to edit is gone or byte for byte as it was.
#![no_main]

use bytes::Bytes;
use freeway::catalog::{Capability, CapabilitySet, Endpoint, FieldProfile, Model, OutputLimitField, Provider};
use freeway::protocol::inspect::inspect;
use freeway::protocol::rewrite::rewrite;
use libfuzzer_sys::fuzz_target;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::sync::Arc;

/// Fields whose value or name a rewrite may change.
const EDITED: [&str; 8] = [
    "model", "messages", "stream_options", "plugins", "reasoning_effort", "max_tokens",
    "max_completion_tokens", "random_seed",
];

fuzz_target!(|input: (u64, u16, &[u8])| {
    let (capabilities, profile, body) = input;
    let Ok(facts) = inspect(body) else { return };
    // Routing picks no endpoint without what the request needs.
    let needed = facts.requirements.hard;
    let able = Capability::ALL.iter().copied().filter(|&c| capabilities >> c as u8 & 1 == 1 || needed.contains(c));
    let endpoint = endpoint(able.collect(), profile);
    let body = Bytes::copy_from_slice(body);
    let rope = rewrite(&body, &facts, &endpoint);
    let mut out = Vec::new();
    while let Some(chunk) = rope.chunk(out.len(), 1000) {
        out.extend_from_slice(&chunk);
    }
    assert_eq!(out.len(), rope.len());

    let before: Members<'_> = serde_json::from_slice(&body).expect("the body was sound");
    let after: Members<'_> = serde_json::from_slice(&out).expect("the rewritten body is sound");
    for (i, (key, value)) in after.0.iter().enumerate() {
        assert!(after.0[..i].iter().all(|(k, _)| k != key), "a field twice");
        let kept = before.0.iter().any(|(k, v)| k == key && v.get() == value.get());
        assert!(kept || EDITED.contains(&key.as_str()), "an edited field: {key}");
    }
    let value = |name: &str| after.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.get());
    assert_eq!(value("model"), Some("\"up/\\\"m\""));
    let messages = value("messages").expect("messages stay");
    if !endpoint.provider.profile.strip_message_names {
        assert!(before.0.iter().any(|(key, v)| key == "messages" && v.get() == messages));
    }
    // The same again changes nothing more, once the model is set.
    let again = inspect(&out).expect("the rewritten body passes inspection");
    let twice = rewrite(&Bytes::from(out.clone()), &again, &endpoint).parts().concat();
    assert_eq!(twice, out, "rewriting is idempotent");
});

fn endpoint(capabilities: CapabilitySet, bits: u16) -> Endpoint {
    let bit = |n: u16| bits >> n & 1 == 1;
    let named = |on: bool, name: &str| on.then(|| name.to_owned());
    let profile = FieldProfile {
        output_limit: match bits & 3 {
            0 | 1 => OutputLimitField::AsSent,
            2 => OutputLimitField::MaxTokens,
            _ => OutputLimitField::MaxCompletionTokens,
        },
        strip: named(bit(2), "user").into_iter().chain(named(bit(3), "reasoning_effort")).collect(),
        rename: if bit(4) { vec![("seed".into(), "random_seed".into())] } else { Vec::new() },
        router_fields: bit(5),
        known_fields_only: bit(6) && !bit(4),
        strip_message_names: bit(7),
        no_stream_options: bit(8),
    };
    let base = "http://localhost".parse().expect("a base URL");
    let provider = Provider { profile, ..Provider::new("p", base) };
    let model = Model {
        id: "m".into(),
        capabilities,
        reasoning_mandatory: bit(9),
        ..Model::default()
    };
    Endpoint::new(Arc::new(provider), model, "up/\"m".into())
}

/// The members of an object in order, values as written.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}
