//! Whether an answer is what its request asked for: calls that can be run, JSON that can be read.
//!
//! Text in the place of a call is no flaw where the model was free to choose, and neither is anything of an
//! answer that was cut for its length.

use super::calls::Call;
use super::finish::Finish;
use super::object::{Object, says_something, text};
use super::turn::{Choice, Turn};
use crate::catalog::{Capability, CapabilitySet};
use crate::protocol::facts::{Expected, Json, Span};
use crate::protocol::schema;
use serde_json::Value;

/// Longer answers are not judged: up to here reading them takes a fraction of a millisecond.
const MAX_WATCHED: usize = 64 << 10;

/// What an answer has shown of its model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// What it did as asked.
    pub able: CapabilitySet,
    /// What it should have done and did not.
    pub flaw: Option<Capability>,
}

/// The text and calls of an answer, while there is little of them.
#[derive(Debug, Default)]
pub(super) struct Watched {
    choices: Vec<WatchedChoice>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct WatchedChoice {
    content: String,
    calls: Vec<WatchedCall>,
    /// It said something that is judged by nobody: a refusal, a call of the older kind.
    other: bool,
}

#[derive(Debug, Default)]
struct WatchedCall {
    name: String,
    arguments: String,
    is_function: bool,
}

impl Watched {
    /// Takes in what one event says.
    pub(super) fn add(&mut self, turns: &[Turn<'_>]) {
        if self.bytes > MAX_WATCHED {
            return;
        }
        for turn in turns {
            while self.choices.len() <= turn.at {
                self.choices.push(WatchedChoice::default());
            }
            self.bytes += self.choices[turn.at].add(turn);
        }
        if self.bytes > MAX_WATCHED {
            self.choices = Vec::new();
        }
    }

    /// Judges a whole answer to the request in `body`.
    pub(super) fn shown(&self, choices: &[Choice], expected: &Expected, body: &[u8]) -> Shown {
        let mut shown = Shown::default();
        if self.bytes > MAX_WATCHED {
            return shown;
        }
        let ended = |choice: &Choice| matches!(choice.finish, Some(Finish::Stop | Finish::ToolCalls));
        for (watched, _) in self.choices.iter().zip(choices).filter(|(_, choice)| ended(choice)) {
            match watched.judge(expected, body) {
                Ok(able) => shown.able = shown.able.union(able),
                Err(flaw) => shown.flaw = shown.flaw.or(Some(flaw)),
            }
        }
        if let Some(flaw) = shown.flaw {
            shown.able.remove(flaw);
        }
        shown
    }
}

impl WatchedChoice {
    /// Returns the bytes added.
    fn add(&mut self, turn: &Turn<'_>) -> usize {
        self.other |= ["refusal", "function_call", "audio"]
            .iter()
            .any(|key| turn.delta.get(key).is_some_and(says_something));
        let mut bytes = append(&mut self.content, turn.delta.get("content"));
        for call in &turn.calls {
            while self.calls.len() <= call.number {
                self.calls.push(WatchedCall::default());
            }
            bytes += self.calls[call.number].add(call);
        }
        bytes
    }

    /// What it did as asked, or what it did not.
    fn judge(&self, expected: &Expected, body: &[u8]) -> Result<CapabilitySet, Capability> {
        let nothing = Ok(CapabilitySet::EMPTY);
        if self.other {
            return nothing;
        }
        if self.calls.is_empty() {
            let must_call = expected.must_call && !expected.other_tools;
            return match &expected.json {
                _ if must_call => Err(Capability::ToolChoice),
                Some(json) => is_json(&self.content, json, body),
                None => nothing,
            };
        }
        if expected.functions.is_empty() {
            return nothing;
        }
        let (mut able, mut is_right) = (CapabilitySet::EMPTY, true);
        for call in &self.calls {
            if !call.can_be_run(expected, body) {
                return Err(Capability::Tools);
            }
            able.insert(Capability::Tools);
            is_right &= expected.forced.is_none_or(|forced| is_name(&call.name, forced, body));
        }
        match expected.must_call {
            true if !is_right => Err(Capability::ToolChoice),
            true => Ok(able.with(Capability::ToolChoice)),
            false => Ok(able),
        }
    }
}

impl WatchedCall {
    fn add(&mut self, call: &Call<'_>) -> usize {
        let Some(function) = &call.function else { return 0 };
        self.is_function = true;
        let name = append(&mut self.name, function.get("name"));
        name + append(&mut self.arguments, function.get("arguments"))
    }

    /// It names a function on offer, and its arguments are an object. Some leave them empty for none.
    fn can_be_run(&self, expected: &Expected, body: &[u8]) -> bool {
        if !self.is_function {
            return expected.other_tools;
        }
        let is_offered = || expected.functions.iter().any(|offered| is_name(&self.name, *offered, body));
        let arguments = self.arguments.trim();
        (expected.other_tools || is_offered()) && (arguments.is_empty() || Object::parse(arguments).is_some())
    }
}

/// Appends the text of a JSON string; the bytes added.
fn append(to: &mut String, json: Option<&str>) -> usize {
    let Some(text) = json.and_then(text) else { return 0 };
    to.push_str(&text);
    text.len()
}

/// Whether `name` is what stands at `span`. A name that is written with escapes is not compared.
fn is_name(name: &str, span: Span, body: &[u8]) -> bool {
    let written = span.of(body);
    written == name.as_bytes() || written.contains(&b'\\')
}

fn is_json(content: &str, json: &Json, body: &[u8]) -> Result<CapabilitySet, Capability> {
    let (format, schema) = (Capability::ResponseFormat, Capability::StructuredOutputs);
    let value: Option<Value> = serde_json::from_str(content.trim()).ok();
    match (value, json) {
        (Some(Value::Object(_) | Value::Array(_)), Json::Any) => Ok(CapabilitySet::EMPTY.with(format)),
        (_, Json::Any) => Err(format),
        (Some(value), Json::Schema(span)) if keeps(&value, *span, body) => {
            Ok(CapabilitySet::EMPTY.with(format).with(schema))
        }
        (_, Json::Schema(_)) => Err(schema),
    }
}

/// A schema too long to be read in passing is kept by everything.
fn keeps(value: &Value, span: Span, body: &[u8]) -> bool {
    if span.len() > MAX_WATCHED {
        return true;
    }
    serde_json::from_slice(span.of(body)).is_ok_and(|schema| !schema::violates(value, &schema))
}

#[cfg(test)]
mod tests;
