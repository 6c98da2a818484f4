//! Any chunking of any bytes gives the same events, or the same refusal. `tests/fixtures/*` are its
//! seeds.
#![no_main]

use freeway::protocol::sse::{Decoder, Frame};
use libfuzzer_sys::fuzz_target;

/// Small, so that the fuzzer reaches it.
const MAX_EVENT: usize = 512;

fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let show = |frame: Frame<'_>| match frame {
        Frame::Data(data) => {
            assert!(!data.trim_ascii().is_empty() && data.len() <= MAX_EVENT);
            [b"data ", data].concat()
        }
        Frame::Error(data) => [b"error ", data].concat(),
        Frame::Done => b"done".to_vec(),
    };
    let mut decoder = Decoder::new(MAX_EVENT);
    let mut frames = Vec::new();
    for mut piece in pieces {
        loop {
            match decoder.next(&mut piece) {
                Ok(Some(frame)) => frames.push(show(frame)),
                Ok(None) => break,
                Err(_) => {
                    frames.push(b"too long".to_vec());
                    return frames;
                }
            }
        }
        assert!(piece.is_empty(), "a piece is used up");
    }
    frames.extend(decoder.end().map(show));
    frames
}

fuzz_target!(|stream: &[u8]| {
    let whole = decode(std::iter::once(stream));
    assert_eq!(decode(stream.chunks(1)), whole);
    assert_eq!(decode(stream.chunks(stream.len() % 61 + 2)), whole);
});
