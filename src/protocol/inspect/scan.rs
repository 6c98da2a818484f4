//! A strict JSON cursor over text that is known to be UTF-8: it validates while it walks, and
//! copies nothing.

use super::super::facts::Span;
use super::MAX_DEPTH;
use std::borrow::Cow;

/// Where and why the text is no JSON. `why` is ours; nothing of the body is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Syntax {
    pub(super) at: usize,
    pub(super) why: &'static str,
}

/// A string of the body: its contents between the quotes, as written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Str {
    pub(super) span: Span,
    /// Bytes its escapes take beyond the UTF-8 they stand for; 0 when there are none.
    pub(super) surplus: u32,
}

/// What a value is, told by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    Array,
    String,
    Number,
    Bool,
    Null,
}

/// Longer escaped names are no field of ours; they are not unescaped to find that out.
const MAX_ESCAPED_NAME_BYTES: usize = 512;

pub(super) struct Cursor<'a> {
    pub(super) text: &'a str,
    pub(super) pos: usize,
    depth: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, pos: 0, depth: 0 }
    }

    /// Offset of the next byte.
    pub(super) fn pos(&self) -> usize {
        self.pos
    }

    pub(super) fn text(&self, span: Span) -> &'a str {
        &self.text[span.start as usize..span.end as usize]
    }

    /// A string's contents with its escapes resolved.
    pub(super) fn unescape(&self, s: Str) -> Cow<'a, str> {
        let raw = self.text(s.span);
        if s.surplus == 0 {
            return Cow::Borrowed(raw);
        }
        let quoted = &self.text[s.span.start as usize - 1..s.span.end as usize + 1];
        serde_json::from_str(quoted).map_or(Cow::Borrowed(raw), Cow::Owned)
    }

    /// A member's name with its escapes resolved; one too long to be known comes back as written.
    pub(super) fn name(&self, key: Str) -> Cow<'a, str> {
        match key.span.len() > MAX_ESCAPED_NAME_BYTES {
            true => Cow::Borrowed(self.text(key.span)),
            false => self.unescape(key),
        }
    }

    /// What comes next, after white space.
    pub(super) fn kind(&mut self) -> Result<Kind, Syntax> {
        match self.peek()? {
            b'{' => Ok(Kind::Object),
            b'[' => Ok(Kind::Array),
            b'"' => Ok(Kind::String),
            b'-' | b'0'..=b'9' => Ok(Kind::Number),
            b't' | b'f' => Ok(Kind::Bool),
            b'n' => Ok(Kind::Null),
            _ => self.fail("expected a value"),
        }
    }

    /// Walks an object. `member` must consume exactly the member's value.
    pub(super) fn object<E: From<Syntax>>(
        &mut self,
        mut member: impl FnMut(&mut Self, Str) -> Result<(), E>,
    ) -> Result<Span, E> {
        let start = self.open(b'{')?;
        if self.peek()? != b'}' {
            loop {
                let key = self.key()?;
                member(self, key)?;
                if !self.comma()? {
                    break;
                }
            }
        }
        Ok(self.close(b'}', start)?)
    }

    /// Walks an array. `item` must consume exactly one value; it is given the position.
    pub(super) fn array<E: From<Syntax>>(
        &mut self,
        mut item: impl FnMut(&mut Self, u32) -> Result<(), E>,
    ) -> Result<Span, E> {
        let start = self.open(b'[')?;
        if self.peek()? != b']' {
            let mut index = 0;
            loop {
                item(self, index)?;
                index += 1;
                if !self.comma()? {
                    break;
                }
            }
        }
        Ok(self.close(b']', start)?)
    }

    /// Validates and passes over one value of any kind, without recursion.
    pub(super) fn skip(&mut self) -> Result<Span, Syntax> {
        self.peek()?;
        let (start, outer) = (self.pos, self.depth);
        let mut in_object = 0_u128; // one bit a level, the innermost lowest
        'value: loop {
            match self.kind()? {
                Kind::String => drop(self.string()?),
                Kind::Number => drop(self.number()?),
                Kind::Bool => drop(self.boolean()?),
                Kind::Null => self.null()?,
                kind @ (Kind::Object | Kind::Array) => {
                    let object = kind == Kind::Object;
                    let (open, close) = if object { (b'{', b'}') } else { (b'[', b']') };
                    let begun = self.open(open)?;
                    if self.peek()? != close {
                        in_object = in_object << 1 | u128::from(object);
                        if object {
                            self.key()?;
                        }
                        continue 'value;
                    }
                    self.close(close, begun)?;
                }
            }
            while self.depth > outer {
                let object = in_object & 1 == 1;
                if self.comma()? {
                    if object {
                        self.key()?;
                    }
                    continue 'value;
                }
                self.close(if object { b'}' } else { b']' }, start)?;
                in_object >>= 1;
            }
            return Ok(self.span_from(start));
        }
    }

    /// Nothing but white space may follow.
    pub(super) fn end(&mut self) -> Result<(), Syntax> {
        self.skip_space();
        if self.pos < self.text.len() { self.fail("characters after the end of the object") } else { Ok(()) }
    }

    fn open(&mut self, bracket: u8) -> Result<usize, Syntax> {
        self.expect(bracket, if bracket == b'{' { "expected an object" } else { "expected an array" })?;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return self.fail("nested too deeply");
        }
        Ok(self.pos - 1)
    }

    fn close(&mut self, bracket: u8, start: usize) -> Result<Span, Syntax> {
        self.expect(bracket, if bracket == b'}' { "expected `,` or `}`" } else { "expected `,` or `]`" })?;
        self.depth -= 1;
        Ok(self.span_from(start))
    }

    fn key(&mut self) -> Result<Str, Syntax> {
        let key = self.string()?;
        self.expect(b':', "expected `:`")?;
        Ok(key)
    }

    fn comma(&mut self) -> Result<bool, Syntax> {
        Ok(self.peek()? == b',' && self.take(b','))
    }

    pub(super) fn expect(&mut self, byte: u8, why: &'static str) -> Result<(), Syntax> {
        if self.peek()? == byte && self.take(byte) { Ok(()) } else { self.fail(why) }
    }

    /// The next byte after white space, not consumed.
    pub(super) fn peek(&mut self) -> Result<u8, Syntax> {
        self.skip_space();
        match self.bytes().get(self.pos) {
            Some(&byte) => Ok(byte),
            None => self.fail("unexpected end"),
        }
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.bytes().get(self.pos) {
            self.pos += 1;
        }
    }

    pub(super) fn take(&mut self, byte: u8) -> bool {
        let found = self.bytes().get(self.pos) == Some(&byte);
        self.pos += usize::from(found);
        found
    }

    pub(super) fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    pub(super) fn span_from(&self, start: usize) -> Span {
        Span { start: start as u32, end: self.pos as u32 }
    }

    pub(super) fn fail<T>(&self, why: &'static str) -> Result<T, Syntax> {
        Err(Syntax { at: self.pos, why })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether one value spans the whole text.
    fn check(json: &str, valid: bool) {
        let mut cursor = Cursor::new(json);
        let whole = cursor.skip().and_then(|span| cursor.end().map(|()| span));
        assert_eq!(whole.is_ok(), valid, "{json}: {whole:?}");
        assert_eq!(serde_json::from_str::<serde::de::IgnoredAny>(json).is_ok(), valid, "serde: {json}");
    }

    #[test]
    fn every_kind_of_value_is_passed_over() {
        for json in
            [r#"{"a":[1,{"b":null}],"c":{}}"#, "[]", "[[],{}]", "\"\"", "true", "false", "null", " 1 "]
        {
            check(json, true);
        }
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for json in [
            "",
            "{",
            "[",
            "[1",
            "[1,]",
            "{,}",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            "{1:2}",
            "[1 2]",
            "[}",
            "{]",
            "nul",
            "tru",
            "truee",
            "1 2",
            "'a'",
            "[1}",
            r#"{"a":1]"#,
            "\u{feff}{}",
            ",",
            ":",
        ] {
            check(json, false);
        }
    }

    #[test]
    fn nesting_is_bounded_and_siblings_do_not_add_up() {
        let nested = |n| format!("{}1{}", "[".repeat(n), "]".repeat(n));
        assert!(Cursor::new(&nested(MAX_DEPTH)).skip().is_ok());
        assert!(Cursor::new(&nested(MAX_DEPTH + 1)).skip().is_err());
        check(&format!("[{}[]]", "[[],{}],".repeat(500)), true);
    }

    #[test]
    fn alternating_levels_close_with_their_own_bracket() {
        check(&format!("{}1{}", r#"{"a":["#.repeat(60), "]}".repeat(60)), true);
        check(&format!("{}1{}", r#"{"a":["#.repeat(60), "}]".repeat(60)), false);
    }
}
