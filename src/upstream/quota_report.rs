//! What providers answer to "what is left of my limits", where one may ask.

use super::quota::Observed;
use crate::catalog::{LimitScope, Period, QuotaDialect, Unit};
use serde_json::Value;

/// What an answer says of the account's limits; nothing where it says nothing that can be used.
pub fn quota_report(dialect: QuotaDialect, body: &[u8]) -> Vec<Observed> {
    let Ok(answer) = serde_json::from_slice::<Value>(body) else { return Vec::new() };
    match dialect {
        QuotaDialect::OpenRouter => free_requests_of_the_day(&answer["data"]["free_model_daily_requests"]),
    }
}

/// `{"used": 12, "limit": 50, "remaining": 38}`: the limit is 1000 once ten credits were bought.
fn free_requests_of_the_day(said: &Value) -> Vec<Observed> {
    let Some(limit) = said["limit"].as_u64() else { return Vec::new() };
    let unused = said["used"].as_u64().map(|used| limit.saturating_sub(used));
    let remaining = [said["remaining"].as_u64(), unused].into_iter().flatten().min();
    let (unit, per, scope) = (Unit::Requests, Period::Day, LimitScope::Account);
    vec![Observed { unit, per, scope, limit: Some(limit), remaining, resets_in_ms: None }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(day: &str, expect: Option<(u64, Option<u64>)>) {
        let body = format!("{{\"data\":{{\"usage\":25.5,\"free_model_daily_requests\":{day}}}}}");
        let said = quota_report(QuotaDialect::OpenRouter, body.as_bytes());
        let said: Vec<_> = said.iter().map(|o| (o.limit.unwrap_or_default(), o.remaining)).collect();
        assert_eq!(said, expect.into_iter().collect::<Vec<_>>(), "{day}");
    }

    #[test]
    fn the_requests_of_the_day_are_read() {
        check(r#"{"used":12,"limit":50,"remaining":38}"#, Some((50, Some(38))));
        check(r#"{"used":12,"limit":1000}"#, Some((1_000, Some(988))));
        check(r#"{"limit":50,"remaining":0}"#, Some((50, Some(0))));
        check(r#"{"used":70,"limit":50,"remaining":-20}"#, Some((50, Some(0))));
    }

    #[test]
    fn what_is_not_said_is_not_made_up() {
        for nothing in
            ["null", "{}", "[]", r#"{"used":1,"limit":null}"#, r#"{"limit":-1}"#, r#"{"limit":"5"}"#]
        {
            check(nothing, None);
        }
        assert!(quota_report(QuotaDialect::OpenRouter, b"<html>").is_empty());
    }
}
