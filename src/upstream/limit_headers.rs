//! What any reply says is left of a provider's limits, where its profile names the headers.
//!
//! Pure, and without an allocation. What cannot be read is as if it were not there.

use super::hints::{Headers, parse_wait, whole};
use super::quota::Observed;
use crate::catalog::LimitHeader;

/// What the headers say of each limit in `declared`, a provider's [`Quotas::headers`].
///
/// [`Quotas::headers`]: crate::catalog::Quotas::headers
pub fn observed<'a>(
    declared: &'a [LimitHeader],
    headers: Headers<'a>,
    now_ms: u64,
) -> impl Iterator<Item = Observed> + use<'a> {
    let amount = move |name: &Option<String>| headers(name.as_deref()?).and_then(whole);
    declared.iter().filter_map(move |header| {
        // Where there is nothing there is no limit either: nobody is offered none at all.
        let limit = amount(&header.limit).filter(|limit| *limit > 0);
        let remaining = amount(&header.remaining);
        let reset = || parse_wait(headers(header.reset.as_deref()?)?, now_ms);
        (limit.is_some() || remaining.is_some()).then(|| Observed {
            unit: header.unit,
            per: header.per,
            scope: header.scope,
            limit,
            remaining,
            resets_in_ms: reset(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{LimitScope, Period, Unit};

    fn header(of: &str) -> LimitHeader {
        let name = |what: &str| Some(format!("x-ratelimit-{what}-{of}"));
        LimitHeader {
            unit: Unit::Requests,
            per: Period::MINUTE,
            scope: LimitScope::Key,
            limit: name("limit"),
            remaining: name("remaining"),
            reset: name("reset"),
        }
    }

    /// Limit, remaining and reset of one header as they are sent and as they are understood.
    #[track_caller]
    fn check(sent: [Option<&str>; 3], expect: Option<[Option<u64>; 3]>) {
        let declared = [header("requests")];
        let headers = move |name: &str| match name {
            "x-ratelimit-limit-requests" => sent[0],
            "x-ratelimit-remaining-requests" => sent[1],
            "x-ratelimit-reset-requests" => sent[2],
            _ => None,
        };
        let seen: Vec<Observed> = observed(&declared, &headers, 1_787_400_000_000).collect();
        let told: Vec<_> = seen.iter().map(|o| [o.limit, o.remaining, o.resets_in_ms]).collect();
        assert_eq!(told, Vec::from_iter(expect), "{sent:?}");
        assert!(seen.iter().all(|o| (o.unit, o.scope) == (Unit::Requests, LimitScope::Key)));
    }

    #[test]
    fn limits_are_read_where_the_profile_says_they_stand() {
        check([Some("30"), Some("29"), Some("2.5")], Some([Some(30), Some(29), Some(2_500)]));
        check([Some("30"), Some("0"), Some("1m26.4s")], Some([Some(30), Some(0), Some(86_400)]));
        check([Some("30;w=60"), Some("12.9"), None], Some([Some(30), Some(12), None]));
        check([None, Some("7"), Some("1787400030000")], Some([None, Some(7), Some(30_000)]));
        check([Some("30"), None, None], Some([Some(30), None, None]));
    }

    #[test]
    fn junk_is_as_if_it_were_not_there() {
        check([None, None, Some("3")], None);
        check([Some(""), Some("NaN"), Some("soon")], None);
        check([Some("unlimited"), Some("-1"), None], None);
        check([Some("1e300"), Some("3"), Some("-4")], Some([None, Some(3), None]));
        check([Some("0"), Some("3"), None], Some([None, Some(3), None]));
    }

    #[test]
    fn each_limit_has_headers_of_its_own() {
        let declared = [header("requests"), header("tokens"), header("none")];
        let headers = |name: &str| match name {
            "x-ratelimit-remaining-requests" => Some("4"),
            "x-ratelimit-remaining-tokens" => Some("900"),
            _ => None,
        };
        let left: Vec<_> = observed(&declared, &headers, 0).map(|o| o.remaining).collect();
        assert_eq!(left, [Some(4), Some(900)]);
    }
}
