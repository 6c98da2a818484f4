//! The downstream session Pingora talks to while a request is forwarded.
//!
//! It serves the request body once per attempt, lets nothing out before the first meaningful token,
//! runs the first-token and idle clocks, and holds the end of the response until the charge is
//! posted. It is the one file that names Pingora's hidden custom-session trait; the end-to-end tests
//! watch over that trait's behaviour.

use super::cap::Count;
use super::exchange::{Expiry, Shared, Step};
use super::{failover, reply, settle};
use async_trait::async_trait;
use bytes::Bytes;
use futures_core::Stream;
use http::HeaderMap;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::Digest;
use pingora::protocols::http::custom::CustomMessageWrite;
use pingora::protocols::http::custom::server::Session as CustomSession;
use pingora::protocols::http::{HttpTask, ServerSession};
use pingora::protocols::l4::socket::SocketAddr;
use pingora::proxy::Session;
use pingora::time::fast_timeout::fast_sleep;
use pingora::{Error, Result};
use std::pin::Pin;
use std::time::Duration;
use tokio::time::Instant;

/// The wrapped session is with the hooks again; nothing reads or writes through the wrapper then.
const GIVEN_BACK: &str = "the session is given back only after the proxy loop has ended";

struct Wrapper {
    inner: Option<Box<ServerSession>>,
    shared: Shared,
    timer: Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>,
}

/// Puts the wrapper in the session's place, once its body has been read.
pub(super) fn install(session: &mut Session, shared: &Shared) {
    session.set_pipelining_enabled(true);
    let empty = Box::new(ServerSession::new_custom(Box::new(())));
    let inner = std::mem::replace(&mut session.downstream_session, empty);
    let wrapper = Wrapper { inner: Some(inner), shared: shared.clone(), timer: None };
    *session.downstream_session = ServerSession::new_custom(Box::new(wrapper));
}

/// Gives the real session back, so that it can be answered on and kept alive. Does nothing twice.
pub(super) fn remove(session: &mut Session, shared: &Shared) {
    if let Some(wrapper) = session.downstream_session.as_custom_mut() {
        // A harmless method of the trait carries the signal; a downcast is not to be had.
        wrapper.set_proxy_tasks_enabled(false);
    }
    if let Some(inner) = shared.lock().given_back.take() {
        session.downstream_session = inner;
    }
}

impl Wrapper {
    fn get(&self) -> &ServerSession {
        self.inner.as_ref().expect(GIVEN_BACK)
    }

    fn get_mut(&mut self) -> &mut ServerSession {
        self.inner.as_mut().expect(GIVEN_BACK)
    }

    /// Writes `bytes`, the response head first if it has not gone out yet.
    async fn write(&mut self, bytes: Vec<u8>, end: bool) -> Result<()> {
        self.finish_comment().await?;
        let h2 = self.get().is_http2();
        let head = {
            let mut exchange = self.shared.lock();
            if !end {
                exchange.settlement.record(&bytes);
            }
            exchange.take_head(h2, end.then_some(bytes.len()))
        };
        let mut tasks = Vec::with_capacity(3);
        tasks.extend(head.map(|head| HttpTask::Header(head, false)));
        if !bytes.is_empty() {
            tasks.push(HttpTask::Body(Some(Bytes::from(bytes)), end));
        } else if end {
            tasks.push(HttpTask::Done);
        }
        if !tasks.is_empty() {
            self.get_mut().response_duplex_vec(tasks).await.map_err(Error::into_down)?;
            self.shared.lock().written(Instant::now());
        }
        Ok(())
    }

    /// Counts what was delivered. The rest of the answer, where it has to end here.
    async fn rest_if_over(&self) -> Option<Vec<u8>> {
        loop {
            let text = self.shared.lock().uncapped_text();
            let tokens = settle::count(text).await;
            let mut exchange = self.shared.lock();
            match exchange.counted(tokens) {
                Count::Within => return None,
                Count::Doubtful => {}
                Count::Over(tokens) => return Some(exchange.cut(tokens)),
            }
        }
    }

    /// Ends a whole answer: counts what nobody counted, and has the charge durable before the end goes out.
    async fn finish_answer(&mut self, mut bytes: Vec<u8>) -> Result<()> {
        let (uncounted, early) = {
            let exchange = self.shared.lock();
            let uncounted = exchange.uncounted_text();
            // Both take a while: what a streaming client can have goes out before.
            let early = exchange.streams() && (uncounted.is_some() || exchange.settlement.is_open());
            (uncounted, early && !bytes.is_empty())
        };
        if early {
            self.write(std::mem::take(&mut bytes), false).await?;
        }
        let counted = match uncounted {
            Some(text) => settle::count(text).await,
            None => None,
        };
        let posting = self.shared.lock().post(counted);
        let settled = match posting {
            Some(posting) => posting.durable().await,
            None => None,
        };
        let last = self.shared.lock().finish(settled, bytes);
        self.write(last, true).await?;
        self.shared.lock().delivered();
        Ok(())
    }

    /// A comment whose writing was interrupted is written to its end first.
    async fn finish_comment(&mut self) -> Result<()> {
        let inner = self.get_mut();
        if !inner.is_http2() && inner.has_pending_downstream_proxy_tasks() {
            inner.write_downstream_proxy_tasks().await.map_err(Error::into_down)?;
        }
        Ok(())
    }

    /// Tells a waiting client that it has not been forgotten. Safe to cancel: HTTP/1 resumes the
    /// queued write, HTTP/2 waits for window only before anything is sent.
    async fn write_comment(&mut self) -> Result<()> {
        let h2 = self.get().is_http2();
        let head = self.shared.lock().take_head(h2, None);
        let comment = Bytes::from_static(reply::KEEPALIVE_COMMENT);
        let inner = self.get_mut();
        if h2 {
            if let Some(head) = head {
                inner.write_response_header(head).await?;
            }
            inner.write_response_body(comment, false).await?;
        } else {
            if let Some(head) = head {
                inner.send_downstream_proxy_task(HttpTask::Header(head, false));
            }
            inner.send_downstream_proxy_task(HttpTask::Body(Some(comment), false));
            inner.write_downstream_proxy_tasks().await?;
        }
        self.shared.lock().written(Instant::now());
        Ok(())
    }

    /// Waits for the client to leave or a clock to run out; comments go out meanwhile.
    async fn idle(&mut self) -> Result<Option<Bytes>> {
        loop {
            self.finish_comment().await?;
            let inner = self.inner.as_mut().expect(GIVEN_BACK);
            // One timer lives through all events and is set anew only when it has fired: one for each
            // event of a stream would cost more than the event.
            let timer = self.timer.get_or_insert_with(|| {
                let wake = self.shared.lock().next_wake();
                Box::pin(fast_sleep(wake.saturating_duration_since(Instant::now())))
            });
            tokio::select! {
                read = inner.read_body_or_idle(true) => return read,
                () = timer.as_mut() => {}
            }
            self.timer = None;
            let expiry = self.shared.lock().expired(Instant::now());
            match expiry {
                None => {}
                Some(Expiry::Comment) => self.write_comment().await?,
                Some(Expiry::Clock) => return Err(Error::explain(failover::CLOCK, "clock ran out")),
            }
        }
    }
}

#[async_trait]
impl CustomSession for Wrapper {
    async fn response_duplex_vec(&mut self, tasks: Vec<HttpTask>) -> Result<bool> {
        let mut step = self.shared.lock().absorb(tasks, Instant::now());
        loop {
            step = match step {
                Step::Wait => return Ok(false),
                Step::Write(bytes) => return self.write(bytes, false).await.map(|()| false),
                Step::Check(bytes) => {
                    self.write(bytes, false).await?;
                    if let Some(last) = self.rest_if_over().await {
                        self.finish_answer(last).await?;
                        return Err(Error::explain(failover::CUT, "the answer has its length"));
                    }
                    self.shared.lock().resume(Instant::now())
                }
                Step::Fail(bytes, error) => {
                    if !bytes.is_empty() {
                        self.write(bytes, true).await?;
                    }
                    return Err(error);
                }
                Step::Finish(bytes) => return self.finish_answer(bytes).await.map(|()| true),
                Step::Done => return Ok(true),
            };
        }
    }

    async fn read_body_or_idle(&mut self, no_body_expected: bool) -> Result<Option<Bytes>> {
        if !no_body_expected && let Some(chunk) = self.shared.lock().next_chunk(Instant::now()) {
            return Ok(Some(chunk));
        }
        self.idle().await
    }

    async fn read_body_bytes(&mut self) -> Result<Option<Bytes>> {
        Ok(self.shared.lock().next_chunk(Instant::now()))
    }

    fn is_body_done(&mut self) -> bool {
        self.shared.lock().body_sent()
    }

    fn is_body_empty(&mut self) -> bool {
        false
    }

    /// The signal of [`remove`].
    fn set_proxy_tasks_enabled(&mut self, _enabled: bool) {
        self.shared.lock().given_back = self.inner.take();
    }

    // From here on plain delegation.

    fn req_header(&self) -> &RequestHeader {
        self.get().req_header()
    }

    fn req_header_mut(&mut self) -> &mut RequestHeader {
        self.get_mut().req_header_mut()
    }

    async fn drain_request_body(&mut self) -> Result<()> {
        Ok(())
    }

    async fn write_response_header(&mut self, head: Box<ResponseHeader>, _end: bool) -> Result<()> {
        self.get_mut().write_response_header(head).await
    }

    async fn write_response_header_ref(&mut self, head: &ResponseHeader, _end: bool) -> Result<()> {
        self.get_mut().write_response_header_ref(head).await
    }

    async fn write_body(&mut self, data: Bytes, end: bool) -> Result<()> {
        self.get_mut().write_response_body(data, end).await
    }

    async fn write_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        self.get_mut().write_response_trailers(trailers).await
    }

    fn set_read_timeout(&mut self, timeout: Option<Duration>) {
        self.get_mut().set_read_timeout(timeout);
    }

    fn get_read_timeout(&self) -> Option<Duration> {
        self.get().get_read_timeout()
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) {
        self.get_mut().set_write_timeout(timeout);
    }

    fn get_write_timeout(&self) -> Option<Duration> {
        self.get().get_write_timeout()
    }

    fn set_total_drain_timeout(&mut self, timeout: Option<Duration>) {
        self.get_mut().set_total_drain_timeout(timeout);
    }

    fn get_total_drain_timeout(&self) -> Option<Duration> {
        self.get().get_total_drain_timeout()
    }

    fn request_summary(&self) -> String {
        self.get().request_summary()
    }

    fn response_written(&self) -> Option<&ResponseHeader> {
        self.get().response_written()
    }

    async fn shutdown(&mut self, _code: u32, _context: &str) {
        self.get_mut().shutdown().await;
    }

    async fn finish(&mut self) -> Result<()> {
        self.get_mut().finish_body().await
    }

    fn body_bytes_sent(&self) -> usize {
        self.get().body_bytes_sent()
    }

    fn body_bytes_read(&self) -> usize {
        self.get().body_bytes_read()
    }

    fn digest(&self) -> Option<&Digest> {
        self.get().digest()
    }

    fn digest_mut(&mut self) -> Option<&mut Digest> {
        self.get_mut().digest_mut()
    }

    fn client_addr(&self) -> Option<&SocketAddr> {
        self.get().client_addr()
    }

    fn server_addr(&self) -> Option<&SocketAddr> {
        self.get().server_addr()
    }

    fn pseudo_raw_h1_request_header(&self) -> Bytes {
        self.get().to_h1_raw()
    }

    fn enable_retry_buffering(&mut self) {}

    fn retry_buffer_truncated(&self) -> bool {
        false
    }

    fn get_retry_buffer(&self) -> Option<Bytes> {
        None
    }

    async fn finish_custom(&mut self) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_reader(
        &mut self,
    ) -> Option<Box<dyn Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>> {
        None
    }

    fn restore_custom_message_reader(
        &mut self,
        _reader: Box<dyn Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>,
    ) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_writer(&mut self) -> Option<Box<dyn CustomMessageWrite>> {
        None
    }

    fn restore_custom_message_writer(&mut self, _writer: Box<dyn CustomMessageWrite>) -> Result<()> {
        Ok(())
    }

    fn is_upgrade_req(&self) -> bool {
        false
    }

    fn was_upgraded(&self) -> bool {
        false
    }
}
