//! The file as written: a mirror of its tables, then one validation that turns it into a [`Config`].

use super::accounts::{self, AccountsTable, LimitsTable};
use super::queue::QueueTable;
use super::{ADMIN_TOKEN, Config, ConfigError, DEFAULT_DATA_DIR, Limits, Overrides, Timeouts, Tls};
use crate::catalog::Secret;
use crate::routing::{Boost, Pin, Policy, Task};
use crate::services::simulate::SimulatedModels;
use ipnet::IpNet;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use toml::Table;

/// Loopback unless asked otherwise: without accounts anybody who can connect can use it.
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct File {
    server: Server,
    timeouts: TimeoutsMs,
    routing: Routing,
    queue: QueueTable,
    catalog: CatalogTable,
    accounts: AccountsTable,
    limits: LimitsTable,
    provider: Vec<Table>,
    simulate: Option<SimulatedModels>,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Server {
    listen: Option<SocketAddr>,
    metrics_listen: Option<SocketAddr>,
    admin_listen: Option<SocketAddr>,
    data_dir: Option<PathBuf>,
    tls_certificate: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    threads: Option<usize>,
    shutdown_grace_s: u64,
    upgrade_grace_s: u64,
    max_body_bytes: usize,
    max_buffered_bytes: usize,
    trusted_proxies: Vec<IpNet>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: None,
            metrics_listen: None,
            admin_listen: None,
            data_dir: None,
            tls_certificate: None,
            tls_key: None,
            threads: None,
            shutdown_grace_s: 10,
            upgrade_grace_s: 600,
            max_body_bytes: 32 << 20,
            max_buffered_bytes: 1 << 30,
            trusted_proxies: Vec::new(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TimeoutsMs {
    connect_ms: u64,
    first_token_ms: u64,
    answer_ms: u64,
    idle_ms: u64,
    total_ms: u64,
    read_body_ms: u64,
    keepalive_comment_ms: u64,
}

impl Default for TimeoutsMs {
    fn default() -> Self {
        Self {
            connect_ms: 3_000,
            first_token_ms: 30_000,
            answer_ms: 120_000,
            idle_ms: 30_000,
            total_ms: 600_000,
            read_body_ms: 60_000,
            keepalive_comment_ms: 10_000,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Routing {
    max_attempts: usize,
    quality_vs_speed: f32,
    reserve: Option<bool>,
    pin: Vec<PinTable>,
    boost: Vec<BoostTable>,
    forbid: Vec<String>,
    seed: u64,
    own_keys: bool,
    session_idle_s: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PinTable {
    pattern: String,
    task: Option<Task>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BoostTable {
    pattern: String,
    by: f32,
}

impl Default for Routing {
    fn default() -> Self {
        Self {
            max_attempts: 4,
            quality_vs_speed: 0.5,
            reserve: None,
            pin: Vec::new(),
            boost: Vec::new(),
            forbid: Vec::new(),
            seed: 0,
            own_keys: false,
            session_idle_s: 600,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct CatalogTable {
    refresh_s: u64,
}

impl Default for CatalogTable {
    fn default() -> Self {
        Self { refresh_s: 600 }
    }
}

pub(super) fn parse(origin: &str, text: &str) -> Result<File, ConfigError> {
    toml::from_str(text)
        .map_err(|source| ConfigError::Syntax { origin: origin.to_owned(), source: Box::new(source) })
}

impl File {
    pub(super) fn validate(
        self,
        origin: &str,
        overrides: &Overrides,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Config, ConfigError> {
        let bad = |field: &str, problem: String| ConfigError::Value {
            origin: origin.to_owned(),
            field: field.to_owned(),
            problem,
        };
        let tls = match (self.server.tls_certificate, self.server.tls_key) {
            (Some(certificate), Some(key)) => Some(Tls { certificate, key }),
            (None, None) => None,
            _ => return Err(bad("server", "tls_certificate and tls_key go together".to_owned())),
        };
        let admin_listen = overrides.admin_listen.or(self.server.admin_listen);
        let admin_token = env(ADMIN_TOKEN).filter(|token| !token.trim().is_empty());
        if let Some(address) = admin_listen.filter(|a| !a.ip().is_loopback() && admin_token.is_none()) {
            let problem = format!("{address} is no loopback address; set {ADMIN_TOKEN} to open it to others");
            return Err(bad("server.admin_listen", problem));
        }
        let rules =
            accounts::rules(&self.accounts, &self.limits).map_err(|(field, problem)| bad(&field, problem))?;
        let accounts = (self.accounts.enabled || overrides.accounts).then_some(rules);
        // A server of one's own refuses nothing it could answer.
        let reserve = self.routing.reserve.unwrap_or(accounts.is_some());
        let data_dir = overrides.data_dir.clone().or(self.server.data_dir);
        if self.routing.max_attempts == 0 {
            return Err(bad("routing.max_attempts", "must be at least 1".to_owned()));
        }
        if !(0.0..=1.0).contains(&self.routing.quality_vs_speed) {
            return Err(bad(
                "routing.quality_vs_speed",
                "must be between 0 (speed) and 1 (quality)".to_owned(),
            ));
        }
        if !self.routing.boost.iter().all(|boost| boost.by.is_finite() && boost.by > 0.0) {
            return Err(bad(
                "routing.boost",
                "`by` must be above 0: to leave some out, forbid them".to_owned(),
            ));
        }
        if !(1..=MAX_BODY_LIMIT).contains(&self.server.max_body_bytes) {
            return Err(bad("server.max_body_bytes", format!("must be between 1 and {MAX_BODY_LIMIT}")));
        }
        if let Some(models) = &self.simulate {
            models.check().map_err(|e| bad("simulate", e.to_string()))?;
        }
        let providers =
            super::providers::in_use(&self.provider, env).map_err(|(field, problem)| bad(&field, problem))?;
        let idle = providers.iter().find(|p| p.provider.callers_keys && !self.routing.own_keys);
        if let Some(idle) = idle {
            let field = format!("provider `{}`", idle.provider.slug);
            return Err(bad(&field, "callers_keys needs routing.own_keys = true".to_owned()));
        }
        let simulated = (overrides.simulate || self.simulate.is_some() || providers.is_empty())
            .then(|| self.simulate.unwrap_or_else(SimulatedModels::built_in));
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Ok(Config {
            listen: overrides.listen.or(self.server.listen).unwrap_or(DEFAULT_LISTEN),
            metrics_listen: overrides.metrics_listen.or(self.server.metrics_listen),
            admin_listen,
            admin_token: admin_token.as_deref().and_then(Secret::new),
            trusted_proxies: self.server.trusted_proxies,
            data_dir: data_dir.or_else(|| accounts.as_ref().map(|_| DEFAULT_DATA_DIR.into())),
            accounts,
            tls,
            threads: self.server.threads.unwrap_or(cores).max(1),
            shutdown_grace: Duration::from_secs(self.server.shutdown_grace_s),
            upgrade_grace: Duration::from_secs(self.server.upgrade_grace_s),
            limits: Limits {
                max_body_bytes: self.server.max_body_bytes,
                max_buffered_bytes: self.server.max_buffered_bytes,
            },
            timeouts: self.timeouts.into(),
            queue: self.queue.patience().map_err(|(field, problem)| bad(&field, problem))?,
            max_attempts: self.routing.max_attempts,
            own_keys: self.routing.own_keys,
            policy: Policy {
                quality: self.routing.quality_vs_speed,
                reserve,
                pins: self.routing.pin.into_iter().map(Pin::from).collect(),
                boosts: self.routing.boost.into_iter().map(Boost::from).collect(),
                forbid: self.routing.forbid,
                ..Policy::default()
            },
            seed: self.routing.seed,
            session_idle: Duration::from_secs(self.routing.session_idle_s),
            refresh: Duration::from_secs(self.catalog.refresh_s.max(1)),
            providers,
            simulated,
        })
    }
}

/// Spans of a body are 32-bit; half of that leaves room for every sum.
const MAX_BODY_LIMIT: usize = 1 << 30;

impl From<PinTable> for Pin {
    fn from(PinTable { pattern, task }: PinTable) -> Self {
        Self { pattern, task }
    }
}

impl From<BoostTable> for Boost {
    fn from(BoostTable { pattern, by }: BoostTable) -> Self {
        Self { pattern, by }
    }
}

impl From<TimeoutsMs> for Timeouts {
    fn from(ms: TimeoutsMs) -> Self {
        let d = Duration::from_millis;
        Self {
            connect: d(ms.connect_ms),
            first_token: d(ms.first_token_ms),
            answer: d(ms.answer_ms),
            idle: d(ms.idle_ms),
            total: d(ms.total_ms),
            read_body: d(ms.read_body_ms),
            keepalive_comment: d(ms.keepalive_comment_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, env: &[(&str, &str)]) -> Result<Config, String> {
        let env = |name: &str| env.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        let file = parse("freeway.toml", text).map_err(|e| e.to_string())?;
        file.validate("freeway.toml", &Overrides::default(), &env).map_err(|e| e.to_string())
    }

    #[track_caller]
    fn refused(text: &str, because: &str) {
        let error = load(text, &[]).expect_err("must be refused");
        assert!(error.contains(because), "{error}");
    }

    #[test]
    fn without_a_file_and_without_keys_the_simulated_models_serve() {
        let config = load("", &[]).expect("defaults are valid");
        assert!(config.providers.is_empty() && config.simulated.is_some());
        assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    }

    #[test]
    fn what_is_wrong_is_named() {
        refused("[server]\nlisten_on = 1", "listen_on");
        refused("[server]\ntls_key = \"k.pem\"", "tls_certificate and tls_key go together");
        refused("[server]\nadmin_listen = \"0.0.0.0:1\"", "server.admin_listen");
        refused("[routing]\nmax_attempts = 0", "routing.max_attempts");
        refused("[[routing.pin]]\npattern = \"*\"\ntask = \"juggling\"", "juggling");
        refused("[[routing.pin]]\ntask = \"code\"", "pattern");
        refused("[[routing.boost]]\npattern = \"*\"\nby = -1.0", "routing.boost");
        refused("[[routing.boost]]\npattern = \"*\"\nby = nan", "routing.boost");
        refused("[queue]\nmax_waiting = 0", "queue.max_waiting");
        refused("[routing]\nquality_vs_speed = 2", "routing.quality_vs_speed");
        refused("[[provider]]\nname = \"x\"", "provider[0].slug");
        refused("[simulate]\nmodel = []", "simulate");
        refused("[[provider]]\nslug = \"x\"\nbase_url = \"http://h\"\ncolour = 1", "colour");
        refused("[[provider]]\nslug = \"x\"\nbase_url = \"nowhere\"", "base URL");
    }
}
