//! The inside of JSON strings, where nearly all bytes of a request are: at memory speed.

/// How many bytes come before the first quote, backslash or control character; all of them when
/// there is none.
pub(super) fn plain_len(bytes: &[u8]) -> usize {
    // Keys end within a few bytes and prose has an escape every line: words find those soonest.
    let mut at = 0;
    while at < WORDS_BEFORE_BLOCKS * WORD {
        match next_word(bytes, at) {
            Some(0) => at += WORD,
            Some(found) => return at + first(found),
            None => return at + plain_tail(&bytes[at..]),
        }
    }
    let (blocks, _) = bytes[at..].as_chunks::<BLOCK>();
    at += BLOCK * blocks.iter().take_while(|block| is_plain(block)).count();
    loop {
        match next_word(bytes, at) {
            Some(0) => at += WORD,
            Some(found) => return at + first(found),
            None => return at + plain_tail(&bytes[at..]),
        }
    }
}

/// The escape sequence at the start of `bytes`: its length, and that of the UTF-8 it stands for.
/// `None` if it is no escape, or half of a surrogate pair.
pub(super) fn escape_len(bytes: &[u8]) -> Option<(usize, usize)> {
    match bytes.get(1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some((2, 1)),
        b'u' => match code_unit(bytes)? {
            0xD800..=0xDBFF => matches!(code_unit(bytes.get(6..)?)?, 0xDC00..=0xDFFF).then_some((12, 4)),
            0xDC00..=0xDFFF => None,
            0..=0x7F => Some((6, 1)),
            0x80..=0x7FF => Some((6, 2)),
            _ => Some((6, 3)),
        },
        _ => None,
    }
}

const WORD: usize = 8;

/// Past this many words without a find, the string is taken for a long one.
const WORDS_BEFORE_BLOCKS: usize = 8;

/// A cache line: wide enough for any vector unit, and a fixed size the compiler can vectorise.
const BLOCK: usize = 64;

/// Written without branches or sums, so that the compiler makes vector instructions of it.
fn is_plain(block: &[u8; BLOCK]) -> bool {
    let stops = |b: u8| u8::from(b < 0x20) | u8::from(b == b'"') | u8::from(b == b'\\');
    block.iter().fold(0, |any, &b| any | stops(b)) == 0
}

fn next_word(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|word| stops(u64::from_le_bytes(*word)))
}

fn plain_tail(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|&&b| b >= 0x20 && b != b'"' && b != b'\\').count()
}

/// Sets the top bit of each byte that ends a plain run. Bytes above the first such byte may be set
/// wrongly (the subtraction borrows), the first never is.
fn stops(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let below = |word: u64, limit: u8| word.wrapping_sub(ONES * u64::from(limit)) & !word;
    let equal = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    (below(word, 0x20) | equal(b'"') | equal(b'\\')) & (ONES << 7)
}

/// Position of the first byte that `stops` has marked.
fn first(stops: u64) -> usize {
    stops.trailing_zeros() as usize / 8
}

/// The `XXXX` of a leading `\uXXXX`.
fn code_unit(bytes: &[u8]) -> Option<u32> {
    let hex = bytes.strip_prefix(b"\\u")?.first_chunk::<4>()?;
    hex.iter().try_fold(0, |unit, &b| Some(unit << 4 | char::from(b).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(escape: &str, expect: Option<(usize, usize)>) {
        assert_eq!(escape_len(escape.as_bytes()), expect, "{escape}");
    }

    #[test]
    fn escapes_are_measured() {
        check(r"\n", Some((2, 1)));
        check(r"\u0041x", Some((6, 1)));
        check(r"\u00e9", Some((6, 2)));
        check(r"\u20AC", Some((6, 3)));
        check(r"\ud83d\ude00", Some((12, 4)));
    }

    #[test]
    fn half_pairs_and_unknown_escapes_are_refused() {
        for escape in
            [r"\", r"\x", r"\u12", r"\u12g4", r"\u+123", r"\ud83d", r"\ud83d\n", r"\ud83dA", r"\ude00"]
        {
            check(escape, None);
        }
    }

    proptest! {
        #[test]
        fn a_plain_run_ends_where_a_byte_by_byte_search_says(
            mut bytes in prop::collection::vec(0x20_u8.., 0..300),
            at in 0_usize..300,
            stop in prop::sample::select(vec![b'"', b'\\', 0, 0x1f, b'\n']),
        ) {
            if let Some(slot) = bytes.get_mut(at) {
                *slot = stop;
            }
            prop_assert_eq!(plain_len(&bytes), plain_tail(&bytes));
        }
    }
}
