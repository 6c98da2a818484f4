//! Puts the parts together: a configuration becomes a gateway, its background services, and a
//! Pingora server; or the same proxy in a Pingora server of your own.

use crate::config::{Config, DEFAULT_DATA_DIR};
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::proxy::{FreewayProxy, Gateway, Peers};
use crate::services::announce::Announce;
use crate::services::catalog_sync::{self, CatalogSync};
use crate::services::name_lookup::NameLookup;
use crate::services::operator_http::{AdminHttp, MetricsHttp};
use crate::services::simulated_provider::{self, SimulatedProvider};
use crate::snapshot::Snapshot;
use crate::store::{SqliteStore, StoreError};
use crate::upstream::Pool;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use pingora::apps::HttpServerOptions;
use pingora::apps::http_app::{HttpServer, ServeHttp};
use pingora::listeners::tls::TlsSettings;
use pingora::listeners::{ListenerConfig, TcpSocketOptions};
use pingora::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora::protocols::l4::stream::L4BufferSettings;
use pingora::protocols::tls::CaType;
use pingora::proxy::ProxyServiceBuilder;
use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, Server};
use pingora::services::ServiceWithDependents;
use pingora::services::background::background_service;
use pingora::services::listening::Service;
use pingora::tls::CertificateDer;
use pingora::utils::tls::{WrappedX509, parse_x509};
use rustls_pki_types::pem::PemObject;
use socket2::{Domain, Socket, Type};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Upstream connections kept for reuse, all providers together.
const POOLED_CONNECTIONS: usize = 512;
/// Idle HTTP/2 connections of clients are closed after this.
const H2_IDLE: Duration = Duration::from_secs(300);
/// HTTP/2 windows: the protocol's 64 KiB would throttle uploads of images.
const H2_STREAM_WINDOW: u32 = 1 << 20;
const H2_CONNECTION_WINDOW: u32 = 4 << 20;

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
                authorities.insert(provider.provider.slug.clone(), authority(path)?);
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
        let pool = Pool::new();
        let snapshot = Snapshot::new(catalog_sync::catalog(&config, &HashMap::new()), &pool);
        let peers = Peers::new(&config.providers, authorities);
        let metrics = Metrics::new()?;
        let ledger = ledger(&config, &metrics)?;
        let gateway = Arc::new(Gateway::new(config, peers, metrics, snapshot, pool, ledger));
        Ok(Self { gateway, simulated })
    }

    /// The proxy application; cheap to make, they share their state.
    pub fn proxy(&self) -> FreewayProxy {
        FreewayProxy::new(Arc::clone(&self.gateway))
    }

    /// The loops the proxy needs beside it: model lists, name lookups, and the simulated provider
    /// where it is in use. Call it once.
    pub fn background_services(&self) -> Vec<Box<dyn ServiceWithDependents>> {
        let gateway = || Arc::clone(&self.gateway);
        let mut services: Vec<Box<dyn ServiceWithDependents>> = vec![
            Box::new(background_service("catalog sync", CatalogSync(gateway()))),
            Box::new(background_service("name lookup", NameLookup(gateway()))),
        ];
        if let Some(simulated) = self.simulated.clone() {
            services.push(Box::new(background_service("simulated provider", simulated)));
        }
        services
    }

    /// Serves until the process is told to stop.
    ///
    /// # Errors
    /// [`StartError`] when a listener cannot be set up.
    pub fn run(self) -> Result<(), StartError> {
        let config = self.gateway.config().clone();
        let mut server = Server::new_with_opt_and_conf(None, server_conf(&config)?);
        server.bootstrap();
        let mut lines = Vec::new();
        let mut reserved = Vec::new();

        let mut options = HttpServerOptions::default();
        options.h2c = true;
        options.h2_idle_timeout = Some(H2_IDLE);
        let mut proxy = ProxyServiceBuilder::new(&server.configuration, self.proxy())
            .name("freeway")
            .server_options(options)
            .build();
        if let Some(app) = proxy.app_logic_mut() {
            app.h2_options = Some(h2_options());
        }
        let main = Reserved::new(config.listen)?;
        let scheme = if let Some(tls) = &config.tls {
            let [certificate, key] = [&tls.certificate, &tls.key].map(|p| p.to_string_lossy());
            let unusable = |_| StartError::Certificate(certificate.to_string());
            let mut settings = TlsSettings::intermediate(&certificate, &key).map_err(unusable)?;
            settings.enable_h2();
            // TLS reads records of 16 KiB, for which Pingora's own buffer is right.
            proxy.add_listener(main.listener().tls(settings));
            "https"
        } else {
            let buffers = L4BufferSettings::new(CLIENT_READ_BUFFER, CLIENT_WRITE_BUFFER);
            proxy.add_listener(main.listener().l4_buffer(buffers));
            "http"
        };
        lines.push((format!("listening on {scheme}://{}", main.address), main.address));
        reserved.push(main);
        server.add_service(proxy);

        if let Some(address) = config.metrics_listen {
            let at = Reserved::new(address)?;
            let app = HttpServer::new_app(MetricsHttp(Arc::clone(&self.gateway)));
            server.add_service(operator_service("metrics", app, &at));
            lines.push((format!("metrics on http://{}/metrics", at.address), at.address));
            reserved.push(at);
        }
        if let Some(address) = config.admin_listen {
            let at = Reserved::new(address)?;
            let app = HttpServer::new_app(AdminHttp(Arc::clone(&self.gateway)));
            server.add_service(operator_service("admin", app, &at));
            lines.push((format!("admin on http://{}/endpoints", at.address), at.address));
            reserved.push(at);
        }
        server.add_services(self.background_services());
        let announce = Announce { gateway: Arc::clone(&self.gateway), lines };
        server.add_service(background_service("announce", announce));
        server.run(RunArgs::default());
        Ok(())
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

fn h2_options() -> H2Options {
    let mut options = default_h2_options();
    options.initial_window_size(H2_STREAM_WINDOW);
    options.initial_connection_window_size(H2_CONNECTION_WINDOW);
    options
}

fn server_conf(config: &Config) -> Result<ServerConf, StartError> {
    Ok(ServerConf {
        threads: config.threads,
        // Our own limit of attempts holds; stale pooled connections may add tries of the same one.
        max_retries: 2 * config.max_attempts + 2,
        upstream_keepalive_pool_size: POOLED_CONNECTIONS,
        grace_period_seconds: Some(config.shutdown_grace.as_secs()),
        graceful_shutdown_timeout_seconds: Some(1),
        ca_file: roots(config)?,
        ..ServerConf::default()
    })
}

/// Trusted roots for upstreams: the system's, or where it has none those that come with Freeway,
/// written to the data folder since Pingora reads them from a file.
fn roots(config: &Config) -> Result<Option<String>, StartError> {
    if !pingora::tls::load_native_certs().unwrap_or_default().is_empty() {
        return Ok(None);
    }
    let folder = config.data_dir.clone().unwrap_or_else(std::env::temp_dir);
    let path = folder.join("freeway-roots.pem");
    let failed = |source| StartError::Data { path: path.display().to_string(), source };
    std::fs::create_dir_all(&folder).map_err(failed)?;
    std::fs::write(&path, bundled_roots_pem()).map_err(failed)?;
    Ok(Some(path.display().to_string()))
}

fn bundled_roots_pem() -> String {
    let mut pem = String::new();
    for root in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        let encoded = BASE64.encode(root);
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        for line in encoded.as_bytes().chunks(64) {
            pem.push_str(&String::from_utf8_lossy(line));
            pem.push('\n');
        }
        pem.push_str("-----END CERTIFICATE-----\n");
    }
    pem
}

fn authority(path: &Path) -> Result<Arc<CaType>, StartError> {
    let unusable = || StartError::Certificate(path.display().to_string());
    let pem = std::fs::read(path).map_err(|_| unusable())?;
    let certificates: Vec<WrappedX509> = CertificateDer::pem_slice_iter(&pem)
        .map(|der| der.map(|der| WrappedX509::new(der.to_vec(), parse_x509)))
        .collect::<Result<_, _>>()
        .map_err(|_| unusable())?;
    if certificates.is_empty() { Err(unusable()) } else { Ok(certificates.into()) }
}

/// An address that is sure to be ours. Port 0 is replaced by a free one, which stays bound (not
/// listening) while Pingora binds it again beside it.
struct Reserved {
    address: SocketAddr,
    held: Option<Socket>,
}

impl Reserved {
    fn new(address: SocketAddr) -> Result<Self, StartError> {
        let failed = |source| StartError::Listen { address, source };
        if address.port() != 0 {
            // Bound and closed again only to say in time, and in words, that it is taken.
            drop(std::net::TcpListener::bind(address).map_err(failed)?);
            return Ok(Self { address, held: None });
        }
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).map_err(failed)?;
        socket.set_reuse_port(true).map_err(failed)?;
        socket.bind(&address.into()).map_err(failed)?;
        let bound = socket.local_addr().map_err(failed)?.as_socket().unwrap_or(address);
        Ok(Self { address: bound, held: Some(socket) })
    }

    fn listener(&self) -> ListenerConfig {
        ListenerConfig::tcp(self.address.to_string()).tcp_socket_options(self.options())
    }

    fn options(&self) -> TcpSocketOptions {
        let mut options = TcpSocketOptions::default();
        options.so_reuseport = self.held.is_some().then_some(true);
        options
    }
}
