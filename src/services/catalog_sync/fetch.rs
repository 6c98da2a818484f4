//! Asks a provider: for its model list, for a model, for what is left of its limits. Blocks.

use crate::catalog::{
    Auth, BadList, Date, Listing, Secret, description, parse_models, undescribed, with_descriptions,
};
use crate::config::ConfiguredProvider;
use crate::upstream::{Observed, quota_report};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A whole fetch; lists are a few megabytes at most.
const FETCH_TIMEOUT: Duration = Duration::from_secs(20);
/// OpenRouter's list, the longest, has about 1 MB.
const MAX_LIST_BYTES: u64 = 32 << 20;
/// A description, and what is left of limits: a template and a licence are a few dozen kilobytes.
const MAX_ANSWER_BYTES: u64 = 4 << 20;
/// Models described at the same time: the server that describes them also runs them.
const DESCRIBED_AT_ONCE: usize = 4;
/// Models described in one look; more are served as the list has them.
const MAX_DESCRIBED: usize = 1_000;
/// No new description is asked for after this; the rest come with the next look.
const DESCRIBE_FOR: Duration = Duration::from_secs(30);

/// What models were described as, by name: the version that was meant, and the description.
#[derive(Debug, Default)]
pub struct Described(HashMap<String, (String, Value)>);

/// Why a provider did not say what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The request failed. The address is not shown: it may contain an account.
    #[error("no answer to use: {0}")]
    Fetch(String),
    /// The answer is no list.
    #[error(transparent)]
    List(#[from] BadList),
    /// The authority file of the configuration.
    #[error("the certificate authority file cannot be used")]
    Authority,
}

/// Fetches and reads one provider's list, and asks for what it does not say of its models, as far as `described`
/// does not have it from an earlier look.
///
/// # Errors
/// [`FetchError`] when there is no list to use.
pub fn fetch(provider: &ConfiguredProvider, described: &mut Described) -> Result<Listing, FetchError> {
    let caller = Caller::new(provider)?;
    let key = provider.provider.keys.first();
    let mut body = caller.get(provider.list_url.as_deref().unwrap_or_default(), key, MAX_LIST_BYTES)?;
    if let Some(url) = &provider.show_url {
        described.update(&undescribed(&body), |name| caller.describe(url, name));
        body = with_descriptions(&body, |name| Some(described.0.get(name)?.1.clone()));
    }
    Ok(parse_models(&provider.rules, &body, &provider.provider, today())?)
}

/// Asks what is left of the account's limits, with the first key that is answered.
///
/// # Errors
/// [`FetchError`] when none is.
pub(super) fn quota(provider: &ConfiguredProvider) -> Result<Vec<Observed>, FetchError> {
    let Some((url, dialect)) = &provider.quota else { return Ok(Vec::new()) };
    let caller = Caller::new(provider)?;
    let mut failed = FetchError::Fetch("there is no key".to_owned());
    for key in &provider.provider.keys {
        match caller.get(url, Some(key), MAX_ANSWER_BYTES) {
            Ok(body) => return Ok(quota_report(*dialect, &body)),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

impl Described {
    /// Asks for what is new or has changed, and forgets what is no longer there. What fails is asked again at
    /// the next look.
    fn update(&mut self, models: &[(String, String)], ask: impl Fn(&str) -> Option<Value> + Sync) {
        let models = &models[..models.len().min(MAX_DESCRIBED)];
        let versions: HashMap<&String, &String> =
            models.iter().map(|(name, version)| (name, version)).collect();
        self.0.retain(|name, (version, _)| !version.is_empty() && versions.get(name) == Some(&&*version));
        let unknown: Vec<_> = models.iter().filter(|(name, _)| !self.0.contains_key(name)).collect();
        let (next, found, started) = (AtomicUsize::new(0), Mutex::new(Vec::new()), Instant::now());
        let work = || {
            while let Some((name, version)) = unknown.get(next.fetch_add(1, Relaxed)) {
                if started.elapsed() > DESCRIBE_FOR {
                    return;
                }
                if let Some(description) = ask(name) {
                    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                    found.push((name.clone(), (version.clone(), description)));
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..DESCRIBED_AT_ONCE.min(unknown.len()) {
                scope.spawn(work);
            }
        });
        self.0.extend(found.into_inner().unwrap_or_else(PoisonError::into_inner));
    }
}

/// How a provider is asked.
struct Caller<'a> {
    provider: &'a ConfiguredProvider,
    agent: ureq::Agent,
}

impl<'a> Caller<'a> {
    fn new(provider: &'a ConfiguredProvider) -> Result<Self, FetchError> {
        let mut tls = ureq::tls::TlsConfig::builder();
        if let Some(path) = &provider.ca_file {
            let pem = std::fs::read(path).map_err(|_| FetchError::Authority)?;
            let certificates = ureq::tls::parse_pem(&pem)
                .filter_map(|item| match item {
                    Ok(ureq::tls::PemItem::Certificate(certificate)) => Some(certificate),
                    _ => None,
                })
                .collect::<Vec<_>>();
            tls = tls.root_certs(ureq::tls::RootCerts::new_with_certs(&certificates));
        }
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(FETCH_TIMEOUT))
            .user_agent(concat!("freeway/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls.build())
            .build();
        Ok(Self { provider, agent: config.into() })
    }

    fn get(&self, url: &str, key: Option<&Secret>, limit: u64) -> Result<Vec<u8>, FetchError> {
        let answer = self.with_headers(self.agent.get(url), key).call();
        body(answer, limit)
    }

    fn describe(&self, url: &str, model: &str) -> Option<Value> {
        let key = self.provider.provider.keys.first();
        let request = self.with_headers(self.agent.post(url), key).header("content-type", "application/json");
        let answer = request.send(json!({ "model": model }).to_string().as_bytes());
        description(&body(answer, MAX_ANSWER_BYTES).ok()?)
    }

    fn with_headers<B>(
        &self,
        request: ureq::RequestBuilder<B>,
        key: Option<&Secret>,
    ) -> ureq::RequestBuilder<B> {
        let about = &self.provider.provider;
        let mut request = request.header("accept", "application/json");
        for (name, value) in &about.headers {
            request = request.header(name, value);
        }
        match (key, &about.auth) {
            (Some(key), Auth::Bearer) => request.header("authorization", format!("Bearer {}", key.reveal())),
            (Some(key), Auth::Header(name)) => request.header(name, key.reveal()),
            _ => request,
        }
    }
}

fn body(
    answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    limit: u64,
) -> Result<Vec<u8>, FetchError> {
    let failed = |error: ureq::Error| FetchError::Fetch(in_words(&error));
    let mut answer = answer.map_err(failed)?;
    answer.body_mut().with_config().limit(limit).read_to_vec().map_err(failed)
}

/// Our words: a client library's message may quote the address.
fn in_words(error: &ureq::Error) -> String {
    match error {
        ureq::Error::StatusCode(status) => format!("status {status}"),
        ureq::Error::Timeout(_) => "it took too long".to_owned(),
        ureq::Error::HostNotFound => "the name does not resolve".to_owned(),
        ureq::Error::Io(error) => error.kind().to_string(),
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) => "no trusted TLS session".to_owned(),
        ureq::Error::BodyExceedsLimit(limit) => format!("it is longer than {limit} bytes"),
        _ => "the request failed".to_owned(),
    }
}

fn today() -> Date {
    jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn models(versions: &[(&str, &str)]) -> Vec<(String, String)> {
        versions.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned())).collect()
    }

    #[test]
    fn only_what_is_new_or_has_changed_is_asked_for() {
        let mut described = Described::default();
        let check = |described: &mut Described, now: &[(&str, &str)], expect: &[&str]| {
            let asked = Mutex::new(Vec::new());
            described.update(&models(now), |name| {
                asked.lock().expect("unpoisoned").push(name.to_owned());
                (name != "broken").then(|| json!(name))
            });
            let mut asked = asked.into_inner().expect("unpoisoned");
            asked.sort_unstable();
            assert_eq!(asked, expect);
        };
        check(&mut described, &[("a", "1"), ("b", "1"), ("broken", "1")], &["a", "b", "broken"]);
        check(&mut described, &[("a", "1"), ("b", "2"), ("broken", "1")], &["b", "broken"]);
        check(&mut described, &[("a", "1")], &[]);
        assert_eq!(described.0.len(), 1, "what is no longer listed is forgotten");
        check(&mut described, &[("a", ""), ("b", "2")], &["a", "b"]);
        check(&mut described, &[("a", "")], &["a"]);
    }
}
