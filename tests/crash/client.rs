//! A client that survives whatever happens to its server, and says how far an answer had come.

use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection, kept while the server keeps it.
pub struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
    /// Answers that came on it before.
    pub answered: usize,
}

/// As much of an answer as came.
#[derive(Debug, Default)]
pub struct Answer {
    /// 0: not even a head came.
    pub status: u16,
    /// `x-request-id`.
    pub id: Option<String>,
    pub body: Vec<u8>,
    /// The body is whole.
    pub whole: bool,
    /// The server will close the connection.
    pub closing: bool,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, unread: Vec::new(), answered: 0 })
    }

    /// Sends a request and reads its answer for as long as there is one.
    pub async fn post(&mut self, path: &str, key: &str, body: &str) -> (Answer, io::Result<()>) {
        let mut answer = Answer::default();
        let result = self.exchange(path, key, body, &mut answer).await;
        answer.whole = result.is_ok();
        self.answered += usize::from(answer.whole);
        (answer, result)
    }

    async fn exchange(&mut self, path: &str, key: &str, body: &str, answer: &mut Answer) -> io::Result<()> {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: freeway.test\r\nauthorization: Bearer {key}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        // One write: a request is sent or it is not.
        self.stream.write_all((head + body).as_bytes()).await?;
        let head = self.head().await?;
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|s| s.parse().ok());
        answer.status = status.expect("a status");
        let headers: Vec<(String, &str)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim()))
            .collect();
        let header = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, value)| *value);
        answer.id = header("x-request-id").map(str::to_owned);
        answer.closing = header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        if header("transfer-encoding").is_some() {
            return self.chunks(&mut answer.body).await;
        }
        let length = header("content-length").expect("a length").parse().expect("a number");
        self.fixed(length, &mut answer.body).await
    }

    async fn head(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = memchr::memmem::find(&self.unread, b"\r\n\r\n") {
                let head = self.unread.drain(..end + 4).collect();
                return Ok(String::from_utf8(head).expect("ASCII heads"));
            }
            self.more().await?;
        }
    }

    async fn fixed(&mut self, length: usize, body: &mut Vec<u8>) -> io::Result<()> {
        while body.len() < length {
            if self.unread.is_empty() {
                self.more().await?;
            }
            let take = self.unread.len().min(length - body.len());
            body.extend(self.unread.drain(..take));
        }
        Ok(())
    }

    /// Chunks as they come: what was there before the connection broke is kept.
    async fn chunks(&mut self, body: &mut Vec<u8>) -> io::Result<()> {
        loop {
            let line = self.line().await?;
            let size = usize::from_str_radix(line.trim(), 16).expect("hexadecimal sizes");
            let end = body.len() + size;
            self.fixed(end, body).await?;
            self.line().await?;
            if size == 0 {
                return Ok(());
            }
        }
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = memchr::memmem::find(&self.unread, b"\r\n") {
                let line: Vec<u8> = self.unread.drain(..end + 2).collect();
                return Ok(String::from_utf8(line).expect("ASCII sizes"));
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.unread).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}
