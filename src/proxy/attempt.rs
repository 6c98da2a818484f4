//! One try at one endpoint: the body it is sent, and what becomes of its answer.

use super::cap::{Cap, Count};
use super::exchange::Job;
use super::failover::Failure;
use crate::catalog::Endpoint;
use crate::config::Timeouts;
use crate::metering::Meter;
use crate::protocol::normalize::{Fault, MAX_BODY, Progress, Reply};
use crate::protocol::rewrite::{Rope, rewrite_within};
use crate::upstream::{InFlight, limit_headers};
use bytes::Bytes;
use http::HeaderMap;
use pingora::http::ResponseHeader;
use pingora::protocols::http::HttpTask;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Of a refusal's body this much is read to find out why; providers say it in far less.
const MAX_REFUSAL_BYTES: usize = 64 * 1024;

/// What an answer has brought so far.
pub(super) enum Flow {
    /// More is to come.
    More,
    /// More has come than may go out unseen: what was delivered has to be counted first.
    Check,
    /// It is whole.
    Complete,
}

/// The part of the answer that has arrived.
enum Incoming {
    Nothing,
    /// Not a success: its body is read for the reason.
    Refusal {
        status: u16,
        headers: HeaderMap,
        body: Vec<u8>,
    },
    /// A stream of events.
    Events,
    /// A body that is judged as a whole.
    Whole {
        body: Vec<u8>,
    },
}

pub(super) struct Attempt {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) guard: InFlight,
    pub(super) reply: Reply,
    pub(super) started: Instant,
    /// The last byte of the request was handed over.
    pub(super) sent: Option<Instant>,
    /// The first meaningful token came.
    pub(super) first_token: Option<Instant>,
    /// Anything at all came last.
    last_read: Instant,
    /// How long it may take to answer where that is less than usual.
    patience: Duration,
    streams: bool,
    /// The limit of what goes out, where it is paid for.
    cap: Option<Cap>,
    /// What has arrived and waits for a count.
    backlog: Vec<HttpTask>,
    rope: Rope,
    position: usize,
    incoming: Incoming,
}

impl Attempt {
    /// `others`: somebody else can be asked if this one does not answer.
    pub(super) fn new(
        job: &Job,
        endpoint: Arc<Endpoint>,
        guard: InFlight,
        others: bool,
        now: Instant,
    ) -> Self {
        let identity = super::reply::identity(&job.id, job.created, Some(&endpoint));
        let mut reply = Reply::new(Arc::new(identity), job.shape);
        if job.facts.features.attachments > 0 {
            reply.prompt_has_media();
        }
        if job.facts.expected.is_anything() {
            reply.watch();
        }
        if job.fit.is_some() {
            reply.keep_end_back();
        }
        let whole = (!job.shape.stream).then_some(job.choice.plan.expected_output_tokens);
        let patience = guard.patience_ms(whole, job.gateway.clock.ms_at(now)).filter(|_| others);
        let patience = patience.map_or(Duration::MAX, Duration::from_millis);
        let limit = job.fit.map(|fit| fit.max_output_tokens);
        Self {
            rope: rewrite_within(&job.body, &job.facts, &endpoint, limit),
            reply,
            cap: limit.filter(|_| job.shape.stream).map(|limit| Cap::new(limit, job.facts.choices)),
            backlog: Vec::new(),
            endpoint,
            guard,
            started: now,
            sent: None,
            first_token: None,
            last_read: now,
            patience,
            streams: job.shape.stream,
            position: 0,
            incoming: Incoming::Nothing,
        }
    }

    /// Bytes of the request's body as this endpoint gets it.
    pub(super) fn body_len(&self) -> usize {
        self.rope.len()
    }

    pub(super) fn body_sent(&self) -> bool {
        self.position >= self.rope.len()
    }

    /// The next piece of the body, at most `max` bytes; small neighbours come as one piece, since
    /// every piece costs the upstream connection a write.
    pub(super) fn next_chunk(&mut self, max: usize, now: Instant) -> Option<Bytes> {
        let chunk = self.rope.chunk(self.position, max)?;
        self.position += chunk.len();
        self.last_read = now;
        if self.body_sent() {
            self.sent = Some(now);
        }
        Some(chunk)
    }

    /// When this attempt has waited long enough.
    pub(super) fn due(&self, timeouts: &Timeouts) -> Instant {
        match (self.first_token, self.sent) {
            (Some(_), _) | (None, None) => self.last_read + timeouts.idle,
            (None, Some(sent)) if self.streams => sent + timeouts.first_token.min(self.patience),
            (None, Some(sent)) => sent + timeouts.answer.min(self.patience),
        }
    }

    /// What it means that [`Attempt::due`] has passed.
    pub(super) fn overdue(&self) -> Failure {
        if self.first_token.is_some() { Failure::IdleTimeout } else { Failure::FirstTokenTimeout }
    }

    /// Takes in what arrived. Bytes for the client are appended to `out`; nothing is before the
    /// first meaningful token. `now_ms` is the same moment, Unix ms.
    pub(super) fn absorb(
        &mut self,
        tasks: Vec<HttpTask>,
        now: Instant,
        now_ms: u64,
        out: &mut Vec<u8>,
    ) -> Result<Flow, Failure> {
        self.last_read = now;
        let mut tasks = tasks.into_iter();
        while let Some(task) = tasks.next() {
            let flow = match task {
                HttpTask::Header(head, _) if head.status.is_informational() => Flow::More,
                HttpTask::Header(head, end) => {
                    self.head(&head, now_ms);
                    if end { self.end(out)? } else { Flow::More }
                }
                HttpTask::Body(data, end) | HttpTask::UpgradedBody(data, end) => {
                    let flow = self.data(data.unwrap_or_default(), end, now, out)?;
                    match flow {
                        Flow::More if end => self.end(out)?,
                        flow => flow,
                    }
                }
                HttpTask::Trailer(_) | HttpTask::Done => self.end(out)?,
                HttpTask::Failed(_) => self.broken(out)?,
            };
            match flow {
                Flow::More => {}
                Flow::Check => {
                    self.backlog.extend(tasks);
                    return Ok(Flow::Check);
                }
                Flow::Complete => {
                    self.first_token.get_or_insert(now);
                    return Ok(Flow::Complete);
                }
            }
        }
        Ok(Flow::More)
    }

    /// What has arrived and was not taken in since.
    pub(super) fn take_backlog(&mut self) -> Vec<HttpTask> {
        std::mem::take(&mut self.backlog)
    }

    /// Delivered text that was not counted against the limit yet.
    pub(super) fn uncapped_text(&self) -> &str {
        self.cap.as_ref().map_or("", |cap| cap.uncounted(self.reply.meter()))
    }

    /// That text has this many tokens.
    pub(super) fn counted(&mut self, tokens: Option<u32>) -> Count {
        self.cap.as_mut().map_or(Count::Within, |cap| cap.counted(tokens, self.reply.meter()))
    }

    fn head(&mut self, head: &ResponseHeader, now_ms: u64) {
        let told = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        let declared = &self.endpoint.provider.quotas.headers;
        self.guard.limits(limit_headers::observed(declared, &told, now_ms), now_ms);
        let content_type = head.headers.get(http::header::CONTENT_TYPE);
        let events = content_type.is_some_and(|t| t.as_bytes().starts_with(b"text/event-stream"));
        self.incoming = match (head.status.is_success(), events) {
            (false, _) => Incoming::Refusal {
                status: head.status.as_u16(),
                headers: head.headers.clone(),
                body: Vec::new(),
            },
            (true, true) => Incoming::Events,
            (true, false) => Incoming::Whole { body: Vec::new() },
        };
    }

    fn data(&mut self, data: Bytes, end: bool, now: Instant, out: &mut Vec<u8>) -> Result<Flow, Failure> {
        match &mut self.incoming {
            Incoming::Nothing => Ok(Flow::More),
            Incoming::Refusal { body, .. } => {
                let room = MAX_REFUSAL_BYTES - body.len();
                body.extend_from_slice(&data[..data.len().min(room)]);
                if body.len() == MAX_REFUSAL_BYTES { Err(self.refusal()) } else { Ok(Flow::More) }
            }
            Incoming::Whole { body } => {
                if body.len() + data.len() > MAX_BODY {
                    return Err(Failure::Fault(Fault::TooLong));
                }
                body.extend_from_slice(&data);
                Ok(Flow::More)
            }
            Incoming::Events => self.events(&data, end, now, out),
        }
    }

    fn events(&mut self, data: &Bytes, end: bool, now: Instant, out: &mut Vec<u8>) -> Result<Flow, Failure> {
        let is_due = |meter: &Meter| self.cap.as_ref().is_some_and(|cap| cap.is_due(meter));
        let mut rest = &data[..];
        match self.reply.sse_until(&mut rest, out, is_due).map_err(Failure::Fault)? {
            Progress::Finished => return self.end(out),
            Progress::Held => return Ok(Flow::More),
            Progress::Committed => {}
        }
        self.first_token.get_or_insert(now);
        let is_due = self.cap.as_ref().is_some_and(|cap| cap.is_due(self.reply.meter()));
        if !is_due {
            return Ok(Flow::More);
        }
        if !rest.is_empty() || end {
            self.backlog.push(HttpTask::Body(Some(data.slice_ref(rest)), end));
        }
        Ok(Flow::Check)
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<Flow, Failure> {
        match std::mem::replace(&mut self.incoming, Incoming::Nothing) {
            Incoming::Nothing => return Err(Failure::Broken),
            refusal @ Incoming::Refusal { .. } => {
                self.incoming = refusal;
                return Err(self.refusal());
            }
            Incoming::Whole { body } => {
                self.reply.json(&body, out).map_err(Failure::Fault)?;
            }
            Incoming::Events => {}
        }
        self.reply.end(out).map_err(Failure::Fault)?;
        Ok(Flow::Complete)
    }

    /// The connection broke. A refusal whose status has arrived is still that refusal, and a stream
    /// that has finished lacks nothing.
    fn broken(&mut self, out: &mut Vec<u8>) -> Result<Flow, Failure> {
        match self.incoming {
            Incoming::Refusal { .. } => Err(self.refusal()),
            Incoming::Events if self.reply.end(out).is_ok() => Ok(Flow::Complete),
            _ => Err(Failure::Broken),
        }
    }

    fn refusal(&mut self) -> Failure {
        match std::mem::replace(&mut self.incoming, Incoming::Nothing) {
            Incoming::Refusal { status, headers, body } => Failure::Refused { status, headers, body },
            _ => Failure::Broken,
        }
    }
}
