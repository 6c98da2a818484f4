//! The body as one endpoint wants it: a few spans edited, everything else byte for byte.
//!
//! Works from the inspector's spans; nothing is parsed again. What is done follows from the
//! endpoint's profile and capabilities alone, so each attempt starts from the client's own bytes.

use super::facts::{Edits, Effort, Member, RequestFacts, Span};
use super::field::{Field, Origin};
use super::rope::Splicer;
use crate::catalog::{Capability, Endpoint, OutputLimitField};
use bytes::Bytes;
use std::borrow::Cow;

pub use super::rope::Rope;

/// Asks for the token counts of a stream, which OpenAI's API reports on request only.
const STREAM_OPTIONS: &str = r#"{"include_usage":true}"#;

/// A prompt may have so many times the tokens it is estimated at.
const PROMPT_MARGIN: u32 = 2;

/// Fields of tool use: all of them go where tools go.
const TOOL_FIELDS: [Field; 5] =
    [Field::Tools, Field::ToolChoice, Field::ParallelToolCalls, Field::Functions, Field::FunctionCall];

/// Fields that never reach a router: they could choose a paid model, search the web for money, or
/// echo our own request into the answer.
const COSTLY_FIELDS: [Field; 4] = [Field::Models, Field::Route, Field::Debug, Field::WebSearchOptions];

/// Rewrites a body for one attempt. `facts` must be those of this very body.
pub fn rewrite(body: &Bytes, facts: &RequestFacts, endpoint: &Endpoint) -> Rope {
    rewrite_within(body, facts, endpoint, None)
}

/// The same, asking for at most `output_limit` tokens where the client set no limit of its own.
pub fn rewrite_within(
    body: &Bytes,
    facts: &RequestFacts,
    endpoint: &Endpoint,
    output_limit: Option<u32>,
) -> Rope {
    let output_limit = output_limit.filter(|_| facts.requirements.max_output_tokens.is_none());
    let attempt = Attempt { body, facts, endpoint, output_limit };
    let edits = &facts.edits;
    let inside = edits.object_start + 1;
    let mut out = Splicer::new(body);
    out.keep(0, edits.members.first().map_or(inside, Member::start));
    let mut empty = true;
    let mut end = inside;
    for member in &edits.members {
        let action = attempt.action(member);
        if action != Action::Drop {
            if !empty {
                out.keep(end, member.start()); // the comma and white space before it
            }
            empty = false;
        }
        end = member.value.end;
        match action {
            Action::Drop => {}
            Action::Keep => out.keep(member.start(), end),
            Action::Value(value) => {
                out.keep(member.start(), member.value.start);
                out.put(value.as_bytes());
            }
            Action::Rename(name) => {
                out.put(json_string(&name).as_bytes());
                out.keep(member.key.end + 1, end);
            }
            Action::Become(name, value) => out.put(format!("{}:{value}", json_string(name)).as_bytes()),
            Action::KeepWithout(members) => {
                keep_without(&mut out, body, members, Span { start: member.start(), end });
            }
        }
    }
    for (name, value) in attempt.additions() {
        let comma = if empty { "" } else { "," };
        out.put(format!("{comma}{}:{value}", json_string(&name)).as_bytes());
        empty = false;
    }
    out.keep(end, body.len() as u32);
    out.finish()
}

/// What becomes of a member.
#[derive(Debug, PartialEq)]
enum Action<'a> {
    Keep,
    Drop,
    /// Its value is replaced.
    Value(Cow<'static, str>),
    /// Its key is replaced.
    Rename(Cow<'a, str>),
    /// Both are.
    Become(&'a str, String),
    /// Messages lose these members.
    KeepWithout(Vec<Span>),
}

struct Attempt<'a> {
    body: &'a [u8],
    facts: &'a RequestFacts,
    endpoint: &'a Endpoint,
    /// Tokens the answer may have; the client said nothing on it.
    output_limit: Option<u32>,
}

impl<'a> Attempt<'a> {
    fn action(&self, member: &Member) -> Action<'a> {
        let profile = &self.endpoint.provider.profile;
        let name = member.name(self.body);
        match member.field {
            Field::Model => return Action::Value(json_string(&self.endpoint.upstream_model).into()),
            Field::Messages => return self.messages(),
            Field::Reasoning if !profile.router_fields => return self.translate_reasoning(member),
            _ => {}
        }
        if self.is_unwanted(member, &name) {
            return Action::Drop;
        }
        match member.field {
            Field::StreamOptions => Action::Value(STREAM_OPTIONS.into()),
            Field::Plugins => Action::Value(self.free_plugins().into()),
            _ => self.rename(member),
        }
    }

    /// Messages without what the provider rejects of them, or what is for the router.
    fn messages(&self) -> Action<'a> {
        let Edits { message_names, message_models, .. } = &self.facts.edits;
        let names = message_names.iter().filter(|_| self.endpoint.provider.profile.strip_message_names);
        let mut members: Vec<_> = names.chain(message_models).copied().collect();
        members.sort_unstable_by_key(|member| member.start);
        if members.is_empty() { Action::Keep } else { Action::KeepWithout(members) }
    }

    /// Members to be added at the end.
    fn additions(&self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'static, str>)> {
        let no_stream_options = self.endpoint.provider.profile.no_stream_options;
        let model = || (Field::Model.name().into(), json_string(&self.endpoint.upstream_model).into());
        let model = (!self.has(Field::Model)).then(model);
        let usage = self.facts.stream && !no_stream_options && !self.has(Field::StreamOptions);
        let usage = usage.then(|| (Field::StreamOptions.name().into(), STREAM_OPTIONS.into()));
        model.into_iter().chain(usage).chain(self.limit())
    }

    /// The output limit, by the provider's name for it. Left out where the model knows none, and where the
    /// answer might not fit beside the prompt: servers refuse such a request, and would have ended the
    /// answer with their window anyway.
    fn limit(&self) -> Option<(Cow<'a, str>, Cow<'static, str>)> {
        let limit = self.output_limit?;
        let Endpoint { model, provider, .. } = self.endpoint;
        let limit = limit.min(model.max_output_tokens.unwrap_or(u32::MAX));
        let can = |capability| model.capabilities.contains(capability);
        let prompt = self.facts.requirements.prompt_tokens.saturating_mul(PROMPT_MARGIN);
        let fits = limit.saturating_add(prompt) <= model.context_tokens.unwrap_or(u32::MAX);
        if !fits || !(can(Capability::MaxTokens) || can(Capability::MaxCompletionTokens)) {
            return None;
        }
        let ours = match provider.profile.output_limit {
            OutputLimitField::AsSent | OutputLimitField::MaxTokens => Field::MaxTokens.name(),
            OutputLimitField::MaxCompletionTokens => Field::MaxCompletionTokens.name(),
        };
        let stripped = provider.profile.strip.iter().any(|name| name == ours);
        let name = self.theirs(ours).unwrap_or(ours);
        let taken = self.facts.edits.members.iter().any(|member| {
            let theirs = member.name(self.body);
            !self.is_unwanted(member, &theirs) && self.wire_name(member) == name
        });
        (!stripped && !taken).then(|| (name.into(), limit.to_string().into()))
    }

    fn is_unwanted(&self, member: &Member, name: &str) -> bool {
        let profile = &self.endpoint.provider.profile;
        let field = member.field;
        let can = |capability| self.endpoint.model.capabilities.contains(capability);
        if profile.strip.iter().any(|stripped| stripped == name) {
            return true;
        }
        let foreign = match field.origin() {
            Origin::OpenAi => false,
            Origin::Router => !profile.router_fields,
            Origin::Extension | Origin::Unknown => profile.known_fields_only,
        };
        // A null says nothing, and some providers refuse it.
        let null =
            field != Field::Other && member.value.of(self.body) == b"null" && field != Field::StreamOptions;
        foreign
            || null
            || (profile.router_fields && COSTLY_FIELDS.contains(&field))
            || (TOOL_FIELDS.contains(&field) && self.drops_tools())
            || match field {
                Field::StreamOptions => !self.facts.stream || profile.no_stream_options,
                Field::MaxTokens => self.has_value(Field::MaxCompletionTokens),
                Field::Plugins => self.facts.edits.free_plugins.is_empty(),
                Field::ReasoningEffort => !can(Capability::ReasoningEffort) && !can(Capability::Reasoning),
                Field::TopLogprobs => !can(Capability::TopLogprobs) || !can(Capability::Logprobs),
                // All that is asked for is text, then.
                Field::Modalities => !can(Capability::ImageOutput) && !can(Capability::AudioOutput),
                _ => field.capability().is_some_and(|capability| !can(capability)),
            }
    }

    /// Tools go when there are none (an empty list is an error to some), and when none may be
    /// called and the endpoint cannot take them or cannot be told not to call them.
    fn drops_tools(&self) -> bool {
        let lacking = self.facts.requirements.soft.difference(self.endpoint.model.capabilities);
        let of_tools = [Capability::Tools, Capability::ToolChoice, Capability::ServerTools];
        self.facts.features.tools == 0
            || (self.facts.edits.tools_forbidden && of_tools.into_iter().any(|c| lacking.contains(c)))
    }

    /// `reasoning: {effort}` as `reasoning_effort`, in the words that every provider knows.
    fn translate_reasoning(&self, member: &Member) -> Action<'a> {
        let model = &self.endpoint.model;
        let can = |capability| model.capabilities.contains(capability);
        let profile = &self.endpoint.provider.profile;
        let name = Field::ReasoningEffort.name();
        if profile.strip.iter().any(|field| field == name)
            || !(can(Capability::Reasoning) || can(Capability::ReasoningEffort))
        {
            return Action::Drop;
        }
        let word = match self.facts.edits.reasoning_effort {
            None => return Action::Drop,
            Some(Effort::None) if model.reasoning_mandatory => return Action::Drop,
            Some(Effort::None) => "none",
            Some(Effort::Minimal | Effort::Low) => "low",
            Some(Effort::Medium) => "medium",
            Some(Effort::High | Effort::XHigh | Effort::Max) => "high",
        };
        let name = self.theirs(name).unwrap_or(name);
        if self.is_taken(name, member) { Action::Drop } else { Action::Become(name, json_string(word)) }
    }

    /// Gives a member the provider's name for it. What the client wrote under that name wins.
    fn rename(&self, member: &Member) -> Action<'a> {
        let wanted = self.wire_name(member);
        if wanted == member.name(self.body) {
            return Action::Keep;
        }
        if self.is_taken(&wanted, member) { Action::Drop } else { Action::Rename(wanted) }
    }

    /// Whether a kept member other than `member` is called `name`, or an earlier one will be.
    fn is_taken(&self, name: &str, member: &Member) -> bool {
        self.facts.edits.members.iter().any(|other| {
            let same = other.name(self.body) == name
                || (other.key.start < member.key.start && self.wire_name(other) == name);
            same && other.key != member.key && !self.is_unwanted(other, &other.name(self.body))
        })
    }

    fn wire_name(&self, member: &Member) -> Cow<'a, str> {
        let limit = match member.field {
            Field::MaxTokens | Field::MaxCompletionTokens => self.endpoint.provider.profile.output_limit,
            _ => OutputLimitField::AsSent,
        };
        let ours = match limit {
            OutputLimitField::AsSent => member.name(self.body),
            OutputLimitField::MaxTokens => Field::MaxTokens.name().into(),
            OutputLimitField::MaxCompletionTokens => Field::MaxCompletionTokens.name().into(),
        };
        self.theirs(&ours).map_or(ours, Cow::Borrowed)
    }

    /// The provider's own name for one of our fields, where it has one.
    fn theirs(&self, ours: &str) -> Option<&'a str> {
        let renames = &self.endpoint.provider.profile.rename;
        renames.iter().find(|(from, _)| from == ours).map(|(_, to)| to.as_str())
    }

    fn has(&self, field: Field) -> bool {
        self.facts.edits.members.iter().any(|member| member.field == field)
    }

    fn has_value(&self, field: Field) -> bool {
        let members = &self.facts.edits.members;
        members.iter().any(|member| member.field == field && member.value.of(self.body) != b"null")
    }

    fn free_plugins(&self) -> String {
        let plugins = self.facts.edits.free_plugins.iter();
        let plugins: Vec<_> = plugins.map(|span| String::from_utf8_lossy(span.of(self.body))).collect();
        format!("[{}]", plugins.join(","))
    }
}

impl Member {
    /// The quote before its key.
    fn start(&self) -> u32 {
        self.key.start - 1
    }
}

/// Keeps `span` but for some members of messages, in order, each with one comma beside it.
fn keep_without(out: &mut Splicer<'_>, body: &[u8], mut members: Vec<Span>, span: Span) {
    let is_space = |b: &u8| matches!(b, b' ' | b'\n' | b'\t' | b'\r');
    // Two that stand side by side go as one: there is one comma between them.
    members.dedup_by(|next, before| {
        let between = &body[before.end as usize..next.start as usize];
        let side_by_side = between.iter().all(|b| is_space(b) || *b == b',');
        if side_by_side {
            before.end = next.end;
        }
        side_by_side
    });
    let mut from = span.start;
    for name in &members {
        let after = &body[name.end as usize..];
        let space_after = after.iter().take_while(|b| is_space(b)).count();
        let (start, end) = if after.get(space_after) == Some(&b',') {
            (name.start, name.end + space_after as u32 + 1)
        } else {
            let before = &body[..name.start as usize];
            let space_before = before.iter().rev().take_while(|b| is_space(b)).count();
            (name.start - space_before as u32 - 1, name.end)
        };
        out.keep(from, start);
        from = end;
    }
    out.keep(from, span.end);
}

fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests;
