//! A caller's own provider keys: `x-freeway-provider-key: groq=gsk_…`, where the operator allows it.
//!
//! No message quotes the header: a part of it that is written wrongly may well be a key.

use crate::catalog::{Auth, OwnKeys, Secret};
use crate::config::Config;
use crate::protocol::errors::{ApiError, ErrorKind};
use http::HeaderMap;

/// The header. It may come several times, and hold several keys with commas between them.
const HEADER: &str = "x-freeway-provider-key";
/// The most keys of one request.
const MAX_KEYS: usize = 8;

/// The keys a request brings along.
///
/// # Errors
/// 400 where they are not allowed, not understood, or for nobody: a key sent in vain should be known.
pub(super) fn read(headers: &HeaderMap, config: &Config) -> Result<OwnKeys, Box<ApiError>> {
    let mut own = OwnKeys::default();
    let mut values = headers.get_all(HEADER).iter().peekable();
    if values.peek().is_some() && !config.own_keys {
        return Err(refused("is not allowed here: the operator has not enabled it"));
    }
    for value in values {
        let text = value.to_str().map_err(|_| refused(MALFORMED))?;
        for pair in text.split(',') {
            let (slug, key) = pair.split_once('=').ok_or_else(|| refused(MALFORMED))?;
            let key = Secret::new(key).filter(|key| !key.reveal().contains(char::is_whitespace));
            let key = key.ok_or_else(|| refused(MALFORMED))?;
            let slug = slug.trim();
            if !takes_a_key(slug, config) {
                return Err(refused(&format!("is for one of: {}", known(config).join(", "))));
            }
            if !own.add(slug, key) {
                return Err(refused("has two keys for one provider"));
            }
        }
    }
    match own.slugs().count() {
        0..=MAX_KEYS => Ok(own),
        _ => Err(refused(&format!("has more than {MAX_KEYS} keys"))),
    }
}

const MALFORMED: &str =
    "must be a provider and its key, as in `groq=gsk_…`; several have commas between them";

fn takes_a_key(slug: &str, config: &Config) -> bool {
    known(config).contains(&slug)
}

/// The providers that are called with keys.
fn known(config: &Config) -> Vec<&str> {
    let providers = config.providers.iter().map(|p| &p.provider);
    providers.filter(|provider| provider.auth != Auth::None).map(|provider| provider.slug.as_str()).collect()
}

fn refused(words: &str) -> Box<ApiError> {
    Box::new(ApiError::new(ErrorKind::InvalidRequest, format!("{HEADER} {words}")).param(HEADER))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Overrides;
    use http::HeaderValue;

    fn config(own_keys: bool) -> Config {
        let env = |name: &str| name.starts_with("GROQ").then(|| "k".to_owned());
        let mut config = Config::load(None, &Overrides::default(), &env).expect("valid");
        config.own_keys = own_keys;
        config
    }

    /// What these values of the header come to: the providers, or what is wrong.
    #[track_caller]
    fn check(values: &[&str], allowed: bool, expect: Result<&[&str], &str>) {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HEADER, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
        }
        match (read(&headers, &config(allowed)), expect) {
            (Ok(own), Ok(slugs)) => assert_eq!(own.slugs().collect::<Vec<_>>(), slugs),
            (Err(error), Err(words)) => {
                assert!(error.message.contains(words), "{}", error.message);
                assert!(!error.message.contains("hush"), "{}", error.message);
            }
            (got, _) => panic!("{values:?}: {got:?}"),
        }
    }

    #[test]
    fn a_key_is_for_a_provider_at_hand() {
        check(&[], false, Ok(&[]));
        check(&["groq=hush"], true, Ok(&["groq"]));
        check(&[" groq = hush== "], true, Ok(&["groq"]));
    }

    #[test]
    fn a_key_sent_in_vain_is_refused_and_not_repeated() {
        check(&["groq=hush"], false, Err("not allowed"));
        check(&["mistral=hush"], true, Err("one of: groq"));
        check(&["hush"], true, Err("must be a provider and its key"));
        check(&["hush=1"], true, Err("one of: groq"));
        for odd in ["groq=", "groq=hu sh", "groq=hush,", "", "groq=h\u{fc}sh"] {
            check(&[odd], true, Err("must be a provider and its key"));
        }
        check(&["groq=hush", "groq=hush2"], true, Err("two keys"));
    }
}
