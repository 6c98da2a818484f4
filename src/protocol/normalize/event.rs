//! One event of a stream, or a whole body: the envelope around the choices.

use super::object::{Members, Object, Read, ReadList, says_something, text};
use super::{Fault, UpstreamError};
use crate::protocol::usage::ReportedUsage;
use serde::de::MapAccess;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// What a provider sent, with everything in it that is unknown here.
#[derive(Default)]
pub(super) struct Event<'a> {
    /// `None` when there are none at all, which an error has too.
    pub(super) choices: Option<Vec<RawChoice<'a>>>,
    /// Every other member.
    pub(super) rest: Object<'a>,
}

/// One of the choices.
#[derive(Default)]
pub(super) struct RawChoice<'a> {
    /// The `delta` or `message`.
    pub(super) part: Part<'a>,
    /// Every other member.
    pub(super) rest: Object<'a>,
}

/// A `delta` or a `message`.
#[derive(Default)]
pub(super) struct Part<'a> {
    /// Its `tool_calls`.
    pub(super) calls: Vec<RawCall<'a>>,
    /// Every other member.
    pub(super) rest: Object<'a>,
}

impl<'de> Members<'de> for Event<'de> {
    fn member<M: MapAccess<'de>>(&mut self, key: Cow<'de, str>, map: &mut M) -> Result<(), M::Error> {
        if key != "choices" {
            return self.rest.member(key, map);
        }
        let ReadList(choices) = map.next_value()?;
        self.choices = Some(choices);
        Ok(())
    }
}

impl<'de> Members<'de> for RawChoice<'de> {
    fn member<M: MapAccess<'de>>(&mut self, key: Cow<'de, str>, map: &mut M) -> Result<(), M::Error> {
        if key != "delta" && key != "message" {
            return self.rest.member(key, map);
        }
        let Read(part): Read<Part<'de>> = map.next_value()?;
        if !part.rest.is_empty() || !part.calls.is_empty() {
            self.part = part;
        }
        Ok(())
    }
}

impl<'de> Members<'de> for Part<'de> {
    fn member<M: MapAccess<'de>>(&mut self, key: Cow<'de, str>, map: &mut M) -> Result<(), M::Error> {
        if key != "tool_calls" {
            return self.rest.member(key, map);
        }
        let ReadList(calls) = map.next_value()?;
        self.calls = calls;
        Ok(())
    }
}

impl<'a> Event<'a> {
    /// Reads an event or a body.
    ///
    /// # Errors
    /// [`Fault::ErrorEvent`] when it is an error in any of the shapes providers use,
    /// [`Fault::Malformed`] when it is no JSON object of the expected shape.
    pub(super) fn parse(json: &'a str) -> Result<Self, Fault> {
        let error = || Fault::ErrorEvent(UpstreamError::parse(json.as_bytes()));
        match serde_json::from_str(json) {
            Ok(Read(event)) => {
                let event: Self = event;
                if event.is_error() { Err(error()) } else { Ok(event) }
            }
            Err(_) if json.starts_with('[') && is_error_list(json) => Err(error()),
            Err(_) => Err(Fault::Malformed),
        }
    }

    /// The usage in it: at the top, in a choice (Moonshot), or in Groq's `x_groq`.
    pub(super) fn usage(&self) -> Option<ReportedUsage> {
        let in_choices = || self.choices.iter().flatten().find_map(|choice| choice.rest.get("usage"));
        if let Some(usage) = self.rest.get("usage").or_else(in_choices) {
            return ReportedUsage::parse(usage);
        }
        let groq = Object::parse(self.rest.get("x_groq")?)?;
        ReportedUsage::parse(groq.get("usage")?)
    }

    fn is_error(&self) -> bool {
        let has = |object: &Object<'_>| {
            object.get("error").is_some_and(|error| says_something(error) && error != "false")
        };
        if has(&self.rest) || self.choices.iter().flatten().any(|choice| has(&choice.rest)) {
            return true;
        }
        match &self.choices {
            Some(_) => self.rest.get("x_groq").and_then(Object::parse).is_some_and(|groq| has(&groq)),
            None => self.is_flat_error(),
        }
    }

    /// Mistral's `{"object":"error"}`, Cloudflare's `errors`, FastAPI's `detail`, NVIDIA's `title`.
    fn is_flat_error(&self) -> bool {
        let has = |key: &str| self.rest.get(key).is_some_and(says_something);
        let object = self.rest.get("object").and_then(text);
        object.as_deref() == Some("error")
            || has("errors")
            || has("detail")
            || (has("status") && has("title"))
            || (has("message") && (has("code") || has("type")))
    }
}

/// Gemini wraps its error bodies in a list.
fn is_error_list(json: &str) -> bool {
    let list: Option<Vec<&RawValue>> = serde_json::from_str(json).ok();
    let first = list.as_ref().and_then(|list| list.first());
    first.and_then(|raw| Object::parse(raw.get())).is_some_and(|object| object.get("error").is_some())
}

/// One fragment of a tool call, or a whole one.
#[derive(Default)]
pub(super) struct RawCall<'a> {
    /// The `function` it calls; `None` when the fragment says nothing of it.
    pub(super) function: Option<Object<'a>>,
    /// Every other member.
    pub(super) rest: Object<'a>,
}

impl<'de> Members<'de> for RawCall<'de> {
    fn member<M: MapAccess<'de>>(&mut self, key: Cow<'de, str>, map: &mut M) -> Result<(), M::Error> {
        if key != "function" {
            return self.rest.member(key, map);
        }
        let Read(function) = map.next_value()?;
        self.function = Some(function);
        Ok(())
    }
}
