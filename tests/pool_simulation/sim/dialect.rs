//! Each provider's way to say no, as recorded in `tests/fixtures`.

use super::window::Rule;
use freeway::catalog::{Period, Unit};
use serde_json::{Value, json};

/// A provider's answer that is none.
pub struct Refusal {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

/// Whose words.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Dialect {
    OpenRouter,
    Groq,
    Cerebras,
    Gemini,
    Mistral,
    Nvidia,
    GitHub,
    Cloudflare,
    Cohere,
    SambaNova,
}

impl Refusal {
    fn new(status: u16, headers: Vec<(&'static str, String)>, body: &Value) -> Self {
        Self { status, headers, body: body.to_string() }
    }

    /// A failure of the server.
    pub fn server_error() -> Self {
        Self::new(500, Vec::new(), &json!({"error": {"message": "Internal server error", "code": 500}}))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }
}

impl Dialect {
    /// A limit is reached, for so long.
    pub fn refusal(self, rule: &Rule, used: f64, wait_ms: u64, now_ms: u64) -> Refusal {
        let day = rule.per.seconds() >= Period::Day.seconds();
        let tokens = rule.unit == Unit::Tokens;
        let (limit, seconds) = (rule.amount, wait_ms.div_ceil(1_000));
        match self {
            Self::OpenRouter => openrouter(limit, day, now_ms + wait_ms),
            Self::Groq => groq(rule, used, wait_ms),
            Self::Cerebras => {
                let unit = if tokens { "Tokens" } else { "Requests" };
                let per = if day { "day" } else { "minute" };
                let message =
                    format!("{unit} per {per} limit exceeded - too many {} sent.", unit.to_lowercase());
                let code = if tokens { "token_quota_exceeded" } else { "request_quota_exceeded" };
                let body = json!({"message": message, "type": "too_many_requests_error", "param": "quota", "code": code});
                Refusal::new(429, vec![("retry-after", seconds.to_string())], &body)
            }
            Self::Gemini => gemini(limit, day, tokens, wait_ms),
            Self::Mistral => {
                let body = json!({"object": "error", "message": "Rate limit exceeded", "type": "rate_limited", "param": null, "code": "1300", "raw_status_code": 429});
                Refusal::new(429, Vec::new(), &body)
            }
            Self::Nvidia => {
                Refusal::new(429, Vec::new(), &json!({"status": 429, "title": "Too Many Requests"}))
            }
            Self::GitHub => {
                github(if day { "UserByModelByDay" } else { "UserByModelByMinute" }, rule, seconds)
            }
            Self::Cloudflare => {
                let message = "you have used up your daily free allocation of 10,000 neurons, please upgrade to Cloudflare's Workers Paid plan";
                let body = json!({"success": false, "errors": [{"code": 4006, "message": message}], "result": null, "messages": []});
                Refusal::new(429, Vec::new(), &body)
            }
            Self::Cohere => {
                let per = if day { "1000 API calls / month" } else { "20 API calls / minute" };
                let body =
                    json!({"message": format!("You are using a Trial key, which is limited to {per}.")});
                Refusal::new(429, Vec::new(), &body)
            }
            Self::SambaNova => {
                let reset = (now_ms + wait_ms).div_ceil(1_000).to_string();
                let headers = vec![("x-ratelimit-remaining", "0".to_owned()), ("x-ratelimit-reset", reset)];
                let body = json!({"error": {"message": "Rate limit exceeded. Please check the rate limits for your tier.", "type": "rate_limit_error", "param": null, "code": "rate_limit_exceeded"}});
                Refusal::new(429, headers, &body)
            }
        }
    }

    /// Too many requests at once.
    pub fn too_many_at_once(most: u32) -> Refusal {
        let message = format!(
            "Rate limit of {most} per 0s exceeded for UserConcurrentRequests. Please wait 0 seconds before retrying."
        );
        let headers =
            vec![("x-ratelimit-type", "UserConcurrentRequests".to_owned()), ("retry-after", "0".to_owned())];
        let body = json!({"error": {"code": "RateLimitReached", "message": message, "details": message}});
        Refusal::new(429, headers, &body)
    }
}

fn openrouter(limit: u64, day: bool, reset_ms: u64) -> Refusal {
    let per = if day { "day" } else { "min" };
    let headers = vec![
        ("x-ratelimit-limit", limit.to_string()),
        ("x-ratelimit-remaining", "0".to_owned()),
        ("x-ratelimit-reset", reset_ms.to_string()),
    ];
    let copied = json!({"X-RateLimit-Limit": limit.to_string(), "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset_ms.to_string()});
    let message = format!("Rate limit exceeded: free-models-per-{per}.");
    let body = json!({"error": {"message": message, "code": 429, "metadata": {"headers": copied}}});
    Refusal::new(429, headers, &body)
}

fn groq(rule: &Rule, used: f64, wait_ms: u64) -> Refusal {
    let (unit, kind) = match rule.unit {
        Unit::Tokens => ("tokens", "tokens"),
        Unit::Requests => ("requests", "requests"),
    };
    let (per, short) = if rule.per == Period::Day { ("day", "D") } else { ("minute", "M") };
    let letter = if rule.unit == Unit::Tokens { "T" } else { "R" };
    let wait = wait_ms as f64 / 1_000.0;
    let message = format!(
        "Rate limit reached for model in organization `org_01` on {unit} per {per} ({letter}P{short}): Limit {}, Used {used:.0}. Please try again in {wait:.3}s.",
        rule.amount
    );
    let body = json!({"error": {"message": message, "type": kind, "code": "rate_limit_exceeded"}});
    Refusal::new(429, vec![("retry-after", wait.ceil().to_string())], &body)
}

fn gemini(limit: u64, day: bool, tokens: bool, wait_ms: u64) -> Refusal {
    let per = if day { "Day" } else { "Minute" };
    let (what, metric) = match tokens {
        true => ("GenerateContentInputTokens", "generate_content_free_tier_input_token_count"),
        false => ("GenerateRequests", "generate_content_free_tier_requests"),
    };
    let violation = json!({
        "quotaMetric": format!("generativelanguage.googleapis.com/{metric}"),
        "quotaId": format!("{what}Per{per}PerProjectPerModel-FreeTier"),
        "quotaValue": limit.to_string(),
    });
    let details = json!([
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": format!("{}s", wait_ms as f64 / 1_000.0)},
    ]);
    let message = "You exceeded your current quota, please check your plan and billing details.";
    let error = json!({"code": 429, "message": message, "status": "RESOURCE_EXHAUSTED", "details": details});
    Refusal::new(429, Vec::new(), &json!([{"error": error}]))
}

fn github(kind: &str, rule: &Rule, seconds: u64) -> Refusal {
    let (limit, per) = (rule.amount, rule.per.seconds());
    let message = format!(
        "Rate limit of {limit} per {per}s exceeded for {kind}. Please wait {seconds} seconds before retrying."
    );
    let headers = vec![
        ("x-ratelimit-type", kind.to_owned()),
        ("x-ratelimit-timeremaining", seconds.to_string()),
        ("retry-after", seconds.to_string()),
    ];
    let body = json!({"error": {"code": "RateLimitReached", "message": message, "details": message}});
    Refusal::new(429, headers, &body)
}
