use super::super::facts::{Role, Sort};
use super::*;
use crate::catalog::{Capability, CapabilitySet};

mod body;
mod messages;
mod output;
mod preferences;
mod properties;
mod tools;

const MESSAGES: &str = r#""messages":[{"role":"user","content":"hi"}]"#;

fn facts(body: &str) -> RequestFacts {
    inspect(body.as_bytes()).unwrap_or_else(|e| panic!("{e:?}: {body}"))
}

/// Facts of a request with these fields besides a short message.
fn with(fields: &str) -> RequestFacts {
    facts(&format!("{{{MESSAGES},{fields}}}"))
}

/// Facts of a request with this one message.
fn message(message: &str) -> RequestFacts {
    facts(&format!(r#"{{"messages":[{message}]}}"#))
}

/// Facts of a request with this one part in a user's message.
fn part(part: &str) -> RequestFacts {
    message(&format!(r#"{{"role":"user","content":[{{"type":"text","text":"see"}},{part}]}}"#))
}

fn set(capabilities: &[Capability]) -> CapabilitySet {
    capabilities.iter().copied().collect()
}

fn check(facts: &RequestFacts, hard: &[Capability], soft: &[Capability]) {
    assert_eq!(facts.requirements.hard, set(hard), "hard");
    assert_eq!(facts.requirements.soft, set(soft), "soft");
}

fn refused(body: &str) -> Invalid {
    inspect(body.as_bytes()).expect_err(body)
}

/// The body is refused for what is at `param`.
fn check_refused(body: &str, param: &str) {
    let invalid = refused(body);
    assert_eq!(invalid.param.as_deref(), Some(param), "{body}: {invalid:?}");
    assert_eq!(invalid.code, InvalidCode::InvalidRequest);
    assert!(invalid.message.starts_with(&format!("`{param}` ")), "{invalid}");
}

fn refuse_field(fields: &str, param: &str) {
    check_refused(&format!("{{{MESSAGES},{fields}}}"), param);
}

fn refuse_message(message: &str, param: &str) {
    check_refused(&format!(r#"{{"messages":[{{"role":"user","content":"a"}},{message}]}}"#), param);
}
