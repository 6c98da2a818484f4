//! The limits a caller is under, and what its headers say of them.

use crate::accounts::{Caller, Cells};
use crate::ledger::{DAY_MS, Ledger, day_of};
use crate::limits::{Key, Over, SlidingLog, Standing, client_address};
use crate::protocol::errors::{ApiError, ErrorKind};
use ipnet::IpNet;
use pingora::proxy::Session;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// The window of the limits by the minute.
pub(super) const MINUTE_MS: u64 = 60_000;
/// Addresses and accounts remembered in it: about 15 MB.
pub(super) const MINUTE_KEYS: usize = 100_000;

/// An identified caller, and where it calls from.
#[derive(Clone)]
pub(super) struct Visitor {
    pub(super) ledger: Arc<Ledger>,
    pub(super) caller: Arc<Caller>,
    pub(super) address: IpAddr,
}

/// A limit as `X-RateLimit-*` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quota {
    limit: u32,
    remaining: u32,
    /// When some of it comes back, Unix ms.
    reset_ms: u64,
}

impl Quota {
    pub(super) fn headers(&self) -> Vec<(&'static str, String)> {
        vec![
            ("x-ratelimit-limit", self.limit.to_string()),
            ("x-ratelimit-remaining", self.remaining.to_string()),
            ("x-ratelimit-reset", self.reset_ms.to_string()),
        ]
    }

    fn of(standing: Standing, now_ms: u64) -> Self {
        let Standing { limit, remaining, reset_ms } = standing;
        Self { limit, remaining, reset_ms: now_ms + reset_ms }
    }
}

impl Visitor {
    pub(super) fn new(
        ledger: Arc<Ledger>,
        caller: Arc<Caller>,
        session: &Session,
        trusted: &[IpNet],
    ) -> Self {
        Self { ledger, caller, address: address_of(session, trusted) }
    }

    /// Takes a place in the minute.
    ///
    /// # Errors
    /// 429, with the time until the next place is free, and the headers that go with it.
    pub(super) fn admit(
        &self,
        log: &SlidingLog,
        now_ms: u64,
    ) -> Result<Option<Quota>, (Box<ApiError>, Quota)> {
        let (funded, cells) = self.tier();
        let minute = match cells.per_minute.map(|limit| log.admit(self.key(funded), limit, now_ms)) {
            Some(Err(over)) => return Err(refused(over, now_ms)),
            Some(Ok(standing)) => Some(Quota::of(standing, now_ms)),
            None => None,
        };
        // The other tier's count goes on, so that crossing the line resets nothing.
        if let Some(limit) = self.ledger.rules().tiers.cells(!funded).per_minute {
            log.note(self.key(!funded), limit, now_ms);
        }
        Ok(tighter(minute, self.day(cells, now_ms)))
    }

    /// Whether [`Visitor::admit`] would let it in now.
    ///
    /// # Errors
    /// What that says.
    pub(super) fn check(&self, log: &SlidingLog, now_ms: u64) -> Result<(), (Box<ApiError>, Quota)> {
        let (funded, cells) = self.tier();
        let standing = cells.per_minute.map(|limit| log.standing(self.key(funded), limit, now_ms));
        match standing {
            Some(Standing { limit, remaining: 0, reset_ms }) => {
                Err(refused(Over { limit, wait_ms: reset_ms }, now_ms))
            }
            _ => Ok(()),
        }
    }

    /// Where it stands, nothing asked for.
    pub(super) fn quota(&self, log: &SlidingLog, now_ms: u64) -> Option<Quota> {
        let (funded, cells) = self.tier();
        let minute = cells.per_minute.map(|limit| log.standing(self.key(funded), limit, now_ms));
        tighter(minute.map(|standing| Quota::of(standing, now_ms)), self.day(cells, now_ms))
    }

    fn day(&self, cells: Cells, now_ms: u64) -> Option<Quota> {
        let wallet = &self.caller.wallet;
        let day = day_of(now_ms).max(wallet.day());
        let limit = cells.per_day?;
        let remaining = limit.saturating_sub(wallet.day_used(day));
        Some(Quota { limit, remaining, reset_ms: midnight_after(day) })
    }

    fn tier(&self) -> (bool, Cells) {
        let tiers = &self.ledger.rules().tiers;
        let funded = tiers.is_funded(self.caller.wallet.balance());
        (funded, tiers.cells(funded))
    }

    fn key(&self, funded: bool) -> Key {
        if funded { Key::Account(self.caller.wallet.account()) } else { Key::address(self.address) }
    }
}

/// Where a request comes from, as far as the proxies before us are believed.
pub(super) fn address_of(session: &Session, trusted: &[IpNet]) -> IpAddr {
    let peer = session.client_addr().and_then(|addr| addr.as_inet()).map(std::net::SocketAddr::ip);
    let peer = peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let values = session.req_header().headers.get_all("x-forwarded-for").iter();
    let forwarded: Vec<&[u8]> = values.map(http::HeaderValue::as_bytes).collect();
    client_address(peer, &forwarded, trusted)
}

/// The day's requests are used up.
pub(super) fn day_is_over(visitor: &Visitor, limit: u32, now_ms: u64) -> (Box<ApiError>, Quota) {
    let midnight_ms = midnight_after(day_of(now_ms).max(visitor.caller.wallet.day()));
    let words =
        format!("this account's {limit} requests of the day are used up; they come back at midnight UTC");
    let error = ApiError::new(ErrorKind::QuotaExceeded, words)
        .retry_after_s(seconds(midnight_ms.saturating_sub(now_ms)));
    (Box::new(error), Quota { limit, remaining: 0, reset_ms: midnight_ms })
}

fn refused(over: Over, now_ms: u64) -> (Box<ApiError>, Quota) {
    let Over { limit, wait_ms } = over;
    let words = format!("more than {limit} requests in a minute; try again in a moment");
    let error = ApiError::new(ErrorKind::RateLimited, words).retry_after_s(seconds(wait_ms));
    (Box::new(error), Quota { limit, remaining: 0, reset_ms: now_ms + wait_ms })
}

/// Rounded up: whoever waits that long is not early.
fn seconds(ms: u64) -> u32 {
    u32::try_from(ms.div_ceil(1000)).unwrap_or(u32::MAX)
}

fn midnight_after(day: u32) -> u64 {
    (u64::from(day) + 1) * DAY_MS
}

fn tighter(minute: Option<Quota>, day: Option<Quota>) -> Option<Quota> {
    match (minute, day) {
        (Some(minute), Some(day)) => Some(if day.remaining < minute.remaining { day } else { minute }),
        (minute, day) => minute.or(day),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn quota(remaining: u32, reset_ms: u64) -> Quota {
        Quota { limit: 20, remaining, reset_ms }
    }

    #[test]
    fn of_two_limits_the_one_with_less_left_is_told() {
        assert_eq!(tighter(Some(quota(3, 1)), Some(quota(2, 2))), Some(quota(2, 2)));
        assert_eq!(tighter(Some(quota(2, 1)), Some(quota(2, 2))), Some(quota(2, 1)));
        assert_eq!(tighter(None, Some(quota(2, 2))), Some(quota(2, 2)));
        assert_eq!(tighter(None, None), None);
    }

    #[test]
    fn the_time_to_wait_is_never_too_short() {
        for (wait_ms, expect) in [(0, "1"), (1, "1"), (1000, "1"), (1001, "2"), (59_999, "60")] {
            let (error, quota) = refused(Over { limit: 20, wait_ms }, 5_000);
            let headers = error.headers();
            assert_eq!(headers, [("retry-after", expect.to_owned())], "{wait_ms}");
            assert_eq!(quota, Quota { limit: 20, remaining: 0, reset_ms: 5_000 + wait_ms });
        }
    }

    #[test]
    fn whoever_waits_as_long_as_told_is_admitted() {
        let key = Key::Account(crate::accounts::AccountId::new(1));
        for (first, second) in [(0, 1), (0, 999), (250, 1_249), (7, 59_999)] {
            let log = SlidingLog::new(MINUTE_MS, MINUTE_KEYS);
            assert!(log.admit(key, 1, first).is_ok());
            let over = log.admit(key, 1, second).expect_err("one a minute");
            let (error, _) = refused(over, second);
            let wait_ms = u64::from(error.retry_after_s.expect("a time")) * 1_000;
            assert!(log.admit(key, 1, second + wait_ms).is_ok(), "{first}, {second}");
            assert!(wait_ms < over.wait_ms + 1_000, "and not told to wait for nothing");
        }
    }

    #[test]
    fn the_day_ends_at_midnight_utc() {
        assert_eq!(midnight_after(day_of(1_764_000_000_000)) % DAY_MS, 0);
        assert_eq!(midnight_after(0), DAY_MS);
    }
}
