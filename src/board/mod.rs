//! The truth board: what people see of the pool. Every endpoint with its state and the reason, what is left of
//! which limit until when, and how it did lately. The plan is made from the same numbers.
//!
//! Keys appear as their positions only. What nobody knows is `null`, not a guess.

mod openrouter;

pub use openrouter::endpoints as openrouter_endpoints;

use crate::catalog::{Capability, Catalog, Endpoint};
use crate::routing::{Availability, is_kept};
use crate::snapshot::Snapshot;
use crate::upstream::{RECENT_S, Reading, Status};
use serde_json::{Value, json};

/// What an endpoint is doing, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It may be called.
    Open,
    /// It may be called for hard requests: its day is spent faster than evenly.
    Kept,
    /// It is left alone for a while.
    Cooling,
    /// It is out of service until something outside changes: a key, the provider's list.
    Out,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Open, Self::Kept, Self::Cooling, Self::Out];

    /// Its name in views and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Kept => "kept",
            Self::Cooling => "cooling",
            Self::Out => "out",
        }
    }

    /// That of an endpoint.
    pub fn of(endpoint: &Endpoint, status: &Status, snapshot: &Snapshot) -> Self {
        match status.condition.availability {
            Availability::Open if is_kept(endpoint, &status.condition, &snapshot.catalog) => Self::Kept,
            Availability::Open => Self::Open,
            Availability::Cooling { .. } => Self::Cooling,
            Availability::Disabled(_) => Self::Out,
        }
    }
}

/// The endpoints that serve a model, as its callers see them.
pub fn of_model(snapshot: &Snapshot, id: &str, now_ms: u64) -> Vec<Value> {
    statuses(snapshot, now_ms, |endpoint| endpoint.model.id == id)
        .map(|(endpoint, status)| row(endpoint, &status, snapshot, now_ms))
        .collect()
}

/// How many endpoints there are in each state.
pub fn counts(snapshot: &Snapshot, now_ms: u64) -> Value {
    let mut counts = State::ALL.map(|_| 0_u32);
    for (endpoint, status) in statuses(snapshot, now_ms, |_| true) {
        counts[State::of(endpoint, &status, snapshot) as usize] += 1;
    }
    State::ALL.iter().map(|state| (state.name().to_owned(), Value::from(counts[*state as usize]))).collect()
}

/// Every endpoint with its keys, as the operator sees them; and what providers list and is not served.
pub fn all(snapshot: &Snapshot, now_ms: u64) -> Value {
    let rows = statuses(snapshot, now_ms, |_| true).map(|(endpoint, status)| {
        let mut row = row(endpoint, &status, snapshot, now_ms);
        row["keys"] = keys(&status, now_ms);
        row
    });
    let Catalog { left_out, lists, .. } = &snapshot.catalog;
    json!({
        "endpoints": rows.collect::<Vec<_>>(), "counts": counts(snapshot, now_ms),
        "left_out": left_out, "lists": lists,
    })
}

/// What is known of the endpoints that are looked for.
pub fn statuses<'a>(
    snapshot: &'a Snapshot,
    now_ms: u64,
    wanted: impl Fn(&Endpoint) -> bool + 'a,
) -> impl Iterator<Item = (&'a Endpoint, Status)> {
    let all = snapshot.catalog.endpoints.iter().zip(&snapshot.states);
    all.filter(move |(endpoint, _)| wanted(endpoint))
        .map(move |(endpoint, state)| (endpoint.as_ref(), state.status(now_ms)))
}

fn row(endpoint: &Endpoint, status: &Status, snapshot: &Snapshot, now_ms: u64) -> Value {
    let state = State::of(endpoint, status, snapshot);
    let (reason, until) = match (state, status.condition.availability) {
        (State::Kept, _) => (Some("ahead_of_its_day"), None),
        (_, availability) => reason(availability, now_ms),
    };
    json!({
        "endpoint": &*endpoint.key, "model": endpoint.model.id, "provider": endpoint.provider.slug,
        "state": state.name(), "reason": reason, "until": until,
        "limits": limits(status, now_ms), "recent": recent(status),
        "missing": status.condition.denied.iter().map(Capability::name).collect::<Vec<_>>(),
    })
}

/// Why it is not called, and until when, Unix seconds; no time where it takes more than time.
fn reason(availability: Availability, now_ms: u64) -> (Option<&'static str>, Option<u64>) {
    match availability {
        Availability::Open => (None, None),
        // What never has room waits for ever.
        Availability::Cooling { for_ms, cause } => {
            (Some(cause.name()), now_ms.checked_add(for_ms).map(seconds))
        }
        Availability::Disabled(cause) => (Some(cause.name()), None),
    }
}

fn limits(status: &Status, now_ms: u64) -> Vec<Value> {
    let row = |(key, reading): &(usize, Reading)| {
        json!({
            "scope": reading.scope.name(), "key": key, "unit": reading.unit.name(), "period": reading.per,
            "used": reading.used, "limit": reading.limit, "remaining": reading.remaining(),
            "learned": reading.learned,
            "resets": (reading.resets_ms > now_ms).then(|| seconds(reading.resets_ms)),
        })
    };
    status.readings.iter().map(row).collect()
}

fn recent(status: &Status) -> Value {
    let condition = &status.condition;
    let measured = |value: f32| (value > 0.0).then_some(value);
    json!({
        "seconds": RECENT_S, "attempts": status.attempts, "failures": status.failures,
        "success": condition.success, "first_token_ms": measured(condition.ttft_ms),
        "tokens_per_s": measured(condition.tokens_per_s), "in_flight": condition.in_flight,
    })
}

fn keys(status: &Status, now_ms: u64) -> Value {
    let rows = status.keys.iter().enumerate().map(|(position, key)| {
        let state = match key.availability {
            Availability::Open => "open",
            Availability::Cooling { .. } => "cooling",
            Availability::Disabled(_) => "disabled",
        };
        let (reason, until) = reason(key.availability, now_ms);
        json!({ "key": position, "state": state, "reason": reason, "until": until, "in_flight": key.in_flight })
    });
    rows.collect()
}

/// Rounded up: whoever comes back then is not too early.
fn seconds(ms: u64) -> u64 {
    ms.div_ceil(1000)
}

#[cfg(test)]
mod tests;
