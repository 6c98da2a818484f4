//! Keeps the catalog fresh: reads every provider's model list at start and again and again, and
//! swaps in a snapshot of what they said. A list that cannot be read leaves the last good one in use.

use crate::catalog::{BadList, Catalog, Date, Endpoint, Listing, parse_models};
use crate::config::{Config, ConfiguredProvider};
use crate::proxy::Gateway;
use crate::snapshot::Snapshot;
use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::JoinSet;

/// A whole fetch; lists are a few megabytes at most.
const FETCH_TIMEOUT: Duration = Duration::from_secs(20);
/// OpenRouter's list, the longest, has about 1 MB.
const MAX_LIST_BYTES: u64 = 32 << 20;

/// The loop.
pub struct CatalogSync(pub Arc<Gateway>);

/// Why a list could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The request failed. The address is not shown: it may contain an account.
    #[error("the model list cannot be fetched: {0}")]
    Fetch(String),
    /// The answer is no list.
    #[error(transparent)]
    List(#[from] BadList),
    /// The authority file of the configuration.
    #[error("the certificate authority file cannot be used")]
    Authority,
}

#[async_trait]
impl BackgroundService for CatalogSync {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut lists: HashMap<String, Listing> = HashMap::new();
        loop {
            self.refresh(&mut lists).await;
            self.0.mark_ready();
            // A tenth of jitter, so that many instances do not ask at the same moment.
            let pause = self.0.config().refresh.mul_f64(0.95 + 0.1 * fastrand::f64());
            tokio::select! {
                _ = shutdown.changed() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
}

impl CatalogSync {
    /// Asks all providers at once and swaps the snapshot after each answer, so that a slow provider
    /// does not hold up the others' models.
    async fn refresh(&self, lists: &mut HashMap<String, Listing>) {
        let gateway = &self.0;
        let mut fetches = JoinSet::new();
        for provider in gateway.config().providers.iter().filter(|p| p.list_url.is_some()) {
            let provider = provider.clone();
            fetches.spawn_blocking(move || {
                let listing = fetch(&provider);
                (provider.provider.slug.clone(), listing)
            });
        }
        while let Some(done) = fetches.join_next().await {
            let Ok((slug, listing)) = done else { continue };
            let metrics = &gateway.metrics;
            match listing {
                Ok(listing) => {
                    metrics.catalog_refreshes.with_label_values(&[slug.as_str(), "ok"]).inc();
                    let now_s = gateway.clock().now_ms() as f64 / 1000.0;
                    metrics.catalog_refreshed.with_label_values(&[slug.as_str()]).set(now_s);
                    tracing::info!(
                        provider = slug,
                        free = listing.models.len(),
                        not_free = listing.not_free.len(),
                        skipped = listing.skipped.len(),
                        "model list read"
                    );
                    lists.insert(slug, listing);
                    gateway.swap(catalog(gateway.config(), lists));
                }
                Err(error) => {
                    metrics.catalog_refreshes.with_label_values(&[slug.as_str(), "error"]).inc();
                    tracing::warn!(provider = slug, %error, "model list not read; the last good one stays in use");
                }
            }
        }
    }
}

/// The catalog of the models written down and what the lists said.
pub fn catalog(config: &Config, lists: &HashMap<String, Listing>) -> Catalog {
    let mut endpoints: Vec<Endpoint> =
        config.providers.iter().flat_map(|p| p.models.iter().cloned()).collect();
    endpoints.extend(lists.values().flat_map(|l| l.models.iter().cloned()));
    let not_free = lists.values().flat_map(|l| l.not_free.iter().cloned()).collect();
    Catalog::new(endpoints).with_not_free(not_free)
}

/// Fetches and reads one provider's list. Blocks.
///
/// # Errors
/// [`FetchError`] when there is no list to use.
pub fn fetch(provider: &ConfiguredProvider) -> Result<Listing, FetchError> {
    let url = provider.list_url.as_deref().unwrap_or_default();
    let agent = agent(provider)?;
    let mut request = agent.get(url).header("accept", "application/json");
    let about = &provider.provider;
    for (name, value) in &about.headers {
        request = request.header(name, value);
    }
    if let Some(key) = about.keys.first() {
        request = match &about.auth {
            crate::catalog::Auth::Bearer => {
                request.header("authorization", format!("Bearer {}", key.reveal()))
            }
            crate::catalog::Auth::Header(name) => request.header(name, key.reveal()),
            crate::catalog::Auth::None => request,
        };
    }
    let failed = |error: ureq::Error| FetchError::Fetch(describe(&error));
    let mut response = request.call().map_err(failed)?;
    let body = response.body_mut().with_config().limit(MAX_LIST_BYTES).read_to_vec().map_err(failed)?;
    Ok(parse_models(&provider.rules, &body, about, today())?)
}

/// Our words: a client library's message may quote the address.
fn describe(error: &ureq::Error) -> String {
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

fn agent(provider: &ConfiguredProvider) -> Result<ureq::Agent, FetchError> {
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
    Ok(config.into())
}

fn today() -> Date {
    jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date()
}

impl Gateway {
    /// Puts a new catalog in use; requests under way keep theirs.
    fn swap(&self, catalog: Catalog) {
        let snapshot = Snapshot::new(catalog, &self.pool);
        self.recall_quotas();
        self.snapshot.store(Arc::new(snapshot));
    }

    fn mark_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }
}
