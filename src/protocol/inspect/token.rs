//! Strings, numbers and words: the values without anything inside.

use super::scan::{Cursor, Str, Syntax};
use super::string;

impl<'a> Cursor<'a> {
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

    fn literal(&mut self, word: &str) -> Result<(), Syntax> {
        if !self.bytes()[self.pos..].starts_with(word.as_bytes()) {
            return self.fail("expected a value");
        }
        self.pos += word.len();
        Ok(())
    }

    fn digits(&mut self) -> usize {
        let rest = &self.bytes()[self.pos..];
        let count = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        self.pos += count;
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, valid: bool) {
        let mut cursor = Cursor::new(json);
        let whole = cursor.number().and_then(|_| cursor.end());
        assert_eq!(whole.is_ok(), valid, "{json}: {whole:?}");
        assert_eq!(serde_json::from_str::<serde::de::IgnoredAny>(json).is_ok(), valid, "serde: {json}");
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
    fn strings_know_what_they_stand_for() {
        let text = r#""a\u0062\n\ud83d\ude00""#;
        let mut cursor = Cursor::new(text);
        let s = cursor.string().expect("a string");
        assert_eq!(cursor.unescape(s), "ab\n😀");
        assert_eq!(s.surplus as usize, s.span.len() - "ab\n😀".len());
    }
}
