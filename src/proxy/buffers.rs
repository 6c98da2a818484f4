//! Memory for large request bodies, kept for the next ones: fresh memory of that size comes from the
//! kernel page by page, which costs more than reading and inspecting the body.

use bytes::Bytes;
use std::sync::{Arc, Mutex};

/// Smaller buffers are the allocator's own business.
const MIN_BYTES: usize = 256 << 10;
/// Larger ones are not kept.
const MAX_BYTES: usize = 4 << 20;
/// Buffers kept: 16 MB at most, with bodies of the usual image size far less.
const MAX_KEPT: usize = 4;

#[derive(Clone, Default)]
pub(super) struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

/// A body that is being read.
pub(super) struct Buffer {
    bytes: Vec<u8>,
    home: Buffers,
}

impl Buffers {
    /// A buffer for about `capacity` bytes.
    pub(super) fn take(&self, capacity: usize) -> Buffer {
        // Rather a fresh one than a wait.
        let kept = (capacity >= MIN_BYTES).then(|| self.0.try_lock().ok()?.pop()).flatten();
        let mut bytes = kept.unwrap_or_default();
        bytes.reserve(capacity);
        Buffer { bytes, home: self.clone() }
    }
}

impl Buffer {
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The body; its memory comes back when the last slice of it is dropped.
    pub(super) fn into_bytes(mut self) -> Bytes {
        if self.bytes.capacity() < MIN_BYTES {
            return Bytes::from(std::mem::take(&mut self.bytes));
        }
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let fits = (MIN_BYTES..=MAX_BYTES).contains(&self.bytes.capacity());
        if let (true, Ok(mut kept)) = (fits, self.home.0.try_lock())
            && kept.len() < MAX_KEPT
        {
            self.bytes.clear();
            kept.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_buffer_comes_back_when_its_last_slice_is_dropped() {
        let buffers = Buffers::default();
        let mut buffer = buffers.take(MIN_BYTES);
        buffer.extend(&vec![b'x'; MIN_BYTES]);
        let body = buffer.into_bytes();
        let slice = body.slice(10..20);
        drop(body);
        assert!(buffers.0.lock().expect("unpoisoned").is_empty());
        assert_eq!(&slice[..], b"xxxxxxxxxx");
        drop(slice);
        assert_eq!(buffers.0.lock().expect("unpoisoned").len(), 1);
        assert!(buffers.take(MIN_BYTES).is_empty(), "it comes empty");
    }
}
