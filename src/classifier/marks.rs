//! What a text looks like, apart from its words: lengths, figures, lines of a program, options of an exam.

use memchr::memmem;

/// Counts over one text.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Marks {
    /// Bytes.
    pub(crate) bytes: u32,
    /// Words of scripts with spaces, numbers included.
    pub(crate) words: u32,
    /// Characters of scripts without spaces.
    pub(crate) characters: u32,
    /// Runs of digits.
    pub(crate) numbers: u32,
    /// Arithmetic signs.
    pub(crate) operators: u32,
    /// Sentences' ends.
    pub(crate) stops: u32,
    pub(crate) commas: u32,
    pub(crate) questions: u32,
    pub(crate) lines: u32,
    /// Lines that look like a program's.
    pub(crate) code_lines: u32,
    /// Lines that are an option of an exam question.
    pub(crate) options: u32,
    /// It ends where the answer is to follow, as exams for completion models do.
    pub(crate) asks_to_complete: bool,
    /// A fenced block of code.
    pub(crate) fenced: bool,
    /// LaTeX, or symbols that only mathematics uses.
    pub(crate) formula: bool,
}

impl Marks {
    pub(super) fn of(text: &[u8], words: u32, characters: u32) -> Self {
        let mut marks = Self { bytes: text.len() as u32, words, characters, ..Self::default() };
        let mut in_number = false;
        for byte in text {
            let class = CLASSES[*byte as usize];
            let digit = class & DIGIT != 0;
            marks.numbers += u32::from(digit && !in_number);
            in_number = digit;
            marks.operators += u32::from(class & OPERATOR != 0);
            marks.stops += u32::from(class & STOP != 0);
            marks.commas += u32::from(*byte == b',');
            marks.questions += u32::from(*byte == b'?');
        }
        for line in text.split(|b| *b == b'\n').map(<[u8]>::trim_ascii) {
            marks.lines += 1;
            marks.code_lines += u32::from(is_code_line(line));
            marks.options += u32::from(is_option(line));
        }
        if characters > 0 {
            marks.questions += memmem::find_iter(text, "？".as_bytes()).count() as u32;
            marks.stops += memmem::find_iter(text, "。".as_bytes()).count() as u32;
            marks.commas += memmem::find_iter(text, "，".as_bytes()).count() as u32;
        }
        let end = text.trim_ascii_end();
        marks.asks_to_complete = ["answer:", "a:", "答案："].iter().any(|cue| end.ends_with(cue.as_bytes()));
        marks.fenced = memmem::find(text, b"```").is_some();
        marks.formula = is_formula(text);
        marks
    }

    /// The logarithm of the length.
    pub(crate) fn log_bytes(&self) -> f32 {
        (1.0 + self.bytes as f32).ln()
    }

    /// Each count by its doublings, as features of their own.
    pub(super) fn buckets(&self, mut tell: impl FnMut(u64, u64)) {
        let doublings = |count: u32| u64::from(32 - count.leading_zeros());
        let counts = [
            self.bytes,
            self.words + self.characters,
            self.numbers,
            self.operators,
            self.stops,
            self.questions,
            self.lines,
            self.code_lines,
            self.options,
        ];
        for (which, count) in counts.into_iter().enumerate() {
            tell(which as u64, doublings(count));
        }
        tell(10, u64::from(self.fenced));
        tell(11, u64::from(self.formula));
    }
}

const OPERATOR: u8 = 1;
const STRUCTURE: u8 = 2;
const DIGIT: u8 = 4;
const STOP: u8 = 8;

/// What each byte counts as.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let groups: [(&[u8], u8); 4] =
        [(b"+*/=^%<>$", OPERATOR), (b"(){}[];=<>\"_", STRUCTURE), (b"0123456789", DIGIT), (b".!?", STOP)];
    let mut group = 0;
    while group < groups.len() {
        let (bytes, class) = groups[group];
        let mut i = 0;
        while i < bytes.len() {
            classes[bytes[i] as usize] |= class;
            i += 1;
        }
        group += 1;
    }
    classes
};

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
