//! A first guess at how good a model is, from its id, where nobody configured it.
//!
//! Rough places in public leaderboards: only the order matters, and an operator's figure in a provider
//! profile wins. Families that are not listed go by their size.

/// Families, the more special name first; the first that is part of the id counts.
#[rustfmt::skip]
const FAMILIES: &[(&str, f32)] = &[
    ("claude-opus", 0.93), ("claude-sonnet", 0.90), ("claude", 0.82),
    ("gpt-5-nano", 0.66), ("gpt-5-mini", 0.80), ("gpt-5", 0.91), ("gpt-4.1-nano", 0.55),
    ("gpt-4.1-mini", 0.68), ("gpt-4.1", 0.76), ("gpt-4o-mini", 0.58), ("gpt-4o", 0.70), ("o4-mini", 0.80),
    ("o3-mini", 0.76), ("gpt-oss-120b", 0.72), ("gpt-oss-20b", 0.58), ("gpt-3.5", 0.40),
    ("gemini-3.1-flash-lite", 0.72), ("gemini-3-flash", 0.84), ("gemini-3", 0.90), ("gemini-2.5-pro", 0.86),
    ("gemini-2.5-flash-lite", 0.62), ("gemini-2.5-flash", 0.76), ("gemini-2.0-flash-lite", 0.54),
    ("gemini-2.0", 0.62), ("gemini-pro", 0.80), ("gemini-flash-lite", 0.62), ("gemini-flash", 0.76),
    ("gemma-4-31b", 0.70), ("gemma-4-26b", 0.66), ("gemma-3-27b", 0.56), ("gemma-3-12b", 0.48),
    ("gemma-3n", 0.36), ("deepseek-r1-distill", 0.58), ("deepseek-r1", 0.80), ("deepseek-v4", 0.87),
    ("deepseek-v3", 0.80), ("deepseek-chat", 0.80), ("kimi-k2", 0.83), ("glm-5", 0.85), ("glm-4.5-air", 0.70),
    ("glm-4", 0.78), ("minimax-m", 0.78), ("grok-4", 0.86), ("grok-3-mini", 0.70), ("grok-3", 0.78),
    ("qwen3-coder", 0.76), ("qwen3-next-80b", 0.74), ("qwen3-235b", 0.78), ("qwen3.6", 0.70),
    ("qwen3.5", 0.72), ("qwen3-max", 0.82), ("qwen3-32b", 0.64), ("qwq", 0.62), ("qwen2.5-72b", 0.56),
    ("llama-4-maverick", 0.64), ("llama-4-scout", 0.56), ("llama-3.3-70b", 0.60), ("llama-3.1-405b", 0.66),
    ("hermes-4-405b", 0.68), ("hermes-3-405b", 0.64), ("hermes-3-llama-3.1-405b", 0.64),
    ("nemotron-3-ultra", 0.80), ("nemotron-3-super", 0.74), ("nemotron-3-nano", 0.60),
    ("nemotron-ultra", 0.72), ("nemotron-super", 0.66), ("nemotron-nano", 0.48), ("mistral-large", 0.72),
    ("mistral-medium", 0.74), ("mistral-small", 0.60), ("magistral", 0.68), ("devstral", 0.66),
    ("codestral", 0.56), ("ministral", 0.44), ("pixtral", 0.56), ("mixtral-8x22b", 0.46), ("mixtral", 0.38),
    ("open-mistral-nemo", 0.40), ("command-a", 0.64), ("command-r-plus", 0.50), ("command-r", 0.42),
    ("laguna-m", 0.70), ("laguna-xs", 0.60), ("hy3", 0.70), ("north-mini", 0.56), ("phi-4-mini", 0.42),
    ("phi-4", 0.52), ("gpt", 0.60), ("grok", 0.70), ("gemini", 0.70),
];

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
const UNKNOWN: f32 = 0.50;

/// Quality on hard prompts, 0 to 1, guessed from the id.
pub(super) fn guess(id: &str) -> f32 {
    let id = id.to_ascii_lowercase();
    let first = |table: &[(&str, f32)]| table.iter().find(|(part, _)| id.contains(part)).map(|(_, q)| *q);
    first(FAMILIES).or_else(|| billions(&id).map(by_size)).or_else(|| first(WORDS)).unwrap_or(UNKNOWN)
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
    fn larger_members_of_a_family_are_better() {
        check(&["gpt-5-nano", "openai/gpt-5-mini", "openai/gpt-5"]);
        check(&["llama-3.1-8b-instant", "llama-3.3-70b-versatile", "llama-3.1-405b-instruct"]);
        check(&["gemini-2.5-flash-lite", "gemini-2.5-flash", "gemini-2.5-pro"]);
        check(&["openai/gpt-oss-20b:free", "openai/gpt-oss-120b"]);
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
