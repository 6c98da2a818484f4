//! Keeps the catalog fresh: reads every provider's model list at start and again and again, and swaps in a
//! snapshot of what they said. A list that cannot be read leaves the last good one in use.

mod fetch;
mod lists;

pub use fetch::{Described, FetchError, fetch};
pub use lists::Lists;

use crate::catalog::{Catalog, Listing};
use crate::config::ConfiguredProvider;
use crate::proxy::Gateway;
use crate::snapshot::Snapshot;
use crate::upstream::Observed;
use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::JoinSet;

/// The loop.
pub struct CatalogSync(pub Arc<Gateway>);

#[async_trait]
impl BackgroundService for CatalogSync {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut lists = Lists::default();
        loop {
            self.look(&mut lists).await;
            self.0.mark_ready();
            let pause = lists.pause_ms(self.0.config(), self.0.clock().now_ms());
            tokio::select! {
                _ = shutdown.changed() => return,
                () = tokio::time::sleep(Duration::from_millis(pause)) => {}
            }
        }
    }
}

/// What one look at a provider brought.
struct Looked {
    provider: ConfiguredProvider,
    listing: Option<Result<Listing, FetchError>>,
    described: Described,
    quota: Option<Result<Vec<Observed>, FetchError>>,
}

impl CatalogSync {
    /// Asks all providers whose time has come at once, and swaps the snapshot after each answer, so that a slow
    /// provider does not hold up the others' models.
    async fn look(&self, lists: &mut Lists) {
        let gateway = &self.0;
        let mut looks = JoinSet::new();
        for provider in lists.due(gateway.config(), gateway.clock().now_ms()) {
            let mut described = lists.take_described(&provider.provider.slug);
            let provider = provider.clone();
            looks.spawn_blocking(move || {
                let listing = provider.list_url.is_some().then(|| fetch(&provider, &mut described));
                let quota = provider.quota.is_some().then(|| fetch::quota(&provider));
                Looked { provider, listing, described, quota }
            });
        }
        while let Some(done) = looks.join_next().await {
            let Ok(looked) = done else { continue };
            if let Some(quota) = &looked.quota {
                self.note_quota(&looked.provider, quota);
            }
            self.note_list(lists, looked);
        }
    }

    fn note_list(&self, lists: &mut Lists, looked: Looked) {
        let (gateway, now_ms) = (&self.0, self.0.clock().now_ms());
        let slug = looked.provider.provider.slug.as_str();
        match &looked.listing {
            Some(Ok(listing)) => {
                gateway.metrics.catalog_refreshes.with_label_values(&[slug, "ok"]).inc();
                gateway.metrics.catalog_refreshed.with_label_values(&[slug]).set(now_ms as f64 / 1000.0);
                tracing::info!(
                    provider = slug,
                    free = listing.models.len(),
                    not_free = listing.not_free.len(),
                    skipped = listing.skipped.len(),
                    "model list read"
                );
            }
            Some(Err(error)) => {
                gateway.metrics.catalog_refreshes.with_label_values(&[slug, "error"]).inc();
                tracing::warn!(provider = slug, %error, "model list not read; the last good one stays in use");
            }
            None => {}
        }
        lists.note(slug, looked.listing, looked.described, gateway.config().refresh, now_ms);
        gateway.swap(lists.catalog(gateway.config()));
    }

    fn note_quota(&self, provider: &ConfiguredProvider, said: &Result<Vec<Observed>, FetchError>) {
        let slug = provider.provider.slug.as_str();
        match said {
            Ok(said) => {
                self.0.pool.observe_account(&provider.provider, said, self.0.clock().now_ms());
                for Observed { unit, per, limit, remaining, .. } in said {
                    tracing::info!(provider = slug, unit = unit.name(), %per, limit, remaining, "quota read");
                }
            }
            Err(error) => tracing::warn!(provider = slug, %error, "what is left of the quota is not known"),
        }
    }
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
