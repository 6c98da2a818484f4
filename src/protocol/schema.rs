//! Whether a value keeps a JSON schema, as far as a look of bounded length can tell.
//!
//! The schema is the client's and the value a model's, so nothing may make this long: no patterns, no formats,
//! no references elsewhere, and an end after so many steps. What is not looked at counts as kept. Looked at are
//! `type`, `enum`, `const`, `required`, `properties`, `additionalProperties`, `items`, `prefixItems`, `anyOf`,
//! `oneOf` (one at least), `allOf`, and `$ref` within the schema.

use serde_json::{Map, Value};

/// Places looked at; a few milliseconds at most.
const MAX_STEPS: u32 = 20_000;
/// Places within one another.
const MAX_DEPTH: u32 = 64;

/// Whether `value` certainly violates `schema`.
pub fn violates(value: &Value, schema: &Value) -> bool {
    !Look { root: schema, steps: 0 }.keeps(value, schema, 0)
}

struct Look<'s> {
    root: &'s Value,
    steps: u32,
}

impl<'s> Look<'s> {
    fn keeps(&mut self, value: &Value, schema: &'s Value, depth: u32) -> bool {
        self.steps += 1;
        if self.steps > MAX_STEPS || depth > MAX_DEPTH {
            return true;
        }
        let schema = match schema {
            Value::Object(schema) => schema,
            schema => return *schema != Value::Bool(false),
        };
        self.is_allowed(value, schema)
            && self.combines(value, schema, depth + 1)
            && match value {
                Value::Object(members) => self.object(members, schema, depth + 1),
                Value::Array(items) => self.array(items, schema, depth + 1),
                _ => true,
            }
    }

    fn is_allowed(&mut self, value: &Value, schema: &Map<String, Value>) -> bool {
        if value.is_null() && schema.get("nullable") == Some(&Value::Bool(true)) {
            return true;
        }
        let is = |kind: &Value| kind.as_str().is_none_or(|kind| is_a(value, kind));
        let of_type = match schema.get("type") {
            Some(Value::Array(kinds)) => kinds.iter().any(is),
            Some(kind) => is(kind),
            None => true,
        };
        let values = schema.get("enum").and_then(Value::as_array);
        self.steps += values.map_or(0, |values| values.len() as u32);
        of_type
            && values.is_none_or(|values| values.iter().any(|allowed| equal(value, allowed)))
            && schema.get("const").is_none_or(|only| equal(value, only))
    }

    fn combines(&mut self, value: &Value, schema: &'s Map<String, Value>, depth: u32) -> bool {
        let list = |key| schema.get(key).and_then(Value::as_array).into_iter().flatten();
        let root = self.root;
        let elsewhere = schema.get("$ref").and_then(Value::as_str).and_then(|to| to.strip_prefix('#'));
        let elsewhere = elsewhere.and_then(|pointer| root.pointer(pointer));
        list("allOf").chain(elsewhere).all(|schema| self.keeps(value, schema, depth))
            && ["anyOf", "oneOf"].into_iter().all(|key| {
                list(key).next().is_none() || list(key).any(|schema| self.keeps(value, schema, depth))
            })
    }

    fn object(&mut self, members: &Map<String, Value>, schema: &'s Map<String, Value>, depth: u32) -> bool {
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        let properties = schema.get("properties").and_then(Value::as_object);
        let by_pattern = schema.contains_key("patternProperties");
        let others = schema.get("additionalProperties").filter(|_| !by_pattern);
        required.filter_map(Value::as_str).all(|name| members.contains_key(name))
            && members.iter().all(|(name, value)| {
                let schema = properties.and_then(|properties| properties.get(name)).or(others);
                schema.is_none_or(|schema| self.keeps(value, schema, depth))
            })
    }

    fn array(&mut self, items: &[Value], schema: &'s Map<String, Value>, depth: u32) -> bool {
        let all = schema.get("items");
        // Before 2020-12 a list of `items` was what `prefixItems` is now.
        let first = schema.get("prefixItems").or(all).and_then(Value::as_array);
        let rest = all.filter(|all| !all.is_array());
        items.iter().enumerate().all(|(at, item)| {
            let schema = first.and_then(|first| first.get(at)).or(rest);
            schema.is_none_or(|schema| self.keeps(item, schema, depth))
        })
    }
}

fn is_a(value: &Value, kind: &str) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => {
            value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
        }
        _ => true,
    }
}

/// Numbers are equal however they are written.
fn equal(a: &Value, b: &Value) -> bool {
    a == b || a.as_f64().is_some_and(|number| b.as_f64() == Some(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(schema: Value, kept: &[Value], violated: &[Value]) {
        for (values, expect) in [(kept, false), (violated, true)] {
            for value in values {
                assert_eq!(violates(value, &schema), expect, "{value} against {schema}");
            }
        }
    }

    #[test]
    fn types_are_looked_at() {
        check(json!({"type": "string"}), &[json!("a")], &[json!(1), json!(null), json!({})]);
        check(json!({"type": ["integer", "null"]}), &[json!(1), json!(2.0), json!(null)], &[json!(1.5)]);
        check(json!({"type": "number", "nullable": true}), &[json!(1.5), json!(null)], &[json!("1")]);
        check(json!({"type": "something new"}), &[json!(1)], &[]);
        check(json!(true), &[json!(1)], &[]);
        check(json!(false), &[], &[json!(1)]);
    }

    #[test]
    fn objects_have_what_is_required_and_nothing_that_is_forbidden() {
        let properties = json!({"city": {"type": "string"}, "days": {"type": "integer"}});
        check(
            json!({"type": "object", "properties": properties, "required": ["city"], "additionalProperties": false}),
            &[json!({"city": "Rome"}), json!({"city": "Rome", "days": 3})],
            &[
                json!({}),
                json!({"city": 7}),
                json!({"city": "Rome", "days": "3"}),
                json!({"city": "Rome", "x": 1}),
            ],
        );
        check(
            json!({"properties": properties, "patternProperties": {"^x": {}}, "additionalProperties": false}),
            &[json!({"x": 1})],
            &[json!({"city": 1})],
        );
        check(json!({"additionalProperties": {"type": "integer"}}), &[json!({"a": 1})], &[json!({"a": "b"})]);
    }

    #[test]
    fn every_item_is_looked_at() {
        check(json!({"items": {"enum": ["a", "b"]}}), &[json!(["a", "b"]), json!([])], &[json!(["a", "c"])]);
        let pair = json!({"prefixItems": [{"type": "string"}, {"type": "integer"}], "items": false});
        check(pair, &[json!(["a", 1]), json!(["a"])], &[json!([1, "a"]), json!(["a", 1, 2])]);
    }

    #[test]
    fn alternatives_and_references_are_followed() {
        let schema = json!({
            "anyOf": [{"$ref": "#/$defs/leaf"}, {"type": "array", "items": {"$ref": "#"}}],
            "$defs": {"leaf": {"type": "integer"}},
        });
        check(schema, &[json!(1), json!([1, [2, []]])], &[json!("a"), json!([1, ["a"]])]);
        check(json!({"allOf": [{"minimum": 3}, {"const": 5}]}), &[json!(5), json!(5.0)], &[json!(6)]);
        check(json!({"$ref": "https://example.com/elsewhere"}), &[json!(1)], &[]);
    }

    #[test]
    fn no_schema_makes_it_long() {
        check(json!({"$ref": "#"}), &[json!(1)], &[]);
        let mut defs = Map::new();
        for i in 0..40 {
            let next = json!({"$ref": format!("#/$defs/d{}", i + 1)});
            defs.insert(format!("d{i}"), json!({"allOf": [next, next]}));
        }
        check(json!({"$defs": defs, "$ref": "#/$defs/d0"}), &[json!(1)], &[]);
    }
}
