use super::*;
use crate::protocol::facts::{Role, Span, Text};

/// A chat of user texts as they stand in a body, already JSON-escaped.
fn features(texts: &[(Role, &str)]) -> (Vec<u8>, PromptFeatures) {
    let mut body = Vec::new();
    let mut features = PromptFeatures { messages: texts.len() as u32, ..PromptFeatures::default() };
    for (message, (role, text)) in texts.iter().enumerate() {
        let start = body.len() as u32;
        body.extend_from_slice(text.as_bytes());
        let span = Span { start, end: body.len() as u32 };
        features.texts.push(Text { role: *role, message: message as u32, span });
        match role {
            Role::User => {
                features.user_turns += 1;
                features.user_bytes += text.len() as u32;
            }
            _ => features.context_bytes += text.len() as u32,
        }
    }
    (body, features)
}

fn of(text: &str) -> Classification {
    let (body, features) = features(&[(Role::User, text)]);
    classify(&body, &features)
}

fn check(text: &str, task: Task) {
    assert_eq!(of(text).task, task, "{text}");
}

#[test]
fn plain_requests_are_told_apart() {
    check("What is the capital of France?", Task::Qa);
    check("Hello!", Task::Chat);
    check("hi there", Task::Chat);
    check("Translate to German: the cat sat on the mat.", Task::Translation);
    check("Please summarize the following article in two sentences.", Task::Summarization);
    check("Extract all names and dates from this text as JSON.", Task::Extraction);
    check("Classify the sentiment of this review: great film!", Task::Classification);
    check("Paraphrase the following sentence: he came late.", Task::Rewriting);
    check("Write a short story about a dragon.", Task::Writing);
    check("Give me a list of ideas for a birthday party", Task::Brainstorming);
    check("Write a Python function that reverses a list.", Task::Code);
    check("Solve the equation 3x + 7 = 22.", Task::Math);
    check("Act as a pirate and talk to me", Task::Chat);
}

#[test]
fn other_languages_count_too() {
    check("Übersetze ins Englische: Guten Morgen", Task::Translation);
    check("Traduce al inglés: buenos días", Task::Translation);
    check("Переведи на английский: доброе утро", Task::Translation);
    check("请把下面的句子翻译成英文：我喜欢猫", Task::Translation);
    check("总结以下文章", Task::Summarization);
    check("写一个 Python 函数", Task::Code);
}

#[test]
fn escapes_of_the_body_are_undone() {
    check("\\u8bf7\\u7ffb\\u8bd1\\u6210\\u82f1\\u6587", Task::Translation);
    check("fix this\\n```\\ndef f(x):\\n\\treturn x\\n```", Task::Code);
    check("Find $\\\\frac{1}{2} + \\\\sqrt{2}$", Task::Math);
}

#[test]
fn the_middle_of_a_pasted_text_is_not_an_instruction() {
    let pasted = "The committee met on Monday. It was asked to translate the act. ".repeat(40);
    let text = format!("Summarize this article. {pasted}");
    check(&text, Task::Summarization);
}

#[test]
fn a_word_that_goes_on_is_understood_by_what_came_before() {
    let chat = [
        (Role::User, "Write a Python function that parses dates"),
        (Role::Assistant, "def parse(): ..."),
        (Role::User, "and now?"),
    ];
    let (body, features) = features(&chat);
    assert_eq!(classify(&body, &features).task, Task::Code);
}

#[test]
fn a_question_after_a_long_document_is_seen() {
    let document = "def f(x):\\n    return x;\\n".repeat(400);
    let (body, mut features) =
        features(&[(Role::User, &document), (Role::User, "Translate the comments to French")]);
    features.texts[1].message = 0;
    assert!(features.texts[0].span.len() > 4_096);
    let mut window = super::window::Window::new();
    window.fill(&body, &features.texts);
    assert!(window.text().ends_with(b"translate the comments to french"));
}

#[test]
fn difficulty_ranks_prompts_as_people_would() {
    let ascending = [
        "hi",
        "What is the capital of France?",
        "Write a Python function that reverses a list.",
        "Prove the theorem that sqrt(2) is irrational, then optimize the algorithm for a distributed \
         system and discuss its complexity.",
    ];
    for pair in ascending.windows(2) {
        assert!(of(pair[0]).difficulty < of(pair[1]).difficulty, "{} before {}", pair[0], pair[1]);
    }
    assert!(of(ascending[1]).difficulty < 0.06 && of(ascending[3]).difficulty > 0.35);
}

#[test]
fn what_surrounds_the_text_makes_it_harder() {
    let (body, plain) = features(&[(Role::User, "What is the weather in Paris?")]);
    let base = classify(&body, &plain).difficulty;
    let harder = |change: &dyn Fn(&mut PromptFeatures)| {
        let mut features = plain.clone();
        change(&mut features);
        classify(&body, &features).difficulty > base
    };
    assert!(harder(&|f| f.tools = 1));
    assert!(harder(&|f| f.schema_bytes = 100));
    assert!(harder(&|f| f.attachments = 1));
    assert!(harder(&|f| f.user_turns = 5));
    assert!(harder(&|f| f.context_bytes = 50_000));
    assert!(harder(&|f| f.reasoning_effort = Some(4)));
    assert!(!harder(&|f| f.reasoning_effort = Some(0)));
}

#[test]
fn no_text_at_all_is_no_trouble() {
    let none = classify(b"", &PromptFeatures::default());
    assert!(none.difficulty < 0.2 && none.output_tokens > 0);
    for text in ["", "\\", "\\u", "\\u12", "\\uZZZZ", "\\ud83d", "\u{fffd}\u{1F600}"] {
        assert!((0.0..=1.0).contains(&of(text).difficulty), "{text}");
    }
}

#[test]
fn answers_are_expected_as_long_as_their_task_makes_them() {
    let expect = |text: &str| {
        let (body, features) = features(&[(Role::User, text)]);
        classify(&body, &features).output_tokens
    };
    assert!(expect("Classify the sentiment: great!") < expect("What is the capital of France?"));
    assert!(expect("What is the capital of France?") < expect("Write a short story about a dragon."));
    let long = format!("Translate to German: {}", "the cat sat on the mat. ".repeat(200));
    assert!(expect(&long) > 1_000);
    assert_eq!(expect("Write a novel of 900 pages."), LONGEST as u32, "nobody answers with more at once");
}

#[test]
fn names_are_the_ones_that_are_serialized() {
    for task in Task::ALL {
        let json = serde_json::to_string(&task).expect("serializable");
        assert_eq!(json, format!("\"{}\"", task.name()));
    }
}
