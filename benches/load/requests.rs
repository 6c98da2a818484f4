//! The requests, built once.

use std::fmt::Write as _;

/// Bodies start with the members the mock looks for.
fn request(stream: bool, messages: &str) -> Vec<u8> {
    let body =
        format!("{{\"model\":\"auto\",\"stream\":{stream},\"max_tokens\":8192,\"messages\":[{messages}]}}");
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: load.test\r\nauthorization: Bearer cm_load\r\n\
         user-agent: load\r\naccept: application/json\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body.into_bytes()].concat()
}

fn message(role: &str, bytes: usize) -> String {
    let sentence = "The quick brown fox jumps over the lazy dog while \\\"quoting\\\" a line\\nor two. ";
    let text: String = sentence.chars().cycle().take(bytes).collect();
    // Never ends within an escape.
    format!("{{\"role\":\"{role}\",\"content\":\"{}.\"}}", text.trim_end_matches('\\'))
}

/// The request with an API key of its own.
pub(crate) fn with_key(request: &[u8], key: &str) -> Vec<u8> {
    let at = memchr::memmem::find(request, b"cm_load").expect("every request has a key");
    [&request[..at], key.as_bytes(), &request[at + b"cm_load".len()..]].concat()
}

/// A system prompt and a question, about 1 kB.
pub(crate) fn small(stream: bool) -> Vec<u8> {
    request(stream, &format!("{},{}", message("system", 600), message("user", 280)))
}

/// A conversation of 46 messages, about 32 kB.
pub(crate) fn conversation() -> Vec<u8> {
    let mut messages = message("system", 650);
    for turn in 0..45 {
        let _ = write!(messages, ",{}", message(if turn % 2 == 0 { "user" } else { "assistant" }, 660));
    }
    request(false, &messages)
}

/// A question about one image of 2 MB.
pub(crate) fn image() -> Vec<u8> {
    let pixels = "iVBORw0KGgoAAAANSUhEUgAAAAEA+/8B".repeat((2 << 20) / 32);
    let parts = format!(
        "{{\"role\":\"user\",\"content\":[{{\"type\":\"text\",\"text\":\"What is on it?\"}},\
         {{\"type\":\"image_url\",\"image_url\":{{\"url\":\"data:image/png;base64,{pixels}\"}}}}]}}"
    );
    request(false, &parts)
}
