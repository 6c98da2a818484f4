//! Which conversation a request is part of: by its session, else by how it begins.

use super::gateway::Gateway;
use super::limit::{Visitor, address_of};
use crate::limits::{Key, Prefix};
use crate::protocol::errors::{ApiError, ErrorKind};
use crate::protocol::facts::{RequestFacts, Role, Session, Span};
use crate::protocol::inspect::MAX_SESSION_CHARS;
use crate::routing::is_auto;
use http::HeaderMap;
use pingora::proxy::Session as Client;
use sha2::{Digest, Sha256};

/// Where clients name a session that cannot do so in the body.
const HEADER: &str = "x-session-id";
/// Of a message this much at its beginning and at its end tells conversations apart; and its length.
const TELLING_BYTES: usize = 1024;

/// The conversation of a request; none where conversations are not held, or `provider.order` says whom to ask.
///
/// # Errors
/// 400 where the session's name is too long.
pub(super) fn of(
    gateway: &Gateway,
    client: &Client,
    visitor: Option<&Visitor>,
    facts: &RequestFacts,
    body: &[u8],
) -> Result<Option<Session>, Box<ApiError>> {
    let header = named(&client.req_header().headers)?;
    if gateway.config.session_idle.is_zero() || !facts.preferences.order.is_empty() {
        return Ok(None);
    }
    let whose = match visitor {
        Some(visitor) => Key::Account(visitor.caller.wallet.account()),
        None => Key::address(address_of(client, &gateway.config.trusted_proxies)),
    };
    Ok(Some(session(whose, header, facts, body)))
}

/// The session that the header names.
fn named(headers: &HeaderMap) -> Result<Option<String>, Box<ApiError>> {
    let Some(value) = headers.get(HEADER) else { return Ok(None) };
    let name = String::from_utf8_lossy(value.as_bytes());
    if name.chars().count() > MAX_SESSION_CHARS {
        let words = format!("{HEADER} must have at most {MAX_SESSION_CHARS} characters");
        return Err(Box::new(ApiError::new(ErrorKind::InvalidRequest, words).param(HEADER)));
    }
    Ok(Some(name.into_owned()).filter(|name| !name.is_empty()))
}

fn session(whose: Key, header: Option<String>, facts: &RequestFacts, body: &[u8]) -> Session {
    let mut hash = Sha256::new();
    match whose {
        Key::Address(Prefix::V4(bits)) => hash.update(bits.to_be_bytes()),
        Key::Address(Prefix::V6(bits)) => hash.update([&[6], &bits.to_be_bytes()[..]].concat()),
        Key::Account(account) => hash.update([&[0], &account.get().to_be_bytes()[..]].concat()),
    }
    let model = facts.model.as_deref().filter(|model| !is_auto(Some(model))).unwrap_or("auto");
    hash.update((model.len() as u64).to_be_bytes());
    hash.update(model);
    let wishes = &facts.preferences;
    let name = wishes.session.as_ref().or(header.as_ref());
    let holds = match (name, &wishes.cache_key) {
        (Some(name), _) => {
            hash.update([1]);
            hash.update(name);
            true
        }
        (None, Some(key)) => {
            hash.update([2]);
            hash.update(key);
            true
        }
        (None, None) => {
            hash.update([3]);
            facts.opening.into_iter().for_each(|content| opening(&mut hash, content, body));
            // Its first turn may be anybody's who begins alike.
            facts.features.tool_history || facts.features.texts.iter().any(|t| t.role == Role::Assistant)
        }
    };
    let digest: [u8; 32] = hash.finalize().into();
    let key = digest.iter().take(8).fold(0, |key, byte| key << 8 | u64::from(*byte));
    Session { key, holds }
}

fn opening(hash: &mut Sha256, content: Option<Span>, body: &[u8]) {
    let text = content.map_or(&[][..], |content| content.of(body));
    hash.update((text.len() as u64).to_be_bytes());
    if text.len() <= 2 * TELLING_BYTES {
        hash.update(text);
    } else {
        hash.update(&text[..TELLING_BYTES]);
        hash.update(&text[text.len() - TELLING_BYTES..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::inspect::inspect;
    use std::net::Ipv4Addr;

    fn of(header: Option<&str>, body: &str) -> Session {
        let facts = inspect(body.as_bytes()).expect("a request");
        let whose = Key::address(Ipv4Addr::LOCALHOST.into());
        session(whose, header.map(str::to_owned), &facts, body.as_bytes())
    }

    fn turn(members: &str, messages: &str) -> String {
        format!(r#"{{{members}"messages":[{messages}]}}"#)
    }

    const SYSTEM: &str = r#"{"role":"developer","content":"Be brief."},"#;
    const FIRST: &str = r#"{"role":"user","content":"Hello"}"#;
    const MORE: &str = r#",{"role":"assistant","content":"Hi!"},{"role":"user","content":"Who are you?"}"#;

    #[test]
    fn the_body_names_the_session_then_the_header_then_the_cache_key() {
        let body = turn(r#""session_id":"a","prompt_cache_key":"b","#, FIRST);
        let cached = turn(r#""prompt_cache_key":"b","#, FIRST);
        let in_body = of(Some("h"), &body);
        assert_eq!(in_body, of(None, &turn(r#""session_id":"a","#, FIRST)));
        assert_eq!(of(Some("h"), &cached), of(Some("h"), &turn("", FIRST)));
        assert_eq!(of(Some("a"), &turn("", FIRST)), in_body, "the header is the same session");
        assert_ne!(of(None, &cached), of(None, &turn("", FIRST)));
        assert!(in_body.holds && of(None, &cached).holds, "a named one from its first turn on");
    }

    #[test]
    fn without_a_name_a_conversation_is_known_by_how_it_begins() {
        let first = of(None, &turn("", &format!("{SYSTEM}{FIRST}")));
        let later = of(None, &turn("", &format!("{SYSTEM}{FIRST}{MORE}")));
        assert_eq!(first.key, later.key);
        assert!(!first.holds && later.holds, "it is held from its second turn on");
        assert_ne!(first.key, of(None, &turn("", FIRST)).key, "another system message");
        let other = FIRST.replace("Hello", "Hullo");
        assert_ne!(first.key, of(None, &turn("", &format!("{SYSTEM}{other}"))).key);
    }

    #[test]
    fn long_openings_are_told_apart_by_both_ends_and_their_length() {
        let key = |text: &str| of(None, &turn("", &FIRST.replace("Hello", text))).key;
        let long = "x".repeat(5_000);
        assert_eq!(key(&long), key(&long));
        assert_ne!(key(&long), key(&format!("{long}x")));
        assert_ne!(key(&format!("{long}a")), key(&format!("{long}b")));
        assert_ne!(key(&format!("a{long}")), key(&format!("b{long}")));
    }

    #[test]
    fn sessions_are_of_one_caller_and_one_model() {
        let body = turn(r#""session_id":"s","#, FIRST);
        let named =
            |model: &str| of(None, &turn(&format!(r#""session_id":"s","model":"{model}","#), FIRST)).key;
        assert_eq!(named("openrouter/auto"), named("auto"));
        assert_ne!(named("a/b:free"), named("auto"));
        let facts = inspect(body.as_bytes()).expect("a request");
        let key = |ip: [u8; 4]| session(Key::address(ip.into()), None, &facts, body.as_bytes()).key;
        assert_ne!(key([10, 0, 0, 1]), key([10, 0, 0, 2]));
    }
}
