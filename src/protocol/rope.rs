//! A body in pieces: long stretches are slices of the client's bytes, the rest is copied together.

use bytes::Bytes;
use std::ops::Range;

/// Shorter stretches are copied: that costs less than another piece, which is another write.
const COPY_BELOW_BYTES: usize = 4096;

/// A byte string in pieces. Cloning and slicing it copy no bytes.
#[derive(Clone, Debug, Default)]
pub struct Rope {
    parts: Vec<Bytes>,
    len: usize,
}

impl Rope {
    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Up to `max` bytes from `pos` on, fewer at the end of a piece; `None` at the end. Repeating
    /// this with `pos` moved on by what was given yields the whole.
    pub fn chunk(&self, pos: usize, max: usize) -> Option<Bytes> {
        let mut before = 0;
        for part in &self.parts {
            let start = pos - before;
            if start < part.len() {
                return Some(part.slice(start..part.len().min(start.saturating_add(max))));
            }
            before += part.len();
        }
        None
    }

    /// The pieces in order, none of them empty.
    pub fn parts(&self) -> &[Bytes] {
        &self.parts
    }
}

/// Builds a rope from stretches of one body and new bytes between them.
pub(super) struct Splicer<'a> {
    body: &'a Bytes,
    rope: Rope,
    /// Stretch of the body that may still grow.
    run: Range<usize>,
    /// Short stretches and new bytes since the last long one.
    copied: Vec<u8>,
}

impl<'a> Splicer<'a> {
    pub(super) fn new(body: &'a Bytes) -> Self {
        Self { body, rope: Rope::default(), run: 0..0, copied: Vec::new() }
    }

    /// Appends a stretch of the body.
    pub(super) fn keep(&mut self, start: u32, end: u32) {
        let (start, end) = (start as usize, end as usize);
        if start == self.run.end {
            self.run.end = end;
        } else {
            self.end_run();
            self.run = start..end;
        }
    }

    /// Appends new bytes.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.end_run();
        self.copied.extend_from_slice(bytes);
    }

    pub(super) fn finish(mut self) -> Rope {
        self.end_run();
        self.end_copied();
        self.rope
    }

    fn end_run(&mut self) {
        let run = std::mem::take(&mut self.run);
        if run.len() < COPY_BELOW_BYTES {
            if self.copied.capacity() == 0 {
                // Most bodies are short and end up here whole, with a few new bytes.
                self.copied.reserve(self.body.len().min(COPY_BELOW_BYTES) + 128);
            }
            self.copied.extend_from_slice(&self.body[run]);
        } else {
            self.end_copied();
            self.push(self.body.slice(run));
        }
    }

    fn end_copied(&mut self) {
        let copied = std::mem::take(&mut self.copied);
        if !copied.is_empty() {
            self.push(copied.into());
        }
    }

    fn push(&mut self, part: Bytes) {
        self.rope.len += part.len();
        self.rope.parts.push(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pieces: &[(u32, u32)], expect_parts: usize) {
        let body: Bytes = (0..20_000_u32).map(|i| i as u8).collect::<Vec<_>>().into();
        let mut splicer = Splicer::new(&body);
        let mut expect = Vec::new();
        for &(start, end) in pieces {
            splicer.keep(start, end);
            splicer.put(b"-");
            expect.extend_from_slice(&body[start as usize..end as usize]);
            expect.push(b'-');
        }
        let rope = splicer.finish();
        assert_eq!(rope.parts().len(), expect_parts, "{pieces:?}");
        assert_eq!(rope.len(), expect.len());
        for max in [1, 7, 5000, usize::MAX] {
            let mut read = Vec::new();
            while let Some(chunk) = rope.chunk(read.len(), max) {
                assert!(!chunk.is_empty() && chunk.len() <= max);
                read.extend_from_slice(&chunk);
            }
            assert_eq!(read, expect, "chunks of {max}");
        }
    }

    #[test]
    fn short_stretches_are_copied_into_one_piece() {
        check(&[], 0);
        check(&[(0, 100), (200, 4000), (5000, 5001)], 1);
    }

    #[test]
    fn long_stretches_stay_slices() {
        check(&[(0, 5000)], 2);
        check(&[(0, 10), (100, 9000), (9500, 20_000)], 5);
    }

    #[test]
    fn neighbouring_stretches_grow_together() {
        let body = Bytes::from(vec![b'x'; 10_000]);
        let mut splicer = Splicer::new(&body);
        (0..100).for_each(|i| splicer.keep(i * 100, i * 100 + 100));
        assert_eq!(splicer.finish().parts(), [body]);
    }
}
