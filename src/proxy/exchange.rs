//! One forwarded request: what its hooks and its wrapper session share, and the state they move.
//!
//! Everything here is synchronous and takes the time as an argument; the lock round it is never
//! held across an await.

use super::attempt::{Attempt, Flow};
use super::cap::Count;
use super::charge::Admitted;
use super::failover::{self, Failure, Tried};
use super::gateway::Gateway;
use super::limit::Quota;
use super::reply;
use super::settle::Settlement;
use crate::accounts::Fit;
use crate::catalog::Endpoint;
use crate::ledger::Posting;
use crate::protocol::facts::RequestFacts;
use crate::protocol::normalize::{Identity, ReplyShape};
use crate::routing::verdict::Refusal;
use crate::routing::{Availability, Candidate, RoutePlan};
use crate::snapshot::{Choice, Snapshot};
use crate::store::Settled;
use crate::upstream::InFlight;
use bytes::Bytes;
use pingora::Error;
use pingora::http::ResponseHeader;
use pingora::protocols::http::{HttpTask, ServerSession};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Request body bytes handed to the upstream at a time: with one write per piece, the upstream's
/// write timeout means "no progress" and not "too slow for the whole upload".
const BODY_CHUNK: usize = 64 * 1024;

/// What is known of a request once it may be forwarded.
pub(super) struct Job {
    pub(super) gateway: Arc<Gateway>,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) facts: RequestFacts,
    pub(super) body: Bytes,
    pub(super) choice: Choice,
    /// The place taken with the choice, until the first attempt has it.
    pub(super) first: Option<(usize, InFlight)>,
    pub(super) shape: ReplyShape,
    /// How long it waited for its first place, if it did.
    pub(super) queued: Option<Duration>,
    /// Our id of the request, `gen-…`.
    pub(super) id: String,
    /// Unix seconds.
    pub(super) created: u64,
    /// The caller asked for `openrouter_metadata`.
    pub(super) metadata: bool,
    /// The limit of the answer that is paid for; none in open mode.
    pub(super) fit: Option<Fit>,
    /// Where its caller stands.
    pub(super) quota: Option<Quota>,
    pub(super) arrived: Instant,
    /// When the last byte of the request's body had been read.
    pub(super) body_read: Instant,
}

/// What the wrapper does next.
pub(super) enum Step {
    /// Nothing yet.
    Wait,
    /// Write these bytes of the answer.
    Write(Vec<u8>),
    /// Write these, count what was delivered, and go on with what has arrived or end the answer.
    Check(Vec<u8>),
    /// The upstream's answer is whole: write these, settle, write the rest and the end.
    Finish(Vec<u8>),
    /// Write these last bytes, if any, then fail.
    Fail(Vec<u8>, Box<Error>),
    /// The answer has ended before; whatever else the upstream sends is dropped.
    Done,
}

/// A clock ran out.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Expiry {
    /// Time to show a waiting client a sign of life.
    Comment,
    /// The attempt, or the whole request, took too long.
    Clock,
}

pub(super) struct Exchange {
    pub(super) job: Job,
    pub(super) tried: Vec<Tried>,
    pub(super) attempt: Option<Attempt>,
    /// Why the attempt under way has failed, where we found out and not Pingora.
    pub(super) failure: Option<Failure>,
    pub(super) settlement: Settlement,
    pub(super) given_back: Option<Box<ServerSession>>,
    /// The position in the catalog of the endpoint that is asked.
    at: usize,
    head_written: bool,
    committed: bool,
    done: bool,
    last_write: Instant,
}

/// The exchange as its hooks and its wrapper hold it.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<Exchange>>);

impl Shared {
    pub(super) fn new(job: Job, admitted: Option<Admitted>) -> Self {
        job.gateway.pool.retries().request(job.gateway.clock.ms_at(job.body_read));
        let exchange = Exchange {
            last_write: job.body_read,
            settlement: Settlement::new(&job, admitted),
            job,
            tried: Vec::new(),
            attempt: None,
            failure: None,
            given_back: None,
            at: 0,
            head_written: false,
            committed: false,
            done: false,
        };
        Self(Arc::new(Mutex::new(exchange)))
    }

    /// Locks it for a few instructions. Hooks and wrapper run in one task, so nobody waits.
    pub(super) fn lock(&self) -> MutexGuard<'_, Exchange> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// Attempts, as the hooks begin and end them.
impl Exchange {
    /// Begins an attempt at the next candidate that can be called now.
    ///
    /// # Errors
    /// When no candidate, attempt or time is left.
    pub(super) fn begin_attempt(&mut self, now: Instant) -> Result<Arc<Endpoint>, Box<Error>> {
        let spent = || Error::explain(failover::SPENT, "no candidate left");
        if self.spent(self.job.gateway.config.max_attempts, now) {
            return Err(spent());
        }
        let now_ms = self.job.gateway.clock.ms_at(now);
        let begun = self.job.first.take().or_else(|| self.begin_next(now_ms));
        let Some((at, guard)) = begun else { return Err(spent()) };
        let endpoint = Arc::clone(&self.job.snapshot.catalog.endpoints[at]);
        self.at = at;
        self.failure = None;
        self.settlement.begun(now, &self.job);
        let others = self.has_others();
        self.attempt = Some(Attempt::new(&self.job, endpoint.clone(), guard, others, now));
        Ok(endpoint)
    }

    /// Takes a place at the next candidate that has one.
    pub(super) fn begin_next(&mut self, now_ms: u64) -> Option<(usize, InFlight)> {
        let Job { choice, snapshot, .. } = &mut self.job;
        let endpoints = &snapshot.catalog.endpoints;
        choice.begin_next(snapshot, now_ms, |position| is_pointless(&self.tried, &endpoints[position]))
    }

    /// Whether another attempt is out of the question.
    pub(super) fn spent(&self, limit: usize, now: Instant) -> bool {
        let nobody = self.job.first.is_none() && self.job.choice.is_spent();
        self.tried.len() >= limit || now >= self.deadline() || nobody
    }

    /// The next attempt goes to the same candidate again: its pooled connection had been stale.
    pub(super) fn repeat_candidate(&mut self) {
        self.job.first = self.attempt.take().map(|attempt| (self.at, attempt.guard));
    }

    /// Seconds until the first of the candidates may be called again, 1 to 120: clients do not wait
    /// longer on their own (the OpenAI Python client does not even try).
    pub(super) fn retry_after_s(&self) -> u32 {
        let now_ms = self.job.gateway.clock.now_ms();
        let RoutePlan { candidates, tokens, .. } = &self.job.choice.plan;
        let condition = |c: &Candidate| self.job.snapshot.condition(c.endpoint as usize, *tokens, now_ms);
        let wait = |c: &Candidate| match condition(c).availability {
            Availability::Open => Some(0),
            Availability::Cooling { for_ms, .. } => Some(for_ms),
            Availability::Disabled(_) => None,
        };
        let soonest_ms = candidates.iter().filter_map(wait).min().unwrap_or(60_000);
        u32::try_from(soonest_ms.div_ceil(1000)).unwrap_or(u32::MAX).clamp(1, 120)
    }

    /// When the whole request must have ended.
    pub(super) fn deadline(&self) -> Instant {
        self.job.arrived + self.job.gateway.config.timeouts.total
    }

    /// Whether bytes of an answer have gone out, so that no other upstream may answer.
    pub(super) fn committed(&self) -> bool {
        self.committed
    }

    /// Whether the client has its response head, and errors must go in-band.
    pub(super) fn head_written(&self) -> bool {
        self.head_written
    }

    /// Whether the answer has been written to its end.
    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// Whether the client is streamed to.
    pub(super) fn streams(&self) -> bool {
        self.job.shape.stream
    }

    /// A fresh identity for replies of `endpoint`, or for ours when there is none.
    pub(super) fn identity(&self, endpoint: Option<&Endpoint>) -> Arc<Identity> {
        Arc::new(reply::identity(&self.job.id, self.job.created, endpoint))
    }
}

/// Whether an earlier attempt has shown that `endpoint` cannot do better: a request one provider
/// called bad is judged by another one, and a prompt too long goes to a larger window only.
fn is_pointless(tried: &[Tried], endpoint: &Endpoint) -> bool {
    tried.iter().any(|tried| match tried.refusal {
        Refusal::BadRequest => tried.endpoint.provider.slug == endpoint.provider.slug,
        // A 413 is about this provider's own limit, not about the model's window.
        Refusal::ContextTooLong if tried.status != Some(413) => {
            let window = |e: &Endpoint| e.model.context_tokens.unwrap_or(u32::MAX);
            window(endpoint) <= window(&tried.endpoint)
        }
        _ => false,
    })
}

// The request's body and clocks, as the wrapper serves them.
impl Exchange {
    pub(super) fn body_sent(&self) -> bool {
        self.attempt.as_ref().is_none_or(Attempt::body_sent)
    }

    pub(super) fn next_chunk(&mut self, now: Instant) -> Option<Bytes> {
        self.attempt.as_mut()?.next_chunk(BODY_CHUNK, now)
    }

    /// When the next clock may run out; a later look decides.
    pub(super) fn next_wake(&self) -> Instant {
        let clock = self.clock();
        if self.streams() && !self.done { clock.min(self.comment_due()) } else { clock }
    }

    /// Which clock has run out at `now`, if any.
    pub(super) fn expired(&mut self, now: Instant) -> Option<Expiry> {
        if now >= self.clock() {
            self.failure = Some(match &self.attempt {
                Some(attempt) if now < self.deadline() => attempt.overdue(),
                _ => Failure::TotalTimeout,
            });
            return Some(Expiry::Clock);
        }
        (self.streams() && !self.done && now >= self.comment_due()).then_some(Expiry::Comment)
    }

    fn clock(&self) -> Instant {
        let attempt = self.attempt.as_ref().map(|a| a.due(&self.job.gateway.config.timeouts));
        attempt.unwrap_or_else(|| self.deadline()).min(self.deadline())
    }

    fn comment_due(&self) -> Instant {
        self.last_write + self.job.gateway.config.timeouts.keepalive_comment
    }
}

// The response, as the wrapper writes it.
impl Exchange {
    /// Takes in what the upstream sent and says what the client gets of it.
    pub(super) fn absorb(&mut self, tasks: Vec<HttpTask>, now: Instant) -> Step {
        if self.done {
            return Step::Done;
        }
        let Some(attempt) = self.attempt.as_mut() else {
            return Step::Fail(Vec::new(), Error::explain(failover::SPENT, "no attempt under way"));
        };
        let mut out = Vec::new();
        let now_ms = self.job.gateway.clock.ms_at(now);
        match attempt.absorb(tasks, now, now_ms, &mut out) {
            Ok(Flow::More) if out.is_empty() => Step::Wait,
            Ok(Flow::More) => {
                self.committed = true;
                Step::Write(out)
            }
            Ok(Flow::Check) => {
                self.committed = true;
                Step::Check(out)
            }
            Ok(Flow::Complete) => self.complete(out, now),
            Err(failure) => self.fail(failure, out),
        }
    }

    /// Goes on with what arrived before the count.
    pub(super) fn resume(&mut self, now: Instant) -> Step {
        let backlog = self.attempt.as_mut().map(Attempt::take_backlog).unwrap_or_default();
        self.absorb(backlog, now)
    }

    /// Delivered text that was not counted against the limit yet.
    pub(super) fn uncapped_text(&self) -> String {
        self.attempt.as_ref().map(|attempt| attempt.uncapped_text().to_owned()).unwrap_or_default()
    }

    /// That text has this many tokens.
    pub(super) fn counted(&mut self, tokens: Option<u32>) -> Count {
        self.attempt.as_mut().map_or(Count::Within, |attempt| attempt.counted(tokens))
    }

    /// Ends the answer with the tokens it has. What its client gets last.
    pub(super) fn cut(&mut self, tokens: u32) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(attempt) = &mut self.attempt {
            attempt.reply.cut(tokens, &mut out);
        }
        out
    }

    pub(super) fn fail(&mut self, failure: Failure, mut out: Vec<u8>) -> Step {
        let error = Error::explain(failover::FAILED, failure.reason().name()).into_up();
        if self.committed {
            let api = reply::mid_stream_error(&failure);
            if let Some(attempt) = self.attempt.as_mut() {
                attempt.reply.abort(&api, &mut out);
            }
            self.done = true;
            self.settlement.came_to_nothing();
        } else {
            // Nobody has seen anything of this answer.
            out.clear();
        }
        self.failure = Some(failure);
        Step::Fail(out, error)
    }

    /// The delivered text, where the upstream did not count it and we must.
    pub(super) fn uncounted_text(&self) -> Option<String> {
        self.attempt.as_ref().and_then(|a| a.reply.meter().pending_text()).map(str::to_owned)
    }

    /// Measures the finished answer and posts its charge; nothing is waited for in open mode.
    pub(super) fn post(&mut self, counted: Option<u32>) -> Option<Posting> {
        let attempt = self.attempt.as_mut()?;
        let posting = self.settlement.post(&self.job, attempt, counted);
        let (prompt, answer) = self.settlement.measured_tokens();
        attempt.guard.answered(prompt, answer, self.job.gateway.clock.now_ms());
        posting
    }

    /// Settles the finished answer and appends what its client gets last. `settled`: what the charge came
    /// to, unless that is late.
    pub(super) fn finish(&mut self, settled: Option<Settled>, mut out: Vec<u8>) -> Vec<u8> {
        if let Some(mut attempt) = self.attempt.take() {
            let bill = self.settlement.bill(settled);
            let metadata = self.job.metadata.then(|| reply::metadata(&self.job, &self.tried, Some(&attempt)));
            attempt.reply.finish(&bill, metadata.as_deref(), &mut out);
            self.attempt = Some(attempt);
            self.settlement.keep_answer(&self.job, &out);
        }
        self.committed = true;
        self.done = true;
        out
    }

    /// The client left before the end.
    pub(super) fn client_left(&mut self, counted: Option<u32>) {
        self.settlement.client_left(&self.job, self.attempt.as_ref(), self.committed, counted);
    }

    /// The end of the answer has been written.
    pub(super) fn delivered(&mut self) {
        self.settlement.delivered = true;
    }

    /// The response head, once. `whole` is the length of a body written in one piece.
    pub(super) fn take_head(&mut self, h2: bool, whole: Option<usize>) -> Option<Box<ResponseHeader>> {
        if std::mem::replace(&mut self.head_written, true) {
            return None;
        }
        let length = if self.streams() { None } else { whole };
        let credits = if self.streams() { None } else { self.settlement.receipt() };
        Some(reply::success_head(&self.job, self.attempt.as_ref(), self.tried.len() + 1, credits, h2, length))
    }

    /// Bytes have gone out.
    pub(super) fn written(&mut self, now: Instant) {
        self.last_write = now;
        if self.committed {
            self.settlement.written(now, self.attempt.as_ref());
        }
    }
}
