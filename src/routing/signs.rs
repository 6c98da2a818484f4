//! The cheap signs in a prompt that tell what it asks for.
//!
//! Only a bounded beginning and end of the last user message is looked at: instructions stand there, and
//! the cost stays in microseconds whatever is pasted between.

use super::vocabulary::{CJK, Sense, WORDS};
use super::window::Window;
use crate::catalog::Task;
use crate::protocol::facts::{PromptFeatures, Role, Text};
use memchr::memmem;

/// Instruction words are looked for only this near the edges: in the middle lies the material.
const INSTRUCTION_HEAD: usize = 360;
const INSTRUCTION_TAIL: usize = 240;

/// A message shorter than this ("go on", "and in Python?") is understood by the one before it.
const TOO_SHORT: usize = 24;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Signs {
    scores: [f32; Task::ALL.len()],
    pub(super) hard_words: u32,
    pub(super) easy_words: u32,
    /// LaTeX or mathematical symbols.
    pub(super) formula: bool,
    /// A question with the answers to choose from.
    pub(super) exam: bool,
    /// Lines that look like a program's.
    pub(super) code_lines: u32,
    question: bool,
    words: u32,
    bytes: usize,
    /// Vocabulary entries already counted: a repeated word says nothing new.
    counted: [u64; WORDS.len().div_ceil(64)],
}

impl Signs {
    /// Reads the last user message; when it says little, also the one before.
    pub(super) fn read(body: &[u8], features: &PromptFeatures) -> Self {
        let mut signs = Self::default();
        let mut texts = features.texts.as_slice();
        for _ in 0..2 {
            let Some(message) = last_user_message(&mut texts) else { break };
            let mut window = Window::new();
            window.fill(body, message);
            signs.look_at(window.text());
            if signs.bytes >= TOO_SHORT {
                break;
            }
        }
        signs
    }

    /// The task most signs speak for.
    pub(super) fn task(&self) -> Task {
        let best = Task::ALL.iter().max_by(|a, b| self.score(**a).total_cmp(&self.score(**b)));
        match best {
            Some(task) if self.score(*task) >= 1.0 => *task,
            _ if self.question || self.words > 4 || self.bytes == 0 => Task::Qa,
            _ => Task::Chat,
        }
    }

    fn score(&self, task: Task) -> f32 {
        self.scores[task as usize]
    }

    fn add(&mut self, task: Task, weight: f32) {
        self.scores[task as usize] += weight;
    }

    fn look_at(&mut self, text: &[u8]) {
        self.bytes += text.len();
        let head = &text[..text.len().min(INSTRUCTION_HEAD)];
        let tail = &text[text.len().saturating_sub(INSTRUCTION_TAIL).max(head.len())..];
        self.instructions(head, true);
        self.instructions(tail, false);
        self.question |= text.trim_ascii_end().ends_with(b"?") || head.contains(&b'?');
        self.marks(text);
    }

    /// Words and phrases of instructions.
    fn instructions(&mut self, text: &[u8], is_head: bool) {
        let mut position = 0;
        for word in text.split(|b| !is_word_byte(*b)).filter(|word| !word.is_empty()) {
            position += 1;
            // The first words are the instruction itself; later ones may be part of the material.
            let weight = match position {
                1..=4 if is_head => 1.6,
                5..=14 if is_head => 1.0,
                _ => 0.6,
            };
            for index in entries_for(word) {
                if ENTRIES[index].matches(word) && self.is_first(index) {
                    self.sense(WORDS[index].1, weight);
                }
            }
        }
        self.words += position;
        if text.iter().any(|b| *b >= 0xE3) {
            for (phrase, sense) in CJK {
                if memmem::find(text, phrase.as_bytes()).is_some() {
                    self.sense(*sense, 1.6);
                }
            }
            self.question |= memmem::find(text, "？".as_bytes()).is_some();
        }
    }

    fn is_first(&mut self, entry: usize) -> bool {
        let (word, bit) = (entry / 64, 1 << (entry % 64));
        let first = self.counted[word] & bit == 0;
        self.counted[word] |= bit;
        first
    }

    fn sense(&mut self, sense: Sense, weight: f32) {
        match sense {
            Sense::Means(task, worth) => self.add(task, worth * weight),
            Sense::Hard => self.hard_words += 1,
            Sense::Easy => self.easy_words += 1,
            Sense::Asks => self.question = true,
        }
    }

    /// Signs that are not words: fences, program lines, formulas, options of an exam, figures.
    fn marks(&mut self, text: &[u8]) {
        let mut options = 0;
        for line in text.split(|b| *b == b'\n').map(<[u8]>::trim_ascii) {
            self.code_lines += u32::from(is_code_line(line));
            options += u32::from(is_option(line));
        }
        let fenced = memmem::find(text, b"```").is_some();
        let fence = if fenced { 3.0 } else { 0.0 };
        let code = fence + (self.code_lines as f32 * 0.7).min(3.0);
        self.add(Task::Code, code);
        self.formula = is_formula(text);
        if self.formula {
            self.add(Task::Math, 1.6);
        }
        let counts = Counts::of(text);
        if text.len() < 1_200 && counts.numbers >= 3 && options < 3 {
            let calculates = if counts.operators > 0 { 0.8 } else { 0.5 };
            self.add(Task::Math, if self.question { calculates + 0.3 } else { calculates });
        }
        self.exam = options >= 3;
        if options >= 3 {
            self.add(Task::Qa, 2.4);
        }
        let pasted = text.len() > 500 && counts.stops >= 4;
        if pasted && self.question && options < 3 && code < 1.0 {
            self.add(Task::Reading, 1.2);
        }
    }
}

/// The texts of the last user message in `texts`, which is cut to what lies before it.
fn last_user_message<'a>(texts: &mut &'a [Text]) -> Option<&'a [Text]> {
    let last = texts.iter().rposition(|text| text.role == Role::User)?;
    let message = texts[last].message;
    let before = texts[..last].iter().rposition(|text| text.message != message);
    let first = before.map_or(0, |before| before + 1);
    let found = &texts[first..=last];
    *texts = &texts[..first];
    Some(found)
}

fn is_word_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b >= 0x80 || b == b'\''
}

/// A vocabulary entry, prepared so that most words are told apart from it by two bytes.
#[derive(Clone, Copy)]
struct Entry {
    /// The word, or the stem of an entry that ends in `*`.
    stem: &'static [u8],
    second: u8,
    whole: bool,
}

impl Entry {
    /// Whether a word with the entry's first byte is the entry, or begins with its stem.
    fn matches(&self, word: &[u8]) -> bool {
        let long_enough =
            if self.whole { word.len() == self.stem.len() } else { word.len() >= self.stem.len() };
        long_enough && (word.len() < 2 || word[1] == self.second) && word.starts_with(self.stem)
    }
}

/// The vocabulary in its order.
const ENTRIES: [Entry; WORDS.len()] = {
    let mut entries = [Entry { stem: b"", second: 0, whole: true }; WORDS.len()];
    let mut i = 0;
    while i < WORDS.len() {
        let word = WORDS[i].0.as_bytes();
        let whole = word[word.len() - 1] != b'*';
        let stem = if whole { word } else { word.split_at(word.len() - 1).0 };
        entries[i] = Entry { stem, second: if stem.len() > 1 { stem[1] } else { 0 }, whole };
        i += 1;
    }
    entries
};

/// Where the entries with each first byte start; they end where those of the next byte start.
const STARTS: [u16; 257] = {
    let mut starts = [0; 257];
    let (mut byte, mut i) = (0, 0);
    while byte < 257 {
        while i < WORDS.len() && (WORDS[i].0.as_bytes()[0] as usize) < byte {
            i += 1;
        }
        starts[byte] = i as u16;
        byte += 1;
    }
    starts
};

/// Positions of the vocabulary's entries with the word's first byte.
fn entries_for(word: &[u8]) -> std::ops::Range<usize> {
    let first = usize::from(word.first().copied().unwrap_or_default());
    usize::from(STARTS[first])..usize::from(STARTS[first + 1])
}

/// What kind of byte each is, so that counting costs one look-up a byte.
const OPERATOR: u8 = 1;
const STRUCTURE: u8 = 2;
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let (operators, structure) = (b"+*/=^%<>$", b"(){}[];=<>\"_");
    let mut i = 0;
    while i < operators.len() {
        classes[operators[i] as usize] |= OPERATOR;
        i += 1;
    }
    let mut i = 0;
    while i < structure.len() {
        classes[structure[i] as usize] |= STRUCTURE;
        i += 1;
    }
    classes
};

/// Counts over the whole window.
#[derive(Default)]
struct Counts {
    /// Runs of digits.
    numbers: u32,
    /// Arithmetic signs.
    operators: u32,
    /// Full stops.
    stops: u32,
}

impl Counts {
    fn of(text: &[u8]) -> Self {
        let mut counts = Self::default();
        let mut in_number = false;
        for byte in text {
            let digit = byte.is_ascii_digit();
            counts.numbers += u32::from(digit && !in_number);
            counts.operators += u32::from(CLASSES[*byte as usize] & OPERATOR);
            counts.stops += u32::from(*byte == b'.');
            in_number = digit;
        }
        counts
    }
}

/// Whether a trimmed line looks like a program's.
fn is_code_line(line: &[u8]) -> bool {
    const BEGINNINGS: [&[u8]; 22] = [
        b"def ",
        b"class ",
        b"import ",
        b"from ",
        b"return ",
        b"function ",
        b"const ",
        b"let ",
        b"var ",
        b"#include",
        b"public ",
        b"private ",
        b"fn ",
        b"func ",
        b"package ",
        b"select ",
        b"if (",
        b"for (",
        b"while (",
        b"assert ",
        b"traceback (",
        b"try:",
    ];
    let ends = matches!(line, [.., b';' | b'{' | b'}'] | [.., b')', b':']);
    if line.len() > 200 || !(ends || BEGINNINGS.iter().any(|start| line.starts_with(start))) {
        return false;
    }
    let structured = line.iter().filter(|b| CLASSES[**b as usize] & STRUCTURE != 0).count();
    structured >= if ends { 2 } else { 1 }
}

/// Whether a trimmed line is an option of an exam question: `A.`, `(b)`, `c)`.
fn is_option(line: &[u8]) -> bool {
    matches!(line, [b'(', b'a'..=b'j', b')', ..] | [b'a'..=b'j', b'.' | b')' | b':', b' ', ..])
}

/// LaTeX, or symbols that only mathematics uses.
fn is_formula(text: &[u8]) -> bool {
    const SIGNS: [&str; 15] = [
        "\\frac", "\\sum", "\\int", "\\sqrt", "\\begin{", "\\left", "\\cdot", "\\times", "\\mathbb", "$\\",
        "∫", "∑", "√", "≤", "∈",
    ];
    let possible = memchr::memchr2(b'\\', 0xE2, text).is_some();
    possible && SIGNS.iter().any(|sign| memmem::find(text, sign.as_bytes()).is_some())
}
