//! How many tokens a prompt will be, before any tokenizer has seen it.
//!
//! A count of bytes by kind. It decides which context windows are large enough and how much is
//! reserved; what is billed is counted afterwards by `metering`.

use super::scan::{Cursor, Str};

/// Tokens an image is counted as, whatever its size: Gemini's figure, and the usual one.
const TOKENS_PER_IMAGE: u64 = 258;

/// Base64 bytes of audio, video or a file per token: 32 tokens a second of 128 kbit/s audio.
const MEDIA_BYTES_PER_TOKEN: u64 = 600;

/// What chat templates put around each message.
const TOKENS_PER_MESSAGE: u64 = 4;

/// Sums up a prompt while it is walked.
#[derive(Debug, Default)]
pub(super) struct Estimate {
    ascii_bytes: u64,
    other_bytes: u64,
    fixed_tokens: u64,
}

impl Estimate {
    pub(super) fn message(&mut self) {
        self.fixed_tokens += TOKENS_PER_MESSAGE;
    }

    /// Text the model reads. Escapes count as what they stand for.
    pub(super) fn text(&mut self, cursor: &Cursor<'_>, text: Str) {
        let written = cursor.text(text.span).as_bytes();
        // Sums of at most 128 ones in a byte each: the compiler makes vector instructions of that.
        let other = written.chunks(128).map(|c| u64::from(c.iter().map(|b| b >> 7).sum::<u8>())).sum::<u64>();
        self.other_bytes += other;
        self.ascii_bytes += (written.len() as u64 - other).saturating_sub(u64::from(text.surplus));
    }

    /// JSON the model reads: tools, schemas, arguments.
    pub(super) fn json(&mut self, bytes: usize) {
        self.ascii_bytes += bytes as u64;
    }

    pub(super) fn image(&mut self) {
        self.fixed_tokens += TOKENS_PER_IMAGE;
    }

    /// Audio, video or a file, by the size of its part of the message.
    pub(super) fn media(&mut self, bytes: usize) {
        self.fixed_tokens += TOKENS_PER_IMAGE + bytes as u64 / MEDIA_BYTES_PER_TOKEN;
    }

    /// Four ASCII bytes a token, as in English and in code; three of others, as in Chinese.
    pub(super) fn tokens(&self) -> u32 {
        let tokens = self.ascii_bytes.div_ceil(4) + self.other_bytes.div_ceil(3) + self.fixed_tokens;
        u32::try_from(tokens).unwrap_or(u32::MAX)
    }
}
