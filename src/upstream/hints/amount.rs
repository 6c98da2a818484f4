//! Amounts as providers write them.

/// More of anything than this is no limit but a mistake.
const MAX_CREDIBLE: f64 = 1e12;

/// A header's amount as a whole number: `30`, `29.5`, `30;w=60`, `100, 100;w=60`. Negative, absurd and
/// unreadable values are `None`.
pub(in crate::upstream) fn whole(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.find([',', ';']).unwrap_or(text.len());
    // What is grouped by thousands would be read a thousand times too small.
    if text.get(end..)?.starts_with(',') && text.as_bytes().get(end + 1).is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let number: f64 = text.get(..end)?.trim().parse().ok()?;
    (0.0..=MAX_CREDIBLE).contains(&number).then_some(number as u64)
}

/// The first number right after one of `marks`, as in "limit 6000, used 5500", and where it ends. Thousands
/// may be grouped, and none of anything is no number.
pub(super) fn after(message: &str, marks: &[&str]) -> Option<(u64, usize)> {
    let found = marks.iter().flat_map(|mark| message.match_indices(mark));
    found.map(|(at, mark)| at + mark.len()).find_map(|start| {
        let (number, length) = grouped(message.get(start..)?)?;
        Some((number, start + length))
    })
}

/// A leading number such as `10,000`, and its length.
fn grouped(text: &str) -> Option<(u64, usize)> {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let (mut number, mut at) = (0_u64, 0);
    loop {
        if digit(at) {
            number = number.checked_mul(10)?.checked_add(u64::from(bytes[at] - b'0'))?;
            at += 1;
        } else if at > 0 && bytes.get(at) == Some(&b',') && (1..=3).all(|i| digit(at + i)) {
            at += 1;
        } else {
            break;
        }
    }
    (number > 0 && number as f64 <= MAX_CREDIBLE).then_some((number, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_have_whole_numbers() {
        let check = |text: &str, expect| assert_eq!(whole(text), expect, "{text}");
        check("30", Some(30));
        check(" 0 ", Some(0));
        check("29.5", Some(29));
        check("30;w=60", Some(30));
        check("100, 100;w=60, 5000;w=86400", Some(100));
        for junk in
            ["", "-1", "NaN", "inf", "1e300", "9999999999999999", "many", ";", ",", "14,400", "1;é", "é"]
        {
            check(junk, if junk == "1;é" { Some(1) } else { None });
        }
    }

    #[test]
    fn sentences_name_numbers_after_a_mark() {
        let check = |text: &str, expect| {
            assert_eq!(after(text, &["limit ", "limited to "]).map(|(n, _)| n), expect, "{text}")
        };
        check("rate limit reached on tokens per minute (tpm): limit 6000, used 5500", Some(6_000));
        check("limited to 20 api calls", Some(20));
        check("limit 14,400, used 1", Some(14_400));
        check("limit 6000,5", Some(6_000));
        check("limit 0", None);
        check("limit 99999999999999999999999", None);
        check("limit is 5", None);
        check("limit ", None);
        check("limit é", None);
        check("", None);
    }
}
