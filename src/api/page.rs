//! Lists too long for one answer.

use super::fields::invalid;
use crate::protocol::errors::ApiError;
use serde::Serialize;

/// Entries of a page when nobody says.
pub(super) const DEFAULT_LIMIT: u64 = 20;
/// Entries of a page at most.
pub(super) const MAX_LIMIT: u64 = 100;

/// A page of a list. `next` is given back as `after` to see the next one.
#[derive(Serialize)]
pub(super) struct Page<T> {
    object: &'static str,
    data: Vec<T>,
    has_more: bool,
    next: Option<String>,
}

impl<T> Page<T> {
    /// A page of at most `limit` of `entries`, of which one more was asked for.
    pub(super) fn new<E>(
        mut entries: Vec<E>,
        limit: usize,
        cursor: impl Fn(&E) -> String,
        view: impl Fn(E) -> T,
    ) -> Self {
        let has_more = entries.len() > limit;
        entries.truncate(limit);
        let next = entries.last().filter(|_| has_more).map(cursor);
        Self { object: "list", data: entries.into_iter().map(view).collect(), has_more, next }
    }
}

/// The cursor of an earlier page.
pub(super) fn cursor<T: std::str::FromStr>(text: Option<String>) -> Result<Option<T>, Box<ApiError>> {
    let words = || invalid("after", "must be the `next` of an earlier page");
    text.map(|text| text.parse().map_err(|_| words())).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_page_has_no_next() {
        let page = |entries: Vec<u32>| {
            let page = Page::new(entries, 2, u32::to_string, |n| n);
            (page.data, page.has_more, page.next)
        };
        assert_eq!(page(vec![9, 8, 7]), (vec![9, 8], true, Some("8".to_owned())));
        assert_eq!(page(vec![7, 6]), (vec![7, 6], false, None));
        assert_eq!(page(vec![]), (vec![], false, None));
    }

    #[test]
    fn a_cursor_of_nowhere_is_refused() {
        assert_eq!(cursor::<i64>(Some("8".to_owned())).expect("a number"), Some(8));
        assert!(cursor::<i64>(Some("next".to_owned())).is_err());
    }
}
