//! A caller's own keys for providers.

use super::{Provider, Secret};

/// The keys a request brings along, each for one provider; usually none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnKeys(Vec<(String, Secret)>);

impl OwnKeys {
    /// Whether it brings none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds one; `false`, and nothing is added, if there is one for that provider already.
    pub fn add(&mut self, slug: &str, key: Secret) -> bool {
        let fresh = self.0.iter().all(|(known, _)| known != slug);
        if fresh {
            self.0.push((slug.to_owned(), key));
        }
        fresh
    }

    /// The key for a provider.
    pub fn of(&self, provider: &Provider) -> Option<&Secret> {
        self.0.iter().find(|(slug, _)| *slug == provider.slug).map(|(_, key)| key)
    }

    /// The provider does not take its key.
    pub fn forget(&mut self, provider: &Provider) {
        self.0.retain(|(slug, _)| *slug != provider.slug);
    }

    /// The providers there are keys for.
    pub fn slugs(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(slug, _)| slug.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_provider_has_one_key_until_it_refuses_that() {
        let provider = Provider::new("groq", "http://127.0.0.1:1".parse().expect("a URL"));
        let key = |text| Secret::new(text).expect("a key");
        let mut own = OwnKeys::default();
        assert!(own.add("groq", key("a")) && !own.add("groq", key("b")));
        assert_eq!(own.of(&provider), Some(&key("a")));
        assert!(!format!("{own:?}").contains("\"a\""));
        own.forget(&provider);
        assert_eq!((own.of(&provider), own.slugs().count()), (None, 0));
    }
}
