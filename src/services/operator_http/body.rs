//! The body of an operator's request: small, and within a deadline.

use crate::api::MAX_BODY_BYTES;
use crate::protocol::errors::{ApiError, ErrorKind};
use pingora::protocols::http::ServerSession;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Reads the body whole; one that nobody looks at is read and dropped.
pub(super) async fn read(
    session: &mut ServerSession,
    wanted: bool,
    patience: Duration,
) -> Result<Vec<u8>, Box<ApiError>> {
    let deadline = Instant::now() + patience;
    let mut body = Vec::new();
    loop {
        let Ok(chunk) = timeout_at(deadline, session.read_request_body()).await else {
            session.set_keepalive(None);
            let words = "the request's body did not arrive in time";
            return Err(Box::new(ApiError::new(ErrorKind::RequestTimeout, words)));
        };
        // Whoever broke off does not read the answer.
        let cut = || Box::new(ApiError::new(ErrorKind::InvalidRequest, "the request's body was cut"));
        let Some(chunk) = chunk.map_err(|_| cut())? else { break };
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            session.set_keepalive(None);
            let words = format!("the request's body exceeds the limit of {MAX_BODY_BYTES} bytes");
            return Err(Box::new(ApiError::new(ErrorKind::PayloadTooLarge, words)));
        }
        body.extend_from_slice(&chunk);
    }
    if !wanted {
        body.clear();
    }
    Ok(body)
}
