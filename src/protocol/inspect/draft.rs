//! The facts while they are gathered: the top-level fields, and what can only be said at the end.

use super::super::facts::{Member, RequestFacts, Span};
use super::super::field::Field;
use super::estimate::Estimate;
use super::output::Reasoning;
use super::preferences::Routers;
use super::read::MAX_NAME_CHARS;
use super::scan::{Cursor, Kind, Str};
use super::tools::ToolUse;
use super::{Invalid, MAX_MEMBERS};
use crate::catalog::Capability;
use std::borrow::Cow;
use std::ops::RangeInclusive;

/// Longest name of a top-level field, in bytes: names are compared with each other.
const MAX_FIELD_NAME_BYTES: usize = 256;

/// Longest `session_id`, in characters; OpenRouter's limit.
pub const MAX_SESSION_CHARS: usize = 256;

/// Most choices of one request; OpenAI's limit.
const MAX_CHOICES: i64 = 128;

const ANY_NUMBER: RangeInclusive<f64> = f64::NEG_INFINITY..=f64::INFINITY;

#[derive(Default)]
pub(super) struct Draft<'a> {
    pub(super) facts: RequestFacts,
    pub(super) estimate: Estimate,
    pub(super) tools: ToolUse,
    pub(super) reasoning: Reasoning,
    pub(super) routers: Routers,
    /// Known fields seen so far, one bit each.
    seen: u64,
    /// Names of unknown fields seen so far.
    unknown: Vec<Cow<'a, str>>,
    max_tokens: Option<u32>,
    max_completion_tokens: Option<u32>,
    /// The model that the last answer in the history names.
    pub(super) answered_by: Option<Str>,
    logprobs: bool,
    top_logprobs: bool,
}

impl<'a> Draft<'a> {
    /// Takes in one member of the top-level object.
    pub(super) fn member(&mut self, cursor: &mut Cursor<'a>, key: Str) -> Result<(), Invalid> {
        let name = cursor.name(key);
        let field = Field::of(&name);
        self.once(field, name)?;
        cursor.kind()?;
        let start = cursor.pos() as u32;
        self.field(cursor, field).map_err(|e| e.under(field.name()).named())?;
        let value = Span { start, end: cursor.pos() as u32 };
        self.facts.edits.members.push(Member { field, key: key.span, value });
        Ok(())
    }

    /// Completes the facts with what depends on several fields.
    pub(super) fn finish(mut self, cursor: &Cursor<'a>, object: Span) -> Result<RequestFacts, Invalid> {
        if self.facts.features.messages == 0 {
            return Err(Invalid::missing("messages").named());
        }
        if self.top_logprobs && !self.logprobs {
            return Err(Invalid::value("needs `logprobs` to be true").under("top_logprobs").named());
        }
        self.finish_tools(cursor).map_err(Invalid::named)?;
        self.finish_reasoning().map_err(Invalid::named)?;
        self.finish_plugins(cursor);
        let facts = &mut self.facts;
        facts.choices = facts.choices.max(1);
        facts.requirements.prompt_tokens = self.estimate.tokens();
        facts.requirements.max_output_tokens = self.max_completion_tokens.or(self.max_tokens);
        facts.edits.object_start = object.start;
        facts.edits.object_end = object.end;
        Ok(self.facts)
    }

    pub(super) fn hard(&mut self, capability: Capability) {
        self.facts.requirements.hard.insert(capability);
    }

    pub(super) fn soft(&mut self, capability: Capability) {
        self.facts.requirements.soft.insert(capability);
    }

    /// Refuses a field given twice: which one counts is up to each parser.
    fn once(&mut self, field: Field, name: Cow<'a, str>) -> Result<(), Invalid> {
        let twice = "is given twice";
        if field != Field::Other {
            let bit = 1 << field as u8;
            if self.seen & bit != 0 {
                return Err(Invalid::value(twice).under(field.name()).named());
            }
            self.seen |= bit;
            return Ok(());
        }
        let refuse = |message: &str| Err(Invalid { param: None, ..Invalid::value(message) });
        if name.len() > MAX_FIELD_NAME_BYTES {
            return refuse("a field has a name of more than 256 bytes");
        }
        if self.unknown.contains(&name) {
            return refuse("an unknown field is given twice");
        }
        if self.unknown.len() + self.seen.count_ones() as usize >= MAX_MEMBERS {
            return refuse("the body has more than 256 fields");
        }
        self.unknown.push(name);
        Ok(())
    }

    fn field(&mut self, cursor: &mut Cursor<'a>, field: Field) -> Result<(), Invalid> {
        match field {
            Field::Model => self.facts.model = cursor.name_or_null(MAX_NAME_CHARS)?.map(Cow::into_owned),
            Field::Messages => self.messages(cursor)?,
            Field::Stream => self.facts.stream = cursor.bool_or_null()?.unwrap_or(false),
            Field::StreamOptions => self.stream_options(cursor)?,
            Field::N => self.choices(cursor)?,
            Field::MaxTokens => self.max_tokens = output_limit(cursor)?,
            Field::MaxCompletionTokens => self.max_completion_tokens = output_limit(cursor)?,
            Field::Temperature => self.number(cursor, field, 0.0..=2.0)?,
            Field::TopP => self.positive(cursor, field, 1.0)?,
            Field::FrequencyPenalty | Field::PresencePenalty => self.number(cursor, field, -2.0..=2.0)?,
            Field::RepetitionPenalty => self.positive(cursor, field, 2.0)?,
            Field::TopK | Field::MinP | Field::TopA => self.number(cursor, field, ANY_NUMBER)?,
            Field::Seed => self.soft_if(cursor.integer_or_null(i64::MIN..=i64::MAX)?.is_some(), field),
            Field::LogitBias | Field::Prediction | Field::WebSearchOptions => {
                let given = cursor.fields(|cursor, _| Ok(cursor.skip().map(drop)?))?;
                self.soft_if(given, field);
            }
            Field::Verbosity => self.soft_if(cursor.text_or_null()?.is_some(), field),
            Field::Logprobs => {
                self.logprobs = cursor.bool_or_null()?.unwrap_or(false);
                self.soft_if(self.logprobs, field);
            }
            Field::TopLogprobs => {
                self.top_logprobs = cursor.integer_or_null(0..=20)?.unwrap_or(0) > 0;
                self.soft_if(self.top_logprobs, field);
            }
            Field::Stop => stop(cursor)?,
            Field::Tools => self.tools(cursor)?,
            Field::Functions => self.functions(cursor)?,
            Field::ToolChoice | Field::FunctionCall => self.tool_choice(cursor, field)?,
            Field::ParallelToolCalls => self.soft_if(cursor.bool_or_null()?.is_some(), field),
            Field::ResponseFormat => self.response_format(cursor)?,
            Field::StructuredOutputs => {
                if cursor.bool_or_null()? == Some(true) {
                    self.hard(Capability::StructuredOutputs);
                }
            }
            Field::Modalities => self.modalities(cursor)?,
            Field::Audio => {
                if cursor.fields(|cursor, _| Ok(cursor.skip().map(drop)?))? {
                    self.hard(Capability::AudioOutput);
                }
            }
            Field::Reasoning => self.reasoning(cursor)?,
            Field::ReasoningEffort => self.reasoning_effort(cursor)?,
            Field::IncludeReasoning => {
                let given = cursor.bool_or_null()? == Some(true);
                self.soft_if(given, Field::Reasoning);
            }
            Field::Provider => self.provider(cursor)?,
            Field::Models => self.facts.preferences.models = cursor.names()?,
            Field::Plugins => self.plugins(cursor)?,
            Field::Transforms => self.transforms(cursor)?,
            Field::SessionId => self.facts.preferences.session = session(cursor)?,
            Field::PromptCacheKey => self.facts.preferences.cache_key = cache_key(cursor)?,
            _ => drop(cursor.skip()?),
        }
        Ok(())
    }

    fn soft_if(&mut self, given: bool, field: Field) {
        if let (true, Some(capability)) = (given, field.capability()) {
            self.soft(capability);
        }
    }

    fn number(
        &mut self,
        cursor: &mut Cursor<'a>,
        field: Field,
        range: RangeInclusive<f64>,
    ) -> Result<(), Invalid> {
        let given = cursor.number_or_null(range)?.is_some();
        self.soft_if(given, field);
        Ok(())
    }

    /// A number above zero and up to `most`.
    fn positive(&mut self, cursor: &mut Cursor<'a>, field: Field, most: f64) -> Result<(), Invalid> {
        let number = cursor.number_or_null(0.0..=most)?;
        if number == Some(0.0) {
            return Err(Invalid::value("must be above 0"));
        }
        self.soft_if(number.is_some(), field);
        Ok(())
    }

    fn stream_options(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Invalid> {
        cursor.fields(|cursor, name| {
            match name {
                "include_usage" => self.facts.include_usage = cursor.bool_or_null()?.unwrap_or(false),
                _ => drop(cursor.skip()?),
            }
            Ok(())
        })?;
        Ok(())
    }

    /// Several choices are a hard need: a single one in their place would go unnoticed.
    fn choices(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Invalid> {
        let n = cursor.integer_or_null(1..=MAX_CHOICES)?.unwrap_or(1);
        self.facts.choices = n as u32;
        if n > 1 {
            self.hard(Capability::MultipleChoices);
        }
        Ok(())
    }
}

fn output_limit(cursor: &mut Cursor<'_>) -> Result<Option<u32>, Invalid> {
    Ok(cursor.integer_or_null(1..=i64::from(u32::MAX))?.map(|n| n as u32))
}

fn session(cursor: &mut Cursor<'_>) -> Result<Option<String>, Invalid> {
    let id = cursor.name_or_null(MAX_SESSION_CHARS)?;
    Ok(id.filter(|id| !id.is_empty()).map(Cow::into_owned))
}

/// The provider's business, so never an error but for its type; used as a session only if short.
fn cache_key(cursor: &mut Cursor<'_>) -> Result<Option<String>, Invalid> {
    let key = cursor.text_or_null()?.filter(|key| (1..=MAX_SESSION_CHARS).contains(&key.span.len()));
    Ok(key.map(|key| cursor.unescape(key).into_owned()))
}

/// A string or up to four of them.
fn stop(cursor: &mut Cursor<'_>) -> Result<(), Invalid> {
    if cursor.kind()? == Kind::String {
        return Ok(cursor.string().map(drop)?);
    }
    let count = cursor.items(|cursor, _| match cursor.kind()? {
        Kind::String => Ok(cursor.string().map(drop)?),
        _ => Err(Invalid::value("must be a string")),
    });
    match count.map_err(|e| match e.param.as_deref() {
        Some("") => Invalid::value("must be a string or an array of strings"),
        _ => e,
    })? {
        Some(5..) => Err(Invalid::value("must have at most 4 sequences")),
        _ => Ok(()),
    }
}
