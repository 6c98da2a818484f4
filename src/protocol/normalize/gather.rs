//! Putting a whole body together, from one body or from the events of a stream.

use super::Fault;
use super::calls::Call;
use super::object::{Object, says_something};
use super::turn::{Choice, Turn};
use super::write::{NULLABLE, key, list, member, object};

/// A body that is put together may grow to this size.
pub(super) const MAX_ANSWER: usize = 32 << 20;

/// Members whose fragments are joined when they are strings.
const TEXTS: [&str; 5] = ["content", "reasoning", "reasoning_content", "refusal", "arguments"];

/// Members of the message that are always there, null if need be.
const MESSAGE_NULLABLE: [&str; 3] = ["content", "refusal", "reasoning"];

/// Everything but identity and usage of a body under construction.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    top: Slots,
    choices: Vec<GatheredChoice>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct GatheredChoice {
    message: Slots,
    function_call: Slots,
    calls: Vec<GatheredCall>,
    logprobs: Slots,
    rest: Slots,
}

#[derive(Debug, Default)]
struct GatheredCall {
    top: Slots,
    function: Slots,
}

/// Members in order, as JSON text.
#[derive(Debug, Default)]
struct Slots(Vec<(String, String)>);

impl Gathered {
    /// Adds what one event says. `rest` are the members outside the choices.
    ///
    /// # Errors
    /// [`Fault::TooLong`] above [`MAX_ANSWER`].
    pub(super) fn add(&mut self, rest: &Object<'_>, turns: &[Turn<'_>]) -> Result<(), Fault> {
        self.bytes += self.top.merge_all(rest);
        for turn in turns {
            while self.choices.len() <= turn.at {
                self.choices.push(GatheredChoice::default());
            }
            self.bytes += self.choices[turn.at].add(turn);
        }
        if self.bytes > MAX_ANSWER { Err(Fault::TooLong) } else { Ok(()) }
    }

    /// Writes the members after the identity, up to and including the choices.
    pub(super) fn write(&self, out: &mut Vec<u8>, choices: &[Choice]) {
        for name in NULLABLE {
            member(out, name, self.top.get(name).unwrap_or("null"));
        }
        for (name, value) in self.top.iter().filter(|(name, _)| !NULLABLE.contains(name)) {
            member(out, name, value);
        }
        key(out, "choices");
        let pairs: Vec<_> = choices.iter().zip(&self.choices).collect();
        list(out, &pairs, |out, (choice, gathered)| gathered.write(out, choice));
    }
}

impl GatheredChoice {
    /// Returns the bytes added.
    fn add(&mut self, turn: &Turn<'_>) -> usize {
        let mut bytes = 0;
        for (name, value) in turn.delta.iter() {
            bytes += match Object::parse(value).filter(|_| name == "function_call") {
                Some(function) => self.function_call.merge_all(&function),
                None => self.message.merge(name, value),
            };
        }
        for (name, value) in turn.rest.iter() {
            bytes += match Object::parse(value).filter(|_| name == "logprobs") {
                Some(logprobs) => self.logprobs.merge_all(&logprobs),
                None => self.rest.merge(name, value),
            };
        }
        for call in &turn.calls {
            while self.calls.len() <= call.number {
                self.calls.push(GatheredCall::default());
            }
            bytes += self.calls[call.number].add(call);
        }
        bytes
    }

    fn write(&self, out: &mut Vec<u8>, choice: &Choice) {
        super::write::index(out, choice.index);
        key(out, "message");
        object(out, self.message());
        if !self.calls.is_empty() || !self.function_call.0.is_empty() {
            out.pop();
            if !self.calls.is_empty() {
                key(out, "tool_calls");
                list(out, &self.calls, GatheredCall::write);
            }
            if !self.function_call.0.is_empty() {
                key(out, "function_call");
                object(out, self.function_call.iter());
            }
            out.push(b'}');
        }
        match self.logprobs.0.is_empty() {
            true => member(out, "logprobs", "null"),
            false => {
                key(out, "logprobs");
                object(out, self.logprobs.iter());
            }
        }
        for (name, value) in self.rest.iter().filter(|(name, _)| *name != "logprobs") {
            member(out, name, value);
        }
        super::write::finish(out, choice, true);
    }

    /// The message without its calls.
    fn message(&self) -> impl Iterator<Item = (&str, &str)> {
        let value = |name| match self.message.get(name) {
            // Clients of the OpenAI shape take a message with calls for one without text.
            Some(text) if name == "content" && !self.calls.is_empty() && !says_something(text) => "null",
            value => value.unwrap_or("null"),
        };
        let fixed = MESSAGE_NULLABLE.map(|name| (name, value(name)));
        let others = self.message.iter().filter(|(name, _)| !MESSAGE_NULLABLE.contains(name));
        std::iter::once(("role", "\"assistant\"")).chain(fixed).chain(others)
    }
}

impl GatheredCall {
    fn add(&mut self, call: &Call<'_>) -> usize {
        let mut bytes = 0;
        for (name, value) in [("id", &call.id), ("type", &call.kind)] {
            bytes += value.as_deref().map_or(0, |value| self.top.merge(name, value));
        }
        bytes += call.function.as_ref().map_or(0, |function| self.function.merge_all(function));
        bytes + self.top.merge_all(&call.rest)
    }

    fn write(out: &mut Vec<u8>, call: &Self) {
        object(out, call.top.iter());
        if !call.function.0.is_empty() {
            out.pop();
            key(out, "function");
            object(out, call.function.iter());
            out.push(b'}');
        }
    }
}

impl Slots {
    fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    fn merge_all(&mut self, object: &Object<'_>) -> usize {
        object.iter().map(|(name, value)| self.merge(name, value)).sum()
    }

    /// Joins a fragment to what is there: texts and lists are joined, of others the last one counts.
    /// Returns the bytes added.
    fn merge(&mut self, name: &str, value: &str) -> usize {
        let Some((_, slot)) = self.0.iter_mut().find(|(n, _)| n == name) else {
            self.0.push((name.to_owned(), value.to_owned()));
            return name.len() + value.len();
        };
        let is_text = TEXTS.contains(&name) && slot.starts_with('"') && value.starts_with('"');
        let is_list = slot.starts_with('[') && value.starts_with('[');
        if is_text {
            slot.pop();
            slot.push_str(&value[1..]);
        } else if is_list && says_something(slot) && says_something(value) {
            slot.pop();
            slot.push(',');
            slot.push_str(&value[1..]);
        } else if says_something(value) || !says_something(slot) {
            value.clone_into(slot);
        }
        value.len()
    }
}
