//! What the simulated provider reads of a request, and what it refuses as a real one would.

use super::models::SimulatedModel;
use serde_json::Value;

/// Choices one request may ask for.
const MAX_CHOICES: u64 = 8;
/// A rough token is four bytes.
const BYTES_PER_TOKEN: usize = 4;

/// A request, as far as the simulation cares.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) model: String,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    pub(super) choices: u32,
    pub(super) max_tokens: Option<u32>,
    /// The text of the last message if a user said it.
    pub(super) prompt: String,
    pub(super) prompt_tokens: u32,
    /// Modalities and parameters in use, by their catalog names.
    uses: Vec<&'static str>,
    /// The tool to call, and its parameters' schema.
    pub(super) call: Option<(String, Value)>,
    /// The schema to answer by; `null` for any object.
    pub(super) schema: Option<Value>,
}

/// Why a request is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Malformed,
    UnknownModel,
    TooLong,
    Lacks(&'static str),
}

impl Refused {
    /// Status, code and message.
    pub(super) fn parts(&self) -> (u16, &'static str, &'static str) {
        match self {
            Self::Malformed => (400, "invalid_request_error", "the request is malformed"),
            Self::UnknownModel => (404, "model_not_found", "the model does not exist"),
            Self::TooLong => {
                (400, "context_length_exceeded", "the request exceeds this model's maximum context length")
            }
            Self::Lacks("image") => (400, "invalid_request_error", "this model does not support image input"),
            Self::Lacks("audio") => (400, "invalid_request_error", "this model does not support audio input"),
            Self::Lacks("video") => (400, "invalid_request_error", "this model does not support video input"),
            Self::Lacks("file") => (400, "invalid_request_error", "this model does not support file input"),
            Self::Lacks("tools") => (400, "invalid_request_error", "this model does not support tools"),
            Self::Lacks("structured_outputs") => {
                (400, "invalid_request_error", "response_format json_schema is not supported by this model")
            }
            Self::Lacks(_) => {
                (400, "invalid_request_error", "response_format is not supported by this model")
            }
        }
    }
}

impl Ask {
    pub(super) fn parse(body: &[u8]) -> Result<Self, Refused> {
        let v: Value = serde_json::from_slice(body).map_err(|_| Refused::Malformed)?;
        let messages = v["messages"].as_array().filter(|m| !m.is_empty()).ok_or(Refused::Malformed)?;
        let limit = v["max_completion_tokens"].as_u64().or_else(|| v["max_tokens"].as_u64());
        let choices = v["n"].as_u64().unwrap_or(1);
        if !(1..=MAX_CHOICES).contains(&choices) {
            return Err(Refused::Malformed);
        }
        let prompt = messages.last().filter(|m| m["role"] == "user").map(text_of).unwrap_or_default();
        let bytes: usize = messages.iter().map(|m| text_of(m).len()).sum();
        let format = &v["response_format"];
        Ok(Self {
            model: v["model"].as_str().ok_or(Refused::Malformed)?.to_owned(),
            stream: v["stream"] == true,
            include_usage: v["stream_options"]["include_usage"] == true,
            choices: choices as u32,
            max_tokens: limit.map(|n| u32::try_from(n).unwrap_or(u32::MAX).max(1)),
            prompt_tokens: u32::try_from(bytes / BYTES_PER_TOKEN + 4 * messages.len()).unwrap_or(u32::MAX),
            uses: uses(&v, messages),
            call: call(&v, &prompt),
            schema: match format["type"].as_str() {
                Some("json_schema") => Some(format["json_schema"]["schema"].clone()),
                Some("json_object") => Some(Value::Null),
                _ => None,
            },
            prompt,
        })
    }

    /// Whether `model` can do it.
    pub(super) fn check(&self, model: &SimulatedModel) -> Result<(), Refused> {
        if let Some(lacks) = self.uses.iter().find(|name| !model.knows(name)) {
            return Err(Refused::Lacks(lacks));
        }
        let total = self.prompt_tokens.saturating_add(self.max_tokens.unwrap_or(1));
        if total > model.context { Err(Refused::TooLong) } else { Ok(()) }
    }
}

/// The text of a message, parts joined.
fn text_of(message: &Value) -> String {
    match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|p| p["text"].as_str()).collect::<Vec<_>>().join(" "),
        _ => String::new(),
    }
}

fn uses(v: &Value, messages: &[Value]) -> Vec<&'static str> {
    let parts = messages.iter().filter_map(|m| m["content"].as_array()).flatten();
    let mut uses: Vec<_> = parts
        .filter_map(|part| match part["type"].as_str()? {
            "image_url" => Some("image"),
            "input_audio" => Some("audio"),
            "video_url" => Some("video"),
            "file" => Some("file"),
            _ => None,
        })
        .collect();
    if v["tools"].as_array().is_some_and(|tools| !tools.is_empty()) {
        uses.push("tools");
    }
    match v["response_format"]["type"].as_str() {
        Some("json_schema") => uses.push("structured_outputs"),
        Some("json_object") => uses.push("response_format"),
        _ => {}
    }
    uses
}

/// The tool to call: the one named by `tool_choice`; the first where a call is required, or where
/// the user's last words mention it.
fn call(v: &Value, prompt: &str) -> Option<(String, Value)> {
    let tools = v["tools"].as_array()?;
    let name_of = |tool: &Value| tool["function"]["name"].as_str().map(str::to_owned);
    let choice = &v["tool_choice"];
    let asked = |tool: &&Value| name_of(tool).is_some_and(|name| prompt.contains(&name));
    let tool = match (choice["function"]["name"].as_str(), choice.as_str()) {
        (Some(wanted), _) => tools.iter().find(|tool| name_of(tool).as_deref() == Some(wanted)),
        (None, Some("required")) => tools.first(),
        (None, Some("none")) => None,
        _ if prompt.contains("tool") => tools.first(),
        _ => tools.iter().find(asked),
    }?;
    Some((name_of(tool)?, tool["function"]["parameters"].clone()))
}
