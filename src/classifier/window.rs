//! A bounded view of a prompt's text, as its writer saw it.

use crate::protocol::facts::Text;

/// Bytes read of the beginning and of the end of the text.
const BEGINNING: usize = 2_560;
const END: usize = 1_536;

/// A bounded copy of a message, unescaped and in lower case (ASCII).
pub(super) struct Window {
    bytes: [u8; BEGINNING + END],
    len: usize,
}

impl Window {
    pub(super) fn new() -> Self {
        Self { bytes: [0; BEGINNING + END], len: 0 }
    }

    pub(super) fn text(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Takes a single text whole, or its two ends when it is long; of several, the beginning of the first
    /// and the end of the last.
    pub(super) fn fill(&mut self, body: &[u8], texts: &[Text]) {
        let [first, .., last] = texts else {
            if let [only] = texts {
                self.ends(only.span.of(body), only.span.of(body), only.span.len() > BEGINNING + END);
            }
            return;
        };
        self.ends(first.span.of(body), last.span.of(body), true);
    }

    fn ends(&mut self, first: &[u8], last: &[u8], apart: bool) {
        if !apart {
            return self.unescape(first);
        }
        self.unescape(&first[..first.len().min(BEGINNING)]);
        self.push(b"\n");
        self.unescape(&last[last.len().saturating_sub(END)..]);
    }

    fn push(&mut self, bytes: &[u8]) {
        let free = &mut self.bytes[self.len..];
        let taken = bytes.len().min(free.len());
        free[..taken].copy_from_slice(&bytes[..taken]);
        free[..taken].make_ascii_lowercase();
        self.len += taken;
    }

    /// Undoes JSON's escapes. A cut escape at an edge costs a character, no more.
    fn unescape(&mut self, escaped: &[u8]) {
        let mut rest = escaped;
        while let Some(at) = memchr::memchr(b'\\', rest) {
            self.push(&rest[..at]);
            let [_, kind, tail @ ..] = &rest[at..] else { return };
            rest = tail;
            match kind {
                b'n' | b'r' => self.push(b"\n"),
                b't' | b'b' | b'f' => self.push(b" "),
                b'u' => rest = self.unicode(rest),
                other => self.push(&[*other]),
            }
        }
        self.push(rest);
    }

    /// The character after `\u`. Surrogate pairs (emoji) are dropped: nothing here looks at them.
    fn unicode<'a>(&mut self, rest: &'a [u8]) -> &'a [u8] {
        let Some((digits, tail)) = rest.split_at_checked(4) else { return &[] };
        let value = digits
            .iter()
            .try_fold(0, |value, digit| char::from(*digit).to_digit(16).map(|digit| value * 16 + digit));
        if let Some(character) = value.and_then(char::from_u32) {
            let mut utf8 = [0; 4];
            self.push(character.encode_utf8(&mut utf8).as_bytes());
        }
        tail
    }
}
