//! The upstream: the cheapest possible answers, a fixed JSON body or a paced stream of 50 events.

use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// Events of one stream that carry text.
pub(crate) const EVENTS: usize = 50;

const PACE: Duration = Duration::from_millis(20);

/// How long a paced stream takes.
pub(crate) const STREAM: Duration = PACE.saturating_mul(EVENTS as u32);

/// What precedes an event's time stamp: when it was written, Unix microseconds.
pub(crate) const STAMP: &[u8] = b"\"content\":\"@";

const JSON: &str = r#"{"id":"chatcmpl-0123456789","object":"chat.completion","created":1764000000,"model":"mock-8b","choices":[{"index":0,"message":{"role":"assistant","content":"Paris is the capital of France."},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":14,"completion_tokens":7,"total_tokens":21}}"#;

const CHUNK: &str = r#"{"id":"chatcmpl-0123456789","object":"chat.completion.chunk","created":1764000000,"model":"mock-8b","choices":[{"index":0,"delta":{"content":"@TIME"},"logprobs":null,"finish_reason":null}]}"#;

const LAST: &str = r#"{"id":"chatcmpl-0123456789","object":"chat.completion.chunk","created":1764000000,"model":"mock-8b","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}"#;

const USAGE: &str = r#"{"id":"chatcmpl-0123456789","object":"chat.completion.chunk","created":1764000000,"model":"mock-8b","choices":[],"usage":{"prompt_tokens":14,"completion_tokens":350,"total_tokens":364}}"#;

/// How streams go on after their first event.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    /// An event every 20 ms.
    Paced,
    /// As fast as they are read.
    Unpaced,
    /// Not at all.
    Idle,
}

/// Microseconds since 1970.
pub(crate) fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as u64)
}

/// Serves until it is killed.
pub(crate) fn run(mode: &str) -> ! {
    let mode = match mode {
        "idle" => Mode::Idle,
        "unpaced" => Mode::Unpaced,
        _ => Mode::Paced,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        println!("listening on http://{}", listener.local_addr().expect("it is bound"));
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            tokio::spawn(serve(stream, mode));
        }
    })
}

async fn serve(mut stream: TcpStream, mode: Mode) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let json = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{JSON}",
        JSON.len()
    );
    let mut buffer = Vec::with_capacity(4096);
    loop {
        let wants_stream = read_request(&mut stream, &mut buffer).await?;
        if wants_stream {
            answer_stream(&mut stream, mode).await?;
        } else {
            stream.write_all(json.as_bytes()).await.ok()?;
        }
    }
}

/// Reads one request to its end; whether it asks for a stream.
async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<bool> {
    let head = loop {
        match memchr::memmem::find(buffer, b"\r\n\r\n") {
            Some(end) => break end + 4,
            None if stream.read_buf(buffer).await.ok()? == 0 => return None,
            None => {}
        }
    };
    let length = content_length(&buffer[..head]);
    // Requests state it early, so that megabytes need not be searched.
    while buffer.len() < head + length.min(256) {
        stream.read_buf(buffer).await.ok().filter(|&n| n > 0)?;
    }
    let start = &buffer[head..buffer.len().min(head + 256)];
    let wants_stream = memchr::memmem::find(start, b"\"stream\":true").is_some();
    let mut left = (head + length).saturating_sub(buffer.len());
    buffer.drain(..buffer.len().min(head + length));
    if left > 0 {
        let mut scratch = vec![0; left.min(64 << 10)];
        while left > 0 {
            let room = left.min(scratch.len());
            left -= stream.read(&mut scratch[..room]).await.ok().filter(|&n| n > 0)?;
        }
    }
    Some(wants_stream)
}

fn content_length(head: &[u8]) -> usize {
    let text = std::str::from_utf8(head).unwrap_or_default();
    let lines = text.split("\r\n").filter_map(|line| line.split_once(':'));
    let mut lengths = lines.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    lengths.next().and_then(|(_, value)| value.trim().parse().ok()).unwrap_or(0)
}

async fn answer_stream(stream: &mut TcpStream, mode: Mode) -> Option<()> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.ok()?;
    let mut next = Instant::now();
    for _ in 0..EVENTS {
        let event = CHUNK.replace("TIME", &now_us().to_string());
        stream.write_all(framed(&event).as_bytes()).await.ok()?;
        match mode {
            Mode::Paced => {
                next += PACE;
                tokio::time::sleep_until(next).await;
            }
            Mode::Unpaced => {}
            Mode::Idle => {
                // The other side ends it.
                let mut byte = [0];
                while stream.read(&mut byte).await.ok()? > 0 {}
                return None;
            }
        }
    }
    let end = format!("{}{}{}0\r\n\r\n", framed(LAST), framed(USAGE), framed("[DONE]"));
    stream.write_all(end.as_bytes()).await.ok()
}

fn framed(data: &str) -> String {
    format!("{:x}\r\ndata: {data}\n\n\r\n", data.len() + 8)
}
