//! The gauges of endpoints, of their limits and of keys: set anew at each look, so that what has left the catalog
//! leaves the page, too.

use super::Builder;
use crate::board::State;
use crate::catalog::{Endpoint, LimitScope};
use crate::routing::{Availability, Cause};
use crate::snapshot::Snapshot;
use crate::upstream::{Reading, Status};
use prometheus::GaugeVec;

pub(super) struct EndpointGauges {
    catalog: GaugeVec,
    open: GaugeVec,
    state: GaugeVec,
    success: GaugeVec,
    in_flight: GaugeVec,
    first_token: GaugeVec,
    tokens_per_s: GaugeVec,
    quota_used: GaugeVec,
    quota_remaining: GaugeVec,
    key_disabled: GaugeVec,
}

impl EndpointGauges {
    pub(super) fn new(build: &Builder) -> prometheus::Result<Self> {
        let quota = ["of", "key", "scope", "unit", "period"];
        Ok(Self {
            catalog: build.gauges(
                "freeway_catalog_endpoints",
                "Endpoints in the catalog by provider.",
                &["provider"],
            )?,
            open: build.gauges(
                "freeway_endpoint_open",
                "Whether the endpoint may be called now (1) or is cooling or out of service (0).",
                &["endpoint"],
            )?,
            state: build.gauges(
                "freeway_endpoint_state",
                "1 for the state the endpoint is in: open, kept, cooling, out.",
                &["endpoint", "state"],
            )?,
            success: build.gauges(
                "freeway_endpoint_success_ratio",
                "Recent share of the endpoint's calls that succeeded.",
                &["endpoint"],
            )?,
            in_flight: build.gauges(
                "freeway_endpoint_in_flight",
                "Calls under way at the endpoint.",
                &["endpoint"],
            )?,
            first_token: build.gauges(
                "freeway_endpoint_first_token_seconds",
                "Recent time from a call of the endpoint to its first token, where one was measured.",
                &["endpoint"],
            )?,
            tokens_per_s: build.gauges(
                "freeway_endpoint_tokens_per_second",
                "Recent speed of the endpoint's answers, where one was measured.",
                &["endpoint"],
            )?,
            quota_used: build.gauges(
                "freeway_quota_used_ratio",
                "Used share of a known limit: of an endpoint, of a provider's key (by position) or account.",
                &quota,
            )?,
            quota_remaining: build.gauges(
                "freeway_quota_remaining",
                "What is left of a known limit.",
                &quota,
            )?,
            key_disabled: build.gauges(
                "freeway_key_disabled",
                "Whether the provider refused the key at this position (1).",
                &["provider", "key"],
            )?,
        })
    }

    /// Sets all of them to what is at `now_ms`.
    pub(super) fn set(&self, snapshot: &Snapshot, now_ms: u64) {
        self.all().iter().for_each(|gauge| gauge.reset());
        for (endpoint, status) in crate::board::statuses(snapshot, now_ms, |_| true) {
            self.set_one(endpoint, &status, State::of(endpoint, &status, snapshot));
        }
    }

    fn all(&self) -> [&GaugeVec; 10] {
        [
            &self.catalog,
            &self.open,
            &self.state,
            &self.success,
            &self.in_flight,
            &self.first_token,
            &self.tokens_per_s,
            &self.quota_used,
            &self.quota_remaining,
            &self.key_disabled,
        ]
    }

    fn set_one(&self, endpoint: &Endpoint, status: &Status, state: State) {
        let (condition, key) = (&status.condition, [&*endpoint.key]);
        let flag = |on| f64::from(u8::from(on));
        self.catalog.with_label_values(&[endpoint.provider.slug.as_str()]).inc();
        self.open.with_label_values(&key).set(flag(condition.availability == Availability::Open));
        for one in State::ALL {
            self.state.with_label_values(&[key[0], one.name()]).set(flag(one == state));
        }
        self.success.with_label_values(&key).set(f64::from(condition.success));
        self.in_flight.with_label_values(&key).set(f64::from(condition.in_flight));
        if condition.ttft_ms > 0.0 {
            self.first_token.with_label_values(&key).set(f64::from(condition.ttft_ms) / 1000.0);
        }
        if condition.tokens_per_s > 0.0 {
            self.tokens_per_s.with_label_values(&key).set(f64::from(condition.tokens_per_s));
        }
        for (position, reading) in &status.readings {
            self.set_quota(endpoint, *position, reading);
        }
        for (position, key) in status.keys.iter().enumerate() {
            let refused =
                matches!(key.availability, Availability::Disabled(Cause::BadKey | Cause::QuotaSpent));
            let labels = [endpoint.provider.slug.as_str(), &position.to_string()];
            self.key_disabled.with_label_values(&labels).set(flag(refused));
        }
    }

    /// Endpoints that share a limit say the same of it.
    fn set_quota(&self, endpoint: &Endpoint, position: usize, reading: &Reading) {
        let Some((limit, remaining)) = reading.limit.zip(reading.remaining()) else { return };
        let position = position.to_string();
        let (of, key) = match reading.scope {
            LimitScope::Model => (&*endpoint.key, position.as_str()),
            LimitScope::Key => (endpoint.provider.slug.as_str(), position.as_str()),
            LimitScope::Account => (endpoint.provider.slug.as_str(), ""),
        };
        let per = reading.per.to_string();
        let labels = [of, key, reading.scope.name(), reading.unit.name(), per.as_str()];
        self.quota_used.with_label_values(&labels).set(reading.used as f64 / limit.max(1) as f64);
        self.quota_remaining.with_label_values(&labels).set(remaining as f64);
    }
}
