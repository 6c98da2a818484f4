//! What a simulated model says: always the same to the same request.

use super::models::SimulatedModel;
use super::request::Ask;
use serde_json::{Map, Value, json};

/// Words of the prompt that are repeated in the answer.
const ECHOED_WORDS: usize = 12;
/// Simulated schemas deeper than this end in `null`.
const MAX_SCHEMA_DEPTH: u32 = 16;
/// Bytes of a token of JSON.
const JSON_TOKEN: usize = 4;
/// What an answer goes on with until it is as long as configured.
const FILLER: &str = "It is made up, always the same, and costs nothing, so that everything around a \
    model can be tried without one.";

/// An answer in tokens.
pub(super) struct Answer {
    pub(super) id: String,
    pub(super) model: String,
    pub(super) choices: u32,
    /// The tokens of the text; joined they are the answer.
    pub(super) text: Vec<String>,
    /// The tool called, and its arguments as JSON.
    pub(super) call: Option<(String, String)>,
    pub(super) finish: Option<&'static str>,
    pub(super) prompt_tokens: u32,
    pub(super) report_usage: bool,
}

impl Answer {
    pub(super) fn new(model: &SimulatedModel, ask: &Ask, count: u64) -> Self {
        let call = ask.call.as_ref().map(|(name, schema)| (name.clone(), arguments(schema)));
        let mut text = match (&call, &ask.schema) {
            (Some(_), _) => Vec::new(),
            (None, Some(schema)) => split(&instance(schema).to_string()),
            (None, None) => prose(model, &ask.prompt),
        };
        let limit = ask.max_tokens.unwrap_or(u32::MAX).min(model.max_output) as usize;
        let cut = text.len() > limit;
        text.truncate(limit);
        let finish = match (cut, &call) {
            (true, _) => "length",
            (false, Some(_)) => "tool_calls",
            (false, None) => "stop",
        };
        Self {
            id: format!("sim-{count}"),
            model: model.id.clone(),
            choices: ask.choices,
            text,
            call,
            finish: Some(finish),
            prompt_tokens: ask.prompt_tokens,
            report_usage: true,
        }
    }

    /// Takes everything out of it: an answer that says nothing and does not even end.
    pub(super) fn blank(&mut self) {
        self.text.clear();
        self.call = None;
        self.finish = None;
        self.report_usage = false;
    }

    /// Tokens of one choice.
    pub(super) fn tokens(&self) -> u32 {
        let call = self.call.as_ref().map_or(0, |(_, arguments)| 4 + arguments.len() / JSON_TOKEN);
        u32::try_from(self.text.len() + call).unwrap_or(u32::MAX)
    }

    /// The usage of all choices.
    pub(super) fn usage(&self) -> Value {
        let completion = u64::from(self.tokens()) * u64::from(self.choices);
        json!({
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": completion,
            "total_tokens": u64::from(self.prompt_tokens) + completion,
        })
    }

    /// The answer as one `chat.completion`.
    pub(super) fn to_json(&self) -> String {
        let mut message = json!({"role": "assistant", "content": self.text.concat()});
        if let Some((name, arguments)) = &self.call {
            message["content"] = Value::Null;
            message["tool_calls"] = json!([self.tool_call(name, arguments)]);
        }
        let choices: Vec<_> = (0..self.choices)
            .map(|index| json!({"index": index, "message": message, "finish_reason": self.finish}))
            .collect();
        let mut body = json!({
            "id": self.id, "object": "chat.completion", "created": 1_767_225_600, "model": self.model,
            "choices": choices,
        });
        if self.report_usage {
            body["usage"] = self.usage();
        }
        body.to_string()
    }

    /// The call as it stands in a message.
    pub(super) fn tool_call(&self, name: &str, arguments: &str) -> Value {
        let function = json!({"name": name, "arguments": arguments});
        json!({"id": format!("call_{}", self.id), "type": "function", "function": function})
    }
}

/// One word a token, the space before it included.
fn prose(model: &SimulatedModel, prompt: &str) -> Vec<String> {
    let echo: Vec<_> = prompt.split_whitespace().take(ECHOED_WORDS).collect();
    let intro = format!("This is a simulated answer from {} to: {}.", model.id, echo.join(" "));
    let words = intro.split(' ').chain(FILLER.split(' ').cycle());
    let spaced = words.enumerate().map(|(i, w)| if i == 0 { w.to_owned() } else { format!(" {w}") });
    spaced.take(model.output_tokens as usize).collect()
}

fn split(json: &str) -> Vec<String> {
    let chars: Vec<char> = json.chars().collect();
    chars.chunks(JSON_TOKEN).map(|c| c.iter().collect()).collect()
}

/// Arguments are an object whatever the schema says.
fn arguments(schema: &Value) -> String {
    match instance(schema) {
        object @ Value::Object(_) => object.to_string(),
        _ => "{}".to_owned(),
    }
}

/// A smallest value of a simple schema: required members only, first of every choice.
pub(super) fn instance(schema: &Value) -> Value {
    match schema {
        Value::Object(_) => instance_at(schema, schema, 0),
        _ => json!({}),
    }
}

fn instance_at(schema: &Value, root: &Value, depth: u32) -> Value {
    if depth > MAX_SCHEMA_DEPTH {
        return Value::Null;
    }
    if let Some(target) = schema["$ref"].as_str().and_then(|r| root.pointer(r.strip_prefix('#')?)) {
        return instance_at(target, root, depth + 1);
    }
    let fixed = ["const", "default"].iter().find_map(|name| schema.get(name));
    if let Some(value) = fixed.or_else(|| schema["enum"].as_array()?.first()) {
        return value.clone();
    }
    for name in ["anyOf", "oneOf", "allOf"] {
        if let Some(first) = schema[name].as_array().and_then(|list| list.first()) {
            return instance_at(first, root, depth + 1);
        }
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"].get(0)?.as_str()).unwrap_or("object");
    match kind {
        "object" => {
            let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let members: Map<_, _> = required
                .map(|name| (name.to_owned(), instance_at(&schema["properties"][name], root, depth + 1)))
                .collect();
            Value::Object(members)
        }
        "array" => {
            let least = schema["minItems"].as_u64().unwrap_or(0).min(8);
            (0..least).map(|_| instance_at(&schema["items"], root, depth + 1)).collect()
        }
        "string" => {
            let least = schema["minLength"].as_u64().unwrap_or(0).clamp(1, 1024) as usize;
            Value::String("simulated".chars().cycle().take(least.max("simulated".len())).collect())
        }
        "integer" | "number" => schema.get("minimum").cloned().unwrap_or(json!(0)),
        "boolean" => Value::Bool(true),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schema: Value, expect: Value) {
        assert_eq!(instance(&schema), expect, "{schema}");
    }

    #[test]
    fn instances_hold_what_a_schema_requires() {
        check(Value::Null, json!({}));
        check(
            json!({"type": "object", "required": ["a", "b", "c"], "properties": {
                "a": {"type": "string"}, "b": {"type": ["integer", "null"], "minimum": 3},
                "c": {"enum": ["x", "y"]}, "d": {"type": "boolean"}}}),
            json!({"a": "simulated", "b": 3, "c": "x"}),
        );
        check(
            json!({"type": "array", "minItems": 2, "items": {"anyOf": [{"type": "boolean"}]}}),
            json!([true, true]),
        );
    }

    #[test]
    fn references_are_followed_and_endless_ones_end() {
        let points = json!({"$defs": {"p": {"type": "number"}}, "$ref": "#/$defs/p"});
        check(points, json!(0));
        let endless = json!({"$ref": "#"});
        check(endless, Value::Null);
    }
}
