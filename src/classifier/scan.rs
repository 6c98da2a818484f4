//! One pass over a prompt's text: hashed features for the linear heads, and a few counts.
//!
//! Each feature is a number below [`ROWS`], told once a text. Nothing is allocated, and the text is not kept.

use super::marks::Marks;

/// Features are folded to this many: the rows of the weights.
pub(crate) const ROWS: usize = 1 << 17;

/// Words that count as the beginning, where instructions stand; and as the end.
const EDGE_WORDS: u32 = 8;

/// The same for scripts written without spaces, characters.
const EDGE_CHARACTERS: u32 = 16;

/// What a feature is about: equal words in different places are different features.
#[derive(Clone, Copy)]
#[repr(u64)]
enum Kind {
    Word = 1,
    Pair,
    Stem,
    FirstWord,
    FirstPair,
    LastWord,
    Character,
    CharacterPair,
    FirstCharacters,
    LastCharacters,
    Count,
}

/// A feature of a text: its row, and the bytes that show it (none for a count).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Feature {
    pub(crate) row: u32,
    pub(super) start: u32,
    pub(super) end: u32,
}

/// Reads a text in lower case (ASCII); `found` hears each feature once.
pub(super) fn scan(text: &[u8], found: impl FnMut(Feature)) -> Marks {
    let (words, characters) = (Run::default(), Run::default());
    let mut scanner = Scanner { seen: Seen::new(), found, words, characters };
    let mut at = 0;
    while at < text.len() {
        at = match kind(text, at) {
            Next::Letters => scanner.word(text, at),
            Next::Digits => scanner.number(text, at),
            Next::Character(bytes) => scanner.character(text, at, bytes),
            Next::Gap(bytes) => at + bytes,
        };
    }
    scanner.ends();
    let marks = Marks::of(text, scanner.words.count, scanner.characters.count);
    marks.buckets(|which, bucket| scanner.tell(Kind::Count, which << 8 | bucket, Token::default()));
    marks
}

enum Next {
    /// A word of a script with spaces begins.
    Letters,
    Digits,
    /// A character of a script without spaces, so many bytes long.
    Character(usize),
    /// Spaces, signs.
    Gap(usize),
}

fn kind(text: &[u8], at: usize) -> Next {
    let second = text.get(at + 1).copied().unwrap_or_default();
    match text[at] {
        b'0'..=b'9' => Next::Digits,
        b'a'..=b'z' | b'A'..=b'Z' => Next::Letters,
        0..=0x7F => Next::Gap(1),
        // General punctuation, CJK punctuation and the full-width signs.
        0xE2 if second <= 0x81 => Next::Gap(3),
        0xE3 if second == 0x80 => Next::Gap(3),
        0xEF if second >= 0xBC => Next::Gap(3),
        // Kana and Han.
        0xE3..=0xE9 => Next::Character(3),
        0xF0 if second >= 0xA0 => Next::Character(4),
        _ => Next::Letters,
    }
}

/// A piece of the text and its hash.
#[derive(Clone, Copy, Default)]
struct Token {
    hash: u64,
    start: u32,
    end: u32,
}

impl Token {
    /// This one after another, which has no hash where there is none.
    fn after(self, previous: Self) -> Self {
        let start = if previous.hash == 0 { self.start } else { previous.start };
        Self { hash: previous.hash.rotate_left(23).wrapping_mul(PRIME) ^ self.hash, start, end: self.end }
    }
}

/// The tokens of one sort.
#[derive(Default)]
struct Run {
    count: u32,
    /// The one before; none after a gap between scripts.
    previous: Token,
    /// The latest, as a ring.
    last: [Token; EDGE_CHARACTERS as usize],
}

impl Run {
    fn push(&mut self, token: Token) {
        self.last[self.count as usize % self.last.len()] = token;
        self.count += 1;
    }
}

struct Scanner<F> {
    seen: Seen,
    found: F,
    words: Run,
    characters: Run,
}

impl<F: FnMut(Feature)> Scanner<F> {
    fn word(&mut self, text: &[u8], start: usize) -> usize {
        let (mut at, mut hash, mut stem) = (start, SEED, 0);
        while at < text.len() && matches!(kind(text, at), Next::Letters) || text.get(at) == Some(&b'\'') {
            hash = (hash ^ u64::from(text[at])).wrapping_mul(PRIME);
            at += 1;
            if at - start == STEM {
                stem = hash;
            }
        }
        let token = Token { hash, start: start as u32, end: at as u32 };
        if at - start > STEM {
            self.tell(Kind::Stem, stem, token);
        }
        self.token(token);
        at
    }

    /// Numbers are alike by their length.
    fn number(&mut self, text: &[u8], start: usize) -> usize {
        let digits = text[start..].iter().take_while(|b| b.is_ascii_digit()).count();
        let end = start + digits;
        self.token(Token { hash: digits.min(4) as u64, start: start as u32, end: end as u32 });
        end
    }

    fn token(&mut self, token: Token) {
        let position = self.words.count;
        let pair = token.after(self.words.previous);
        self.tell(Kind::Word, token.hash, token);
        self.tell(Kind::Pair, pair.hash, pair);
        if position < EDGE_WORDS {
            self.tell(Kind::FirstWord, token.hash, token);
            if position < EDGE_WORDS / 2 {
                self.tell(Kind::FirstPair, pair.hash, pair);
            }
        }
        self.words.push(token);
        self.words.previous = token;
        self.characters.previous = Token::default();
    }

    fn character(&mut self, text: &[u8], start: usize, bytes: usize) -> usize {
        let end = (start + bytes).min(text.len());
        let hash = text[start..end].iter().fold(SEED, |hash, b| (hash ^ u64::from(*b)).wrapping_mul(PRIME));
        let token = Token { hash, start: start as u32, end: end as u32 };
        let pair = token.after(self.characters.previous);
        self.tell(Kind::Character, hash, token);
        self.tell(Kind::CharacterPair, pair.hash, pair);
        if self.characters.count < EDGE_CHARACTERS {
            self.tell(Kind::FirstCharacters, pair.hash, pair);
        }
        self.characters.push(pair);
        self.characters.previous = token;
        end
    }

    /// Tells how the text ends.
    fn ends(&mut self) {
        for back in 1..=self.words.count.min(EDGE_WORDS) {
            let token = self.words.last[(self.words.count - back) as usize % self.words.last.len()];
            self.tell(Kind::LastWord, token.hash, token);
        }
        for place in 0..self.characters.count.min(EDGE_CHARACTERS) as usize {
            let token = self.characters.last[place];
            self.tell(Kind::LastCharacters, token.hash, token);
        }
    }

    fn tell(&mut self, kind: Kind, hash: u64, token: Token) {
        let row = fold(kind, hash);
        if self.seen.is_new(row) {
            (self.found)(Feature { row, start: token.start, end: token.end });
        }
    }
}

/// Letters of a stem, bytes.
const STEM: usize = 5;

/// Of FNV-1a.
const SEED: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

fn fold(kind: Kind, hash: u64) -> u32 {
    let mixed = (hash ^ (kind as u64) << 56).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> (64 - ROWS.trailing_zeros())) as u32
}

/// Which rows were told.
struct Seen([u64; ROWS / 64]);

impl Seen {
    const fn new() -> Self {
        Self([0; ROWS / 64])
    }

    fn is_new(&mut self, row: u32) -> bool {
        let (word, bit) = (row as usize / 64, 1 << (row % 64));
        let new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        new
    }
}
