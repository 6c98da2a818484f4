//! One event of a stream, or a whole body: the envelope around the choices.

use super::object::{Members, Object, Read, ReadList, says_something, text};
use super::{Fault, UpstreamError};
use crate::protocol::usage::ReportedUsage;
use serde::de::{IgnoredAny, MapAccess};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Members of an upstream's event that go nowhere: they are replaced by ours, name the upstream's own
/// request, repeat the usage, or echo the prompt (llama.cpp's `__verbose`).
const DROPPED: [&str; 7] =
    ["id", "created", "model", "provider", "usage_breakdown", "openrouter_metadata", "__verbose"];

/// What a provider sent, with everything in it that is unknown here.
#[derive(Default)]
pub(super) struct Event<'a> {
    /// `None` when there are none at all, which an error has too.
    pub(super) choices: Option<Vec<RawChoice<'a>>>,
    /// Every other member that is passed on.
    pub(super) rest: Object<'a>,
    object: Option<&'a str>,
    error: Option<&'a str>,
    usage: Option<&'a str>,
    groq: Option<&'a str>,
}

/// One of the choices. Values are JSON text, `None` for null too.
#[derive(Default)]
pub(super) struct RawChoice<'a> {
    /// Its `index`, where it is a number.
    pub(super) index: Option<u64>,
    /// The `delta` or `message`.
    pub(super) part: Part<'a>,
    /// The `finish_reason`.
    pub(super) finish: Option<&'a str>,
    /// The `native_finish_reason`.
    pub(super) native: Option<&'a str>,
    /// Every other member.
    pub(super) rest: Object<'a>,
    error: Option<&'a str>,
    usage: Option<&'a str>,
}

/// A `delta` or a `message`.
#[derive(Default)]
pub(super) struct Part<'a> {
    /// Its `tool_calls`.
    pub(super) calls: Vec<RawCall<'a>>,
    /// Every other member but the role, which is always the assistant.
    pub(super) rest: Object<'a>,
}

impl<'de> Members<'de> for Event<'de> {
    fn member<M: MapAccess<'de>>(&mut self, key: Cow<'de, str>, map: &mut M) -> Result<(), M::Error> {
        match key.as_ref() {
            "choices" => {
                let ReadList(choices) = map.next_value()?;
                self.choices = Some(choices);
            }
            "object" => self.object = value(map)?,
            "error" => self.error = value(map)?,
            "usage" => self.usage = value(map)?,
            "x_groq" => self.groq = value(map)?,
            dropped if DROPPED.contains(&dropped) => {
                map.next_value::<IgnoredAny>()?;
            }
            _ => self.rest.member(key, map)?,
        }
        Ok(())
    }
}

impl<'de> Members<'de> for RawChoice<'de> {
    fn member<M: MapAccess<'de>>(&mut self, key: Cow<'de, str>, map: &mut M) -> Result<(), M::Error> {
        match key.as_ref() {
            "delta" | "message" => {
                let Read(part): Read<Part<'de>> = map.next_value()?;
                if !part.rest.is_empty() || !part.calls.is_empty() {
                    self.part = part;
                }
            }
            "index" => self.index = value(map)?.and_then(|index| index.parse().ok()),
            "finish_reason" => self.finish = value(map)?,
            "native_finish_reason" => self.native = value(map)?,
            "error" => self.error = value(map)?,
            "usage" => self.usage = value(map)?,
            _ => self.rest.member(key, map)?,
        }
        Ok(())
    }
}

impl<'de> Members<'de> for Part<'de> {
    fn member<M: MapAccess<'de>>(&mut self, key: Cow<'de, str>, map: &mut M) -> Result<(), M::Error> {
        match key.as_ref() {
            "tool_calls" => {
                let ReadList(calls) = map.next_value()?;
                self.calls = calls;
            }
            "role" => {
                map.next_value::<IgnoredAny>()?;
            }
            _ => self.rest.member(key, map)?,
        }
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
        match serde_json::from_str(json) {
            Ok(Read(event)) => {
                let event: Self = event;
                event.error(json).map_or(Ok(event), |error| Err(Fault::ErrorEvent(error)))
            }
            Err(_) if is_error_list(json) => Err(Fault::ErrorEvent(UpstreamError::parse(json.as_bytes()))),
            Err(_) => Err(Fault::Malformed),
        }
    }

    /// The usage in it: at the top, in a choice (Moonshot), or in Groq's `x_groq`.
    pub(super) fn usage(&self) -> Option<ReportedUsage> {
        let in_choices = || self.choices.iter().flatten().find_map(|choice| choice.usage);
        if let Some(usage) = self.usage.or_else(in_choices) {
            return ReportedUsage::parse(usage);
        }
        ReportedUsage::parse(Object::parse(self.groq?)?.get("usage")?)
    }

    /// The error in it: the whole of `json`, or one in a choice (OpenRouter) or in Groq's `x_groq`,
    /// which is then put where errors usually stand.
    fn error(&self, json: &str) -> Option<UpstreamError> {
        let at_top = self.error.is_some_and(says_error);
        if at_top || (self.choices.is_none() && self.is_flat_error()) {
            return Some(UpstreamError::parse(json.as_bytes()));
        }
        let in_choices = || self.choices.iter().flatten().filter_map(|choice| choice.error);
        let groq = self.groq.and_then(Object::parse);
        let in_groq = groq.as_ref().and_then(|groq| groq.get("error"));
        let inner = in_choices().chain(in_groq).find(|error| says_error(error))?;
        Some(UpstreamError::parse(format!(r#"{{"error":{inner}}}"#).as_bytes()))
    }

    /// Mistral's `{"object":"error"}`, Cloudflare's `errors`, FastAPI's `detail`, NVIDIA's `title`.
    fn is_flat_error(&self) -> bool {
        let has = |key: &str| self.rest.get(key).is_some_and(says_something);
        self.object.and_then(text).as_deref() == Some("error")
            || has("errors")
            || has("detail")
            || (has("status") && has("title"))
            || (has("message") && (has("code") || has("type")))
    }
}

fn says_error(json: &str) -> bool {
    says_something(json) && json != "false"
}

/// The next value as JSON text, unless it is null.
fn value<'de, M: MapAccess<'de>>(map: &mut M) -> Result<Option<&'de str>, M::Error> {
    let value: &'de RawValue = map.next_value()?;
    Ok(Some(value.get()).filter(|value| *value != "null"))
}

/// Gemini wraps its error bodies in a list.
fn is_error_list(json: &str) -> bool {
    let list: Option<Vec<&RawValue>> =
        json.starts_with('[').then(|| serde_json::from_str(json).ok()).flatten();
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
