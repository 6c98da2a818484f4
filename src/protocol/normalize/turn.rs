//! One event's part in one choice, tidied: what clients stumble over is gone, the rest is as it was.

use super::Fault;
use super::calls::{Call, Calls};
use super::event::RawChoice;
use super::finish::Finish;
use super::object::{Object, quote, says_something, text};
use crate::metering::Meter;
use serde_json::Value;

/// Native finish reasons kept for the last chunk; longer ones are no words.
const KEPT_REASON: usize = 64;

/// Members whose `null` means the same as their absence, and whose presence strict clients reject.
const NULL_MEANS_ABSENT: [&str; 8] = [
    "content",
    "refusal",
    "reasoning",
    "reasoning_content",
    "reasoning_details",
    "function_call",
    "audio",
    "images",
];

/// What is known of a choice so far.
#[derive(Debug, Default)]
pub(super) struct Choice {
    /// Its `index`.
    pub(super) index: u64,
    /// Something of it has been sent, its role with it.
    pub(super) begun: bool,
    /// Why it ended, once it has.
    pub(super) finish: Option<Finish>,
    /// The provider's own word for it, as JSON.
    pub(super) native: Option<Box<str>>,
    calls: Calls,
    function_called: bool,
}

/// What one event says in one choice.
pub(super) struct Turn<'a> {
    /// Position of the choice among the known ones.
    pub(super) at: usize,
    /// Everything of the `delta` or `message` but role and tool calls.
    pub(super) delta: Object<'a>,
    /// Tool calls or fragments of them.
    pub(super) calls: Vec<Call<'a>>,
    /// Everything of the choice outside the delta and the finish reasons.
    pub(super) rest: Object<'a>,
    /// Why the choice ended, in the one event that ends it.
    pub(super) finish: Option<Finish>,
}

impl Choice {
    pub(super) fn new(index: u64) -> Self {
        Self { index, ..Self::default() }
    }

    /// Tidies one event's part. `whole`: it is a complete message, not a delta.
    ///
    /// # Errors
    /// [`Fault::Malformed`] for too many tool calls.
    pub(super) fn turn<'a>(
        &mut self,
        at: usize,
        raw: RawChoice<'a>,
        whole: bool,
        id_prefix: &str,
    ) -> Result<Turn<'a>, Fault> {
        let RawChoice { part, finish, native, rest, .. } = raw;
        let mut delta = part.rest;
        tidy(&mut delta);
        let mut calls = Vec::new();
        if !part.calls.is_empty() {
            let prefix = format!("{id_prefix}_{}", self.index);
            for call in part.calls {
                calls.push(self.calls.take(call, whole, &prefix)?);
            }
        }
        self.function_called |= delta.get("function_call").is_some();
        let finish = finish.and_then(|reason| self.finished(reason, native));
        Ok(Turn { at, delta, calls, rest, finish })
    }

    /// Ends a choice its provider did not end.
    pub(super) fn end(&mut self, finish: Finish) {
        self.finish = self.finish.or(Some(self.called(finish)));
    }

    /// What ends it, where that came before the answer had begun.
    pub(super) fn held_end(&self, at: usize) -> Option<Turn<'static>> {
        let finish = self.finish.filter(|_| !self.begun)?;
        let (delta, rest, calls) = Default::default();
        Some(Turn { at, delta, calls, rest, finish: Some(finish) })
    }

    fn finished(&mut self, reason: &str, native: Option<&str>) -> Option<Finish> {
        let finish = Finish::parse(reason)?;
        if self.finish.is_some() {
            return None; // OpenRouter repeats it with the usage
        }
        let native = native.filter(|word| text(word).is_some()).unwrap_or(reason);
        self.native = (native.len() <= KEPT_REASON).then(|| native.into());
        self.finish = Some(self.called(finish));
        self.finish
    }

    /// Gemini and others say `stop` after a tool call.
    fn called(&self, finish: Finish) -> Finish {
        let calls = !self.calls.is_empty() || self.function_called;
        if calls && finish == Finish::Stop { Finish::ToolCalls } else { finish }
    }
}

impl Turn<'_> {
    /// It holds a token, or ends the choice for a reason that explains why there is none: from here on the answer
    /// counts as begun. An answer that just stops is empty.
    pub(super) fn is_meaningful(&self) -> bool {
        const TOKENS: [&str; 8] = [
            "content",
            "reasoning",
            "reasoning_content",
            "reasoning_details",
            "refusal",
            "function_call",
            "audio",
            "images",
        ];
        let has_token = || self.delta.iter().any(|(key, v)| TOKENS.contains(&key) && says_something(v));
        let explained = matches!(self.finish, Some(Finish::Length | Finish::ContentFilter | Finish::Error));
        explained || !self.calls.is_empty() || has_token()
    }

    /// It is worth sending once the answer has begun.
    pub(super) fn says_something(&self) -> bool {
        self.is_meaningful()
            || self.finish.is_some()
            || self.delta.iter().any(|(_, value)| says_something(value))
            || self.rest.get("logprobs").is_some_and(says_something)
    }

    /// Shows the meter the text in it, each only once.
    pub(super) fn measure(&self, meter: &mut Meter) {
        let mut deliver = |json: Option<&str>| {
            if let Some(text) = json.and_then(text) {
                meter.deliver(&text);
            }
        };
        let reasoning = self.delta.get("reasoning");
        deliver(self.delta.get("content"));
        deliver(reasoning);
        deliver(self.delta.get("refusal"));
        for function in self.calls.iter().filter_map(|call| call.function.as_ref()) {
            deliver(function.get("name"));
            deliver(function.get("arguments"));
        }
        if let Some(function) = self.delta.get("function_call").and_then(Object::parse) {
            deliver(function.get("name"));
            deliver(function.get("arguments"));
        }
        let media = ["audio", "images"].iter().any(|key| self.delta.get(key).is_some_and(says_something));
        let sealed = self.delta.get("reasoning_details").is_some_and(says_something) && reasoning.is_none();
        if media || sealed {
            meter.deliver_uncountable();
        }
    }
}

fn tidy(delta: &mut Object<'_>) {
    delta.retain(|key, value| !(value == "null" && NULL_MEANS_ABSENT.contains(&key)));
    if delta.get("content").is_some_and(|content| content.starts_with('[')) {
        flatten_content(delta);
    }
    // The field has two names; some clients read one, some the other.
    for (from, to) in [("reasoning", "reasoning_content"), ("reasoning_content", "reasoning")] {
        let text = delta.value(from).filter(|text| text.starts_with('"') && says_something(text));
        if let Some(text) = text
            && !delta.get(to).is_some_and(says_something)
        {
            delta.set(to, text);
        }
    }
}

/// Mistral's reasoning models send content as a list of `text` and `thinking` parts, which clients of
/// the OpenAI shape cannot show: it becomes `content` and `reasoning`. Left alone when it has others.
fn flatten_content(delta: &mut Object<'_>) {
    let Some(Ok(Value::Array(parts))) = delta.get("content").map(serde_json::from_str) else { return };
    let (mut content, mut reasoning) = (String::new(), String::new());
    for part in &parts {
        match part["type"].as_str() {
            Some("text") => content.push_str(part["text"].as_str().unwrap_or_default()),
            Some("thinking") => {
                let texts = part["thinking"].as_array().into_iter().flatten();
                texts.filter_map(|t| t["text"].as_str()).for_each(|text| reasoning.push_str(text));
            }
            _ => return,
        }
    }
    delta.set("content", quote(&content));
    if !reasoning.is_empty() && delta.get("reasoning").is_none() {
        delta.set("reasoning", quote(&reasoning));
    }
}
