//! Lists of names, where each model is described on request: Ollama's.

use serde_json::{Map, Value};

/// What a description may say; the rest of it (templates, licences) is long and of no use here.
const DESCRIBED: [&str; 3] = ["capabilities", "model_info", "parameters"];

/// The models a list only names: the name, and which version of it this is (its digest, or when it was
/// changed), so that what was said of the same version need not be asked again.
pub fn undescribed(list: &[u8]) -> Vec<(String, String)> {
    let Some(document) = read(list) else { return Vec::new() };
    let rows = document["models"].as_array().into_iter().flatten();
    let bare = rows.filter(|row| row.get("capabilities").is_none());
    let text = |row: &Value, key: &str| row[key].as_str().map(str::to_owned);
    let named = |row: &Value| {
        let name = text(row, "model").or_else(|| text(row, "name"))?;
        let version = text(row, "digest").or_else(|| text(row, "modified_at"));
        Some((name, version.unwrap_or_default()))
    };
    bare.filter_map(named).collect()
}

/// What of a description is kept; `None` when it is none.
pub fn description(reply: &[u8]) -> Option<Value> {
    let mut reply: Map<String, Value> = serde_json::from_slice(reply).ok()?;
    reply.retain(|key, _| DESCRIBED.contains(&key.as_str()));
    Some(Value::Object(reply))
}

/// The list with what is known of each model by its name; rows nothing is known of stay as they are, and so does
/// what is no list at all.
pub fn with_descriptions(list: &[u8], known: impl Fn(&str) -> Option<Value>) -> Vec<u8> {
    let Some(mut document) = read(list) else { return list.to_vec() };
    for row in document["models"].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        let name = ["model", "name"].into_iter().find_map(|key| row.get(key)?.as_str());
        if let Some(Value::Object(description)) = name.and_then(&known) {
            row.extend(description);
        }
    }
    serde_json::to_vec(&document).unwrap_or_else(|_| list.to_vec())
}

fn read(list: &[u8]) -> Option<Value> {
    let document: Map<String, Value> = serde_json::from_slice(list).ok()?;
    document.get("models").is_some_and(Value::is_array).then_some(Value::Object(document))
}
