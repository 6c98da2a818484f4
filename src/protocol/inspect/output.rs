//! What the answer must look like: format, modalities, reasoning.

use super::super::facts::{Effort, Json, Span};
use super::Invalid;
use super::draft::Draft;
use super::scan::{Cursor, Kind};
use crate::catalog::Capability;

/// Longest `json_schema.name`, in characters; OpenAI's limit.
const MAX_SCHEMA_NAME: usize = 64;

/// The effort assumed where reasoning is asked for without saying how much.
const USUAL_EFFORT: Effort = Effort::Medium;

/// What was said on reasoning, in the two dialects.
#[derive(Default)]
pub(super) struct Reasoning {
    /// `reasoning_effort`.
    flat: Option<Effort>,
    /// `reasoning.effort`.
    nested: Option<Effort>,
    /// `reasoning.enabled`, or whether `reasoning.max_tokens` leaves room for any.
    enabled: Option<bool>,
}

impl<'a> Draft<'a> {
    pub(super) fn response_format(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Invalid> {
        let mut kind = None;
        let mut schema = None;
        cursor.fields(|cursor, field| {
            match field {
                "type" if kind.is_some() => return Err(Invalid::value("is given twice")),
                "type" => kind = cursor.text_or_null()?.map(|kind| cursor.name(kind)),
                "json_schema" => schema = json_schema(cursor)?,
                _ => drop(cursor.skip()?),
            }
            Ok(())
        })?;
        match kind.as_deref() {
            None | Some("text") => {}
            Some("json_object") => {
                self.hard(Capability::ResponseFormat);
                self.facts.expected.json = Some(Json::Any);
            }
            Some("json_schema") => {
                let schema = schema.ok_or_else(|| Invalid::missing("json_schema"))?;
                let bytes = schema.len();
                self.hard(Capability::ResponseFormat);
                self.hard(Capability::StructuredOutputs);
                self.facts.features.schema_bytes = bytes as u32;
                self.facts.expected.json =
                    Some(if schema.is_empty() { Json::Any } else { Json::Schema(schema) });
                self.estimate.json(bytes);
            }
            Some("grammar" | "python") => self.hard(Capability::Grammar),
            Some(_) => {
                let known = "must be text, json_object, json_schema, grammar or python";
                return Err(Invalid::value(known).under("type"));
            }
        }
        Ok(())
    }

    pub(super) fn modalities(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Invalid> {
        cursor.items(|cursor, _| {
            match cursor.text_or_null()?.map(|name| cursor.name(name)).as_deref() {
                Some("text") => {}
                Some("image") => self.hard(Capability::ImageOutput),
                Some("audio") => self.hard(Capability::AudioOutput),
                _ => return Err(Invalid::value("must be text, image or audio")),
            }
            Ok(())
        })?;
        Ok(())
    }

    pub(super) fn reasoning_effort(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Invalid> {
        self.reasoning.flat = effort(cursor)?;
        Ok(())
    }

    pub(super) fn reasoning(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Invalid> {
        let reasoning = &mut self.reasoning;
        let mut budget = None;
        cursor.fields(|cursor, field| {
            match field {
                "effort" => reasoning.nested = effort(cursor)?,
                "enabled" => reasoning.enabled = cursor.bool_or_null()?,
                "max_tokens" => budget = cursor.integer_or_null(0..=i64::from(u32::MAX))?,
                "exclude" => drop(cursor.bool_or_null()?),
                _ => drop(cursor.skip()?),
            }
            Ok(())
        })?;
        reasoning.enabled = reasoning.enabled.or(budget.map(|tokens| tokens > 0));
        Ok(())
    }

    /// Reasoning is a wish: no model is out for lacking it, and none of it is asked for at `none`.
    pub(super) fn finish_reasoning(&mut self) -> Result<(), Invalid> {
        let Reasoning { flat, nested, enabled } = self.reasoning;
        if let (Some(flat), Some(nested)) = (flat, nested)
            && flat != nested
        {
            return Err(Invalid::value("contradicts `reasoning.effort`").under("reasoning_effort"));
        }
        let effort = flat.or(nested).or(enabled.map(|on| if on { USUAL_EFFORT } else { Effort::None }));
        self.facts.features.reasoning_effort = effort.map(Effort::level);
        if effort.is_some_and(|effort| effort != Effort::None) {
            self.soft(Capability::Reasoning);
        }
        if flat.is_none() {
            self.facts.edits.reasoning_effort = nested;
        }
        Ok(())
    }
}

/// Where the schema is, empty where there is none; `None` for null.
fn json_schema(cursor: &mut Cursor<'_>) -> Result<Option<Span>, Invalid> {
    let mut schema = Span::default();
    let given = cursor.fields(|cursor, field| {
        match field {
            "name" => drop(cursor.name_or_null(MAX_SCHEMA_NAME)?),
            "schema" => match cursor.kind()? {
                Kind::Object | Kind::Null | Kind::Bool => schema = cursor.skip()?,
                _ => return Err(Invalid::value("must be a JSON schema")),
            },
            "strict" => drop(cursor.bool_or_null()?),
            _ => drop(cursor.skip()?),
        }
        Ok(())
    })?;
    Ok(given.then_some(schema))
}

fn effort(cursor: &mut Cursor<'_>) -> Result<Option<Effort>, Invalid> {
    let Some(word) = cursor.text_or_null()? else { return Ok(None) };
    match Effort::of(&cursor.name(word)) {
        Some(effort) => Ok(Some(effort)),
        None => Err(Invalid::value("must be none, minimal, low, medium, high, xhigh or max")),
    }
}
