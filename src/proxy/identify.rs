//! Who asks: the API key of a request, and whom it belongs to.

use super::gateway::Gateway;
use crate::accounts::Caller;
use crate::ledger::{Ledger, Unauthenticated};
use crate::protocol::errors::{ApiError, ErrorKind};
use pingora::http::RequestHeader;
use std::sync::Arc;

/// Whoever presents the key in `head`; nobody in open mode.
///
/// # Errors
/// 401 without a valid key, 503 when the store cannot be asked.
pub(super) async fn identify(
    gateway: &Gateway,
    head: &RequestHeader,
) -> Result<Option<(Arc<Ledger>, Arc<Caller>)>, Box<ApiError>> {
    let Some(ledger) = &gateway.ledger else { return Ok(None) };
    let key = presented_key(head).ok_or_else(|| {
        let words = "an API key is needed: send it as `Authorization: Bearer cm_…`";
        ApiError::new(ErrorKind::InvalidApiKey, words)
    });
    let caller = match key {
        Ok(key) => ledger.authenticate(key, gateway.clock.now_ms()).await.map_err(refused),
        Err(missing) => Err(missing),
    };
    match caller {
        Ok(caller) => Ok(Some((Arc::clone(ledger), caller))),
        Err(error) => {
            let kind = if error.kind == ErrorKind::InvalidApiKey { "key" } else { "ledger" };
            gateway.metrics.ledger.refused.with_label_values(&[kind]).inc();
            Err(Box::new(error))
        }
    }
}

fn refused(why: Unauthenticated) -> ApiError {
    match why {
        Unauthenticated::Unknown => ApiError::new(
            ErrorKind::InvalidApiKey,
            "the API key is not known, or it was revoked or has expired",
        ),
        Unauthenticated::Unavailable => ApiError::billing_unavailable(),
    }
}

/// `Authorization: Bearer`, or `x-api-key`.
fn presented_key(head: &RequestHeader) -> Option<&[u8]> {
    let bearer = head.headers.get(http::header::AUTHORIZATION).and_then(|value| {
        let (scheme, key) = value.as_bytes().split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"Bearer ").then(|| key.trim_ascii())
    });
    bearer.or_else(|| head.headers.get("x-api-key").map(|value| value.as_bytes().trim_ascii()))
}
