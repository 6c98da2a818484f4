//! Server-sent events as providers really write them, cut anywhere by the network.
//!
//! Takes CR, LF and CRLF line ends, a byte order mark, comments, `data:` with or without the space,
//! data over several lines, and a last event without its blank line. `id:`, `retry:` and event names are
//! dropped on purpose: some clients die on them. What an event means is `normalize`'s business.

use memchr::memchr2;

/// Buffers above this size are given back after the event that needed them, so that one big event does
/// not stay in memory for the rest of a long stream.
const KEPT_CAPACITY: usize = 16 << 10;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One event of a stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// The data of an event, several lines joined by `\n`.
    Data(&'a [u8]),
    /// The same for an event that says it is an error: `event: error`, or the `error:` lines of older
    /// llama.cpp servers.
    Error(&'a [u8]),
    /// `data: [DONE]`: the answer is complete.
    Done,
}

/// An event is longer than the decoder may buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event is longer than the limit")]
pub struct TooLong;

/// Cuts a byte stream into events, whatever the boundaries of the pieces it comes in.
#[derive(Debug)]
pub struct Decoder {
    /// Start of a line whose end has not come yet.
    line: Vec<u8>,
    /// Data of the event under way, or of the event handed out last.
    data: Vec<u8>,
    has_data: bool,
    is_error: bool,
    handed_out: bool,
    first_line: bool,
    after_cr: bool,
    max_event: usize,
}

impl Decoder {
    /// Buffers at most `max_event` bytes of one event.
    pub fn new(max_event: usize) -> Self {
        Self {
            line: Vec::new(),
            data: Vec::new(),
            has_data: false,
            is_error: false,
            handed_out: false,
            first_line: true,
            after_cr: false,
            max_event,
        }
    }

    /// The next complete event. Advances `chunk` past what was used; `None` when it is used up.
    ///
    /// # Errors
    /// [`TooLong`] when an event exceeds the limit; the stream cannot be read on after that.
    pub fn next<'a>(&'a mut self, chunk: &mut &[u8]) -> Result<Option<Frame<'a>>, TooLong> {
        self.clear_handed_out();
        loop {
            if std::mem::take(&mut self.after_cr) {
                match chunk.first() {
                    Some(b'\n') => *chunk = &chunk[1..],
                    Some(_) => {}
                    None => self.after_cr = true,
                }
            }
            let end = memchr2(b'\r', b'\n', chunk);
            let head = &chunk[..end.unwrap_or(chunk.len())];
            if self.line.len() + self.data.len() + head.len() > self.max_event {
                return Err(TooLong);
            }
            let Some(end) = end else {
                self.line.extend_from_slice(head);
                *chunk = &[];
                return Ok(None);
            };
            self.after_cr = chunk[end] == b'\r';
            *chunk = &chunk[end + 1..];
            if self.end_line(head) {
                return Ok(Some(self.hand_out()));
            }
        }
    }

    /// The event left over when the stream ends without the blank line after it.
    pub fn end(&mut self) -> Option<Frame<'_>> {
        self.clear_handed_out();
        if !self.line.is_empty() {
            self.end_line(b"");
        }
        if self.take_line(b"") { Some(self.hand_out()) } else { None }
    }

    fn end_line(&mut self, rest: &[u8]) -> bool {
        if self.line.is_empty() {
            return self.take_line(rest);
        }
        let mut line = std::mem::take(&mut self.line);
        line.extend_from_slice(rest);
        let complete = self.take_line(&line);
        if line.capacity() <= KEPT_CAPACITY {
            line.clear();
            self.line = line;
        }
        complete
    }

    /// Reads one line; true when it completes an event that has data.
    fn take_line(&mut self, mut line: &[u8]) -> bool {
        if std::mem::take(&mut self.first_line) {
            line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        }
        if line.is_empty() {
            if self.data.trim_ascii().is_empty() {
                self.clear();
                return false;
            }
            return true;
        }
        let (field, value) = match memchr::memchr(b':', line) {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &b""[..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => self.add(value),
            b"error" => {
                self.is_error = true;
                self.add(value);
            }
            b"event" => self.is_error |= value == b"error",
            _ => {}
        }
        false
    }

    fn add(&mut self, value: &[u8]) {
        if std::mem::replace(&mut self.has_data, true) {
            self.data.push(b'\n');
        }
        self.data.extend_from_slice(value);
    }

    fn hand_out(&mut self) -> Frame<'_> {
        self.handed_out = true;
        match self.data.trim_ascii() {
            data if self.is_error => Frame::Error(data),
            data if data.starts_with(b"[DONE]") => Frame::Done,
            data => Frame::Data(data),
        }
    }

    fn clear_handed_out(&mut self) {
        if std::mem::take(&mut self.handed_out) {
            self.clear();
        }
    }

    fn clear(&mut self) {
        self.has_data = false;
        self.is_error = false;
        if self.data.capacity() > KEPT_CAPACITY {
            self.data = Vec::new();
        }
        self.data.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn show(frame: Frame<'_>) -> String {
        match frame {
            Frame::Data(data) => String::from_utf8_lossy(data).into_owned(),
            Frame::Error(data) => format!("error {}", String::from_utf8_lossy(data)),
            Frame::Done => "done".to_owned(),
        }
    }

    fn decode(pieces: &[&[u8]]) -> Vec<String> {
        let mut decoder = Decoder::new(1 << 20);
        let mut frames = Vec::new();
        for piece in pieces {
            let mut rest = *piece;
            while let Some(frame) = decoder.next(&mut rest).expect("below the limit") {
                frames.push(show(frame));
            }
        }
        frames.extend(decoder.end().map(show));
        frames
    }

    #[track_caller]
    fn check(stream: &str, expect: &[&str]) {
        assert_eq!(decode(&[stream.as_bytes()]), expect, "whole: {stream:?}");
        let bytes: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
        assert_eq!(decode(&bytes), expect, "byte by byte: {stream:?}");
    }

    #[test]
    fn every_line_end_is_understood() {
        check("data: a\n\ndata: b\n\n", &["a", "b"]);
        check("data: a\r\n\r\ndata: b\r\n\r\n", &["a", "b"]);
        check("data: a\r\rdata: b\r\r", &["a", "b"]);
    }

    #[test]
    fn the_space_after_the_colon_is_optional() {
        check("data:a\n\n", &["a"]);
        check("data:[DONE]\n\n", &["done"]);
    }

    #[test]
    fn data_over_several_lines_is_one_event() {
        check("data: {\ndata: }\n\n", &["{\n}"]);
    }

    #[test]
    fn comments_and_other_fields_are_dropped() {
        check(": PROCESSING\n\n: ping\nid: 7\nretry: 3\nevent: message\ndata: a\n\nevent: x\n\n", &["a"]);
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_field() {
        check("\u{feff}data: a\n\n", &["a"]);
    }

    #[test]
    fn blank_data_is_no_event() {
        check("data:\n\ndata: \n\ndata\n\ndata: a\n\n", &["a"]);
    }

    #[test]
    fn a_last_event_needs_no_blank_line() {
        check("data: a\n\ndata: b", &["a", "b"]);
        check("data: a\n\ndata: [DONE]", &["a", "done"]);
    }

    #[test]
    fn errors_are_told_apart() {
        check("error: {\"code\":500}\n\n", &["error {\"code\":500}"]);
        check("event: error\ndata: {}\n\ndata: a\n\n", &["error {}", "a"]);
    }

    #[test]
    fn an_event_may_be_as_long_as_the_limit_and_no_longer() {
        let feed = |limit| Decoder::new(limit).next(&mut &b"data: 123\n\n"[..]).map(|f| f.map(show));
        assert_eq!(feed(9), Ok(Some("123".to_owned())));
        assert_eq!(feed(8), Err(TooLong));
    }

    #[test]
    fn many_short_lines_of_one_event_count_together() {
        let mut decoder = Decoder::new(100);
        let stream = b"data: 0123456789\n".repeat(20);
        assert_eq!(decoder.next(&mut &stream[..]), Err(TooLong));
    }

    #[test]
    fn a_big_event_does_not_stay_in_memory() {
        let mut decoder = Decoder::new(2 << 20);
        let event = [b"data: ", "x".repeat(1 << 20).as_bytes(), b"\n\n"].concat();
        let frames =
            event.chunks(1000).filter(|c| decoder.next(&mut &c[..]).expect("fits").is_some()).count();
        assert_eq!(frames, 1);
        assert_eq!(decoder.next(&mut &b""[..]), Ok(None));
        assert!(decoder.line.capacity() + decoder.data.capacity() <= 2 * KEPT_CAPACITY);
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_frames(
            lines in prop::collection::vec(
                ("(data: ?|: |event: |id|error:|)", "[a-zé\u{1F600}]{0,8}", "(\n|\r|\r\n)"), 0..20),
            cuts in prop::collection::vec(0usize..400, 0..20),
        ) {
            let stream: Vec<u8> =
                lines.iter().flat_map(|(f, v, e)| [f.as_str(), v, e].concat().into_bytes()).collect();
            let mut cuts: Vec<usize> = cuts.iter().map(|c| c % (stream.len() + 1)).collect();
            cuts.sort_unstable();
            cuts.push(stream.len());
            let mut start = 0;
            let pieces: Vec<&[u8]> = cuts
                .iter()
                .map(|&end| {
                    let piece = &stream[start..end];
                    start = end;
                    piece
                })
                .collect();
            prop_assert_eq!(decode(&pieces), decode(&[&stream]));
        }
    }
}
