//! Puts the parts together: a configuration becomes a gateway, its background services, and a
//! Pingora server; or the same proxy in a Pingora server of your own.

mod front;
mod handover;
mod listen;
mod roots;

use crate::config::{Config, DEFAULT_DATA_DIR};
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::proxy::{FreewayProxy, Gateway, Peers};
use crate::services::announce::{Announce, Line, say};
use crate::services::catalog_sync::{CatalogSync, Lists};
use crate::services::drain::{Drain, Gone, Orders, Signals};
use crate::services::lease_renewal::LeaseRenewal;
use crate::services::name_lookup::NameLookup;
use crate::services::operator_http::{AdminHttp, MetricsHttp};
use crate::services::queue_turns::QueueTurns;
use crate::services::simulated_provider::{self, SimulatedProvider};
use crate::services::state_keeper::{StateKeeper, StateKeeping};
use crate::snapshot::Snapshot;
use crate::store::{SqliteStore, StoreError};
use crate::upstream::Pool;
use front::Front;
use handover::Handover;
use listen::Reserved;
use pingora::apps::http_app::{HttpServer, ServeHttp};
use pingora::listeners::tls::TlsSettings;
use pingora::protocols::l4::stream::L4BufferSettings;
use pingora::server::configuration::{Opt, ServerConf};
use pingora::server::{RunArgs, Server};
use pingora::services::ServiceWithDependents;
use pingora::services::background::background_service;
use pingora::services::listening::Service;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;

/// Upstream connections kept for reuse, all providers together.
const POOLED_CONNECTIONS: usize = 512;
/// Pingora sleeps this long after it has closed the listeners; the process ends before.
const NEVER_SLEPT_OUT_S: u64 = 86_400;

/// Per client connection, instead of Pingora's 64 KiB: request heads and small bodies fit, larger reads
/// pass it by, which saves large bodies a copy and ten thousand idle streams half a gigabyte.
const CLIENT_READ_BUFFER: usize = 4096;
/// A head and a usual answer leave in one write.
const CLIENT_WRITE_BUFFER: usize = 4096;

/// Why Freeway could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why, as in "address in use".
        source: std::io::Error,
    },
    /// A certificate or key file cannot be used.
    #[error("cannot use the certificate or key in {0}")]
    Certificate(String),
    /// Files of our own cannot be written.
    #[error("cannot write to {path}: {source}")]
    Data {
        /// The folder.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The ledger cannot be used.
    #[error(transparent)]
    Ledger(#[from] StoreError),
    /// Any free port cannot be the one that is taken over.
    #[error("cannot take over {0}: name the port the running process listens on")]
    AnyPort(SocketAddr),
    /// The socket for a hand-over cannot be made.
    #[error("cannot take over through {0}: its path is too long, or has spaces; use another data_dir")]
    Handover(String),
    /// Signals, or a thread, are not to be had.
    #[error("cannot start: {0}")]
    System(std::io::Error),
    /// Pingora gave up.
    #[error("the server ended without being told to")]
    Ended,
    /// Two metrics have one name.
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
}

/// A configured Freeway that does not serve yet.
///
/// To mount it in a Pingora server of your own:
///
/// ```no_run
/// use freeway::{config::Config, server::Freeway};
/// use pingora::{proxy::http_proxy_service, server::Server};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config = Config::load(None, &Default::default(), &|name| std::env::var(name).ok())?;
/// let freeway = Freeway::new(config)?;
/// let mut server = Server::new(None)?;
/// server.bootstrap();
/// let mut proxy = http_proxy_service(&server.configuration, freeway.proxy());
/// proxy.add_tcp("127.0.0.1:8080");
/// server.add_service(proxy);
/// server.add_services(freeway.background_services());
/// server.run_forever();
/// # }
/// ```
pub struct Freeway {
    gateway: Arc<Gateway>,
    simulated: Option<SimulatedProvider>,
    state: Option<Arc<StateKeeper>>,
}

impl Freeway {
    /// Prepares everything but the listeners.
    ///
    /// # Errors
    /// [`StartError`] when a certificate or an address cannot be used.
    pub fn new(mut config: Config) -> Result<Self, StartError> {
        let mut authorities = HashMap::new();
        for provider in &config.providers {
            if let Some(path) = &provider.ca_file {
                authorities.insert(provider.provider.slug.clone(), roots::authority(path)?);
            }
        }
        let simulated = match &config.simulated {
            Some(models) => {
                let failed = |source| StartError::Listen { address: simulated_provider::ADDRESS, source };
                Some(SimulatedProvider::bind(models.clone()).map_err(failed)?)
            }
            None => None,
        };
        config.providers.extend(simulated.as_ref().map(SimulatedProvider::configured));
        warn_of_terms(&config);
        let pool = Pool::new();
        let snapshot = Snapshot::new(Lists::default().catalog(&config), &pool);
        let peers = Peers::new(&config.providers, authorities);
        let metrics = Metrics::new()?;
        let ledger = ledger(&config, &metrics)?;
        let gateway = Arc::new(Gateway::new(config, peers, metrics, snapshot, pool, ledger));
        let state = StateKeeper::new(&gateway);
        state.iter().for_each(|keeper| keeper.read());
        Ok(Self { gateway, simulated, state })
    }

    /// The proxy application; cheap to make, they share their state.
    pub fn proxy(&self) -> FreewayProxy {
        FreewayProxy::new(Arc::clone(&self.gateway))
    }

    /// The loops the proxy needs beside it: model lists, name lookups, turns of those that wait, leases where
    /// there are accounts, the files of what outlives a restart where there is a data folder, and the simulated
    /// provider where it is in use. Call it once.
    pub fn background_services(&self) -> Vec<Box<dyn ServiceWithDependents>> {
        let gateway = || Arc::clone(&self.gateway);
        let mut services: Vec<Box<dyn ServiceWithDependents>> = vec![
            Box::new(background_service("catalog sync", CatalogSync(gateway()))),
            Box::new(background_service("name lookup", NameLookup(gateway()))),
            Box::new(background_service("queue turns", QueueTurns(gateway()))),
        ];
        if let Some(ledger) = self.gateway.ledger.clone() {
            let renewal = LeaseRenewal { ledger, clock: *self.gateway.clock() };
            services.push(Box::new(background_service("lease renewal", renewal)));
        }
        if let Some(keeper) = self.state.clone() {
            services.push(Box::new(background_service("state keeper", StateKeeping(keeper))));
        }
        if let Some(simulated) = self.simulated.clone() {
            services.push(Box::new(background_service("simulated provider", simulated)));
        }
        services
    }

    /// Serves until the process is told to stop, and until what is under way then has ended. `takes_over`:
    /// from a process that runs, as soon as that one is told to hand over.
    ///
    /// # Errors
    /// [`StartError`] when a listener cannot be set up.
    pub fn run(self, takes_over: bool) -> Result<(), StartError> {
        let config = self.gateway.config();
        let listeners = [Some(config.listen), config.metrics_listen, config.admin_listen];
        if let Some(any) = listeners.into_iter().flatten().find(|at| takes_over && at.port() == 0) {
            return Err(StartError::AnyPort(any));
        }
        let handover = Handover::new(config, takes_over)?;
        let options = Opt { upgrade: takes_over, ..Opt::default() };
        let mut server = Server::new_with_opt_and_conf(options, server_conf(config, &handover)?);
        if takes_over {
            say("ready to take over: send SIGQUIT to the process that runs; without it this one ends in 5 s");
        }
        server.bootstrap();
        if takes_over {
            // The listeners are here, so the other process has written down what it used.
            self.state.iter().for_each(|keeper| keeper.read());
        }

        let main = Reserved::new(config.listen, takes_over)?;
        let (service, scheme) = self.main_service(&server, &main)?;
        server.add_service(service);
        let mut lines = vec![Line::proxy(scheme, main.address)];
        let mut reserved = vec![main];
        if let Some(address) = config.metrics_listen {
            let at = Reserved::new(address, takes_over)?;
            let app = HttpServer::new_app(MetricsHttp(Arc::clone(&self.gateway)));
            server.add_service(operator_service("metrics", app, &at));
            lines.push(Line::operator("metrics", at.address, "/metrics"));
            reserved.push(at);
        }
        if let Some(address) = config.admin_listen {
            let at = Reserved::new(address, takes_over)?;
            let app = HttpServer::new_app(AdminHttp(Arc::clone(&self.gateway)));
            server.add_service(operator_service("admin", app, &at));
            lines.push(Line::operator("admin", at.address, "/endpoints"));
            reserved.push(at);
        }
        server.add_services(self.background_services());
        let announce = Announce { gateway: Arc::clone(&self.gateway), lines, takes_over };
        server.add_service(background_service("announce", announce));
        self.watch_over(server, &handover)
    }

    fn main_service(
        &self,
        server: &Server,
        at: &Reserved,
    ) -> Result<(Service<Front>, &'static str), StartError> {
        let mut service = front::service(&server.configuration, self.proxy());
        let Some(tls) = &self.gateway.config().tls else {
            let buffers = L4BufferSettings::new(CLIENT_READ_BUFFER, CLIENT_WRITE_BUFFER);
            service.add_listener(at.listener().l4_buffer(buffers));
            return Ok((service, "http"));
        };
        let [certificate, key] = [&tls.certificate, &tls.key].map(|p| p.to_string_lossy());
        let unusable = |_| StartError::Certificate(certificate.to_string());
        let mut settings = TlsSettings::intermediate(&certificate, &key).map_err(unusable)?;
        settings.enable_h2();
        // TLS reads records of 16 KiB, for which Pingora's own buffer is right.
        service.add_listener(at.listener().tls(settings));
        Ok((service, "https"))
    }

    /// Runs Pingora on a thread of its own, so that the process ends when it is done and not when Pingora
    /// has slept out its grace period.
    fn watch_over(self, server: Server, handover: &Handover) -> Result<(), StartError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(StartError::System)?;
        let (order, orders) = watch::channel(None);
        let ended = runtime.block_on(async {
            let signals = Signals::listen().map_err(StartError::System)?;
            let phases = server.watch_execution_phase();
            let pingora = move || server.run(RunArgs { shutdown_signal: Box::new(Orders(orders)) });
            let thread = std::thread::Builder::new().name("pingora".to_owned());
            thread.spawn(pingora).map_err(StartError::System)?;
            let Self { gateway, state, .. } = self;
            let drain = Drain { gateway, state, signals, phases, order };
            drain.until_the_end(|| handover.is_awaited()).await.map_err(|Gone| StartError::Ended)
        });
        // Looks into the store may still hang.
        runtime.shutdown_background();
        ended
    }
}

/// People pay where there are accounts, and some free tiers are not made for that. What to do about it is the
/// operator's to decide.
fn warn_of_terms(config: &Config) {
    for provider in config.providers.iter().map(|p| &p.provider).filter(|_| config.accounts.is_some()) {
        if let Some(reason) = provider.terms.against_selling() {
            let slug = &provider.slug;
            tracing::warn!(provider = slug, "accounts pay for answers of this provider, but {reason}");
        }
    }
}

/// The ledger, where there are accounts.
fn ledger(config: &Config, metrics: &Metrics) -> Result<Option<Arc<Ledger>>, StartError> {
    let Some(rules) = &config.accounts else { return Ok(None) };
    let folder = config.data_dir.as_deref().unwrap_or(Path::new(DEFAULT_DATA_DIR));
    let store = SqliteStore::open(folder)?;
    Ok(Some(Ledger::open(Arc::new(store), rules.clone(), metrics.ledger.clone())?))
}

fn operator_service<A: ServeHttp + Send + Sync + 'static>(
    name: &str,
    app: HttpServer<A>,
    at: &Reserved,
) -> Service<HttpServer<A>> {
    let mut service = Service::new(name.to_owned(), app);
    service.add_listener(at.listener());
    service.threads = Some(1);
    service
}

fn server_conf(config: &Config, handover: &Handover) -> Result<ServerConf, StartError> {
    Ok(ServerConf {
        threads: config.threads,
        // Our own limit of attempts holds; stale pooled connections may add tries of the same one.
        max_retries: 2 * config.max_attempts + 2,
        upstream_keepalive_pool_size: POOLED_CONNECTIONS,
        grace_period_seconds: Some(NEVER_SLEPT_OUT_S),
        upgrade_sock: handover.path().to_owned(),
        ca_file: roots::roots(config)?,
        ..ServerConf::default()
    })
}
