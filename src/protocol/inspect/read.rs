//! Typed readers of known fields. A null counts as absent everywhere; the wrong type is an error
//! that names the field.

use super::Invalid;
use super::scan::{Cursor, Kind, Str};
use std::borrow::Cow;
use std::ops::RangeInclusive;

/// The longest name, pattern or slug taken from a request, in characters.
pub(super) const MAX_NAME_CHARS: usize = 1024;

/// The longest list of names or patterns taken from a request.
pub(super) const MAX_NAMES: usize = 1024;

/// All patterns of one list together, in characters.
pub(super) const MAX_NAMES_CHARS: usize = 65_536;

impl<'a> Cursor<'a> {
    /// Walks an object's members by name, or passes over a null (false). Errors of a member are
    /// put under its name, so `member` must raise errors of value only for names we know.
    pub(super) fn fields(
        &mut self,
        mut member: impl FnMut(&mut Self, &str) -> Result<(), Invalid>,
    ) -> Result<bool, Invalid> {
        match self.kind()? {
            Kind::Null => self.null()?,
            Kind::Object => {
                self.object(|cursor, key| {
                    let name = cursor.name(key);
                    member(cursor, &name).map_err(|e| e.under(&name))
                })?;
                return Ok(true);
            }
            _ => return Err(Invalid::value("must be an object")),
        }
        Ok(false)
    }

    /// Walks an array, or passes over a null (`None`); gives the number of items. Errors of an item
    /// are put under its position.
    pub(super) fn items(
        &mut self,
        mut item: impl FnMut(&mut Self, u32) -> Result<(), Invalid>,
    ) -> Result<Option<u32>, Invalid> {
        match self.kind()? {
            Kind::Null => self.null()?,
            Kind::Array => {
                let mut count = 0;
                self.array(|cursor, index| {
                    count = index + 1;
                    item(cursor, index).map_err(|e| e.under(&format!("[{index}]")))
                })?;
                return Ok(Some(count));
            }
            _ => return Err(Invalid::value("must be an array")),
        }
        Ok(None)
    }

    /// A string, unresolved.
    pub(super) fn text_or_null(&mut self) -> Result<Option<Str>, Invalid> {
        match self.kind()? {
            Kind::String => Ok(Some(self.string()?)),
            Kind::Null => Ok(self.null().map(|()| None)?),
            _ => Err(Invalid::value("must be a string")),
        }
    }

    /// A name: a string of at most `max_chars` characters, escapes resolved.
    pub(super) fn name_or_null(&mut self, max_chars: usize) -> Result<Option<Cow<'a, str>>, Invalid> {
        let Some(text) = self.text_or_null()? else { return Ok(None) };
        // No character takes more bytes than an escaped pair of surrogates.
        if text.span.len() <= max_chars * r"\ud83d\ude00".len() {
            let name = self.unescape(text);
            if name.len() <= max_chars || name.chars().count() <= max_chars {
                return Ok(Some(name));
            }
        }
        Err(Invalid::value(&format!("must have at most {max_chars} characters")))
    }

    /// A list of names, empty for null.
    pub(super) fn names(&mut self) -> Result<Vec<String>, Invalid> {
        let mut names = Vec::new();
        let mut chars = 0;
        self.items(|cursor, _| {
            let name =
                cursor.name_or_null(MAX_NAME_CHARS)?.ok_or_else(|| Invalid::value("must be a string"))?;
            chars += name.chars().count();
            if names.len() == MAX_NAMES || chars > MAX_NAMES_CHARS {
                return Err(Invalid::value(&format!(
                    "the list is longer than {MAX_NAMES} names or {MAX_NAMES_CHARS} characters"
                )));
            }
            names.push(name.into_owned());
            Ok(())
        })?;
        Ok(names)
    }

    pub(super) fn bool_or_null(&mut self) -> Result<Option<bool>, Invalid> {
        match self.kind()? {
            Kind::Bool => Ok(Some(self.boolean()?)),
            Kind::Null => Ok(self.null().map(|()| None)?),
            _ => Err(Invalid::value("must be true or false")),
        }
    }

    /// A number within `range`.
    pub(super) fn number_or_null(&mut self, range: RangeInclusive<f64>) -> Result<Option<f64>, Invalid> {
        match self.kind()? {
            Kind::Number => {}
            Kind::Null => return Ok(self.null().map(|()| None)?),
            _ => return Err(Invalid::value("must be a number")),
        }
        // Of a number that follows JSON's grammar, `parse` makes a value or an infinity.
        let number: f64 = self.number()?.parse().unwrap_or(f64::INFINITY);
        if range.contains(&number) && number.is_finite() {
            return Ok(Some(number));
        }
        Err(match (range.start().is_finite(), range.end().is_finite()) {
            (false, false) => Invalid::value("is out of range"),
            _ => Invalid::value(&format!("must be from {} to {}", range.start(), range.end())),
        })
    }

    /// A whole number within `range`; `1.0` is none.
    pub(super) fn integer_or_null(&mut self, range: RangeInclusive<i64>) -> Result<Option<i64>, Invalid> {
        match self.kind()? {
            Kind::Number => {}
            Kind::Null => return Ok(self.null().map(|()| None)?),
            _ => return Err(Invalid::value("must be an integer")),
        }
        let number = self.number()?;
        if number.contains(['.', 'e', 'E']) {
            return Err(Invalid::value("must be an integer, without fraction or exponent"));
        }
        match number.parse() {
            Ok(n) if range.contains(&n) => Ok(Some(n)),
            _ if *range.end() == i64::from(u32::MAX) => {
                Err(Invalid::value(&format!("must be an integer of at least {}", range.start())))
            }
            _ => {
                Err(Invalid::value(&format!("must be an integer from {} to {}", range.start(), range.end())))
            }
        }
    }
}
