//! A provider's answer, event by event, into the one shape that every client accepts.
//!
//! All four combinations work: a stream or a whole body from the provider, a stream or a whole body for
//! the client. Nothing comes out before the first meaningful token, so that a failure until then can
//! be hidden by asking another provider. Members nobody knows here pass through as written. Whether to
//! ask another provider, and what the tokens cost, is decided elsewhere.
//!
//! The rules come from the clients: `@openrouter/sdk` and the Vercel AI SDK reject what the OpenAI
//! clients tolerate (a null `usage`, `role` or `system_fingerprint` in a chunk, a choice without
//! `finish_reason`, token details without numbers).

mod bill;
mod calls;
mod close;
mod event;
mod fault;
mod finish;
mod gather;
mod object;
#[cfg(test)]
mod tests;
mod turn;
mod watch;
mod write;

pub use bill::Bill;
pub use fault::{Fault, UpstreamError};
pub use watch::Shown;

use super::Dialect;
use super::errors::ApiError;
use super::facts::Expected;
use super::sse::{Decoder, Frame, TooLong};
use crate::metering::Meter;
use event::{Event, RawChoice};
use finish::Finish;
use gather::Gathered;
use object::Object;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::sync::Arc;
use turn::{Choice, Turn};
use watch::Watched;

/// The longest event of a stream, in bytes: generated images come as one.
pub const MAX_EVENT: usize = 16 << 20;

/// The longest body, in bytes; callers need not collect more.
pub const MAX_BODY: usize = gather::MAX_ANSWER;

/// `n` is at most 128 in the OpenAI API.
const MAX_CHOICES: usize = 128;

/// How an answer is signed, the same on each of its chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Our own id of the generation, `gen-…`.
    pub id: String,
    /// When it was asked for, Unix seconds.
    pub created: u64,
    /// The model that answers, as in the catalog.
    pub model: String,
    /// The name of the provider that serves it.
    pub provider: String,
}

/// What the client expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyShape {
    /// Its dialect.
    pub dialect: Dialect,
    /// A stream rather than one body.
    pub stream: bool,
    /// A usage chunk in the stream. OpenRouter's dialect always has one.
    pub include_usage: bool,
}

/// How far an answer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// No meaningful token yet; nothing has been put out.
    Held,
    /// The first meaningful token has been seen, now or before.
    Committed,
    /// The answer is complete; the provider has nothing to add.
    Finished,
}

/// One attempt's answer on its way to the client. Feed it with [`Reply::sse`] or [`Reply::json`], tell
/// it the [`Reply::end`], then close with [`Reply::finish`] or [`Reply::abort`].
///
/// What is appended to `out` belongs to the client, also when the call ends in a [`Fault`]: those are
/// the events before it. While none of it has been written yet, the caller may drop it and ask another
/// provider. For a client that wants one body nothing is put out before [`Reply::finish`].
#[derive(Debug)]
pub struct Reply {
    decoder: Decoder,
    answer: Answer,
}

/// Everything but the decoder, so that its frames may be borrowed meanwhile.
#[derive(Debug)]
struct Answer {
    identity: Arc<Identity>,
    shape: ReplyShape,
    /// Start of every chunk; for a body it is made at the end.
    head: Box<[u8]>,
    choices: Vec<Choice>,
    meter: Meter,
    gathered: Option<Box<Gathered>>,
    watched: Option<Box<Watched>>,
    /// The end of a stream, from the chunk on that finishes its last choice, where it is kept back.
    end: Option<Vec<u8>>,
    committed: bool,
    complete: bool,
    closed: bool,
}

impl Reply {
    /// An answer of which nothing has come yet.
    pub fn new(identity: Arc<Identity>, shape: ReplyShape) -> Self {
        let object = if shape.stream { "chat.completion.chunk" } else { "chat.completion" };
        let head = write::head(&identity, object).into();
        let gathered = (!shape.stream).then(Box::default);
        let answer = Answer {
            identity,
            shape,
            head,
            choices: Vec::new(),
            meter: Meter::default(),
            gathered,
            watched: None,
            end: None,
            committed: false,
            complete: false,
            closed: false,
        };
        Self { decoder: Decoder::new(MAX_EVENT), answer }
    }

    /// Keeps the end of a stream back until [`Reply::finish`]: whoever has it takes the answer for whole.
    pub fn keep_end_back(&mut self) {
        self.answer.end.get_or_insert_default();
    }

    /// Keeps what is needed to judge the answer, up to a bound; see [`Reply::shown`].
    pub fn watch(&mut self) {
        self.answer.watched = Some(Box::default());
    }

    /// What the complete answer to the request in `body` has shown of its model. Nothing, unless it was
    /// [watched](Reply::watch).
    pub fn shown(&self, expected: &Expected, body: &[u8]) -> Shown {
        let Answer { watched, choices, .. } = &self.answer;
        watched.as_ref().map(|watched| watched.shown(choices, expected, body)).unwrap_or_default()
    }

    /// Takes the next piece of a `text/event-stream` answer, cut anywhere.
    ///
    /// # Errors
    /// The [`Fault`] that ends the answer. Do not feed it on after that.
    pub fn sse(&mut self, mut chunk: &[u8], out: &mut Vec<u8>) -> Result<Progress, Fault> {
        self.sse_until(&mut chunk, out, |_| false)
    }

    /// The same, but stops after the event that makes `stop` true. `chunk` keeps what was not read.
    ///
    /// # Errors
    /// As [`Reply::sse`].
    pub fn sse_until(
        &mut self,
        chunk: &mut &[u8],
        out: &mut Vec<u8>,
        stop: impl Fn(&Meter) -> bool,
    ) -> Result<Progress, Fault> {
        while !self.answer.complete
            && let Some(frame) = self.decoder.next(chunk).map_err(|TooLong| Fault::TooLong)?
        {
            self.answer.frame(frame, out)?;
            if stop(&self.answer.meter) {
                break;
            }
        }
        Ok(self.answer.progress())
    }

    /// Takes a whole `application/json` answer.
    ///
    /// # Errors
    /// The [`Fault`] that makes it no answer.
    pub fn json(&mut self, body: &[u8], out: &mut Vec<u8>) -> Result<Progress, Fault> {
        self.answer.event(body.trim_ascii(), true, out)?;
        self.answer.complete(out)?;
        Ok(self.answer.progress())
    }

    /// The provider has closed its side. Ends cleanly after `[DONE]`, a whole body, or a finish reason
    /// for every choice.
    ///
    /// # Errors
    /// [`Fault::Empty`] when nothing meaningful came, [`Fault::Truncated`] when it broke off; or what
    /// an event without its final blank line turns out to be.
    pub fn end(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        if self.answer.complete {
            return Ok(());
        }
        if let Some(frame) = self.decoder.end() {
            match self.answer.frame(frame, out) {
                Err(Fault::Malformed) => {} // cut in the middle of an event
                result => result?,
            }
        }
        let answer = &mut self.answer;
        let finished = answer.choices.iter().all(|choice| choice.finish.is_some());
        match (answer.committed, finished || answer.complete) {
            (false, _) => Err(Fault::Empty),
            (true, false) => Err(Fault::Truncated),
            (true, true) => {
                answer.complete = true;
                Ok(())
            }
        }
    }

    /// Whether a meaningful token has been seen.
    pub fn is_committed(&self) -> bool {
        self.answer.committed
    }

    /// The provider's own word for why the first choice ended, as JSON, once it has.
    pub fn native_finish_reason(&self) -> Option<&str> {
        self.answer.choices.first()?.native.as_deref()
    }

    /// Why the first choice ended, once it has: `stop`, `length`, `tool_calls` or `content_filter`.
    pub fn finish_reason(&self) -> Option<&'static str> {
        self.answer.choices.first()?.finish.map(Finish::name)
    }

    /// What has been used so far.
    pub fn meter(&self) -> &Meter {
        &self.answer.meter
    }

    /// Tells the meter that the prompt has more than text in it.
    pub fn prompt_has_media(&mut self) {
        self.answer.meter.prompt_has_media();
    }

    /// Ends a stream of which `tokens` have been delivered: no more may be. Its open choices end for their
    /// length.
    pub fn cut(&mut self, tokens: u32, out: &mut Vec<u8>) {
        let answer = &mut self.answer;
        answer.meter.cut_at(tokens);
        answer.complete = true;
        let ended = answer.end_choices(Finish::Length);
        if !ended.is_empty() && answer.gathered.is_none() {
            answer.write_chunk(&Object::default(), &ended, out);
        }
    }

    /// Closes a complete answer: the usage chunk the dialect asks for and `[DONE]`, or the whole body.
    /// `metadata` is the `openrouter_metadata` object for clients that asked for it.
    pub fn finish(&mut self, bill: &Bill, metadata: Option<&RawValue>, out: &mut Vec<u8>) {
        let answer = &mut self.answer;
        if std::mem::replace(&mut answer.closed, true) {
            return;
        }
        if answer.gathered.is_some() {
            answer.body(bill, metadata, out);
        } else {
            out.append(answer.end.get_or_insert_default());
            answer.last_chunk(bill, metadata, out);
            out.extend_from_slice(write::DONE);
        }
    }

    /// Closes an answer that cannot be completed: an error chunk, then `[DONE]`, since clients take a
    /// stream that just ends for a whole answer. For a client that wants one body, the error body.
    pub fn abort(&mut self, error: &ApiError, out: &mut Vec<u8>) {
        let answer = &mut self.answer;
        if std::mem::replace(&mut answer.closed, true) {
            return;
        }
        if answer.gathered.is_some() {
            out.extend_from_slice(&error.body(answer.shape.dialect));
            return;
        }
        answer.error_chunk(error, out);
        out.extend_from_slice(write::DONE);
    }
}

impl Answer {
    fn progress(&self) -> Progress {
        match (self.complete, self.committed) {
            (true, _) => Progress::Finished,
            (false, true) => Progress::Committed,
            (false, false) => Progress::Held,
        }
    }

    fn frame(&mut self, frame: Frame<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        match frame {
            Frame::Data(data) => self.event(data, false, out),
            Frame::Error(data) => Err(Fault::ErrorEvent(UpstreamError::parse(data))),
            Frame::Done => self.complete(out),
        }
    }

    /// Takes one event; `whole`: a complete body. Invalid UTF-8 becomes replacement characters.
    fn event(&mut self, json: &[u8], whole: bool, out: &mut Vec<u8>) -> Result<(), Fault> {
        let json = match simdutf8::basic::from_utf8(json) {
            Ok(json) => Cow::Borrowed(json),
            Err(_) => String::from_utf8_lossy(json),
        };
        let event = Event::parse(&json)?;
        if let Some(usage) = event.usage() {
            self.meter.report(usage);
        }
        let Event { choices, rest, .. } = event;
        if whole && choices.is_none() {
            return Err(Fault::Malformed);
        }
        let mut turns = Vec::new();
        for (position, raw) in choices.into_iter().flatten().enumerate() {
            turns.push(self.turn(position, raw, whole)?);
        }
        if turns.iter().any(|turn| turn.finish == Some(Finish::Error)) {
            return Err(Fault::FinishedWithError);
        }
        turns.retain(Turn::says_something);
        if !self.committed && turns.iter().any(Turn::is_meaningful) {
            self.committed = true;
            let held = |(at, choice): (usize, &Choice)| {
                choice.held_end(at).filter(|_| turns.iter().all(|turn| turn.at != at))
            };
            let held: Vec<_> = self.choices.iter().enumerate().filter_map(held).collect();
            turns.extend(held);
        }
        if !self.committed || turns.is_empty() {
            return Ok(());
        }
        turns.iter().for_each(|turn| turn.measure(&mut self.meter));
        if let Some(watched) = &mut self.watched {
            watched.add(&turns);
        }
        self.put(&rest, &turns, out)
    }

    fn turn<'a>(&mut self, position: usize, raw: RawChoice<'a>, whole: bool) -> Result<Turn<'a>, Fault> {
        let index = raw.index.unwrap_or(position as u64);
        let known = self.choices.iter().position(|choice| choice.index == index);
        let at = known.unwrap_or(self.choices.len());
        if at == MAX_CHOICES {
            return Err(Fault::Malformed);
        }
        if known.is_none() {
            self.choices.push(Choice::new(index));
        }
        let id_prefix = self.identity.id.strip_prefix("gen-").unwrap_or(&self.identity.id);
        self.choices[at].turn(at, raw, whole, id_prefix)
    }

    fn put(&mut self, rest: &Object<'_>, turns: &[Turn<'_>], out: &mut Vec<u8>) -> Result<(), Fault> {
        if let Some(gathered) = &mut self.gathered {
            return gathered.add(rest, turns);
        }
        self.write_chunk(rest, turns, out);
        Ok(())
    }

    fn write_chunk(&mut self, rest: &Object<'_>, turns: &[Turn<'_>], out: &mut Vec<u8>) {
        let finished = self.choices.iter().all(|choice| choice.finish.is_some());
        let out = match &mut self.end {
            Some(end) if finished => end,
            // Another choice has begun after all.
            Some(end) => {
                out.append(end);
                out
            }
            None => out,
        };
        write::chunk(out, &self.head, rest, turns, &mut self.choices);
    }

    /// The provider says it is done. Choices it left open are ended: `[DONE]` is the protocol's own word.
    fn complete(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        if !self.committed {
            return Err(Fault::Empty);
        }
        self.complete = true;
        let ended = self.end_choices(Finish::Stop);
        if ended.is_empty() { Ok(()) } else { self.put(&Object::default(), &ended, out) }
    }

    /// Ends the choices that are open, each with a turn that says so.
    fn end_choices(&mut self, finish: Finish) -> Vec<Turn<'static>> {
        let mut ended = Vec::new();
        for (at, choice) in self.choices.iter_mut().enumerate().filter(|(_, choice)| choice.finish.is_none())
        {
            choice.end(finish);
            let (delta, rest, calls) = Default::default();
            ended.push(Turn { at, delta, calls, rest, finish: choice.finish });
        }
        ended
    }
}
