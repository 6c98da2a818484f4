//! A caller's own setting of quality against speed: `x-freeway-quality: 0.8`, or a word.

use crate::protocol::errors::{ApiError, ErrorKind};
use http::HeaderMap;

/// The header.
const HEADER: &str = "x-freeway-quality";

/// What it asks for, 0 (speed) to 1 (quality); `None` where it is not there.
///
/// # Errors
/// 400 where it is neither such a number nor one of the words, or comes twice.
pub(super) fn read(headers: &HeaderMap) -> Result<Option<f32>, Box<ApiError>> {
    let mut values = headers.get_all(HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let known = value.to_str().ok().and_then(|text| setting(text.trim()));
    match (known, values.next()) {
        (Some(known), None) => Ok(Some(known)),
        _ => {
            let words = format!("{HEADER} must be fast, balanced, best, or a number from 0 to 1");
            Err(Box::new(ApiError::new(ErrorKind::InvalidRequest, words).param(HEADER)))
        }
    }
}

fn setting(text: &str) -> Option<f32> {
    match text {
        "fast" => Some(0.0),
        "balanced" => Some(0.5),
        "best" => Some(1.0),
        number => number.parse().ok().filter(|number| (0.0..=1.0).contains(number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[track_caller]
    fn check(values: &[&str], expect: Option<Option<f32>>) {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HEADER, HeaderValue::from_str(value).expect("a value"));
        }
        assert_eq!(read(&headers).ok(), expect, "{values:?}");
    }

    #[test]
    fn words_and_numbers_say_how_much_quality_counts() {
        check(&[], Some(None));
        check(&["fast"], Some(Some(0.0)));
        check(&["balanced"], Some(Some(0.5)));
        check(&["best"], Some(Some(1.0)));
        check(&[" 0.25 "], Some(Some(0.25)));
        check(&["1"], Some(Some(1.0)));
    }

    #[test]
    fn anything_else_is_refused() {
        for value in ["", "high", "Best", "-0.1", "1.01", "NaN", "inf", "0,5"] {
            check(&[value], None);
        }
        check(&["0", "1"], None);
    }
}
