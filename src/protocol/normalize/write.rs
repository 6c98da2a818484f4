//! Writing chunks and bodies: JSON on one line, members in the order clients expect.

use super::Identity;
use super::calls::Call;
use super::object::{Object, quote};
use super::turn::{Choice, Turn};
use std::io::Write;

/// What ends every stream.
pub(super) const DONE: &[u8] = b"data: [DONE]\n\n";

/// Members that must be absent from chunks rather than null, and null rather than absent from bodies.
pub(super) const NULLABLE: [&str; 2] = ["system_fingerprint", "service_tier"];

/// The start of every chunk or body: `{"id":…,"provider":…`, without the closing brace.
pub(super) fn head(identity: &Identity, object: &str) -> Vec<u8> {
    format!(
        r#"{{"id":{},"object":"{object}","created":{},"model":{},"provider":{}"#,
        quote(&identity.id),
        identity.created,
        quote(&identity.model),
        quote(&identity.provider),
    )
    .into_bytes()
}

/// One chunk of a stream.
pub(super) fn chunk(
    out: &mut Vec<u8>,
    head: &[u8],
    rest: &Object<'_>,
    turns: &[Turn<'_>],
    choices: &mut [Choice],
) {
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(head);
    for (key, value) in rest.iter() {
        if !(value == "null" && NULLABLE.contains(&key)) {
            member(out, key, value);
        }
    }
    out.extend_from_slice(b",\"choices\":[");
    for (i, turn) in turns.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        chunk_choice(out, turn, &mut choices[turn.at]);
    }
    out.extend_from_slice(b"]}\n\n");
}

fn chunk_choice(out: &mut Vec<u8>, turn: &Turn<'_>, choice: &mut Choice) {
    index(out, choice.index);
    out.extend_from_slice(b",\"delta\":{");
    let start = out.len();
    if !std::mem::replace(&mut choice.begun, true) {
        member(out, "role", "\"assistant\"");
    }
    for (key, value) in turn.delta.iter() {
        member(out, key, value);
    }
    if !turn.calls.is_empty() {
        key(out, "tool_calls");
        list(out, &turn.calls, fragment);
    }
    drop_comma(out, start);
    out.push(b'}');
    for (key, value) in turn.rest.iter() {
        member(out, key, value);
    }
    finish(out, choice, turn.finish.is_some());
}

/// The finish reasons of a choice, and the brace that closes it.
pub(super) fn finish(out: &mut Vec<u8>, choice: &Choice, now: bool) {
    match choice.finish.filter(|_| now) {
        Some(reason) => {
            out.extend_from_slice(b",\"finish_reason\":\"");
            out.extend_from_slice(reason.name().as_bytes());
            out.push(b'"');
            member(out, "native_finish_reason", choice.native.as_deref().unwrap_or("null"));
        }
        None => out.extend_from_slice(b",\"finish_reason\":null"),
    }
    out.push(b'}');
}

fn fragment(out: &mut Vec<u8>, call: &Call<'_>) {
    index(out, call.number as u64);
    for (key, value) in [("id", &call.id), ("type", &call.kind)] {
        if let Some(value) = value {
            member(out, key, value);
        }
    }
    if let Some(function) = &call.function {
        key(out, "function");
        object(out, function.iter());
    }
    for (key, value) in call.rest.iter() {
        member(out, key, value);
    }
    out.push(b'}');
}

/// An object of the given members.
pub(super) fn object<'m>(out: &mut Vec<u8>, members: impl Iterator<Item = (&'m str, &'m str)>) {
    out.push(b'{');
    let start = out.len();
    members.for_each(|(key, value)| member(out, key, value));
    drop_comma(out, start);
    out.push(b'}');
}

/// A list of whatever `element` writes.
pub(super) fn list<T>(out: &mut Vec<u8>, elements: &[T], element: impl Fn(&mut Vec<u8>, &T)) {
    out.push(b'[');
    for (i, e) in elements.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        element(out, e);
    }
    out.push(b']');
}

/// `,"key":value`. Line ends in the value stand between its tokens (strings have none), and become
/// spaces: in a stream they would end the line.
pub(super) fn member(out: &mut Vec<u8>, name: &str, value: &str) {
    key(out, name);
    if memchr::memchr2(b'\n', b'\r', value.as_bytes()).is_none() {
        out.extend_from_slice(value.as_bytes());
    } else {
        out.extend(value.bytes().map(|b| if b == b'\n' || b == b'\r' { b' ' } else { b }));
    }
}

/// `,"key":`
pub(super) fn key(out: &mut Vec<u8>, name: &str) {
    out.push(b',');
    if name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        out.push(b'"');
        out.extend_from_slice(name.as_bytes());
        out.push(b'"');
    } else {
        out.extend_from_slice(quote(name).as_bytes());
    }
    out.push(b':');
}

/// `{"index":N`
pub(super) fn index(out: &mut Vec<u8>, index: u64) {
    write!(out, "{{\"index\":{index}").expect("writing to memory cannot fail");
}

/// Removes the comma the first member of an object starts with.
fn drop_comma(out: &mut Vec<u8>, start: usize) {
    if out.get(start) == Some(&b',') {
        out.remove(start);
    }
}
