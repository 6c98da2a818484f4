//! A small raw HTTP/1.1 client: every byte of the answer is looked at as it arrives.

use crate::harness::within;
use serde_json::Value;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// One event of a stream. Anything else on the wire fails the test: strict clients die of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Data(Value),
    Done,
    Comment(String),
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("no JSON: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The answer's text, streamed or not.
    pub fn text(&self) -> String {
        if self.header("content-type").is_some_and(|t| t.starts_with("text/event-stream")) {
            return text_of(&self.events());
        }
        self.json()["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned()
    }

    /// The model that answered.
    pub fn model(&self) -> String {
        if self.header("content-type").is_some_and(|t| t.starts_with("text/event-stream")) {
            let chunks = chunks(&self.events());
            return chunks[0]["model"].as_str().expect("a model").to_owned();
        }
        self.json()["model"].as_str().unwrap_or_default().to_owned()
    }

    /// All events of a finished stream.
    pub fn events(&self) -> Vec<Event> {
        let mut rest = self.body.clone();
        let events = std::iter::from_fn(|| take_event(&mut rest)).collect();
        assert!(rest.is_empty(), "a stream ends with a whole event");
        events
    }
}

/// The chunks among events.
pub fn chunks(events: &[Event]) -> Vec<Value> {
    events.iter().filter_map(|e| if let Event::Data(v) = e { Some(v.clone()) } else { None }).collect()
}

/// The text of a stream's first choice.
pub fn text_of(events: &[Event]) -> String {
    let texts = chunks(events);
    texts.iter().filter_map(|c| c["choices"][0]["delta"]["content"].as_str()).collect()
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
}

/// Takes one whole event off the front.
pub fn take_event(buffer: &mut Vec<u8>) -> Option<Event> {
    let end = memchr::memmem::find(buffer, b"\n\n")?;
    let block: Vec<u8> = buffer.drain(..end + 2).collect();
    let block = String::from_utf8(block).expect("events are UTF-8");
    let line = block.trim_end_matches('\n');
    assert!(!line.contains(['\n', '\r']), "one line an event, terminated by LF: {line:?}");
    if let Some(comment) = line.strip_prefix(':') {
        return Some(Event::Comment(comment.trim().to_owned()));
    }
    match line.strip_prefix("data: ").unwrap_or_else(|| panic!("strict clients die of {line:?}")) {
        "[DONE]" => Some(Event::Done),
        data => Some(Event::Data(serde_json::from_str(data).expect("events carry JSON"))),
    }
}

/// A connection, kept alive between requests; where the router ends it with `connection: close`, the next
/// request opens another.
pub struct Client {
    addr: SocketAddr,
    closing: bool,
    connections: usize,
    read: OwnedReadHalf,
    write: OwnedWriteHalf,
    buffer: Vec<u8>,
}

impl Client {
    pub async fn connect(addr: SocketAddr) -> Self {
        let stream = within("a connection", TcpStream::connect(addr)).await.expect("it listens");
        stream.set_nodelay(true).expect("a TCP socket");
        let (read, write) = stream.into_split();
        Self { addr, closing: false, connections: 1, read, write, buffer: Vec::new() }
    }

    /// How many connections it has needed so far.
    pub fn connections(&self) -> usize {
        self.connections
    }

    async fn reconnect_if_closing(&mut self) {
        if self.closing {
            *self = Self { connections: self.connections + 1, ..Self::connect(self.addr).await };
        }
    }

    /// A chat request; the whole answer.
    pub async fn chat(&mut self, body: &Value) -> Answer {
        self.post("/v1/chat/completions", &[], &body.to_string()).await
    }

    /// A chat request with an API key.
    pub async fn chat_as(&mut self, key: &str, body: &Value) -> Answer {
        self.post_as(key, "/v1/chat/completions", body).await
    }

    /// A POST with an API key.
    pub async fn post_as(&mut self, key: &str, path: &str, body: &Value) -> Answer {
        let bearer = format!("Bearer {key}");
        self.post(path, &[("authorization", bearer.as_str())], body.to_string()).await
    }

    /// A GET with an API key.
    pub async fn get_as(&mut self, key: &str, path: &str) -> Answer {
        self.send_as(key, "GET", path).await
    }

    /// A request without a body, with an API key.
    pub async fn send_as(&mut self, key: &str, method: &str, path: &str) -> Answer {
        let bearer = format!("Bearer {key}");
        self.open(method, path, &[("authorization", bearer.as_str())], b"").await.whole().await
    }

    /// A chat request whose answer is read event by event.
    pub async fn chat_stream(&mut self, body: &Value) -> Open<'_> {
        let body = body.to_string();
        self.open("POST", "/v1/chat/completions", &[], body.as_bytes()).await
    }

    pub async fn post(&mut self, path: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Answer {
        self.open("POST", path, headers, body.as_ref()).await.whole().await
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.open("GET", path, &[], b"").await.whole().await
    }

    /// Sends a request and waits for the head of the answer, which may come before the body is sent.
    pub async fn open(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Open<'_> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: router.test\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            if header_missing(headers, "content-type") {
                head.push_str("content-type: application/json\r\n");
            }
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        } else if method == "POST" {
            head.push_str("content-length: 0\r\n");
        }
        head.push_str("\r\n");
        let mut request = head.into_bytes();
        request.extend_from_slice(body);
        self.reconnect_if_closing().await;
        let Self { read, write, buffer, .. } = self;
        let (status, headers) = {
            let answer = read_head(read, buffer);
            let sent = write.write_all(&request);
            tokio::pin!(answer, sent);
            within("an answer", async {
                tokio::select! {
                    head = &mut answer => head,
                    _ = &mut sent => answer.await,
                }
            })
            .await
        };
        Open::new(self, method, status, headers)
    }

    /// Raw bytes, for requests a well-behaved client would not send.
    pub async fn send_raw(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.reconnect_if_closing().await;
        within("a write", self.write.write_all(bytes)).await
    }

    /// The answer to what was sent raw.
    pub async fn answer(&mut self) -> Answer {
        let (status, headers) = within("an answer", read_head(&mut self.read, &mut self.buffer)).await;
        Open::new(self, "POST", status, headers).whole().await
    }

    /// Waits until the other side closes the connection.
    pub async fn closed(&mut self) {
        within("the connection to close", async {
            let mut rest = [0; 1024];
            while self.read.read(&mut rest).await.is_ok_and(|n| n > 0) {}
        })
        .await;
    }
}

fn header_missing(headers: &[(&str, &str)], name: &str) -> bool {
    !headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name))
}

async fn read_head(read: &mut OwnedReadHalf, buffer: &mut Vec<u8>) -> (u16, Vec<(String, String)>) {
    loop {
        let Some(end) = memchr::memmem::find(buffer, b"\r\n\r\n") else {
            let n = read.read_buf(buffer).await.expect("a live connection");
            assert!(n > 0, "closed before an answer; got {:?}", String::from_utf8_lossy(buffer));
            continue;
        };
        let head: Vec<u8> = buffer.drain(..end + 4).collect();
        let head = String::from_utf8(head).expect("ASCII heads");
        let mut lines = head.trim_end().split("\r\n");
        let status: u16 =
            lines.next().and_then(|l| l.split(' ').nth(1)).and_then(|s| s.parse().ok()).expect("a status");
        if status == 100 {
            continue;
        }
        let headers = lines
            .filter_map(|l| l.split_once(':'))
            .map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_owned()))
            .collect();
        return (status, headers);
    }
}

enum Framing {
    Length(usize),
    Chunked,
    Close,
    Over,
}

/// An answer whose head has arrived.
pub struct Open<'a> {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    client: &'a mut Client,
    framing: Framing,
    pending: Vec<u8>,
}

impl<'a> Open<'a> {
    fn new(client: &'a mut Client, method: &str, status: u16, headers: Vec<(String, String)>) -> Self {
        let framing = if method == "HEAD" || status == 204 {
            Framing::Over
        } else if header(&headers, "transfer-encoding").is_some() {
            Framing::Chunked
        } else if let Some(length) = header(&headers, "content-length") {
            Framing::Length(length.parse().expect("a length"))
        } else {
            Framing::Close
        };
        client.closing = header(&headers, "connection").is_some_and(|c| c.eq_ignore_ascii_case("close"));
        Self { status, headers, client, framing, pending: Vec::new() }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// The next event; `None` at the proper end of the body.
    pub async fn next(&mut self) -> Option<Event> {
        within("an event", async {
            loop {
                if let Some(event) = take_event(&mut self.pending) {
                    return Some(event);
                }
                if !self.more().await {
                    assert!(self.pending.is_empty(), "a stream ends with a whole event");
                    return None;
                }
            }
        })
        .await
    }

    /// The next event that is not a comment.
    pub async fn next_data(&mut self) -> Option<Event> {
        loop {
            match self.next().await {
                Some(Event::Comment(_)) => {}
                event => return event,
            }
        }
    }

    /// All events to the proper end.
    pub async fn events(mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }

    /// The whole body to its proper end.
    pub async fn whole(mut self) -> Answer {
        within("the end of the body", async { while self.more().await {} }).await;
        Answer { status: self.status, headers: self.headers, body: self.pending }
    }

    /// Reads some more of the body; false at its proper end. A cut body fails the test.
    async fn more(&mut self) -> bool {
        let Client { read, buffer, .. } = &mut *self.client;
        loop {
            match &mut self.framing {
                Framing::Over | Framing::Length(0) => return false,
                Framing::Length(left) if !buffer.is_empty() => {
                    let n = buffer.len().min(*left);
                    self.pending.extend(buffer.drain(..n));
                    *left -= n;
                    return true;
                }
                Framing::Chunked => match take_chunk(buffer) {
                    Some(chunk) if chunk.is_empty() => {
                        self.framing = Framing::Over;
                        return false;
                    }
                    Some(chunk) => {
                        self.pending.extend(chunk);
                        return true;
                    }
                    None => {}
                },
                Framing::Close if !buffer.is_empty() => {
                    self.pending.append(buffer);
                    return true;
                }
                _ => {}
            }
            let n = read.read_buf(buffer).await.expect("a live connection");
            if n == 0 {
                assert!(matches!(self.framing, Framing::Close), "the body was cut");
                return false;
            }
        }
    }
}

/// Takes one whole chunk off the front; an empty one is the last.
fn take_chunk(buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
    let line = memchr::memmem::find(buffer, b"\r\n")?;
    let size = std::str::from_utf8(&buffer[..line]).expect("chunk sizes are ASCII");
    let size = usize::from_str_radix(size.trim(), 16).expect("chunk sizes are hexadecimal");
    if buffer.len() < line + 2 + size + 2 {
        return None;
    }
    let chunk = buffer[line + 2..line + 2 + size].to_vec();
    buffer.drain(..line + 2 + size + 2);
    Some(chunk)
}
