//! The load: connections kept alive, each sending its next request when the last is answered.

use crate::mock::{self, EVENTS, STAMP};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// When connections begin to count and when they stop.
#[derive(Clone, Copy)]
pub(crate) struct Window {
    pub(crate) from: Instant,
    pub(crate) until: Instant,
}

/// What the requests of a window saw. Microseconds.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) requests: u64,
    pub(crate) events: u64,
    /// Of whole answers; of streams, to their first event.
    pub(crate) latency_us: Vec<u32>,
    /// From an event's writing at the upstream to its reading here.
    pub(crate) hold_us: Vec<u32>,
}

impl Seen {
    fn add(&mut self, other: Seen) {
        self.requests += other.requests;
        self.events += other.events;
        self.latency_us.extend(other.latency_us);
        self.hold_us.extend(other.hold_us);
    }
}

/// This many connections, begun over the time of `spread`, repeat the request; what they see within the
/// window.
pub(crate) async fn load(
    addr: SocketAddr,
    request: &Arc<Vec<u8>>,
    connections: usize,
    spread: Duration,
    window: Window,
) -> Seen {
    let mut tasks = JoinSet::new();
    for number in 0..connections {
        let request = request.clone();
        // Spread over the time a stream takes, so that streams do not begin and end in step.
        let start = spread.mul_f64(number as f64 / connections as f64);
        tasks.spawn(async move {
            tokio::time::sleep(start).await;
            let mut connection = Connection::open(addr).await;
            let mut seen = Seen::default();
            while Instant::now() < window.until {
                connection.exchange(&request, Some(window), &mut seen).await;
            }
            seen
        });
    }
    let mut all = Seen::default();
    while let Some(seen) = tasks.join_next().await {
        all.add(seen.expect("no connection fails"));
    }
    all.latency_us.sort_unstable();
    all.hold_us.sort_unstable();
    all
}

/// A value of a sorted list by its rank, 0 to 1.
pub(crate) fn quantile(sorted: &[u32], rank: f64) -> f64 {
    let at = (sorted.len().saturating_sub(1)) as f64 * rank;
    sorted.get(at.round() as usize).map_or(f64::NAN, |&v| f64::from(v))
}

/// One kept-alive connection.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).await.expect("it listens");
        stream.set_nodelay(true).expect("a TCP socket");
        Self { stream, buffer: Vec::with_capacity(2048) }
    }

    /// One request and its whole answer; counted where it ends within the window.
    pub(crate) async fn exchange(&mut self, request: &[u8], window: Option<Window>, seen: &mut Seen) {
        let sent = Instant::now();
        self.stream.write_all(request).await.expect("a live connection");
        let length = self.head().await;
        let mut stream = Seen::default();
        match length {
            Some(length) => self.skip(length).await,
            None => while self.chunk(sent, &mut stream).await {},
        }
        let done = Instant::now();
        if window.is_some_and(|w| done < w.from || done >= w.until) {
            return;
        }
        seen.requests += 1;
        if length.is_some() {
            seen.latency_us.push(micros(done - sent));
            return;
        }
        assert_eq!(stream.events, EVENTS as u64, "every event of a stream arrives");
        seen.add(stream);
    }

    /// Sends a request for a stream and waits for its first event.
    pub(crate) async fn begin_stream(&mut self, request: &[u8]) {
        self.stream.write_all(request).await.expect("a live connection");
        assert_eq!(self.head().await, None, "a stream");
        let mut seen = Seen::default();
        while seen.events == 0 {
            assert!(self.chunk(Instant::now(), &mut seen).await, "it goes on");
        }
    }

    async fn fill(&mut self) {
        let n = self.stream.read_buf(&mut self.buffer).await.expect("a live connection");
        assert!(n > 0, "the connection was closed within an answer");
    }

    /// Reads a head; the body's length, or none where it is chunked.
    async fn head(&mut self) -> Option<usize> {
        let end = loop {
            match memchr::memmem::find(&self.buffer, b"\r\n\r\n") {
                Some(end) => break end + 4,
                None => self.fill().await,
            }
        };
        let head = std::str::from_utf8(&self.buffer[..end]).expect("ASCII heads");
        assert!(head.starts_with("HTTP/1.1 200 "), "an answer of another kind: {head}");
        let mut headers = head.split("\r\n").filter_map(|line| line.split_once(':'));
        let length = headers.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let length = length.map(|(_, value)| value.trim().parse().expect("a length"));
        self.buffer.drain(..end);
        length
    }

    async fn skip(&mut self, length: usize) {
        while self.buffer.len() < length {
            self.fill().await;
        }
        self.buffer.drain(..length);
    }

    /// Reads a chunk and looks for events in it; false after the last.
    async fn chunk(&mut self, sent: Instant, seen: &mut Seen) -> bool {
        let line = loop {
            match memchr::memmem::find(&self.buffer, b"\r\n") {
                Some(end) => break end,
                None => self.fill().await,
            }
        };
        let size = std::str::from_utf8(&self.buffer[..line]).expect("ASCII sizes");
        let size = usize::from_str_radix(size.trim(), 16).expect("hexadecimal sizes");
        while self.buffer.len() < line + size + 4 {
            self.fill().await;
        }
        let data = &self.buffer[line + 2..line + 2 + size];
        for at in memchr::memmem::find_iter(data, STAMP) {
            let digits = data[at + STAMP.len()..].iter().take_while(|b| b.is_ascii_digit());
            let written = digits.fold(0_u64, |n, b| n * 10 + u64::from(b - b'0'));
            if seen.events == 0 {
                seen.latency_us.push(micros(sent.elapsed()));
            }
            seen.events += 1;
            seen.hold_us.push(u32::try_from(mock::now_us().saturating_sub(written)).unwrap_or(u32::MAX));
        }
        self.buffer.drain(..line + size + 4);
        size > 0
    }
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}
