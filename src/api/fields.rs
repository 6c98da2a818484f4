//! A JSON body read strictly: what is not expected is refused by name.

use super::amount;
use super::dates;
use crate::money::MicroCredits;
use crate::protocol::errors::{ApiError, ErrorKind};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::fmt;

/// Longest name of an account or key, characters.
const LONGEST_NAME: usize = 128;
/// Longest reference of a payment, bytes.
const LONGEST_REFERENCE: usize = 200;
/// Fields of one body; ours have five.
const MAX_FIELDS: usize = 32;

/// The fields of a body, taken one by one.
#[derive(Debug)]
pub(super) struct Fields(Vec<(String, Box<RawValue>)>);

/// Why a body or a parameter was refused.
pub(super) fn invalid(param: &str, words: impl Into<String>) -> Box<ApiError> {
    Box::new(ApiError::new(ErrorKind::InvalidRequest, words).param(param))
}

impl Fields {
    /// The fields of `body`; none of an empty one.
    pub(super) fn read(body: &[u8]) -> Result<Self, Box<ApiError>> {
        if body.trim_ascii().is_empty() {
            return Ok(Self(Vec::new()));
        }
        // The words of the parser may quote the body.
        serde_json::from_slice(body).map_err(|_| {
            let words = "the body must be a JSON object whose fields are named once";
            Box::new(ApiError::new(ErrorKind::InvalidRequest, words))
        })
    }

    /// Takes a field; `null` is none.
    fn take(&mut self, name: &str) -> Option<Box<RawValue>> {
        let position = self.0.iter().position(|(n, _)| n == name)?;
        Some(self.0.swap_remove(position).1).filter(|value| value.get() != "null")
    }

    /// Leaves a field out of account.
    pub(super) fn ignore(&mut self, name: &str) {
        let _ = self.take(name);
    }

    fn text(&mut self, name: &str) -> Result<Option<String>, Box<ApiError>> {
        let read = |value: Box<RawValue>| {
            serde_json::from_str(value.get()).map_err(|_| invalid(name, "must be a string"))
        };
        self.take(name).map(read).transpose()
    }

    /// A name; an empty one is none.
    pub(super) fn name(&mut self, field: &str) -> Result<Option<String>, Box<ApiError>> {
        let name = self.text(field)?.filter(|name| !name.is_empty());
        let good =
            |name: &String| name.chars().count() <= LONGEST_NAME && !name.chars().any(char::is_control);
        if name.as_ref().is_some_and(|name| !good(name)) {
            let words =
                format!("must have at most {LONGEST_NAME} characters, none of them a control character");
            return Err(invalid(field, words));
        }
        Ok(name)
    }

    /// What makes a payment or an account known again.
    pub(super) fn reference(&mut self, field: &str) -> Result<Option<String>, Box<ApiError>> {
        let reference = self.text(field)?;
        let good =
            |r: &String| (1..=LONGEST_REFERENCE).contains(&r.len()) && !r.chars().any(char::is_control);
        if reference.as_ref().is_some_and(|reference| !good(reference)) {
            let words = format!("must have 1 to {LONGEST_REFERENCE} bytes, none of them a control character");
            return Err(invalid(field, words));
        }
        Ok(reference)
    }

    /// An amount of credits above zero, as a number or a string.
    pub(super) fn credits(&mut self, field: &str) -> Result<Option<MicroCredits>, Box<ApiError>> {
        self.amount(field, |text| text.parse().ok(), "credits with at most 6 decimals")
    }

    /// An amount of US dollars above zero, as a number or a string.
    pub(super) fn usd(&mut self, field: &str) -> Result<Option<MicroCredits>, Box<ApiError>> {
        self.amount(field, amount::usd, "US dollars with at most 8 decimals")
    }

    fn amount(
        &mut self,
        field: &str,
        parse: impl Fn(&str) -> Option<MicroCredits>,
        of_what: &str,
    ) -> Result<Option<MicroCredits>, Box<ApiError>> {
        let Some(value) = self.take(field) else { return Ok(None) };
        let quoted: Option<String> = serde_json::from_str(value.get()).ok();
        let amount = parse(quoted.as_deref().unwrap_or(value.get())).filter(|a| *a > MicroCredits::ZERO);
        let words =
            || invalid(field, format!("must be a decimal number of {of_what} above zero, as in 12.5"));
        amount.map(Some).ok_or_else(words)
    }

    /// A moment, as Unix seconds or by RFC 3339, in Unix ms.
    pub(super) fn moment_ms(&mut self, field: &str) -> Result<Option<u64>, Box<ApiError>> {
        let Some(value) = self.take(field) else { return Ok(None) };
        let seconds: Option<u64> = serde_json::from_str(value.get()).ok();
        let written: Option<String> = serde_json::from_str(value.get()).ok();
        let of_seconds = seconds.and_then(|s| s.checked_mul(1000)).filter(|ms| i64::try_from(*ms).is_ok());
        let ms = of_seconds.or_else(|| written.and_then(|text| dates::moment_ms(&text)));
        let words = || invalid(field, "must be a moment: Unix seconds, or as in 2030-01-31T00:00:00Z");
        ms.map(Some).ok_or_else(words)
    }

    /// Nothing is left over.
    pub(super) fn end(self) -> Result<(), Box<ApiError>> {
        match self.0.into_iter().next() {
            None => Ok(()),
            Some((name, _)) => {
                let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
                Err(invalid(&shown, format!("there is no field `{shown}` here")))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Collect)
    }
}

struct Collect;

impl<'de> Visitor<'de> for Collect {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut fields: Vec<(String, Box<RawValue>)> = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if fields.len() >= MAX_FIELDS || fields.iter().any(|(known, _)| *known == name) {
                return Err(A::Error::custom("too many fields, or one of them twice"));
            }
            fields.push((name, map.next_value()?));
        }
        Ok(Fields(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(body: &str) -> Fields {
        Fields::read(body.as_bytes()).expect("an object")
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for body in ["[]", "1", "{", "{} {}", r#"{"a":1,"a":2}"#, r#"{"a":1,"\u0061":2}"#, "\u{feff}{}"] {
            assert!(Fields::read(body.as_bytes()).is_err(), "{body}");
        }
        assert!(Fields::read(b"  ").is_ok(), "an empty body has no fields");
        let deep = format!(r#"{{"a":{}}}"#, "[".repeat(60_000));
        assert!(Fields::read(deep.as_bytes()).is_err());
    }

    #[test]
    fn an_unknown_field_is_named() {
        let mut read = fields(r#"{"name":"x","colour":"red"}"#);
        assert_eq!(read.name("name").expect("a name").as_deref(), Some("x"));
        assert_eq!(read.end().expect_err("left over").param.as_deref(), Some("colour"));
    }

    #[test]
    fn names_are_short_and_printable() {
        let long = |n: usize| format!(r#"{{"name":"{}"}}"#, "é".repeat(n));
        assert!(fields(&long(128)).name("name").is_ok());
        for body in [&long(129), r#"{"name":"a\nb"}"#, r#"{"name":"a\u0000"}"#, r#"{"name":1}"#] {
            assert!(fields(body).name("name").is_err(), "{body}");
        }
        assert_eq!(fields(r#"{"name":""}"#).name("name").expect("none"), None);
        assert_eq!(fields(r#"{"name":null}"#).name("name").expect("none"), None);
    }

    #[test]
    fn amounts_are_exact_however_they_are_written() {
        for body in [r#"{"c":12.5}"#, r#"{"c":"12.5"}"#, r#"{"c":12.500000}"#] {
            assert_eq!(
                fields(body).credits("c").expect("good"),
                Some(MicroCredits::new(12_500_000)),
                "{body}"
            );
        }
        for body in [
            r#"{"c":0}"#,
            r#"{"c":-1}"#,
            r#"{"c":1e3}"#,
            r#"{"c":0.0000001}"#,
            r#"{"c":"x"}"#,
            r#"{"c":true}"#,
        ] {
            assert_eq!(fields(body).credits("c").expect_err("bad").param.as_deref(), Some("c"), "{body}");
        }
        assert_eq!(fields(r#"{"c":"2.5"}"#).usd("c").expect("good"), Some(MicroCredits::new(250_000_000)));
    }

    #[test]
    fn moments_are_seconds_or_written_out() {
        for body in [r#"{"t":1893456000}"#, r#"{"t":"2030-01-01T00:00:00Z"}"#] {
            assert_eq!(fields(body).moment_ms("t").expect("good"), Some(1_893_456_000_000), "{body}");
        }
        for body in [r#"{"t":-1}"#, r#"{"t":"soon"}"#, r#"{"t":1.5}"#, r#"{"t":18446744073709551615}"#] {
            assert!(fields(body).moment_ms("t").is_err(), "{body}");
        }
    }
}
