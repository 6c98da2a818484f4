//! The proxy as a Pingora service, which gives idle connections a last call before it closes them.

use crate::proxy::FreewayProxy;
use crate::services::drain::LAST_CALL;
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

/// Pingora's proxy. Once it no longer accepts, Pingora drops connections that wait for their next request,
/// and a request that is on its way meets a closed one; here it is answered before that.
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

    async fn http_cleanup(&self) {
        tokio::time::sleep(LAST_CALL).await;
        self.0.http_cleanup().await;
    }
}
