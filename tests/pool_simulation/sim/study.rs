//! Half an hour at eight upstreams: the small study that round robin loses.

use super::dialect::Dialect;
use super::published::MIDNIGHT_MS;
use super::window::{Cut, Rule};
use super::world::{ModelSpec, Outage, ProviderSpec, World, requests, tokens};
use freeway::catalog::Period;

const MINUTE_MS: u64 = 60_000;

/// Eight upstreams that take about 143 requests a minute together: 10 to 60 a minute, 6,000 to 250,000
/// tokens a minute, 250 to 14,400 a day, by every kind of window; half of them count refusals, two go down.
pub fn half_hour() -> World {
    use Cut::{Bucket, Clock, Sliding};
    let start_ms = MIDNIGHT_MS + (23 * 60 + 20) * MINUTE_MS;
    let mut providers = vec![
        upstream("a", Dialect::Groq, 30, 6_000, 14_400, Bucket),
        upstream("b", Dialect::Groq, 30, 12_000, 1_000, Bucket),
        upstream("c", Dialect::SambaNova, 20, 60_000, 1_000, Sliding),
        upstream("d", Dialect::Mistral, 50, 250_000, 14_400, Clock),
        upstream("e", Dialect::Gemini, 15, 250_000, 500, Sliding),
        upstream("f", Dialect::GitHub, 10, 100_000, 250, Sliding),
        upstream("g", Dialect::Nvidia, 20, 100_000, 14_400, Sliding),
        upstream("h", Dialect::Cerebras, 30, 15_000, 14_400, Clock),
    ];
    for (position, provider) in providers.iter_mut().enumerate() {
        provider.failures_count = position % 2 == 1;
    }
    let outage = |at, minutes, refuses| {
        let from_ms = start_ms + at * MINUTE_MS;
        Some(Outage { from_ms, to_ms: from_ms + minutes * MINUTE_MS, refuses })
    };
    providers[2].down = outage(8, 3, true);
    providers[6].down = outage(18, 3, false);
    World { start_ms, length_ms: 30 * MINUTE_MS, providers }
}

fn upstream(slug: &'static str, dialect: Dialect, rpm: u64, tpm: u64, rpd: u64, cut: Cut) -> ProviderSpec {
    let day: Rule = requests(Period::Day, rpd, Cut::Never);
    let rules = [requests(Period::MINUTE, rpm, cut), tokens(Period::MINUTE, tpm, cut), day];
    let model = ModelSpec::new("chat", 0.6, 450.0, 90.0, 32_768).with_images().under(&rules);
    ProviderSpec::new(slug, dialect, 1, vec![model])
}
