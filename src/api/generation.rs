//! One answer, looked up by its id.

use super::amount::{Credits, Usd};
use super::dates;
use super::fields::invalid;
use super::query::Query;
use super::{Answer, Data, Desk, Reply, not_found};
use crate::accounts::Caller;
use crate::catalog::Catalog;
use crate::store::{Ended, Generation};
use serde::Serialize;

/// Longest id that is looked up; ours have 35 bytes.
const LONGEST_ID: usize = 64;

/// OpenRouter's object, each of its fields, and ours.
#[derive(Serialize)]
struct GenerationView<'a> {
    id: &'a str,
    upstream_id: Option<()>,
    request_id: &'a str,
    model: &'a str,
    router: &'static str,
    provider_name: &'a str,
    provider_responses: Option<()>,
    created_at: String,
    streamed: bool,
    cancelled: bool,
    finish_reason: Option<&'a str>,
    native_finish_reason: Option<&'a str>,
    latency: Option<u32>,
    generation_time: Option<u32>,
    moderation_latency: Option<()>,
    tokens_prompt: u32,
    tokens_completion: u32,
    native_tokens_prompt: u32,
    native_tokens_completion: u32,
    native_tokens_reasoning: u32,
    native_tokens_cached: u32,
    native_tokens_completion_images: Option<()>,
    num_media_prompt: Option<()>,
    num_media_completion: Option<()>,
    num_input_audio_prompt: Option<()>,
    num_search_results: Option<()>,
    num_fetches: Option<()>,
    total_cost: Usd,
    usage: Usd,
    upstream_inference_cost: u8,
    cache_discount: Option<()>,
    is_byok: bool,
    app_id: Option<()>,
    /// OpenRouter's has text here, if none.
    origin: &'static str,
    http_referer: Option<()>,
    user_agent: Option<()>,
    external_user: Option<()>,
    session_id: Option<()>,
    preset_id: Option<()>,
    api_type: &'static str,
    service_tier: Option<()>,
    data_region: &'static str,
    workspace_id: Option<()>,
    web_search_engine: Option<()>,
    response_cache_source_id: Option<()>,
    charged_credits: Credits,
    absorbed_credits: Credits,
    usage_source: &'static str,
    ended: &'static str,
}

impl Desk<'_> {
    pub(super) async fn generation(self, caller: &Caller) -> Answer {
        let mut query = Query::read(self.call.query)?;
        let id = query.take("id")?.ok_or_else(|| invalid("id", "is missing"))?;
        query.end()?;
        let none = || not_found("there is no such generation");
        if id.len() > LONGEST_ID {
            return Err(none());
        }
        let account = caller.wallet.account();
        let found = self.look(move |reader| reader.generation(account, &id)).await?.ok_or_else(none)?;
        Reply::json(200, &Data { data: GenerationView::new(&found, self.call.catalog) })
    }
}

/// The name of a provider; its slug where it is not in use any more.
pub(super) fn provider_name<'a>(slug: &'a str, catalog: &'a Catalog) -> &'a str {
    let known = catalog.endpoints.iter().find(|endpoint| endpoint.provider.slug == slug);
    known.map_or(slug, |endpoint| &endpoint.provider.name)
}

impl<'a> GenerationView<'a> {
    fn new(of: &'a Generation, catalog: &'a Catalog) -> Self {
        let usage = of.usage;
        let finish_reason = match of.ended {
            Ended::Complete => of.reason.as_deref(),
            Ended::Client => None,
            Ended::Upstream => Some("error"),
        };
        Self {
            id: &of.id,
            upstream_id: None,
            request_id: &of.id,
            model: &of.model,
            router: "openrouter/auto",
            provider_name: provider_name(&of.provider, catalog),
            provider_responses: None,
            created_at: dates::rfc3339(of.created_ms),
            streamed: of.streamed,
            cancelled: of.ended == Ended::Client,
            finish_reason,
            native_finish_reason: finish_reason,
            latency: of.first_token_ms,
            generation_time: of.first_token_ms.map(|first| of.took_ms.saturating_sub(first)),
            moderation_latency: None,
            tokens_prompt: usage.prompt_tokens,
            tokens_completion: usage.completion_tokens,
            native_tokens_prompt: usage.prompt_tokens,
            native_tokens_completion: usage.completion_tokens,
            native_tokens_reasoning: usage.reasoning_tokens,
            native_tokens_cached: usage.cached_tokens,
            native_tokens_completion_images: None,
            num_media_prompt: None,
            num_media_completion: None,
            num_input_audio_prompt: None,
            num_search_results: None,
            num_fetches: None,
            total_cost: Usd(of.charged),
            usage: Usd(of.charged),
            upstream_inference_cost: 0,
            cache_discount: None,
            is_byok: false,
            app_id: None,
            origin: "",
            http_referer: None,
            user_agent: None,
            external_user: None,
            session_id: None,
            preset_id: None,
            api_type: "completions",
            service_tier: None,
            data_region: "global",
            workspace_id: None,
            web_search_engine: None,
            response_cache_source_id: None,
            charged_credits: Credits(of.charged),
            absorbed_credits: Credits(of.absorbed),
            usage_source: of.source.name(),
            ended: of.ended.name(),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::accounts::KeyId;
    use crate::money::MicroCredits;
    use crate::protocol::usage::{Usage, UsageSource};
    use serde_json::{Value, json};

    pub(in super::super) fn generation(ended: Ended, reason: &str) -> Generation {
        let usage = Usage { prompt_tokens: 14, completion_tokens: 3, ..Usage::default() };
        Generation {
            id: "gen-1-a".to_owned(),
            key: KeyId::from_random(1),
            model: "alpha/chat:free".to_owned(),
            provider: "alpha".to_owned(),
            usage,
            source: UsageSource::Reported,
            charged: MicroCredits::new(5_800),
            absorbed: MicroCredits::ZERO,
            ended,
            reason: Some(reason.to_owned()),
            streamed: true,
            created_ms: 1_000,
            first_token_ms: Some(20),
            took_ms: 50,
        }
    }

    fn shown(ended: Ended, reason: &str) -> Value {
        let text =
            serde_json::to_string(&GenerationView::new(&generation(ended, reason), &Catalog::default()));
        serde_json::from_str(&text.expect("JSON")).expect("JSON")
    }

    #[test]
    fn a_whole_answer_is_told_with_its_cost_in_dollars() {
        let view = shown(Ended::Complete, "stop");
        assert_eq!((&view["total_cost"], &view["charged_credits"]), (&json!(0.000_058), &json!(0.0058)));
        assert_eq!((&view["finish_reason"], &view["cancelled"]), (&json!("stop"), &json!(false)));
        assert_eq!((&view["latency"], &view["generation_time"]), (&json!(20), &json!(30)));
        assert_eq!(view["created_at"], "1970-01-01T00:00:01Z");
        assert_eq!(view["provider_name"], "alpha", "the slug of a provider that is gone");
    }

    #[test]
    fn who_ended_it_is_told() {
        assert_eq!(shown(Ended::Client, "client")["cancelled"], true);
        assert_eq!(shown(Ended::Upstream, "disconnected")["finish_reason"], "error");
    }
}
