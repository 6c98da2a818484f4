//! The free tiers as their providers publish them, and a day of them.

use super::dialect::Dialect;
use super::window::{Cut, Rule};
use super::world::{ModelSpec, Outage, ProviderSpec, World, over, requests, tokens};
use freeway::catalog::LimitScope::{Account, Key};
use freeway::catalog::Period;

/// 2026-08-22 00:00 UTC.
pub const MIDNIGHT_MS: u64 = 1_787_356_800_000;
const HOUR_MS: u64 = 3_600_000;
const MINUTE: Period = Period::MINUTE;
const DAY: Cut = Cut::Midnight { utc_h: 0 };
/// Midnight in Los Angeles, in summer.
const PACIFIC: Cut = Cut::Midnight { utc_h: 7 };

/// A day of everything free there is, with the keys of a few people.
pub fn day() -> World {
    let providers = vec![
        openrouter(),
        groq(),
        cerebras(),
        gemini(),
        mistral(),
        nvidia(),
        github(),
        cloudflare(),
        cohere(),
        sambanova(),
    ];
    World { start_ms: MIDNIGHT_MS, length_ms: 24 * HOUR_MS, providers }
}

/// One account, whatever the model: 20 a minute, 1,000 a day. Refusals do not count.
fn openrouter() -> ProviderSpec {
    let model = |id, quality, speed| ModelSpec::new(id, quality, 900.0, speed, 65_536);
    let models = vec![
        model("moonshotai/kimi-k2:free", 0.83, 40.0),
        model("deepseek/deepseek-chat-v3.1:free", 0.80, 50.0),
        model("qwen/qwen3-235b-a22b:free", 0.78, 50.0),
        model("openai/gpt-oss-120b:free", 0.72, 60.0),
        model("meta-llama/llama-3.3-70b-instruct:free", 0.60, 60.0),
        model("google/gemma-3-27b-it:free", 0.56, 60.0).without_tools().with_images(),
    ];
    let rules = [requests(MINUTE, 20, Cut::Sliding), requests(Period::Day, 1_000, DAY)];
    ProviderSpec {
        rules: rules.map(|rule| over(Account, rule)).to_vec(),
        ..ProviderSpec::new("openrouter", Dialect::OpenRouter, 1, models)
    }
}

/// By model: tokens come back evenly.
fn groq() -> ProviderSpec {
    let rules = |rpd, tpm| {
        [requests(MINUTE, 30, Cut::Bucket), requests(Period::Day, rpd, DAY), tokens(MINUTE, tpm, Cut::Bucket)]
    };
    let models = vec![
        ModelSpec::new("llama-3.1-8b-instant", 0.42, 200.0, 700.0, 6_000).under(&rules(14_400, 6_000)),
        ModelSpec::new("llama-3.3-70b-versatile", 0.60, 250.0, 300.0, 12_000).under(&rules(1_000, 12_000)),
        ModelSpec::new("openai/gpt-oss-20b", 0.58, 250.0, 900.0, 8_000).under(&rules(1_000, 8_000)),
        ModelSpec::new("openai/gpt-oss-120b", 0.72, 300.0, 500.0, 8_000).under(&rules(1_000, 8_000)),
        ModelSpec::new("qwen/qwen3-32b", 0.64, 300.0, 400.0, 8_000).under(&rules(1_000, 8_000)),
    ];
    ProviderSpec { failures_count: true, ..ProviderSpec::new("groq", Dialect::Groq, 3, models) }
}

/// By model; a million tokens a day.
fn cerebras() -> ProviderSpec {
    let rules: [Rule; 4] = [
        requests(MINUTE, 30, Cut::Sliding),
        requests(Period::HOUR, 900, Cut::Sliding),
        tokens(MINUTE, 60_000, Cut::Sliding),
        tokens(Period::Day, 1_000_000, DAY),
    ];
    let model = |id, quality, speed| ModelSpec::new(id, quality, 300.0, speed, 60_000).under(&rules);
    let models = vec![
        model("gpt-oss-120b", 0.72, 1_500.0),
        model("qwen-3-235b-a22b-instruct", 0.78, 1_200.0),
        model("llama3.1-8b", 0.42, 2_000.0),
    ];
    ProviderSpec::new("cerebras", Dialect::Cerebras, 3, models)
}

/// By model and project; its days begin in Los Angeles.
fn gemini() -> ProviderSpec {
    let rules = |rpm, rpd, tpm| {
        [
            requests(MINUTE, rpm, Cut::Sliding),
            requests(Period::Day, rpd, PACIFIC),
            tokens(MINUTE, tpm, Cut::Sliding),
        ]
    };
    let flash = |id, quality, rpm, rpd| {
        let model = ModelSpec::new(id, quality, 600.0, 150.0, 250_000).with_images();
        model.under(&rules(rpm, rpd, 250_000))
    };
    let models = vec![
        flash("gemini-3-flash", 0.84, 5, 20),
        flash("gemini-2.5-flash", 0.76, 5, 20),
        flash("gemini-3.1-flash-lite", 0.72, 15, 500),
        flash("gemini-2.5-flash-lite", 0.62, 10, 20),
        ModelSpec::new("gemma-3-27b-it", 0.56, 500.0, 60.0, 15_000)
            .without_tools()
            .with_images()
            .under(&rules(30, 14_400, 15_000)),
    ];
    ProviderSpec {
        midnight: (7, "America/Los_Angeles"),
        ..ProviderSpec::new("gemini", Dialect::Gemini, 2, models)
    }
}

/// By model and minute of the clock, which its refusals do not say.
fn mistral() -> ProviderSpec {
    let rules = |rpm| [requests(MINUTE, rpm, Cut::Clock), tokens(MINUTE, 500_000, Cut::Clock)];
    let models = vec![
        ModelSpec::new("mistral-medium-latest", 0.74, 500.0, 60.0, 128_000).with_images().under(&rules(4)),
        ModelSpec::new("mistral-small-latest", 0.60, 400.0, 120.0, 128_000).with_images().under(&rules(15)),
        ModelSpec::new("open-mistral-nemo", 0.40, 400.0, 120.0, 128_000).under(&rules(8)),
    ];
    let noon = MIDNIGHT_MS + 13 * HOUR_MS;
    ProviderSpec {
        failures_count: true,
        down: Some(Outage { from_ms: noon, to_ms: noon + HOUR_MS / 2, refuses: true }),
        ..ProviderSpec::new("mistral", Dialect::Mistral, 1, models)
    }
}

/// 40 a minute with the key, whatever the model; no day.
fn nvidia() -> ProviderSpec {
    let model = |id, quality, speed| ModelSpec::new(id, quality, 1_200.0, speed, 131_072);
    let models = vec![
        model("moonshotai/kimi-k2-instruct", 0.83, 35.0),
        model("deepseek-ai/deepseek-v3.1", 0.80, 40.0),
        model("meta/llama-3.3-70b-instruct", 0.60, 50.0),
    ];
    let evening = MIDNIGHT_MS + 18 * HOUR_MS;
    ProviderSpec {
        rules: vec![over(Key, requests(MINUTE, 40, Cut::Sliding))],
        failures_count: true,
        down: Some(Outage { from_ms: evening, to_ms: evening + HOUR_MS / 6, refuses: false }),
        ..ProviderSpec::new("nvidia", Dialect::Nvidia, 1, models)
    }
}

/// Few a day, and five at once.
fn github() -> ProviderSpec {
    let rules = |rpm, rpd| [requests(MINUTE, rpm, Cut::Sliding), requests(Period::Day, rpd, DAY)];
    let model = |id, quality| ModelSpec::new(id, quality, 700.0, 80.0, 8_000);
    let models = vec![
        model("openai/gpt-4.1", 0.76).with_images().under(&rules(10, 50)),
        model("deepseek/deepseek-v3", 0.80).under(&rules(10, 50)),
        model("openai/gpt-4.1-mini", 0.68).with_images().under(&rules(15, 150)),
    ];
    ProviderSpec { concurrency: Some(5), ..ProviderSpec::new("github", Dialect::GitHub, 3, models) }
}

/// 10,000 neurons a day: about 120,000 tokens of these models together.
fn cloudflare() -> ProviderSpec {
    let model = |id, quality| ModelSpec::new(id, quality, 500.0, 40.0, 24_000).without_tools();
    let models = vec![model("@cf/meta/llama-3.3-70b", 0.60), model("@cf/meta/llama-3.1-8b", 0.42)];
    ProviderSpec {
        rules: vec![
            over(Account, requests(MINUTE, 300, Cut::Sliding)),
            over(Account, tokens(Period::Day, 120_000, DAY)),
        ],
        ..ProviderSpec::new("cloudflare", Dialect::Cloudflare, 1, models)
    }
}

/// A thousand a month for the trial key; it is the 22nd.
fn cohere() -> ProviderSpec {
    let models = vec![ModelSpec::new("command-a-03-2025", 0.64, 600.0, 50.0, 128_000)];
    ProviderSpec {
        rules: vec![
            over(Key, requests(MINUTE, 20, Cut::Sliding)),
            over(Key, requests(Period::Month, 300, Cut::Never)),
        ],
        ..ProviderSpec::new("cohere", Dialect::Cohere, 1, models)
    }
}

/// 20 a day and model.
fn sambanova() -> ProviderSpec {
    let rules = [requests(MINUTE, 20, Cut::Clock), requests(Period::Day, 20, DAY)];
    let model = |id, quality| ModelSpec::new(id, quality, 400.0, 200.0, 16_384).under(&rules);
    let models = vec![
        model("DeepSeek-V3.1", 0.80),
        model("gpt-oss-120b", 0.72),
        model("Meta-Llama-3.3-70B-Instruct", 0.60),
    ];
    ProviderSpec::new("sambanova", Dialect::SambaNova, 2, models)
}
