//! The parameters behind the `?`, read strictly.

use super::fields::invalid;
use crate::protocol::errors::ApiError;

/// Parameters of one request; ours have seven.
const MAX_PARAMETERS: usize = 16;

/// The parameters, taken one by one.
#[derive(Debug)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// The parameters of a query string.
    pub(super) fn read(text: &str) -> Result<Self, Box<ApiError>> {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        });
        let parameters: Vec<_> = pairs.take(MAX_PARAMETERS + 1).collect();
        match parameters.get(MAX_PARAMETERS) {
            Some((name, _)) => Err(invalid(name, "there are too many parameters")),
            None => Ok(Self(parameters)),
        }
    }

    /// Takes a parameter; twice is refused.
    pub(super) fn take(&mut self, name: &str) -> Result<Option<String>, Box<ApiError>> {
        let mut values = self.take_all(name);
        match values.len() {
            0 | 1 => Ok(values.pop()),
            _ => Err(invalid(name, "is given more than once")),
        }
    }

    /// Takes all values of a parameter, also of one spelt as a list: `name[]`.
    pub(super) fn take_all(&mut self, name: &str) -> Vec<String> {
        let (taken, rest) = std::mem::take(&mut self.0)
            .into_iter()
            .partition(|(given, _)| given.strip_suffix("[]").unwrap_or(given) == name);
        self.0 = rest;
        let taken: Vec<(String, String)> = taken;
        taken.into_iter().map(|(_, value)| value).filter(|value| !value.is_empty()).collect()
    }

    /// Takes a whole number within `range`.
    pub(super) fn number(
        &mut self,
        name: &str,
        range: std::ops::RangeInclusive<u64>,
    ) -> Result<Option<u64>, Box<ApiError>> {
        let Some(text) = self.take(name)? else { return Ok(None) };
        let number = text.parse().ok().filter(|number| range.contains(number));
        let words = || {
            let (from, to) = (range.start(), range.end());
            invalid(name, format!("must be a whole number from {from} to {to}"))
        };
        number.map(Some).ok_or_else(words)
    }

    /// Nothing is left over.
    pub(super) fn end(self) -> Result<(), Box<ApiError>> {
        match self.0.into_iter().next() {
            None => Ok(()),
            Some((name, _)) => {
                let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
                Err(invalid(&shown, format!("there is no parameter `{shown}` here")))
            }
        }
    }
}

fn decoded(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_taken_once() {
        let mut query = Query::read("id=gen%2D1&group_by[]=model&group_by%5B%5D=day&n=5&").expect("few");
        assert_eq!(query.take("id").expect("once").as_deref(), Some("gen-1"));
        assert_eq!(query.take_all("group_by"), ["model", "day"]);
        assert_eq!(query.number("n", 1..=5).expect("within"), Some(5));
        assert!(query.end().is_ok());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let param = |error: Box<ApiError>| error.param.unwrap_or_default();
        let query = |text: &str| Query::read(text).expect("few");
        assert_eq!(param(query("a=1&a=2").take("a").expect_err("twice")), "a");
        assert_eq!(param(query("n=6").number("n", 1..=5).expect_err("too much")), "n");
        assert_eq!(param(query("n=-1").number("n", 0..=5).expect_err("negative")), "n");
        assert_eq!(param(query("colour=red").end().expect_err("unknown")), "colour");
        assert!(Query::read(&"a=1&".repeat(17)).is_err());
    }
}
