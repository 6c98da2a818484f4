//! What the operator decides: one optional TOML file over built-in defaults, and keys from the
//! environment. Parsed once into [`Config`], which cannot be wrong.

mod accounts;
mod file;
mod providers;
mod queue;

pub use queue::Patience;

use crate::accounts::Rules;
use crate::catalog::{Endpoint, ListRules, Provider, QuotaDialect, Secret};
use crate::routing::Policy;
use crate::services::simulate::SimulatedModels;
use ipnet::IpNet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The configuration a process runs with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Where Prometheus scrapes; none when off.
    pub metrics_listen: Option<SocketAddr>,
    /// Where the operator looks and acts; none when off. Loopback only, unless there is a token.
    pub admin_listen: Option<SocketAddr>,
    /// What the operator presents there, from `FREEWAY_ADMIN_TOKEN`.
    pub admin_token: Option<Secret>,
    /// Networks whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// What requests cost; `None`: open mode, where nobody has an account and nobody pays.
    pub accounts: Option<Rules>,
    /// Files of our own.
    pub data_dir: Option<PathBuf>,
    /// Certificate and key for TLS (and HTTP/2 by ALPN) downstream.
    pub tls: Option<Tls>,
    /// Worker threads of the proxy.
    pub threads: usize,
    /// How long running answers may take to end when the process is told to stop.
    pub shutdown_grace: Duration,
    /// The same for a process that has handed its listeners over to another.
    pub upgrade_grace: Duration,
    /// Bounds on what clients send.
    pub limits: Limits,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// Waiting for a place where all are taken.
    pub queue: Patience,
    /// The most upstream attempts for one request.
    pub max_attempts: usize,
    /// Callers may bring keys of their own for providers.
    pub own_keys: bool,
    /// How candidates are ranked.
    pub policy: Policy,
    /// Seed of the tie-breaks.
    pub seed: u64,
    /// How long a conversation may be silent and is still held to its model; zero: none is held.
    pub session_idle: Duration,
    /// Time between refreshes of the model lists.
    pub refresh: Duration,
    /// The providers that can be called: those with a key, and those that need none.
    pub providers: Vec<ConfiguredProvider>,
    /// The simulated models; none when real providers are there and simulation was not asked for.
    pub simulated: Option<SimulatedModels>,
}

/// Certificate and key files, PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The certificate chain.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Bounds on what clients send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest request body, bytes.
    pub max_body_bytes: usize,
    /// All request bodies held at one time, bytes; more is answered with 503.
    pub max_buffered_bytes: usize,
}

/// How long to wait for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP connect, and TCP and TLS together.
    pub connect: Duration,
    /// Request sent upstream to its first meaningful token, for answers that are streamed.
    pub first_token: Duration,
    /// Request sent upstream to the whole answer, for answers that are not.
    pub answer: Duration,
    /// Between two events of a stream.
    pub idle: Duration,
    /// A whole request, all attempts.
    pub total: Duration,
    /// Reading a request's body.
    pub read_body: Duration,
    /// Silence after which a streaming client gets a comment.
    pub keepalive_comment: Duration,
}

/// A provider that can be called, and where its models come from.
#[derive(Clone, Debug)]
pub struct ConfiguredProvider {
    /// What requests need.
    pub provider: Arc<Provider>,
    /// Models written down in the configuration.
    pub models: Vec<Endpoint>,
    /// Where its own list is; `None` when it is not asked.
    pub list_url: Option<String>,
    /// Where one of its models is described, if its list says too little.
    pub show_url: Option<String>,
    /// Where it says what is left of the account's limits, and how.
    pub quota: Option<(String, QuotaDialect)>,
    /// How that list is read.
    pub rules: ListRules,
    /// PEM file of the authority that signs its certificate, where not a public one.
    pub ca_file: Option<PathBuf>,
}

/// What the command line says over the file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--listen`.
    pub listen: Option<SocketAddr>,
    /// `--metrics-listen`.
    pub metrics_listen: Option<SocketAddr>,
    /// `--admin-listen`.
    pub admin_listen: Option<SocketAddr>,
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// `--accounts`.
    pub accounts: bool,
    /// `--simulate`.
    pub simulate: bool,
}

/// Where the ledger is when nobody says.
pub const DEFAULT_DATA_DIR: &str = "freeway-data";
/// The variable with the operator's token.
pub const ADMIN_TOKEN: &str = "FREEWAY_ADMIN_TOKEN";

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not valid TOML, has an unknown key or a value of the wrong type; with line and column.
    #[error("{origin}: {source}")]
    Syntax {
        /// The file, or the built-in one.
        origin: String,
        /// Where and what.
        source: Box<toml::de::Error>,
    },
    /// A value is out of its range or does not fit another.
    #[error("{origin}: {field}: {problem}")]
    Value {
        /// The file.
        origin: String,
        /// Path of the field.
        field: String,
        /// What is wrong and what to write instead.
        problem: String,
    },
}

impl Config {
    /// Reads the file, if any, and applies the command line over it. `env` looks up a variable.
    ///
    /// # Errors
    /// [`ConfigError`] with the file, the field and what to write instead.
    pub fn load(
        path: Option<&Path>,
        overrides: &Overrides,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let (origin, text) = match path {
            None => ("built-in defaults".to_owned(), String::new()),
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
                (path.display().to_string(), text)
            }
        };
        file::parse(&origin, &text)?.validate(&origin, overrides, env)
    }
}
