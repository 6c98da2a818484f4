//! Whether a listed model may be called without cost, and is a chat model at all.
//!
//! The `:free` suffix proves nothing: stealth models lack it, ended promotions keep it. Prices do.

use super::Date;
use serde_json::Value;

/// Why a listed model is not in the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// A price is above zero, negative (the mark of price-on-request routers), unreadable or missing.
    NotFree,
    /// It answers with more than text, or with none.
    Output,
    /// It is a router: calling it could call a paid model.
    Router,
    /// It judges texts instead of answering them.
    Classifier,
    /// It embeds, speaks, draws or transcribes.
    NotChat,
    /// Its last day has passed.
    Expired,
    /// The operator's profile leaves it out.
    Excluded,
    /// The provider says it is not active.
    Inactive,
    /// Another row of the list is the same model.
    Alias,
}

impl Unfit {
    /// The reason in words.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NotFree => "not free",
            Self::Output => "output is not just text",
            Self::Router => "a router",
            Self::Classifier => "a classifier",
            Self::NotChat => "not a chat model",
            Self::Expired => "expired",
            Self::Excluded => "excluded by the provider's profile",
            Self::Inactive => "not active",
            Self::Alias => "another name of a listed model",
        }
    }
}

/// Whether every price is exactly zero, the prompt's and the completion's being there.
///
/// Prices are decimal strings or numbers; `overrides` (prices of long prompts or times of day) count too.
pub(super) fn costs_nothing(pricing: &Value) -> bool {
    let Some(prices) = pricing.as_object() else { return false };
    let either = |a: &str, b: &str| prices.contains_key(a) || prices.contains_key(b);
    either("prompt", "input") && either("completion", "output") && all_zero(pricing)
}

fn all_zero(prices: &Value) -> bool {
    let Some(prices) = prices.as_object() else { return false };
    prices.iter().all(|(name, price)| match (name.as_str(), price) {
        // Conditions and rebates, not prices.
        ("min_prompt_tokens" | "utc_start" | "utc_end" | "discount" | "currency", _) => true,
        ("overrides", Value::Array(rows)) => rows.iter().all(all_zero),
        ("prompt" | "completion" | "input" | "output", Value::Null) => false,
        (_, Value::Null) => true,
        (_, Value::String(text)) => is_zero(text),
        (_, Value::Number(number)) => is_zero(&number.to_string()),
        _ => false,
    })
}

/// Whether a decimal is exactly zero, read digit by digit: `0`, `0.0`, `0.000000`, `0e0`.
fn is_zero(decimal: &str) -> bool {
    let (mantissa, exponent) = decimal.split_once(['e', 'E']).unwrap_or((decimal, "0"));
    let digits = exponent.trim_start_matches(['+', '-']);
    let readable = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    readable
        && mantissa.contains('0')
        && mantissa.bytes().all(|b| b == b'0' || b == b'.')
        && mantissa.matches('.').count() <= 1
}

/// Routers under `openrouter/`; stealth models live there as well, so the namespace is no test.
const ROUTERS: [&str; 6] = ["auto", "free", "bodybuilder", "pareto", "fusion", "switchyard"];

/// Parts of the names of models that judge texts.
const CLASSIFIERS: [&str; 6] =
    ["content-safety", "guard", "moderation", "topic-control", "safeguard", "shieldgemma"];

/// Parts of the names of models that do not chat, for lists that do not say what a model puts out.
const NOT_CHAT: [&str; 36] = [
    "embed",
    "whisper",
    "-tts",
    "tts-",
    "rerank",
    "imagen",
    "veo-",
    "lyria",
    "orpheus",
    "-ocr",
    "transcribe",
    "dall-e",
    "flux",
    "stable-diffusion",
    "parakeet",
    "native-audio",
    "-live-",
    "-image",
    "/bge-",
    "bge-m3",
    "reward",
    "nv-clip",
    "aqa",
    "playai",
    "voxtral",
    "deplot",
    "neva",
    "riva-",
    "cosmos-",
    "sdxl",
    "melotts",
    "-asr",
    "robotics",
    "computer-use",
    "deep-research",
    "retriever",
];

/// What its id gives away: a router, a classifier, or (when `outputs_unknown`) no chat model.
pub(super) fn unfit_by_name(id: &str, outputs_unknown: bool) -> Option<Unfit> {
    let id = id.to_ascii_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| id.contains(part));
    if let Some(name) = id.strip_prefix("openrouter/")
        && (name.ends_with("router") || ROUTERS.iter().any(|router| name.starts_with(router)))
    {
        return Some(Unfit::Router);
    }
    if has(&CLASSIFIERS) {
        return Some(Unfit::Classifier);
    }
    (outputs_unknown && has(&NOT_CHAT)).then_some(Unfit::NotChat)
}

/// Whether its last day (`YYYY-MM-DD`, a time may follow) lies before `today`. An unreadable date has not passed.
pub(super) fn has_expired(last_day: &str, today: Date) -> bool {
    last_day.get(..10).and_then(|day| day.parse::<Date>().ok()).is_some_and(|day| day < today)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(pricing: Value, free: bool) {
        assert_eq!(costs_nothing(&pricing), free, "{pricing}");
    }

    #[test]
    fn every_spelling_of_zero_is_free() {
        for zero in ["0", "0.0", "0.000", "0.000000", "0e0", "0E-7", ".0", "0."] {
            check(json!({"prompt": zero, "completion": zero}), true);
        }
        check(json!({"prompt": 0, "completion": 0.0}), true);
        check(json!({"input": 0, "output": 0, "hourly": 0}), true);
    }

    #[test]
    fn anything_else_is_not_free() {
        for price in ["0.0000001", "-1", "-0", "", ".", "0x0", "free", "0.0.0", "NaN", "1e-400", "0e", " 0"] {
            check(json!({"prompt": "0", "completion": price}), false);
        }
        check(json!({"prompt": 1e-9, "completion": 0}), false);
        check(json!({"prompt": "0", "completion": ["0"]}), false);
    }

    #[test]
    fn prompt_and_completion_prices_must_be_there() {
        check(json!({"prompt": "0"}), false);
        check(json!({"prompt": "0", "completion": null}), false);
        check(json!({}), false);
        check(json!(null), false);
    }

    #[test]
    fn every_other_price_counts_too() {
        check(json!({"prompt": "0", "completion": "0", "request": "0.01"}), false);
        check(json!({"prompt": "0", "completion": "0", "image": "0.0001"}), false);
        check(json!({"prompt": "0", "completion": "0", "image": null, "discount": 0.5}), true);
    }

    #[test]
    fn overrides_for_long_prompts_count_too() {
        let with = |price| {
            json!({"prompt": "0", "completion": "0",
                   "overrides": [{"min_prompt_tokens": 200_000, "utc_start": 1630, "prompt": price}]})
        };
        check(with("0"), true);
        check(with("0.000001"), false);
    }

    #[test]
    fn routers_are_told_from_stealth_models() {
        let check = |id, expect| assert_eq!(unfit_by_name(id, false), expect, "{id}");
        for id in ["openrouter/auto", "openrouter/free", "openrouter/auto-beta", "openrouter/pareto-code"] {
            check(id, Some(Unfit::Router));
        }
        check("openrouter/owl-alpha", None);
        check("openrouter/owl-alpha:free", None);
        check("nvidia/nemotron-3.5-content-safety:free", Some(Unfit::Classifier));
        check("meta-llama/llama-guard-4-12b", Some(Unfit::Classifier));
        check("whisper-large-v3", None);
    }

    #[test]
    fn names_give_away_what_a_bare_list_does_not_say() {
        let check = |id, expect| assert_eq!(unfit_by_name(id, true), expect, "{id}");
        for id in ["whisper-large-v3", "text-embedding-004", "imagen-4.0", "gemini-2.5-flash-preview-tts"] {
            check(id, Some(Unfit::NotChat));
        }
        for id in ["llama-3.3-70b-versatile", "gemini-2.5-flash", "openai/gpt-oss-20b", "qwen3-32b"] {
            check(id, None);
        }
    }

    #[test]
    fn the_last_day_still_counts() {
        let today = jiff::civil::date(2026, 8, 22);
        let check = |day, expect| assert_eq!(has_expired(day, today), expect, "{day}");
        check("2026-08-21", true);
        check("2026-08-22", false);
        check("2026-08-23T13:00:00Z", false);
        check("soon", false);
        check("2026-99-99", false);
    }
}
