//! The simulated provider in this process: on a loopback port of its own, called like any other.

use super::simulate::{self, SimulatedModels};
use crate::catalog::{Auth, BaseUrl, ListDialect, ListRules, Provider, parse_models};
use crate::config::ConfiguredProvider;
use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

/// Where it listens: any free loopback port.
pub const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A bound simulated provider.
#[derive(Clone)]
pub struct SimulatedProvider {
    listener: Arc<TcpListener>,
    port: u16,
    models: SimulatedModels,
}

impl SimulatedProvider {
    /// Takes a free loopback port.
    ///
    /// # Errors
    /// When there is none.
    pub fn bind(models: SimulatedModels) -> std::io::Result<Self> {
        let listener = TcpListener::bind(ADDRESS)?;
        let port = listener.local_addr()?.port();
        Ok(Self { listener: Arc::new(listener), port, models })
    }

    /// It as a provider, with its models written down.
    pub fn configured(&self) -> ConfiguredProvider {
        configured(&self.models, self.port)
    }
}

/// The simulated models at a port.
pub fn configured(models: &SimulatedModels, port: u16) -> ConfiguredProvider {
    let base = BaseUrl { tls: false, host: Ipv4Addr::LOCALHOST.to_string(), port, prefix: "/v1".to_owned() };
    let provider = Arc::new(Provider {
        name: "Simulated".to_owned(),
        auth: Auth::None,
        simulated: true,
        ..Provider::new("simulated", base)
    });
    let rules = ListRules { dialect: ListDialect::OpenRouter, by_price: true, ..ListRules::default() };
    let listing =
        parse_models(&rules, &models.list(), &provider, jiff::civil::Date::ZERO).unwrap_or_default();
    let mut endpoints = listing.models;
    for endpoint in &mut endpoints {
        if let Some(model) = models.model.iter().find(|m| m.id == endpoint.upstream_model) {
            endpoint.model.quality = model.quality;
            endpoint.model.tokens_per_s = (model.tokens_per_s > 0.0).then_some(model.tokens_per_s);
        }
    }
    ConfiguredProvider {
        provider,
        models: endpoints,
        list_url: None,
        show_url: None,
        quota: None,
        rules,
        ca_file: None,
    }
}

#[async_trait]
impl BackgroundService for SimulatedProvider {
    /// Goes on until the process ends: requests that drain may still need it.
    async fn start(&self, _shutdown: ShutdownWatch) {
        let Ok(listener) = self.listener.try_clone() else { return };
        if let Err(error) = simulate::serve(listener, self.models.clone(), std::future::pending()).await {
            tracing::error!(%error, "the simulated provider cannot serve");
        }
    }
}
