//! One pass over a request body: is it sound, what does it need, what does it want, and where may
//! it be edited.
//!
//! Strict about what is dangerous, because the same bytes go to a provider whose parser may read
//! them differently: syntax, nesting, fields given twice, types and ranges of the fields we know.
//! Tolerant about the rest: unknown fields are walked over and survive byte for byte. Whether any
//! model can do what is asked is not looked at here.

mod draft;
mod estimate;
mod messages;
mod output;
mod preferences;
mod read;
mod scan;
mod string;
#[cfg(test)]
mod tests;
mod token;
mod tools;

use super::facts::RequestFacts;
use draft::Draft;
pub use draft::MAX_SESSION_CHARS;
use scan::{Cursor, Syntax};

/// Most members of the top-level object. Requests have about ten; searching them one after the
/// other stays cheap up to here.
pub const MAX_MEMBERS: usize = 256;

/// Deepest nesting of objects and arrays, the body's own object included. Parsers of providers
/// give up at about this depth.
pub const MAX_DEPTH: usize = 128;

/// Inspects the body of a chat completion request.
///
/// # Errors
/// [`Invalid`] when the body is no strict JSON object (RFC 8259, UTF-8), or a known field has the
/// wrong type, is out of range, contradicts another, or is missing (`messages`).
pub fn inspect(body: &[u8]) -> Result<RequestFacts, Invalid> {
    if u32::try_from(body.len()).is_err() {
        return Err(Invalid::malformed(0, "too long"));
    }
    let text = simdutf8::basic::from_utf8(body).map_err(|_| {
        let at = std::str::from_utf8(body).map_or_else(|e| e.valid_up_to(), |_| 0);
        Invalid::malformed(at, "not UTF-8")
    })?;
    let mut cursor = Cursor::new(text);
    let mut draft = Draft::default();
    let object = cursor.object(|cursor, key| draft.member(cursor, key))?;
    cursor.end()?;
    draft.finish(&cursor, object)
}

/// Why a body was refused. Shows nothing of the body but names of fields we know and offsets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Invalid {
    /// The field at fault, as in `messages.[3].content.[0].type`; `None` for the body as a whole.
    pub param: Option<String>,
    /// What is wrong and what would be right.
    pub message: String,
    /// Which kind of fault it is.
    pub code: InvalidCode,
}

/// The kinds of faults a body can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InvalidCode {
    /// It is no JSON object.
    MalformedJson,
    /// It is JSON, but no request we can accept.
    InvalidRequest,
}

impl Invalid {
    fn malformed(at: usize, why: &str) -> Self {
        Self {
            param: None,
            message: format!("the body is no valid JSON: {why} at byte {at}"),
            code: InvalidCode::MalformedJson,
        }
    }

    /// A fault of the value at hand; callers put it [`under`](Self::under) its name.
    fn value(message: &str) -> Self {
        Self { param: Some(String::new()), message: message.to_owned(), code: InvalidCode::InvalidRequest }
    }

    fn missing(name: &str) -> Self {
        Self::value("is required").under(name)
    }

    /// Puts a fault inside the field or item called `name`. Faults of the body stay where they are.
    fn under(mut self, name: &str) -> Self {
        self.param = self.param.map(|inner| match inner.is_empty() {
            true => name.to_owned(),
            false => format!("{name}.{inner}"),
        });
        self
    }

    /// Makes the message a sentence of its own by naming the field in it.
    fn named(mut self) -> Self {
        if let Some(param) = &self.param {
            self.message = format!("`{param}` {}", self.message);
        }
        self
    }
}

impl From<Syntax> for Invalid {
    fn from(syntax: Syntax) -> Self {
        Self::malformed(syntax.at, syntax.why)
    }
}
