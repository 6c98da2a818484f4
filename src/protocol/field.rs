//! The top-level fields of a chat request that we know, and where each of them is understood.

use crate::catalog::Capability;

/// Who defined a field, hence which providers can be expected to take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// OpenAI's chat completions request.
    OpenAi,
    /// Not OpenAI's, but common among servers that imitate it.
    Extension,
    /// OpenRouter's routing fields: meant for a router, noise or an error for a provider.
    Router,
    /// Unknown to us.
    Unknown,
}

macro_rules! fields {
    ($($variant:ident = $name:literal, $origin:ident, $capability:expr;)*) => {
        /// A known top-level field of a chat request, or [`Field::Other`].
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Field {
            $(#[doc = $name] $variant,)*
            /// Any other: kept byte for byte where the provider tolerates it.
            #[default]
            Other,
        }

        impl Field {
            /// The field of this name.
            pub fn of(name: &str) -> Self {
                match name { $($name => Field::$variant,)* _ => Field::Other }
            }

            /// Its name; empty for [`Field::Other`].
            pub const fn name(self) -> &'static str {
                match self { $(Field::$variant => $name,)* Field::Other => "" }
            }

            /// Who defined it.
            pub const fn origin(self) -> Origin {
                match self { $(Field::$variant => Origin::$origin,)* Field::Other => Origin::Unknown }
            }

            /// What a model must be able to do for the field to have an effect. The output limit has
            /// none: it is sent even to models whose catalog row forgets to list it.
            pub const fn capability(self) -> Option<Capability> {
                match self { $(Field::$variant => $capability,)* Field::Other => None }
            }
        }
    };
}

fields! {
    Model = "model", OpenAi, None;
    Messages = "messages", OpenAi, None;
    Stream = "stream", OpenAi, None;
    StreamOptions = "stream_options", OpenAi, None;
    N = "n", OpenAi, Some(Capability::MultipleChoices);
    MaxTokens = "max_tokens", OpenAi, None;
    MaxCompletionTokens = "max_completion_tokens", OpenAi, None;
    Temperature = "temperature", OpenAi, Some(Capability::Temperature);
    TopP = "top_p", OpenAi, Some(Capability::TopP);
    FrequencyPenalty = "frequency_penalty", OpenAi, Some(Capability::FrequencyPenalty);
    PresencePenalty = "presence_penalty", OpenAi, Some(Capability::PresencePenalty);
    LogitBias = "logit_bias", OpenAi, Some(Capability::LogitBias);
    Logprobs = "logprobs", OpenAi, Some(Capability::Logprobs);
    TopLogprobs = "top_logprobs", OpenAi, Some(Capability::TopLogprobs);
    Seed = "seed", OpenAi, Some(Capability::Seed);
    Stop = "stop", OpenAi, None;
    Tools = "tools", OpenAi, Some(Capability::Tools);
    ToolChoice = "tool_choice", OpenAi, Some(Capability::ToolChoice);
    ParallelToolCalls = "parallel_tool_calls", OpenAi, Some(Capability::ParallelToolCalls);
    Functions = "functions", OpenAi, Some(Capability::Tools);
    FunctionCall = "function_call", OpenAi, Some(Capability::ToolChoice);
    ResponseFormat = "response_format", OpenAi, Some(Capability::ResponseFormat);
    ReasoningEffort = "reasoning_effort", OpenAi, Some(Capability::ReasoningEffort);
    Modalities = "modalities", OpenAi, None;
    Audio = "audio", OpenAi, Some(Capability::AudioOutput);
    Prediction = "prediction", OpenAi, Some(Capability::Prediction);
    Verbosity = "verbosity", OpenAi, Some(Capability::Verbosity);
    WebSearchOptions = "web_search_options", OpenAi, Some(Capability::WebSearchOptions);
    ServiceTier = "service_tier", OpenAi, None;
    Store = "store", OpenAi, None;
    Metadata = "metadata", OpenAi, None;
    User = "user", OpenAi, None;
    SafetyIdentifier = "safety_identifier", OpenAi, None;
    PromptCacheKey = "prompt_cache_key", OpenAi, None;
    PromptCacheRetention = "prompt_cache_retention", OpenAi, None;
    TopK = "top_k", Extension, Some(Capability::TopK);
    MinP = "min_p", Extension, Some(Capability::MinP);
    TopA = "top_a", Extension, Some(Capability::TopA);
    RepetitionPenalty = "repetition_penalty", Extension, Some(Capability::RepetitionPenalty);
    StructuredOutputs = "structured_outputs", Extension, Some(Capability::StructuredOutputs);
    IncludeReasoning = "include_reasoning", Extension, Some(Capability::IncludeReasoning);
    Reasoning = "reasoning", Router, Some(Capability::Reasoning);
    Provider = "provider", Router, None;
    Models = "models", Router, None;
    Route = "route", Router, None;
    Plugins = "plugins", Router, None;
    Transforms = "transforms", Router, None;
    SessionId = "session_id", Router, None;
    Trace = "trace", Router, None;
    Debug = "debug", Router, None;
    Usage = "usage", Router, None;
}

const _: () = assert!((Field::Other as u8) < 64, "a set of fields is one word");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_by_its_exact_name_only() {
        assert_eq!(Field::of("top_p"), Field::TopP);
        assert_eq!(Field::of("Top_P"), Field::Other);
        assert_eq!(Field::of(""), Field::Other);
        assert_eq!(Field::of(Field::WebSearchOptions.name()), Field::WebSearchOptions);
    }
}
