use super::*;
use crate::classifier::{Weights, judge};
use crate::protocol::inspect::inspect;

/// Two tasks that are told apart by their words, the second the harder the longer.
fn rows() -> Vec<Row> {
    let things = ["cats", "rain", "bread", "trains", "music", "rivers", "chess", "glass", "wool", "stars"];
    let row = |line: String| Row::parse(&line).expect("a row");
    let mut rows = Vec::new();
    for (at, thing) in things.into_iter().enumerate() {
        rows.push(row(format!(
            r#"{{"prompt":"write a poem about {thing}","task":"writing","tokens":200,"level":1}}"#
        )));
        let more = "and then also ".repeat(at);
        rows.push(row(format!(
            r#"{{"prompt":"debug my python program about {more}{thing}","task":"code","tokens":800,"level":{}}}"#,
            1 + at / 2,
        )));
    }
    rows
}

#[test]
fn the_same_rows_make_the_same_weights_and_they_know_what_they_were_told() {
    let trained = train(rows());
    assert_eq!(trained.weights, train(rows()).weights);

    let weights = Weights::parse(&trained.weights).expect("weights");
    let of = |prompt: &str| {
        let body = format!(r#"{{"messages":[{{"role":"user","content":"{prompt}"}}]}}"#);
        let facts = inspect(body.as_bytes()).expect("a request");
        judge(&weights, body.as_bytes(), &facts.features)
    };
    let (poem, program) = (of("write a poem about snow"), of("debug my python program about snow"));
    assert_eq!(poem.task.name(), "writing");
    assert_eq!(program.task.name(), "code");
    assert!(
        of(&format!("debug my python program about {} snow", "and then also ".repeat(9))).logit
            > program.logit
    );
    let report = validate(&trained).to_string();
    assert!(report.starts_with("20 rows, 5 folds"), "{report}");
}

#[test]
fn a_row_needs_a_prompt_and_labels_of_the_right_kind() {
    assert!(Row::parse(r#"{"prompt":"p"}"#).is_ok());
    assert!(Row::parse(r#"{"prompt":"p","task":"juggling"}"#).is_err());
    assert!(Row::parse(r#"{"task":"qa"}"#).is_err());
    assert!(Row::parse("[]").is_err());
}

#[test]
fn weights_that_do_not_fit_are_refused() {
    let refused = |file: &[u8]| Weights::parse(file).expect_err("refused").to_string();
    assert!(refused(b"").starts_with("no header"));
    let trained = train(rows()).weights;
    assert!(refused(&trained[..trained.len() - 1]).starts_with("a table of"));
    let other = String::from_utf8_lossy(&trained).replace("\"version\":1", "\"version\":0");
    assert!(refused(other.as_bytes()).starts_with("weights of version 0"));
}
