//! How long an answer is to be, where the prompt says so: "in 200 words", "three paragraphs", "500字".

/// Tokens a unit is worth. The longest names of a unit come first.
const UNITS: [(&str, f32); 15] = [
    ("words", 1.35),
    ("word", 1.35),
    ("sentences", 25.0),
    ("sentence", 25.0),
    ("paragraphs", 110.0),
    ("paragraph", 110.0),
    ("lines", 14.0),
    ("pages", 650.0),
    ("wörter", 1.8),
    ("wörtern", 1.8),
    ("palabras", 1.6),
    ("mots", 1.6),
    ("слов", 2.2),
    ("字", 0.9),
    ("句话", 25.0),
];

/// Numbers that people spell.
const SPELLED: [(&str, u32); 12] = [
    ("one", 1),
    ("two", 2),
    ("three", 3),
    ("four", 4),
    ("five", 5),
    ("six", 6),
    ("ten", 10),
    ("一", 1),
    ("两", 2),
    ("三", 3),
    ("四", 4),
    ("五", 5),
];

/// Only this much is looked at, bytes from the beginning and the end: in the middle lies material.
const EDGE: usize = 400;

/// More than anybody means, units.
const MOST: u32 = 20_000;

/// The length asked for, tokens; of several, the largest.
pub(super) fn tokens(text: &[u8]) -> Option<u32> {
    let head = &text[..text.len().min(EDGE)];
    let tail = &text[text.len().saturating_sub(EDGE).max(head.len())..];
    [head, tail].into_iter().filter_map(|part| in_part(&String::from_utf8_lossy(part))).max()
}

fn in_part(text: &str) -> Option<u32> {
    let found = |(unit, worth): &(&str, f32)| {
        let at = text.match_indices(unit).filter_map(|(at, _)| Some((number_before(&text[..at])?, *worth)));
        at.map(|(count, worth)| (count as f32 * worth) as u32).max()
    };
    UNITS.iter().filter_map(found).max().map(|tokens| tokens.max(1))
}

/// The number right before a unit: `200 `, `200-`, `three `.
fn number_before(text: &str) -> Option<u32> {
    let text = text.trim_end_matches([' ', '-', '个']);
    let digits = text.trim_end_matches(|c: char| c.is_ascii_digit() || c == ',');
    if digits.len() < text.len() {
        let number: u32 = text[digits.len()..].replace(',', "").parse().ok()?;
        return (1..=MOST).contains(&number).then_some(number);
    }
    let ends_word = |word: &str| {
        let before = text.strip_suffix(word)?;
        let apart = !word.is_ascii() || before.is_empty() || before.ends_with([' ', '\n', '(']);
        apart.then_some(())
    };
    SPELLED.iter().find_map(|(word, number)| ends_word(word).map(|()| *number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Option<u32>) {
        assert_eq!(tokens(text.as_bytes()), expect, "{text}");
    }

    #[test]
    fn lengths_that_are_asked_for_are_read() {
        check("write an essay of 200 words about rain", Some(270));
        check("a 1,000-word story", Some(1350));
        check("explain it in two sentences.", Some(50));
        check("写一篇800字的作文", Some(720));
        check("用三句话总结", Some(75));
    }

    #[test]
    fn other_numbers_are_not() {
        check("what do these words mean?", None);
        check("he said 3 things in other words", None);
        check("a loan of 2000 over 5 years", None);
        check("99999999999 words", None);
        check("someone word", None);
    }

    #[test]
    fn a_long_text_between_is_not_looked_at() {
        let material = "it had 300 words. ".to_owned() + &"and so on. ".repeat(100);
        let asked = format!("{}{material}{}", "summarize this. ".repeat(30), "again. ".repeat(70));
        check(&asked, None);
    }
}
