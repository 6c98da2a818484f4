//! JSON objects in one pass: keys in order, values as they were written.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// Members of an object, and elements of the lists around them. Real replies have fewer than 30; the
/// bound keeps lookups cheap on hostile ones.
pub(super) const MAX_MEMBERS: usize = 256;

/// An object's members in order, each key once (the last one counts). Values are JSON text: a slice of
/// the reply, or our own.
#[derive(Clone, Debug, Default)]
pub(super) struct Object<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Object<'a> {
    /// Reads an object; `None` when `json` is something else.
    pub(super) fn parse(json: &'a str) -> Option<Self> {
        let Read(object) = serde_json::from_str(json).ok()?;
        json.trim_ascii_start().starts_with('{').then_some(object)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_ref(), value.as_ref()))
    }

    /// The value of `key`, unless it is `null`.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.iter().find(|(k, value)| *k == key && *value != "null").map(|(_, value)| value)
    }

    /// The value of `key`, unless it is `null`, as a value of its own.
    pub(super) fn value(&self, key: &str) -> Option<Cow<'a, str>> {
        self.0.iter().find(|(k, value)| k == key && value != "null").map(|(_, value)| value.clone())
    }

    /// Takes `key` out; `None` when it was absent or `null`.
    pub(super) fn take(&mut self, key: &str) -> Option<Cow<'a, str>> {
        let at = self.0.iter().position(|(k, _)| k == key)?;
        Some(self.0.remove(at).1).filter(|value| value != "null")
    }

    /// Sets `key` where it stands, or at the end.
    pub(super) fn set(&mut self, key: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) {
        let (key, value) = (key.into(), value.into());
        match self.0.iter_mut().find(|(k, _)| *k == key) {
            Some(member) => member.1 = value,
            None => {
                if self.0.is_empty() {
                    self.0.reserve(4);
                }
                self.0.push((key, value));
            }
        }
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&str, &str) -> bool) {
        self.0.retain(|(key, value)| keep(key, value));
    }

    fn insert<E: Error>(&mut self, key: Cow<'a, str>, value: &'a str) -> Result<(), E> {
        self.set(key, value);
        if self.0.len() > MAX_MEMBERS { Err(E::custom("too many members")) } else { Ok(()) }
    }
}

/// The text of a JSON string; of one that is no valid Unicode (half a surrogate pair), its source.
/// `None` when `json` is no string.
pub(super) fn text(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Some(Cow::Borrowed(inner));
    }
    Some(serde_json::from_str(json).map_or(Cow::Borrowed(inner), Cow::Owned))
}

/// `text` as a JSON string.
pub(super) fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Whether a value says anything: not null, and no empty string, list or object.
pub(super) fn says_something(json: &str) -> bool {
    !matches!(json, "null" | "\"\"") && !is_empty_container(json)
}

fn is_empty_container(json: &str) -> bool {
    let inside = |open, close| json.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
    inside('[', ']').or_else(|| inside('{', '}')).is_some_and(|inner| inner.trim_ascii().is_empty())
}

/// A struct read from an object member by member.
pub(super) trait Members<'de>: Default {
    /// Takes the value of `key` from `map`.
    fn member<M: MapAccess<'de>>(&mut self, key: Cow<'de, str>, map: &mut M) -> Result<(), M::Error>;
}

impl<'de> Members<'de> for Object<'de> {
    fn member<M: MapAccess<'de>>(&mut self, key: Cow<'de, str>, map: &mut M) -> Result<(), M::Error> {
        let value: &'de RawValue = map.next_value()?;
        self.insert(key, value.get())
    }
}

/// Reads a [`Members`]; `null` is one without members.
pub(super) struct Read<T>(pub(super) T);

impl<'de, T: Members<'de>> Deserialize<'de> for Read<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ObjectVisitor(PhantomData)).map(Self)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Members<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E: Error>(self) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<T, M::Error> {
        let mut object = T::default();
        while let Some(Key(key)) = map.next_key()? {
            object.member(key, &mut map)?;
        }
        Ok(object)
    }
}

/// Reads a list of [`Members`]; `null` is an empty one.
pub(super) struct ReadList<T>(pub(super) Vec<T>);

impl<'de, T: Members<'de>> Deserialize<'de> for ReadList<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListVisitor(PhantomData)).map(Self)
    }
}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: Members<'de>> Visitor<'de> for ListVisitor<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_unit<E: Error>(self) -> Result<Vec<T>, E> {
        Ok(Vec::new())
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Vec<T>, S::Error> {
        let mut list = Vec::new();
        while let Some(Read(element)) = seq.next_element()? {
            if list.len() == MAX_MEMBERS {
                return Err(S::Error::custom("too many elements"));
            }
            list.push(element);
        }
        Ok(list)
    }
}

/// A key, copied only where it is written with escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(KeyVisitor).map(Self)
    }
}

struct KeyVisitor;

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E: Error>(self, key: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(json: &str) -> Option<Vec<(String, String)>> {
        let object = Object::parse(json)?;
        Some(object.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect())
    }

    #[track_caller]
    fn check(json: &str, expect: &[(&str, &str)]) {
        let expect = expect.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        assert_eq!(keys(json), Some(expect), "{json}");
    }

    #[test]
    fn values_are_kept_as_written_and_in_order() {
        check(
            r#"{"z": 1.50e0 , "a":{"b" : [1,  2]},"s":"\u00e9"}"#,
            &[("z", "1.50e0"), ("a", r#"{"b" : [1,  2]}"#), ("s", r#""\u00e9""#)],
        );
    }

    #[test]
    fn escaped_keys_are_the_keys_they_spell() {
        check(r#"{"mod\u0065l":1}"#, &[("model", "1")]);
    }

    #[test]
    fn of_a_repeated_key_the_last_value_counts() {
        check(r#"{"a":1,"b":2,"a":3}"#, &[("a", "3"), ("b", "2")]);
    }

    #[test]
    fn what_is_no_object_is_none() {
        for json in ["[]", "1", "\"a\"", "{", "{\"a\":1}x", ""] {
            assert_eq!(keys(json), None, "{json}");
        }
    }

    #[test]
    fn members_are_bounded() {
        let object = |n: usize| {
            let members: Vec<String> = (0..n).map(|i| format!("\"k{i}\":0")).collect();
            format!("{{{}}}", members.join(","))
        };
        assert!(Object::parse(&object(MAX_MEMBERS)).is_some());
        assert!(Object::parse(&object(MAX_MEMBERS + 1)).is_none());
    }

    #[test]
    fn half_a_surrogate_pair_is_kept_as_its_source() {
        assert_eq!(text(r#""\ud83d""#).as_deref(), Some(r"\ud83d"));
        assert_eq!(text(r#""a\nb""#).as_deref(), Some("a\nb"));
        assert_eq!(text("1"), None);
    }

    #[test]
    fn empty_values_say_nothing() {
        for json in ["null", "\"\"", "[]", "{ }"] {
            assert!(!says_something(json), "{json}");
        }
        for json in ["0", "false", "\" \"", "[1]", "{\"a\":1}"] {
            assert!(says_something(json), "{json}");
        }
    }
}
