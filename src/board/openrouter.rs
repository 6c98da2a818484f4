//! The same in OpenRouter's words: `GET /api/v1/models/{author}/{slug}/endpoints`.

use super::{State, row, statuses};
use crate::catalog::{Capability, Endpoint};
use crate::snapshot::Snapshot;
use crate::upstream::Status;
use serde_json::{Value, json};

/// The endpoints that serve a model. Percentiles are not kept, so they are `null`; the means are in `freeway`.
pub fn endpoints(snapshot: &Snapshot, id: &str, now_ms: u64) -> Vec<Value> {
    let found = statuses(snapshot, now_ms, |endpoint| endpoint.model.id == id);
    found.map(|(endpoint, status)| endpoint_row(endpoint, &status, snapshot, now_ms)).collect()
}

fn endpoint_row(endpoint: &Endpoint, status: &Status, snapshot: &Snapshot, now_ms: u64) -> Value {
    let Endpoint { model, provider, .. } = endpoint;
    let is_parameter = |c: &Capability| Capability::from_parameter(c.name()) == Some(*c);
    let able = model.capabilities.difference(status.condition.denied);
    let up = status.attempts - status.failures.min(status.attempts);
    let uptime = (status.attempts > 0).then(|| 100.0 * up as f64 / status.attempts as f64);
    json!({
        "name": format!("{} | {}", provider.name, model.id), "model_name": model.name,
        "context_length": model.context_tokens, "pricing": { "prompt": "0", "completion": "0" },
        "provider_name": provider.name, "tag": provider.slug, "quantization": null,
        "max_completion_tokens": model.max_output_tokens, "max_prompt_tokens": null,
        "supported_parameters": able.iter().filter(is_parameter).map(Capability::name).collect::<Vec<_>>(),
        "status": number(State::of(endpoint, status, snapshot)),
        "uptime_last_5m": uptime, "uptime_last_30m": null, "uptime_last_1d": null,
        "latency_last_30m": null, "throughput_last_30m": null,
        "freeway": row(endpoint, status, snapshot, now_ms),
    })
}

/// OpenRouter's numbers: 0 is well, and the lower the worse.
const fn number(state: State) -> i32 {
    match state {
        State::Open | State::Kept => 0,
        State::Cooling => -1,
        State::Out => -10,
    }
}
