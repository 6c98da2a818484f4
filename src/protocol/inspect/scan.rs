//! A strict JSON cursor over text that is known to be UTF-8: it validates while it walks, and
//! copies nothing.

use super::super::facts::Span;
use super::{MAX_DEPTH, string};
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
    text: &'a str,
    pos: usize,
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

    /// A string, validated.
    pub(super) fn string(&mut self) -> Result<Str, Syntax> {
        self.expect(b'"', "expected a string")?;
        let start = self.pos;
        let mut surplus = 0;
        loop {
            self.pos += string::plain_len(&self.bytes()[self.pos..]);
            match self.bytes().get(self.pos) {
                Some(b'"') => break,
                Some(b'\\') => {
                    let Some((written, meant)) = string::escape_len(&self.bytes()[self.pos..]) else {
                        return self.fail("invalid escape in a string");
                    };
                    self.pos += written;
                    surplus += (written - meant) as u32;
                }
                Some(_) => return self.fail("control character in a string"),
                None => return self.fail("unterminated string"),
            }
        }
        let span = self.span_from(start);
        self.pos += 1;
        Ok(Str { span, surplus })
    }

    /// A number as written; its value may be beyond any machine type.
    pub(super) fn number(&mut self) -> Result<&'a str, Syntax> {
        self.peek()?;
        let start = self.pos;
        self.take(b'-');
        if !self.take(b'0') && self.digits() == 0 {
            return self.fail("expected a digit");
        }
        if self.take(b'.') && self.digits() == 0 {
            return self.fail("expected a digit after the decimal point");
        }
        if self.take(b'e') || self.take(b'E') {
            let _sign = self.take(b'+') || self.take(b'-');
            if self.digits() == 0 {
                return self.fail("expected a digit in the exponent");
            }
        }
        Ok(&self.text[start..self.pos])
    }

    pub(super) fn boolean(&mut self) -> Result<bool, Syntax> {
        let value = self.peek()? == b't';
        self.literal(if value { "true" } else { "false" })?;
        Ok(value)
    }

    pub(super) fn null(&mut self) -> Result<(), Syntax> {
        self.peek()?;
        self.literal("null")
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

    fn expect(&mut self, byte: u8, why: &'static str) -> Result<(), Syntax> {
        if self.peek()? == byte && self.take(byte) { Ok(()) } else { self.fail(why) }
    }

    fn literal(&mut self, word: &str) -> Result<(), Syntax> {
        if !self.bytes()[self.pos..].starts_with(word.as_bytes()) {
            return self.fail("expected a value");
        }
        self.pos += word.len();
        Ok(())
    }

    /// The next byte after white space, not consumed.
    fn peek(&mut self) -> Result<u8, Syntax> {
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

    fn take(&mut self, byte: u8) -> bool {
        let found = self.bytes().get(self.pos) == Some(&byte);
        self.pos += usize::from(found);
        found
    }

    fn digits(&mut self) -> usize {
        let rest = &self.bytes()[self.pos..];
        let count = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        self.pos += count;
        count
    }

    fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    fn span_from(&self, start: usize) -> Span {
        Span { start: start as u32, end: self.pos as u32 }
    }

    fn fail<T>(&self, why: &'static str) -> Result<T, Syntax> {
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
    fn numbers_follow_the_grammar_whatever_their_size() {
        for json in ["0", "-0", "1e400", "12345678901234567890", "0.1", "1E+2", "-1.5e-3"] {
            check(json, true);
        }
        for json in ["01", "-", "+1", "1.", ".5", "1e", "1e+", "0x1", "NaN", "Infinity", "--1", "1.e3"] {
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

    #[test]
    fn strings_know_what_they_stand_for() {
        let text = r#""a\u0062\n\ud83d\ude00""#;
        let mut cursor = Cursor::new(text);
        let s = cursor.string().expect("a string");
        assert_eq!(cursor.unescape(s), "ab\n😀");
        assert_eq!(s.surplus as usize, s.span.len() - "ab\n😀".len());
    }
}
