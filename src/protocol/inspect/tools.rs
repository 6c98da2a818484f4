//! Tools and functions: what is offered, what must be called, and who would run it.

use super::super::field::Field;
use super::Invalid;
use super::draft::Draft;
use super::messages::require;
use super::scan::{Cursor, Kind, Str};
use crate::catalog::Capability;

/// Longest name of a function, in characters; OpenAI's limit.
const MAX_FUNCTION_NAME: usize = 64;

/// What is known of tools while the body is walked.
#[derive(Default)]
pub(super) struct ToolUse {
    /// Names of the functions offered.
    names: Vec<Str>,
    choice: Choice,
    /// Which field made the choice.
    chosen_by: Field,
    /// Some tool is not the client's to run, as in `openrouter:web_search`.
    server: bool,
    /// Some tool is no function.
    other: bool,
}

#[derive(Default, PartialEq)]
enum Choice {
    #[default]
    Free,
    /// `"none"`.
    Forbidden,
    /// `"required"`, or some tool of a kind without a function name.
    Some,
    /// This function.
    Forced(Str),
}

impl<'a> Draft<'a> {
    pub(super) fn tools(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Invalid> {
        self.offers(cursor, Self::tool)
    }

    /// The older spelling: the functions themselves, without the wrapping.
    pub(super) fn functions(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Invalid> {
        self.offers(cursor, Self::function)
    }

    pub(super) fn tool_choice(&mut self, cursor: &mut Cursor<'a>, field: Field) -> Result<(), Invalid> {
        let choice = match cursor.kind()? {
            Kind::Null => return Ok(cursor.null()?),
            Kind::String => {
                let word = cursor.string()?;
                match cursor.name(word).as_ref() {
                    "none" => Choice::Forbidden,
                    "auto" => Choice::Free,
                    "required" if field == Field::ToolChoice => Choice::Some,
                    _ => return Err(Invalid::value("must be none, auto, required or an object")),
                }
            }
            Kind::Object if field == Field::ToolChoice => forced_tool(cursor)?,
            Kind::Object => {
                forced_function(cursor)?.map(Choice::Forced).ok_or_else(|| Invalid::missing("name"))?
            }
            _ => return Err(Invalid::value("must be a string or an object")),
        };
        self.tools.choice = choice;
        self.tools.chosen_by = field;
        Ok(())
    }

    /// Draws the conclusions once tools, choice and history are all known.
    pub(super) fn finish_tools(&mut self, cursor: &Cursor<'a>) -> Result<(), Invalid> {
        let offered = self.facts.features.tools > 0;
        match self.tools.choice {
            Choice::Free => {}
            Choice::Forbidden => {
                self.facts.edits.tools_forbidden = true;
                if offered {
                    self.soft(Capability::ToolChoice);
                }
            }
            Choice::Some | Choice::Forced(_) if !offered => {
                return Err(Invalid::value("needs `tools`").under(self.tools.chosen_by.name()));
            }
            Choice::Some => {
                self.hard(Capability::ToolChoice);
                self.facts.expected.must_call = true;
            }
            Choice::Forced(name) => {
                self.facts.expected.must_call = true;
                self.facts.expected.forced = Some(name.span);
                let name = cursor.name(name);
                if !self.tools.names.iter().any(|&offered| cursor.name(offered) == name) {
                    let fault = Invalid::value("names a function that is not in `tools`");
                    return Err(fault.under(self.tools.chosen_by.name()));
                }
                self.hard(Capability::ToolChoice);
            }
        }
        self.facts.expected.functions = self.tools.names.iter().map(|name| name.span).collect();
        self.facts.expected.other_tools = self.tools.other;
        if self.facts.features.tool_history {
            self.hard(Capability::Tools);
        }
        let used = [(offered, Capability::Tools), (self.tools.server, Capability::ServerTools)];
        for (_, capability) in used.into_iter().filter(|(used, _)| *used) {
            match self.facts.edits.tools_forbidden {
                true => self.soft(capability),
                false => self.hard(capability),
            }
        }
        Ok(())
    }

    fn offers(
        &mut self,
        cursor: &mut Cursor<'a>,
        mut offer: impl FnMut(&mut Self, &mut Cursor<'a>) -> Result<(), Invalid>,
    ) -> Result<(), Invalid> {
        let start = cursor.pos();
        let count = cursor.items(|cursor, _| {
            require(cursor, Kind::Object, "must be an object")?;
            offer(self, cursor)
        })?;
        if let Some(count @ 1..) = count {
            let bytes = cursor.pos() - start;
            self.facts.features.tools += count;
            self.facts.features.tool_bytes += bytes as u32;
            self.estimate.json(bytes);
        }
        Ok(())
    }

    fn tool(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Invalid> {
        let mut kind = None;
        let mut has_function = false;
        cursor.fields(|cursor, name| {
            match name {
                "type" if kind.is_some() => return Err(Invalid::value("is given twice")),
                "type" => kind = cursor.text_or_null()?.map(|kind| cursor.name(kind)),
                "function" if cursor.kind()? == Kind::Object => {
                    has_function = true;
                    self.function(cursor)?;
                }
                _ => drop(cursor.skip()?),
            }
            Ok(())
        })?;
        match kind.as_deref() {
            None => Err(Invalid::missing("type")),
            Some("function") if !has_function => Err(Invalid::missing("function")),
            Some("function") => Ok(()),
            Some("custom") => {
                self.tools.other = true;
                Ok(())
            }
            Some(_) => {
                self.tools.server = true;
                self.tools.other = true;
                Ok(())
            }
        }
    }

    fn function(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Invalid> {
        let mut name = None;
        let mut strict = false;
        cursor.fields(|cursor, field| {
            match field {
                "name" if name.is_some() => return Err(Invalid::value("is given twice")),
                "name" => name = Some(function_name(cursor)?),
                "strict" => strict |= cursor.bool_or_null()? == Some(true),
                _ => drop(cursor.skip()?),
            }
            Ok(())
        })?;
        self.tools.names.push(name.ok_or_else(|| Invalid::missing("name"))?);
        if strict {
            self.soft(Capability::StructuredOutputs);
        }
        Ok(())
    }
}

/// `{type: "function", function: {name}}`, or another kind of tool, which is not looked into.
fn forced_tool(cursor: &mut Cursor<'_>) -> Result<Choice, Invalid> {
    let mut is_function = false;
    let mut function = None;
    cursor.fields(|cursor, field| {
        match field {
            "type" => {
                is_function = cursor.text_or_null()?.is_some_and(|kind| cursor.name(kind) == "function")
            }
            "function" => function = forced_function(cursor)?,
            _ => drop(cursor.skip()?),
        }
        Ok(())
    })?;
    match (is_function, function) {
        (true, None) => Err(Invalid::missing("function.name")),
        (true, Some(name)) => Ok(Choice::Forced(name)),
        (false, _) => Ok(Choice::Some),
    }
}

/// The name in `{name}`.
fn forced_function(cursor: &mut Cursor<'_>) -> Result<Option<Str>, Invalid> {
    let mut name = None;
    cursor.fields(|cursor, field| {
        match field {
            "name" => name = cursor.text_or_null()?,
            _ => drop(cursor.skip()?),
        }
        Ok(())
    })?;
    Ok(name)
}

fn function_name(cursor: &mut Cursor<'_>) -> Result<Str, Invalid> {
    let name = cursor.text_or_null()?.unwrap_or_default();
    let text = cursor.name(name);
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    match (1..=MAX_FUNCTION_NAME).contains(&text.len()) && text.bytes().all(allowed) {
        true => Ok(name),
        false => Err(Invalid::value("must have 1 to 64 characters of a-z, A-Z, 0-9, `_` and `-`")),
    }
}
