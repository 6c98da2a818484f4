//! A first guess at how good a model is, from the size or the words in its id, where nothing is published of its
//! family. Only the order matters.

/// Size in billions of parameters, and what it is worth on average.
#[rustfmt::skip]
const SIZES: &[(f32, f32)] =
    &[(1.0, 0.18), (3.0, 0.30), (8.0, 0.42), (14.0, 0.50), (32.0, 0.58), (70.0, 0.64), (120.0, 0.68), (400.0, 0.74)];

/// Words in a name that say small or large, for models that name neither a known family nor a size.
#[rustfmt::skip]
const WORDS: &[(&str, f32)] = &[
    ("nano", 0.40), ("tiny", 0.30), ("mini", 0.48), ("lite", 0.48), ("small", 0.50), ("flash", 0.60),
    ("ultra", 0.76), ("large", 0.70), ("max", 0.74), ("pro", 0.74), ("medium", 0.64), ("super", 0.66),
];

/// A model nothing is known of.
pub(super) const UNKNOWN: f32 = 0.50;

/// Quality on hard prompts, 0 to 1, guessed from the id.
pub(super) fn guess(id: &str) -> f32 {
    let id = id.to_ascii_lowercase();
    let first = |table: &[(&str, f32)]| table.iter().find(|(part, _)| id.contains(part)).map(|(_, q)| *q);
    billions(&id).map(by_size).or_else(|| first(WORDS)).unwrap_or(UNKNOWN)
}

/// Whether the name says it is made for programming.
pub(super) fn is_for_code(id: &str) -> bool {
    let id = id.to_ascii_lowercase();
    ["coder", "codestral", "devstral", "-code", "code-", "codellama", "starcoder"]
        .iter()
        .any(|w| id.contains(w))
}

/// The largest `<number>b` in an id: `qwen3-30b-a3b` has 30 (its 3 are the active ones).
fn billions(id: &str) -> Option<f32> {
    let words = id.split(|c: char| !(c.is_ascii_alphanumeric() || c == '.'));
    words.filter_map(|word| word.strip_suffix('b')?.parse().ok()).filter(|size| *size > 0.0).reduce(f32::max)
}

/// Straight lines between the known sizes, over the logarithm.
fn by_size(billions: f32) -> f32 {
    let (smallest, largest) = (SIZES[0], SIZES[SIZES.len() - 1]);
    let between = SIZES.windows(2).find(|pair| (pair[0].0..=pair[1].0).contains(&billions));
    match between {
        Some(&[(low, at_low), (high, at_high)]) => {
            at_low + (at_high - at_low) * (billions / low).ln() / (high / low).ln()
        }
        _ if billions < smallest.0 => smallest.1 * billions.sqrt(),
        _ => largest.1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each model is worth less than the next.
    fn check(ascending: &[&str]) {
        for pair in ascending.windows(2) {
            assert!(guess(pair[0]) < guess(pair[1]), "{} before {}", pair[0], pair[1]);
        }
    }

    #[test]
    fn unknown_families_go_by_size() {
        check(&["new/x-0.5b", "new/x-1b", "new/x-7b", "new/x-30b-a3b", "new/x-70b", "new/x-900b"]);
        check(&["acme-nano", "acme-mini", "acme-flash", "acme-pro"]);
    }

    #[test]
    fn every_guess_is_a_share() {
        for id in ["", "b", "0b", "99999999b", "x-0.0001b", "NaNb", "infb", "-b", "模型-7b"] {
            assert!((0.0..=1.0).contains(&guess(id)), "{id}: {}", guess(id));
        }
        assert_eq!(guess("something-new"), UNKNOWN);
    }

    #[test]
    fn coding_models_say_so() {
        assert!(is_for_code("qwen/qwen3-coder:free") && is_for_code("codestral-latest"));
        assert!(!is_for_code("openai/gpt-oss-20b"));
    }
}
