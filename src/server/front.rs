//! The proxy as a Pingora service that keeps its connections when it stops accepting.

use crate::proxy::FreewayProxy;
use async_trait::async_trait;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream};
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora::proxy::{HttpProxy, http_proxy};
use pingora::server::ShutdownWatch;
use pingora::server::configuration::ServerConf;
use pingora::services::listening::Service;
use std::sync::Arc;
use std::time::Duration;

/// Idle HTTP/2 connections of clients are closed after this.
const H2_IDLE: Duration = Duration::from_secs(300);
/// HTTP/2 windows: the protocol's 64 KiB would throttle uploads of images.
const H2_STREAM_WINDOW: u32 = 1 << 20;
const H2_CONNECTION_WINDOW: u32 = 4 << 20;

/// Pingora's proxy. Once it no longer accepts, Pingora would drop connections that wait for their next
/// request, and a request that is on its way would meet a closed one. Here they stay until the process ends,
/// and their next answer says that they will be closed: nothing is passed on of `http_cleanup`.
pub(super) struct Front(Arc<HttpProxy<FreewayProxy>>);

/// The service of the main listener.
pub(super) fn service(conf: &Arc<ServerConf>, proxy: FreewayProxy) -> Service<Front> {
    let mut options = HttpServerOptions::default();
    options.h2c = true;
    options.h2_idle_timeout = Some(H2_IDLE);
    let mut proxy = http_proxy(conf, proxy);
    proxy.server_options = Some(options);
    proxy.h2_options = Some(h2_options());
    Service::new("freeway".to_owned(), Front(Arc::new(proxy)))
}

fn h2_options() -> H2Options {
    let mut options = default_h2_options();
    options.initial_window_size(H2_STREAM_WINDOW);
    options.initial_connection_window_size(H2_CONNECTION_WINDOW);
    options
}

#[async_trait]
impl HttpServerApp for Front {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        self.0.process_new_http(session, shutdown).await
    }

    fn h2_options(&self) -> Option<H2Options> {
        self.0.h2_options()
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        self.0.server_options()
    }
}
