//! Whether it is the operator who asks.

use crate::catalog::Secret;
use crate::protocol::errors::{ApiError, ErrorKind};
use pingora::http::RequestHeader;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;

/// Refuses whoever does not present the token, where there is one.
pub(super) fn check(token: Option<&Secret>, head: &RequestHeader) -> Result<(), Box<ApiError>> {
    let Some(token) = token else { return Ok(()) };
    if presented(head).is_some_and(|given| is_same(token.reveal().as_bytes(), given)) {
        return Ok(());
    }
    let words = "the operator's token is needed: send it as `Authorization: Bearer …`";
    Err(Box::new(ApiError::new(ErrorKind::InvalidApiKey, words)))
}

fn presented(head: &RequestHeader) -> Option<&[u8]> {
    let (scheme, token) = head.headers.get(http::header::AUTHORIZATION)?.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

/// Hashes are compared, so that neither the first wrong byte nor the length shows in the time it takes.
fn is_same(token: &[u8], given: &[u8]) -> bool {
    let [token, given] = [token, given].map(Sha256::digest);
    token.as_slice().ct_eq(given.as_slice()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn status(authorization: Option<&str>) -> Option<u16> {
        let mut head = RequestHeader::build("GET", b"/accounts", None).expect("a request line");
        if let Some(value) = authorization {
            head.insert_header("authorization", value).expect("a header");
        }
        check(Secret::new("token-1").as_ref(), &head).err().map(|error| error.status())
    }

    #[test]
    fn only_the_token_opens() {
        assert_eq!((status(Some("Bearer token-1")), status(Some("bearer  token-1 "))), (None, None));
        for wrong in
            ["Bearer token-2", "Bearer token-", "Bearer token-11", "Bearer ", "Basic token-1", "token-1"]
        {
            assert_eq!(status(Some(wrong)), Some(401), "{wrong}");
        }
        assert_eq!(status(None), Some(401));
    }
}
