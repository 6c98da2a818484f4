//! Bodies of simulated replies: whole, or events that come at a model's pace and may break off.

use super::answer::Answer;
use super::models::{Fault, FaultRule};
use super::{Reply, whole, with_type};
use bytes::Bytes;
use hyper::StatusCode;
use hyper::body::{Body, Frame, SizeHint};
use memchr::memmem;
use serde_json::{Value, json};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

/// The body of [`Fault::ErrorEventFirst`].
pub(super) const ERROR_BODY: &[u8] =
    br#"{"error":{"code":502,"message":"simulated failure","metadata":{"error_type":"provider_unavailable"}}}"#;
/// [`ERROR_BODY`] as the first event.
pub(super) const ERROR_EVENT: &[u8] = b"data: {\"error\":{\"code\":502,\"message\":\"simulated failure\",\
    \"metadata\":{\"error_type\":\"provider_unavailable\"}}}\n\ndata: [DONE]\n\n";
/// The body of [`Fault::Garbage`].
pub(super) const GARBAGE_BODY: &[u8] = b"{\"id\":\"sim\",\"choices\":[{\x00<html>";
/// [`GARBAGE_BODY`] as an event.
pub(super) const GARBAGE_EVENT: &[u8] = b"data: {\"id\":\"sim\",\"choices\":[{\x00<html>\n\n";

/// From the last event of a broken stream to the break.
const LAST_BREATH: Duration = Duration::from_millis(2);

/// When tokens come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) first: Duration,
    pub(super) per_token: Duration,
}

impl Pace {
    /// From the request to the end of its `count`-th token.
    pub(super) fn until(self, count: u32) -> Duration {
        self.first + self.per_token * count.saturating_sub(1)
    }
}

/// A reply's body.
pub(super) enum SimulatedBody {
    /// All at once.
    Whole(Option<Bytes>),
    /// At a model's pace.
    Events(Box<EventStream>),
    /// Prepared events, as fast as they are taken.
    Prepared(Arc<[Bytes]>, usize),
    /// The connection breaks.
    Broken,
}

impl Body for SimulatedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.get_mut() {
            Self::Whole(body) => Poll::Ready(body.take().map(|b| Ok(Frame::data(b)))),
            Self::Events(events) => events.poll(cx),
            Self::Prepared(events, at) => {
                let event = events.get(*at).cloned();
                *at += 1;
                Poll::Ready(event.map(|b| Ok(Frame::data(b))))
            }
            Self::Broken => Poll::Ready(Some(Err(broken()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => SizeHint::with_exact(body.as_ref().map_or(0, |b| b.len() as u64)),
            _ => SizeHint::default(),
        }
    }
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "simulated break")
}

/// How a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Proper,
    DiesAfter(u32),
    StallsAfter(u32),
}

impl Ending {
    pub(super) fn of(fault: Option<&FaultRule>) -> Self {
        match fault.map(|rule| (rule.kind, rule.tokens)) {
            Some((Fault::DieBeforeToken, _)) => Self::DiesAfter(0),
            Some((Fault::DieAfterTokens, tokens)) => Self::DiesAfter(tokens),
            Some((Fault::Stall, tokens)) => Self::StallsAfter(tokens),
            _ => Self::Proper,
        }
    }
}

/// The event that comes next. Choices take turns.
#[derive(Clone, Copy, Debug)]
enum Next {
    Role(u32),
    Token(usize, u32),
    Call(u32),
    Finish(u32),
    Usage,
    Done,
    End,
}

/// An answer as server-sent events, each a frame of its own.
pub(super) struct EventStream {
    answer: Answer,
    pace: Pace,
    include_usage: bool,
    ending: Ending,
    started: Instant,
    timer: Option<Pin<Box<Sleep>>>,
    next: Next,
    /// Everything before `choices`: the same in every event.
    head: String,
}

impl EventStream {
    pub(super) fn new(answer: Answer, pace: Pace, include_usage: bool, ending: Ending) -> Self {
        let head = format!(
            "data: {{\"id\":{},\"object\":\"chat.completion.chunk\",\"created\":1767225600,\"model\":{},",
            json!(answer.id),
            json!(answer.model)
        );
        let (started, timer, next) = (Instant::now(), None, Next::Role(0));
        Self { answer, pace, include_usage, ending, started, timer, next, head }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(due) = self.due() {
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
            std::task::ready!(timer.as_mut().poll(cx));
            self.timer = None;
        }
        match self.ending {
            Ending::DiesAfter(tokens) if self.has_sent(tokens) => {
                // What was sent must leave first: a body's error discards what is still buffered.
                let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(LAST_BREATH)));
                std::task::ready!(timer.as_mut().poll(cx));
                Poll::Ready(Some(Err(broken())))
            }
            // Nothing will wake it: whoever waits for more has to give up.
            Ending::StallsAfter(tokens) if self.has_sent(tokens) => Poll::Pending,
            _ => Poll::Ready(self.event().map(|event| Ok(Frame::data(event)))),
        }
    }

    /// When the next event may leave; `None` for at once.
    fn due(&self) -> Option<Instant> {
        let token = match self.next {
            Next::Role(0) => 0,
            Next::Token(token, 0) => u32::try_from(token).unwrap_or(u32::MAX),
            _ => return None,
        };
        let due = self.started + self.pace.first + self.pace.per_token * token;
        (due > self.started).then_some(due)
    }

    /// Whether `tokens` tokens, or all there are, have left.
    fn has_sent(&self, tokens: u32) -> bool {
        match self.next {
            Next::Role(_) => false,
            Next::Token(token, _) => token >= tokens as usize,
            _ => true,
        }
    }

    /// The next event, stepping on.
    fn event(&mut self) -> Option<Bytes> {
        let here = self.next;
        self.next = self.after(here);
        let event = match here {
            Next::Role(i) => self.chunk(i, r#"{"role":"assistant","content":""}"#, None),
            Next::Token(t, i) => {
                let text = json!(self.answer.text.get(t).map_or("", String::as_str));
                self.chunk(i, &format!("{{\"content\":{text}}}"), None)
            }
            Next::Call(i) => self.chunk(i, &self.call_delta(), None),
            Next::Finish(i) => self.chunk(i, "{}", self.answer.finish),
            Next::Usage => format!("{}\"choices\":[],\"usage\":{}}}\n\n", self.head, self.answer.usage()),
            Next::Done => "data: [DONE]\n\n".to_owned(),
            Next::End => return None,
        };
        Some(event.into())
    }

    fn after(&self, here: Next) -> Next {
        let more = |i: u32| i + 1 < self.answer.choices;
        let token = |t: usize| match (t < self.answer.text.len(), &self.answer.call, self.answer.finish) {
            (true, ..) => Next::Token(t, 0),
            (false, Some(_), _) => Next::Call(0),
            (false, None, Some(_)) => Next::Finish(0),
            (false, None, None) => Next::Done,
        };
        match here {
            Next::Role(i) if more(i) => Next::Role(i + 1),
            Next::Role(_) => token(0),
            Next::Token(t, i) if more(i) => Next::Token(t, i + 1),
            Next::Token(t, _) => token(t + 1),
            Next::Call(i) if more(i) => Next::Call(i + 1),
            Next::Call(_) => Next::Finish(0),
            Next::Finish(i) if more(i) => Next::Finish(i + 1),
            Next::Finish(_) if self.include_usage && self.answer.report_usage => Next::Usage,
            Next::Finish(_) | Next::Usage => Next::Done,
            Next::Done | Next::End => Next::End,
        }
    }

    fn chunk(&self, index: u32, delta: &str, finish: Option<&str>) -> String {
        let finish = json!(finish);
        let choice = format!("{{\"index\":{index},\"delta\":{delta},\"finish_reason\":{finish}}}");
        format!("{}\"choices\":[{choice}]}}\n\n", self.head)
    }

    fn call_delta(&self) -> String {
        let Some((name, arguments)) = &self.answer.call else { return "{}".to_owned() };
        let mut call = self.answer.tool_call(name, arguments);
        call["index"] = Value::from(0);
        json!({"tool_calls": [call]}).to_string()
    }
}

/// Tokens of a fixed reply.
const FIXED_TOKENS: u32 = 64;

/// Replies prepared once, for measuring what stands in front of the provider.
pub(super) struct Fixed {
    json: Bytes,
    events: Arc<[Bytes]>,
}

impl Fixed {
    pub(super) fn new() -> Self {
        let answer = || Answer {
            id: "sim-fixed".to_owned(),
            model: "simulated/fixed".to_owned(),
            choices: 1,
            text: (0..FIXED_TOKENS).map(|_| " token".to_owned()).collect(),
            call: None,
            finish: Some("stop"),
            prompt_tokens: 16,
            report_usage: true,
        };
        let pace = Pace { first: Duration::ZERO, per_token: Duration::ZERO };
        let mut stream = EventStream::new(answer(), pace, true, Ending::Proper);
        Self { json: answer().to_json().into(), events: std::iter::from_fn(|| stream.event()).collect() }
    }

    /// Streams if the body says so anywhere outside a string, where its quotes would be escaped.
    pub(super) fn reply(&self, body: &[u8]) -> Reply {
        let asks = |pattern: &[u8]| memmem::find(body, pattern).is_some();
        if asks(br#""stream":true"#) || asks(br#""stream": true"#) {
            let events = SimulatedBody::Prepared(Arc::clone(&self.events), 0);
            return with_type(StatusCode::OK, "text/event-stream", events);
        }
        whole(StatusCode::OK, "application/json", self.json.clone())
    }
}
