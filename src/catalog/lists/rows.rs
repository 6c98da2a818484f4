//! One row of a model list, whatever its dialect.

use super::ListDialect;
use crate::catalog::{Capability, CapabilitySet, free};
use serde_json::Value;

/// What one row says. Absent means unknown.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) upstream_model: String,
    pub(super) name: Option<String>,
    pub(super) created: u64,
    pub(super) context_tokens: Option<u32>,
    pub(super) max_output_tokens: Option<u32>,
    /// The model could never do with more, whatever it is run with.
    pub(super) most_context_tokens: Option<u32>,
    pub(super) capabilities: CapabilitySet,
    /// Output modalities, where the list names them.
    pub(super) outputs: Option<Vec<String>>,
    pub(super) pricing: Option<Value>,
    pub(super) last_day: Option<String>,
    pub(super) aliases: Vec<String>,
    pub(super) alias_of: Option<String>,
    pub(super) reasoning_mandatory: bool,
    pub(super) active: bool,
    pub(super) chat: bool,
}

impl Row {
    /// Reads a row; `None` when it has no id.
    pub(super) fn read(dialect: ListDialect, row: &Value) -> Option<Self> {
        let named = |key| text(row, key).map(str::to_owned);
        let id = match dialect {
            ListDialect::Cloudflare | ListDialect::Cohere => named("name"),
            ListDialect::Ollama => named("id").or_else(|| named("model")).or_else(|| named("name")),
            ListDialect::Gemini => text(row, "id").map(|id| id.trim_start_matches("models/").to_owned()),
            _ => named("id"),
        }?;
        let mut read = Self::common(id, row);
        match dialect {
            ListDialect::Mistral => read.mistral(row),
            ListDialect::Together => read.together(row),
            ListDialect::Github => read.github(row),
            ListDialect::Cloudflare => read.cloudflare(row),
            ListDialect::Cohere => read.cohere(row),
            ListDialect::HuggingFace => read.hugging_face(row),
            ListDialect::Ollama => read.ollama(row),
            ListDialect::OpenRouter | ListDialect::OpenAi | ListDialect::Gemini => {}
        }
        Some(read)
    }

    /// The fields that mean the same wherever they occur: OpenRouter's, and the additions of Groq
    /// (`context_window`, `active`), vLLM (`max_model_len`), Mistral and llama.cpp (`meta.n_ctx`).
    fn common(id: String, row: &Value) -> Self {
        let architecture = &row["architecture"];
        let limits = &row["per_request_limits"];
        let inputs = strings(&architecture["input_modalities"]);
        let parameters = strings(&row["supported_parameters"]);
        let inputs = inputs.iter().filter_map(|name| Capability::from_input_modality(name));
        let parameters = parameters.iter().filter_map(|name| Capability::from_parameter(name));
        let context = ["context_length", "context_window", "max_model_len", "max_context_length"];
        let context =
            context.iter().find_map(|key| tokens(&row[*key])).or_else(|| tokens(&row["meta"]["n_ctx"]));
        let bounds = [
            context.or_else(|| tokens(&row["meta"]["n_ctx_train"])),
            tokens(&row["top_provider"]["context_length"]),
            tokens(&limits["prompt_tokens"]),
        ];
        let outputs = [
            tokens(&row["top_provider"]["max_completion_tokens"]),
            tokens(&row["max_completion_tokens"]),
            tokens(&row["max_output_length"]),
            tokens(&limits["completion_tokens"]),
        ];
        Self {
            upstream_model: id.clone(),
            id,
            name: text(row, "name").map(str::to_owned),
            created: row["created"].as_u64().unwrap_or(0),
            context_tokens: bounds.into_iter().flatten().min(),
            max_output_tokens: outputs.into_iter().flatten().min(),
            most_context_tokens: None,
            capabilities: inputs.chain(parameters).collect(),
            outputs: architecture["output_modalities"]
                .as_array()
                .map(|_| strings(&architecture["output_modalities"])),
            pricing: row.get("pricing").cloned(),
            last_day: text(row, "expiration_date").map(str::to_owned),
            aliases: Vec::new(),
            alias_of: text(row, "alias_target").map(str::to_owned),
            reasoning_mandatory: row["reasoning"]["mandatory"].as_bool().unwrap_or(false),
            active: row["active"].as_bool().unwrap_or(true),
            chat: true,
        }
    }

    fn mistral(&mut self, row: &Value) {
        let can = |name: &str| row["capabilities"][name].as_bool();
        self.chat = can("completion_chat").unwrap_or(true);
        self.add(can("function_calling"), &TOOLS);
        self.add(can("vision"), &[Capability::ImageInput]);
        self.add(can("reasoning"), &[Capability::Reasoning]);
        self.aliases = strings(&row["aliases"]).into_iter().filter(|alias| *alias != self.id).collect();
        self.last_day = text(row, "deprecation").map(str::to_owned);
    }

    fn together(&mut self, row: &Value) {
        self.chat = text(row, "type").is_none_or(|kind| kind == "chat");
        self.name = text(row, "display_name").map(str::to_owned).or(self.name.take());
    }

    fn github(&mut self, row: &Value) {
        for modality in strings(&row["supported_input_modalities"]) {
            self.add(Some(true), Capability::from_input_modality(&modality).as_slice());
        }
        self.outputs = row["supported_output_modalities"]
            .as_array()
            .map(|_| strings(&row["supported_output_modalities"]));
        let capabilities = strings(&row["capabilities"]);
        self.add(Some(capabilities.iter().any(|name| name == "tool-calling")), &TOOLS);
        self.max_output_tokens = tokens(&row["limits"]["max_output_tokens"]);
        self.context_tokens = tokens(&row["limits"]["max_input_tokens"]);
    }

    fn cloudflare(&mut self, row: &Value) {
        let property = |name: &str| {
            let properties = row["properties"].as_array()?;
            properties.iter().find(|p| text(p, "property_id") == Some(name)).map(|p| &p["value"])
        };
        let yes =
            |name| property(name).map(|value| value.as_str() == Some("true") || value == &Value::Bool(true));
        self.name = self.id.rsplit_once('/').map(|(_, name)| name.to_owned());
        self.chat = text(&row["task"], "name").is_none_or(|task| task == "Text Generation");
        self.context_tokens = property("context_window").and_then(tokens);
        self.last_day = property("planned_deprecation_date").and_then(Value::as_str).map(str::to_owned);
        self.add(yes("function_calling"), &TOOLS);
        self.add(yes("vision"), &[Capability::ImageInput]);
        self.add(yes("reasoning"), &[Capability::Reasoning]);
    }

    fn cohere(&mut self, row: &Value) {
        let endpoints = strings(&row["endpoints"]);
        self.chat = endpoints.is_empty() || endpoints.iter().any(|endpoint| endpoint == "chat");
        self.active =
            !row["is_deprecated"].as_bool().unwrap_or(false) && !row["finetuned"].as_bool().unwrap_or(false);
        for feature in strings(&row["features"]) {
            match feature.as_str() {
                "tools" => self.add(Some(true), &TOOLS),
                "vision" => self.add(Some(true), &[Capability::ImageInput]),
                "json_mode" => self.add(Some(true), &[Capability::ResponseFormat]),
                "json_schema" => self.add(Some(true), &[Capability::StructuredOutputs]),
                "logprobs" => self.add(Some(true), &[Capability::Logprobs]),
                "reasoning" => self.add(Some(true), &[Capability::Reasoning]),
                _ => {}
            }
        }
    }

    /// The first live provider without a price serves it, named in the model as `id:provider`; without
    /// such a one the row keeps the first price and fails the free test.
    fn hugging_face(&mut self, row: &Value) {
        let Some(providers) = row["providers"].as_array() else { return };
        let live = |p: &&Value| text(p, "status").is_none_or(|status| status == "live");
        let gratis = |p: &&Value| free::costs_nothing(&p["pricing"]);
        let Some(chosen) = providers.iter().filter(live).find(gratis).or_else(|| providers.iter().find(live))
        else {
            self.active = false;
            return;
        };
        if let Some(name) = text(chosen, "provider") {
            self.upstream_model = format!("{}:{name}", self.id);
        }
        self.pricing = chosen.get("pricing").cloned();
        self.context_tokens = tokens(&chosen["context_length"]);
        self.add(chosen["supports_tools"].as_bool(), &TOOLS);
        self.add(chosen["supports_structured_output"].as_bool(), &[Capability::StructuredOutputs]);
    }

    /// What `POST /api/show` says stands in the row, too. A prompt above the `num_ctx` a model is run with is
    /// cut silently, so that is the window; what the model could do with is only a bound.
    fn ollama(&mut self, row: &Value) {
        let parameters = text(row, "parameters").unwrap_or_default().lines();
        let num_ctx = parameters.filter_map(|line| line.trim().strip_prefix("num_ctx")).next_back();
        self.context_tokens = num_ctx.and_then(|size| tokens(&Value::from(size.trim())));
        let info = row["model_info"].as_object().into_iter().flatten();
        let window = info.into_iter().find(|(name, _)| name.ends_with(".context_length"));
        self.most_context_tokens = window.and_then(|(_, size)| tokens(size));
        let capabilities = strings(&row["capabilities"]);
        self.chat = capabilities.is_empty() || capabilities.iter().any(|name| name == "completion");
        for name in capabilities {
            match name.as_str() {
                "vision" => self.add(Some(true), &[Capability::ImageInput]),
                "tools" => self.add(Some(true), &[Capability::Tools]),
                "thinking" => self.add(Some(true), &[Capability::Reasoning, Capability::ReasoningEffort]),
                _ => {}
            }
        }
    }

    fn add(&mut self, condition: Option<bool>, capabilities: &[Capability]) {
        if condition == Some(true) {
            capabilities.iter().for_each(|c| self.capabilities.insert(*c));
        }
    }
}

/// What "calls functions" means where a list says no more.
const TOOLS: [Capability; 2] = [Capability::Tools, Capability::ToolChoice];

fn text<'a>(row: &'a Value, key: &str) -> Option<&'a str> {
    row.get(key)?.as_str().filter(|text| !text.is_empty())
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// A token count: a positive number or its decimal spelling, anything larger than fits held to the largest.
fn tokens(value: &Value) -> Option<u32> {
    let count = match value {
        Value::String(digits) => digits.trim().parse().ok()?,
        Value::Number(number) => number.as_f64()?,
        _ => return None,
    };
    // `as` saturates and makes 0 of NaN.
    Some(count as u32).filter(|count| *count > 0)
}
