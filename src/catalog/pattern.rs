//! Patterns over model ids: `*` stands for any run of characters, everything else for itself.

use super::Endpoint;

/// Whether `text` matches `pattern`. Case counts; a pattern without `*` must be equal.
///
/// Linear in the lengths: each piece between stars is looked for once, from the left.
pub(super) fn glob(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(mut rest) = pieces.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let Some(last) = pieces.next_back() else { return rest.is_empty() };
    for piece in pieces {
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

impl Endpoint {
    /// Whether `pattern` means this endpoint: it matches the model's id, the id without its variant
    /// (`google/gemma-4-31b-it` means the `:free` one too), or the endpoint's key (`groq/*`).
    pub fn matches(&self, pattern: &str) -> bool {
        let id = self.model.id.as_str();
        let base = id.split_once(':').map(|(base, _)| base);
        glob(pattern, id) || base.is_some_and(|base| glob(pattern, base)) || glob(pattern, &self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, matching: &[&str], not: &[&str]) {
        for text in matching {
            assert!(glob(pattern, text), "{pattern} should match {text}");
        }
        for text in not {
            assert!(!glob(pattern, text), "{pattern} should not match {text}");
        }
    }

    #[test]
    fn a_star_stands_for_anything_anywhere() {
        check("anthropic/*", &["anthropic/", "anthropic/claude"], &["openai/anthropic/x", "anthropic"]);
        check("openai/gpt-5*", &["openai/gpt-5", "openai/gpt-5-mini"], &["openai/gpt-4"]);
        check("*/claude-*", &["anthropic/claude-4", "/claude-"], &["claude-4", "a/claud-4"]);
        check("*", &["", "x"], &[]);
        check("**:free", &["a:free"], &["a:freer"]);
    }

    #[test]
    fn without_a_star_only_the_same_text_matches() {
        check("a/b", &["a/b"], &["a/b:free", "A/b", "", "a/"]);
        check("", &[""], &["a"]);
    }

    #[test]
    fn pieces_do_not_overlap() {
        check("ab*ba", &["abba", "ab-ba"], &["aba"]);
        check("*aa*aa", &["aaaa"], &["aaa"]);
    }
}
