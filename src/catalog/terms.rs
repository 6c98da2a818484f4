//! What providers' terms say of their free tiers, as far as the program acts on it.

use serde::Deserialize;

/// What a provider's terms say of its free tier; what nobody has looked up is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Terms {
    /// It may train on prompts.
    pub trains_on_prompts: Option<bool>,
    /// Its answers may be passed on for money.
    pub resale: Option<bool>,
    /// It is for trying out, not for production.
    pub evaluation_only: Option<bool>,
    /// What else to know, for people.
    pub note: String,
}

impl Terms {
    /// What speaks against using it where people pay for answers, in words.
    pub fn against_selling(&self) -> Option<&'static str> {
        match (self.resale, self.evaluation_only) {
            (Some(false), _) => Some("its terms do not allow that answers are sold"),
            (_, Some(true)) => Some("its terms are for evaluation, not for production"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_speaks_against_selling() {
        let check = |resale, evaluation_only, expect: Option<&str>| {
            let terms = Terms { resale, evaluation_only, ..Terms::default() };
            let words = terms.against_selling();
            assert_eq!(words.is_some(), expect.is_some(), "{words:?}");
            assert!(words.unwrap_or_default().contains(expect.unwrap_or_default()), "{words:?}");
        };
        check(None, None, None);
        check(Some(true), Some(false), None);
        check(Some(false), None, Some("sold"));
        check(Some(true), Some(true), Some("evaluation"));
    }
}
