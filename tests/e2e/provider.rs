//! A provider that follows scripts and records what it was sent, over HTTP/1.1, h2c or TLS.

use crate::harness::within;
use crate::script::Script;
use crate::{provider_h1, provider_h2};
use serde_json::Value;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// A provider that could send nothing for so long is held back; too short a time only lets a test pass.
const QUIET: Duration = Duration::from_millis(700);

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Which of the provider's connections it came on, from 0.
    pub connection: usize,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the proxy sends JSON")
    }
}

/// How a provider is reached.
pub enum Transport {
    Http1,
    H2c,
    /// HTTPS with a certificate for this name, signed by an authority of the provider's own.
    Tls(&'static str),
}

/// What all connections of a provider share.
pub struct Shared {
    scripts: Mutex<VecDeque<Script>>,
    models: Mutex<Script>,
    /// What other paths answer, by their ends, and how often they were asked.
    others: Mutex<Vec<(String, Script, usize)>>,
    seen: watch::Sender<Vec<Seen>>,
    left: watch::Sender<usize>,
    sent: watch::Sender<usize>,
}

/// A scripted provider; it stops when dropped.
pub struct Provider {
    /// Its name in the configuration.
    pub slug: String,
    /// Where it is.
    pub addr: SocketAddr,
    /// `h2c = true` belongs into its configuration.
    pub h2c: bool,
    /// The authority that signed its certificate, as PEM.
    pub ca_pem: Option<String>,
    shared: Arc<Shared>,
    accepting: AbortHandle,
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Provider {
    /// Serves plain HTTP/1.1: one script a request, the last one for all that follow.
    pub async fn start(slug: &str, scripts: impl IntoIterator<Item = Script>) -> Self {
        Self::start_on(Transport::Http1, slug, scripts).await
    }

    /// The same over any transport.
    pub async fn start_on(
        transport: Transport,
        slug: &str,
        scripts: impl IntoIterator<Item = Script>,
    ) -> Self {
        let shared = Arc::new(Shared {
            scripts: Mutex::new(scripts.into_iter().collect()),
            models: Mutex::new(Script::error(404, "not_found", "no list here")),
            others: Mutex::default(),
            seen: watch::Sender::new(Vec::new()),
            left: watch::Sender::new(0),
            sent: watch::Sender::new(0),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("it is bound");
        let h2c = matches!(transport, Transport::H2c);
        let (acceptor, ca_pem) = match transport {
            Transport::Tls(name) => {
                let (acceptor, pem) = tls(name);
                (Some(acceptor), Some(pem))
            }
            _ => (None, None),
        };
        let accepting = tokio::spawn(accept(listener, h2c, acceptor, shared.clone())).abort_handle();
        Self { slug: slug.to_owned(), addr, h2c, ca_pem, shared, accepting }
    }

    /// An address nobody listens on.
    pub async fn refusing(slug: &str) -> Self {
        let provider = Self::start(slug, []).await;
        provider.accepting.abort();
        // The listener is dropped with its task, which the runtime may do later: wait for it.
        within("the port to close", async {
            while TcpStream::connect(provider.addr).await.is_ok() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        provider
    }

    /// What `GET …/models` answers.
    pub fn lists(&self, script: Script) {
        *self.shared.models.lock().expect("not poisoned") = script;
    }

    /// What a path that ends so answers, as often as it is asked.
    pub fn answers(&self, path: &str, script: Script) {
        let mut others = self.shared.others.lock().expect("not poisoned");
        match others.iter_mut().find(|(known, ..)| known == path) {
            Some(known) => known.1 = script,
            None => others.push((path.to_owned(), script, 0)),
        }
    }

    /// How often that path was asked.
    pub fn asked(&self, path: &str) -> usize {
        let others = self.shared.others.lock().expect("not poisoned");
        others.iter().find(|(known, ..)| known == path).map_or(0, |known| known.2)
    }

    /// Every request but those for the model list, and to paths with answers of their own.
    pub fn requests(&self) -> Vec<Seen> {
        self.shared.seen.borrow().clone()
    }

    /// The only request.
    pub fn request(&self) -> Seen {
        let mut seen = self.requests();
        assert_eq!(seen.len(), 1, "requests at {}", self.slug);
        seen.remove(0)
    }

    /// Waits until this many requests have arrived whole.
    pub async fn has_seen(&self, count: usize) {
        let mut seen = self.shared.seen.subscribe();
        within("a request at the provider", seen.wait_for(|s| s.len() >= count)).await.expect("it serves");
    }

    /// Waits until the proxy has left this many requests before their scripts ended.
    pub async fn was_left(&self, count: usize) {
        let mut left = self.shared.left.subscribe();
        within("the proxy to leave the provider", left.wait_for(|n| *n >= count)).await.expect("it serves");
    }

    /// Waits until nothing more can be sent because nobody reads; the body bytes sent until then.
    pub async fn is_held_back(&self) -> usize {
        let mut sent = self.shared.sent.subscribe();
        within("the proxy to stop reading", async {
            while tokio::time::timeout(QUIET, sent.changed()).await.is_ok() {}
        })
        .await;
        *self.shared.sent.borrow()
    }

    /// How many requests the proxy has left before their scripts ended.
    pub fn left(&self) -> usize {
        *self.shared.left.borrow()
    }
}

impl Shared {
    /// The script for this request; everything but model lists is recorded and takes its turn.
    pub fn script_for(&self, method: &str, path: &str) -> Script {
        if method == "GET" && path.split('?').next().is_some_and(|p| p.ends_with("/models")) {
            return self.models.lock().expect("not poisoned").clone();
        }
        if let Some(other) =
            self.others.lock().expect("not poisoned").iter_mut().find(|(p, ..)| path.ends_with(p))
        {
            other.2 += 1;
            return other.1.clone();
        }
        let mut scripts = self.scripts.lock().expect("not poisoned");
        let last = scripts.len() <= 1;
        let script = if last { scripts.front().cloned() } else { scripts.pop_front() };
        script.unwrap_or_else(|| Script::error(500, "unscripted", "this provider expects no request"))
    }

    pub fn record(&self, seen: Seen) {
        let is_other = |path: &str| {
            let others = self.others.lock().expect("not poisoned");
            others.iter().any(|(known, ..)| path.ends_with(known))
        };
        if seen.method != "GET" && !is_other(&seen.path) {
            self.seen.send_modify(|all| all.push(seen));
        }
    }

    /// Counts body bytes as they are sent.
    pub fn sent(&self) -> watch::Sender<usize> {
        self.sent.clone()
    }

    pub fn record_left(&self) {
        self.left.send_modify(|n| *n += 1);
    }
}

/// Whether a request's body asks for a stream. Found by its bytes: parsing 20 MB would take a slow
/// test build longer than the proxy's time limits.
pub fn wants_stream(body: &[u8]) -> bool {
    memchr::memmem::find(body, b"\"stream\":true").is_some()
}

async fn accept(listener: TcpListener, h2c: bool, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    for number in 0.. {
        let Ok((stream, _)) = listener.accept().await else { return };
        stream.set_nodelay(true).expect("a TCP socket");
        let (shared, tls) = (shared.clone(), tls.clone());
        connections.spawn(async move {
            match tls {
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => provider_h1::serve(stream, number, &shared).await,
                    Err(_) => None,
                },
                None if h2c => provider_h2::serve(stream, number, shared).await,
                None => provider_h1::serve(stream, number, &shared).await,
            }
        });
    }
}

/// An acceptor for `name` and the PEM of the authority that signed it.
fn tls(name: &str) -> (TlsAcceptor, String) {
    let ca_key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = params.self_signed(&ca_key).expect("an authority");
    let issuer = rcgen::Issuer::new(params, ca_key);
    let key = rcgen::KeyPair::generate().expect("a key");
    let leaf = rcgen::CertificateParams::new([name.to_owned()]).expect("a name");
    let leaf = leaf.signed_by(&key, &issuer).expect("a certificate");
    let key = tokio_rustls::rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).expect("PKCS 8");
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = tokio_rustls::rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&tokio_rustls::rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .expect("key and certificate belong together");
    (TlsAcceptor::from(Arc::new(config)), ca.pem())
}
