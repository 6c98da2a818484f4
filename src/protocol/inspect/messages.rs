//! Messages and their parts, of every role: what the models have to be able to read.

use super::super::facts::{Role, Span, Text};
use super::Invalid;
use super::draft::Draft;
use super::scan::{Cursor, Kind, Str};
use crate::catalog::Capability;

/// One message while it is walked. Its members may come in any order.
#[derive(Default)]
struct Message {
    role: Option<Role>,
    has_content: bool,
    /// Its content as written.
    content: Span,
    /// Its `model`: the member, and the name.
    model: Option<(Span, Str)>,
    text_bytes: u32,
    /// Position of a `refusal` part.
    refusal: Option<u32>,
    /// Which of `ONCE` have been seen, one bit each.
    seen: u8,
}

/// Members that decide something; given twice, parsers would disagree on what.
const ONCE: [&str; 5] = ["role", "content", "name", "tool_calls", "model"];

impl<'a> Draft<'a> {
    pub(super) fn messages(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Invalid> {
        let count = cursor.items(|cursor, index| self.message(cursor, index))?;
        self.facts.features.messages = count.unwrap_or(0);
        match count {
            Some(1..) => Ok(()),
            _ => Err(Invalid::value("must be a non-empty array of messages")),
        }
    }

    fn message(&mut self, cursor: &mut Cursor<'a>, index: u32) -> Result<(), Invalid> {
        require(cursor, Kind::Object, "must be an object")?;
        let first_text = self.facts.features.texts.len();
        let mut message = Message::default();
        cursor.object(|cursor, key| {
            let name = cursor.name(key);
            self.message_field(cursor, &mut message, index, key, &name).map_err(|e| e.under(&name))
        })?;
        let role = message.role.ok_or_else(|| Invalid::missing("role"))?;
        if !message.has_content && matches!(role, Role::System | Role::User) {
            return Err(Invalid::value("must be a string or an array of parts").under("content"));
        }
        if let (Some(part), true) = (message.refusal, role != Role::Assistant) {
            let fault = Invalid::value("may be `refusal` only in messages of the assistant");
            return Err(fault.under(&format!("content.[{part}].type")));
        }
        self.estimate.message();
        self.facts.opening[usize::from(role != Role::System)].get_or_insert(message.content);
        if let (Role::Assistant, Some((member, name))) = (role, message.model) {
            self.facts.edits.message_models.push(member);
            self.answered_by = Some(name);
        }
        let features = &mut self.facts.features;
        features.texts[first_text..].iter_mut().for_each(|text| text.role = role);
        match role {
            Role::User => {
                features.user_turns += 1;
                features.user_bytes += message.text_bytes;
            }
            _ => features.context_bytes += message.text_bytes,
        }
        features.tool_history |= role == Role::Tool;
        Ok(())
    }

    fn message_field(
        &mut self,
        cursor: &mut Cursor<'a>,
        message: &mut Message,
        index: u32,
        key: Str,
        name: &str,
    ) -> Result<(), Invalid> {
        if let Some(bit) = ONCE.iter().position(|&once| once == name) {
            if message.seen & 1 << bit != 0 {
                return Err(Invalid::value("is given twice"));
            }
            message.seen |= 1 << bit;
        }
        match name {
            "role" => message.role = Some(role(cursor)?),
            "content" => {
                cursor.kind()?;
                let start = cursor.pos() as u32;
                self.content(cursor, message, index)?;
                message.content = Span { start, end: cursor.pos() as u32 };
            }
            "name" => {
                cursor.text_or_null()?;
                self.facts.edits.message_names.push(member(cursor, key));
            }
            "model" if cursor.kind()? == Kind::String => {
                let name = cursor.string()?;
                message.model = Some((member(cursor, key), name));
            }
            "tool_calls" => self.tool_calls(cursor, message)?,
            "function_call" if cursor.kind()? == Kind::Object => self.tool_call(cursor, message)?,
            _ => drop(cursor.skip()?),
        }
        Ok(())
    }

    fn tool_calls(&mut self, cursor: &mut Cursor<'a>, message: &mut Message) -> Result<(), Invalid> {
        cursor.items(|cursor, _| {
            require(cursor, Kind::Object, "must be an object")?;
            self.tool_call(cursor, message)
        })?;
        Ok(())
    }

    fn tool_call(&mut self, cursor: &mut Cursor<'a>, message: &mut Message) -> Result<(), Invalid> {
        let bytes = cursor.skip()?.len();
        self.estimate.json(bytes);
        message.text_bytes += bytes as u32;
        self.facts.features.tool_history = true;
        Ok(())
    }

    fn content(&mut self, cursor: &mut Cursor<'a>, message: &mut Message, index: u32) -> Result<(), Invalid> {
        match cursor.kind()? {
            Kind::Null => return Ok(cursor.null()?),
            Kind::String => {
                let text = cursor.string()?;
                self.text(cursor, message, index, text);
            }
            Kind::Array => {
                cursor.items(|cursor, position| self.part(cursor, message, index, position))?;
            }
            _ => return Err(Invalid::value("must be a string, an array of parts or null")),
        }
        message.has_content = true;
        Ok(())
    }

    fn text(&mut self, cursor: &Cursor<'a>, message: &mut Message, index: u32, text: Str) {
        if text.span.is_empty() {
            return;
        }
        self.estimate.text(cursor, text);
        message.text_bytes += text.span.len() as u32;
        // The role may be yet to come; `message` sets it.
        self.facts.features.texts.push(Text { role: Role::User, message: index, span: text.span });
    }

    fn part(
        &mut self,
        cursor: &mut Cursor<'a>,
        message: &mut Message,
        index: u32,
        position: u32,
    ) -> Result<(), Invalid> {
        require(cursor, Kind::Object, "must be an object")?;
        let start = cursor.pos();
        let mut kind = None;
        let mut text = None;
        let mut payloads = [false; PAYLOADS.len()];
        cursor.fields(|cursor, name| {
            match name {
                "type" if kind.is_some() => return Err(Invalid::value("is given twice")),
                "type" => kind = Some(part_kind(cursor)?),
                "text" if cursor.kind()? == Kind::String => text = Some(cursor.string()?),
                _ => {
                    if let Some(payload) = PAYLOADS.iter().position(|&p| p == name) {
                        payloads[payload] = matches!(cursor.kind()?, Kind::Object | Kind::String);
                    }
                    cursor.skip()?;
                }
            }
            Ok(())
        })?;
        let kind = kind.ok_or_else(|| Invalid::missing("type"))?;
        if let Part::Media { payload: Some(payload), .. } = kind
            && !payloads[payload]
        {
            return Err(Invalid::missing(PAYLOADS[payload]));
        }
        match kind {
            Part::Text => {
                let text = text.ok_or_else(|| Invalid::value("must be a string").under("text"))?;
                self.text(cursor, message, index, text);
            }
            Part::Refusal => message.refusal = Some(position),
            Part::Media { needs, .. } => {
                self.hard(needs);
                self.facts.features.attachments += 1;
                match needs {
                    Capability::ImageInput => self.estimate.image(),
                    _ => self.estimate.media(cursor.pos() - start),
                }
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum Part {
    Text,
    Refusal,
    Media {
        needs: Capability,
        /// The member that must hold it, by position in `PAYLOADS`.
        payload: Option<usize>,
    },
}

const PAYLOADS: [&str; 4] = ["image_url", "input_audio", "video_url", "file"];

/// The `type` of a part. `input_image`, `image` and `input_video` are other APIs' spellings.
fn part_kind(cursor: &mut Cursor<'_>) -> Result<Part, Invalid> {
    let media = |needs, payload| Ok(Part::Media { needs, payload });
    let name = cursor.text_or_null()?.map(|name| cursor.name(name)).unwrap_or_default();
    match name.as_ref() {
        "text" => Ok(Part::Text),
        "refusal" => Ok(Part::Refusal),
        "image_url" => media(Capability::ImageInput, Some(0)),
        "input_image" | "image" => media(Capability::ImageInput, None),
        "input_audio" => media(Capability::AudioInput, Some(1)),
        "video_url" => media(Capability::VideoInput, Some(2)),
        "input_video" => media(Capability::VideoInput, None),
        "file" => media(Capability::FileInput, Some(3)),
        _ => Err(Invalid::value(
            "is no known kind of part; known are text, image_url, input_audio, video_url, file and refusal",
        )),
    }
}

fn role(cursor: &mut Cursor<'_>) -> Result<Role, Invalid> {
    let name = cursor.text_or_null()?.map(|name| cursor.name(name)).unwrap_or_default();
    match name.as_ref() {
        "system" | "developer" => Ok(Role::System),
        "user" => Ok(Role::User),
        "assistant" => Ok(Role::Assistant),
        "tool" | "function" => Ok(Role::Tool),
        _ => Err(Invalid::value("must be system, developer, user, assistant, tool or function")),
    }
}

/// From the key's first quote to where the value has just ended.
fn member(cursor: &Cursor<'_>, key: Str) -> Span {
    Span { start: key.span.start - 1, end: cursor.pos() as u32 }
}

/// Refuses a value of another kind than `kind`.
pub(super) fn require(cursor: &mut Cursor<'_>, kind: Kind, otherwise: &str) -> Result<(), Invalid> {
    if cursor.kind()? == kind { Ok(()) } else { Err(Invalid::value(otherwise)) }
}
