//! Token counts of our own, for answers whose provider reports none or was cut off.

/// The tokens of a text in OpenAI's `o200k` vocabulary, exactly. Other vocabularies differ: by a few
/// per cent on English and code, up to a factor of 3.6 on Hindi. (`cl100k` would take half the memory,
/// but counts 3 times as many tokens as `o200k` on Hindi and Arabic, and people would be billed for them.)
///
/// CPU work, linear in the text: about 20 ms a megabyte. The first call unpacks the vocabulary: 50 ms,
/// and 35 MB that stay in memory. So call it on a thread that may block, and only when it is needed.
pub fn count(text: &str) -> u32 {
    u32::try_from(bpe_openai::o200k_base().count(text)).unwrap_or(u32::MAX)
}

/// Guesses the tokens of so many bytes of text, at once: 3 bytes a token. High rather than low for most
/// languages and code. Never 0 for some text.
pub fn guess(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(3)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_texts_have_their_known_counts() {
        assert_eq!(count(""), 0);
        assert_eq!(count("hello world"), 2);
        assert_eq!(count("What is the capital of France?"), 7);
    }

    #[test]
    fn a_guess_is_near_the_count_and_never_nothing() {
        let prose =
            "The quick brown fox jumps over the lazy dog, and nobody in the village minds. ".repeat(20);
        let code =
            "fn main() {\n    let mut total = 0u64;\n    for x in 0..10 { total += x; }\n}\n".repeat(20);
        for text in [&prose, &code] {
            let (guessed, counted) = (guess(text.len() as u64), count(text));
            assert!(guessed * 2 > counted && guessed < counted * 2, "{guessed} for {counted}");
        }
        assert_eq!((guess(0), guess(1), guess(4)), (0, 1, 2));
    }
}
