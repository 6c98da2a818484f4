//! Where a provider is: its address, looked up ahead of need, and the connection settings.
//!
//! Pingora's own constructor resolves names blocking, so peers are made from addresses only.

use crate::catalog::Provider;
use crate::config::{ConfiguredProvider, Timeouts};
use arc_swap::ArcSwap;
use pingora::protocols::ALPN;
use pingora::protocols::tls::CaType;
use pingora::upstreams::peer::HttpPeer;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Concurrent streams on one upstream HTTP/2 connection; the upstream's own limit still holds.
const MAX_H2_STREAMS: usize = 100;
/// Keep-alive of pooled upstream connections; below the 60-75 s most providers keep theirs.
const POOL_IDLE: Duration = Duration::from_secs(50);

/// Every provider's addresses and connection settings, by slug.
#[derive(Debug, Default)]
pub struct Peers(HashMap<String, PeerSource>);

#[derive(Debug)]
struct PeerSource {
    provider: Arc<Provider>,
    ca: Option<Arc<CaType>>,
    group: u64,
    addresses: ArcSwap<Vec<SocketAddr>>,
    next: AtomicUsize,
}

impl Peers {
    /// Prepares a source for each provider. `cas` are private authorities by provider slug.
    pub fn new(providers: &[ConfiguredProvider], mut cas: HashMap<String, Arc<CaType>>) -> Self {
        let source = |p: &ConfiguredProvider| {
            let provider = Arc::clone(&p.provider);
            let literal = provider.base.host.parse::<IpAddr>().ok();
            let known = literal.map(|ip| SocketAddr::new(ip, provider.base.port));
            let mut hasher = DefaultHasher::new();
            provider.slug.hash(&mut hasher);
            let source = PeerSource {
                ca: cas.remove(&provider.slug),
                group: hasher.finish(),
                addresses: ArcSwap::from_pointee(known.into_iter().collect()),
                next: AtomicUsize::new(0),
                provider,
            };
            (source.provider.slug.clone(), source)
        };
        Self(providers.iter().map(source).collect())
    }

    /// Looks every provider's name up again; one that does not resolve keeps its last addresses.
    pub async fn refresh(&self) {
        for source in self.0.values() {
            source.resolve().await;
        }
    }

    /// A peer for the provider, over its addresses in turn. Waits for a lookup only if none has
    /// ever succeeded. `None` when the name does not resolve or the provider is unknown.
    pub async fn peer(&self, slug: &str, timeouts: &Timeouts) -> Option<Box<HttpPeer>> {
        let source = self.0.get(slug)?;
        if source.addresses.load().is_empty() {
            tokio::time::timeout(timeouts.connect, source.resolve()).await.ok()?;
        }
        let addresses = source.addresses.load();
        let turn = source.next.fetch_add(1, Ordering::Relaxed);
        let address = addresses.get(turn % addresses.len().max(1))?;
        Some(source.build(*address, timeouts))
    }
}

impl PeerSource {
    async fn resolve(&self) {
        let base = &self.provider.base;
        if base.host.parse::<IpAddr>().is_ok() {
            return;
        }
        match tokio::net::lookup_host((base.host.as_str(), base.port)).await {
            Ok(found) => {
                let found: Vec<_> = found.collect();
                if !found.is_empty() {
                    self.addresses.store(Arc::new(found));
                }
            }
            Err(error) => {
                tracing::warn!(provider = self.provider.slug, %error, "name lookup failed");
            }
        }
    }

    fn build(&self, address: SocketAddr, timeouts: &Timeouts) -> Box<HttpPeer> {
        let base = &self.provider.base;
        let mut peer = HttpPeer::new(address, base.tls, base.host.clone());
        peer.group_key = self.group;
        let options = &mut peer.options;
        options.connection_timeout = Some(timeouts.connect);
        options.total_connection_timeout = Some(timeouts.connect);
        // The wrapper runs the real clocks; this one only ends what outlives them.
        options.read_timeout = Some(timeouts.first_token.max(timeouts.idle) + Duration::from_secs(5));
        options.write_timeout = Some(timeouts.idle);
        options.idle_timeout = Some(POOL_IDLE);
        options.max_h2_streams = MAX_H2_STREAMS;
        options.alpn = match (base.tls, self.provider.h2c) {
            (true, _) => ALPN::H2H1,
            (false, true) => ALPN::H2,
            (false, false) => ALPN::H1,
        };
        options.ca.clone_from(&self.ca);
        Box::new(peer)
    }
}
