//! The end of a request: its charge, its measurements, its access line. Once, whatever happens.

use super::attempt::Attempt;
use super::charge::Admitted;
use super::context::{Answered, Stage};
use super::exchange::Job;
use super::failover::Reason;
use super::idempotency::Claim;
use super::reply;
use crate::access_log::{self, Ended, Line, Payer};
use crate::ledger::{Held, Posting};
use crate::metering::{Measurement, estimate};
use crate::money::MicroCredits;
use crate::protocol::normalize::Bill;
use crate::protocol::usage::{Usage, UsageSource};
use crate::proxy::gateway::Gateway;
use crate::store::{self, Charge, Settled};
use crate::upstream::Outcome;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What is written down about a request when it is over. Dropping it writes it, so that not even a
/// panic leaves a request unsettled.
pub(super) struct Settlement {
    gateway: Arc<Gateway>,
    line: Line,
    measured: Option<Measurement>,
    arrived: Instant,
    first_token: Option<Instant>,
    first_write: Option<Instant>,
    /// What the request holds, until its charge is posted. Dropped: nothing is charged.
    held: Option<Held>,
    /// What a whole answer comes to, and the balance after it.
    bill: Option<(Bill, MicroCredits)>,
    /// The idempotency key that is this request's.
    claim: Option<Claim>,
    /// The client has the end of its answer.
    pub(super) delivered: bool,
}

/// Counts the tokens of a text off the reactor; `None` if that was not possible.
pub(super) async fn count(text: String) -> Option<u32> {
    tokio::task::spawn_blocking(move || estimate::count(&text)).await.ok()
}

impl Settlement {
    pub(super) fn new(job: &Job, admitted: Option<Admitted>) -> Self {
        job.gateway.metrics.in_flight.inc();
        let (held, claim) = admitted.map_or((None, None), |admitted| (Some(admitted.held), admitted.claim));
        let caller = held.as_ref().and_then(Held::caller);
        Self {
            gateway: Arc::clone(&job.gateway),
            line: Line {
                id: job.id.clone(),
                dialect: job.shape.dialect,
                streamed: job.shape.stream,
                task: job.choice.plan.classification.task.name(),
                body_bytes: job.body.len(),
                queued: job.queued,
                payer: caller.map(|c| Payer { account: c.wallet.account(), key: c.key }),
                ..Line::default()
            },
            measured: None,
            arrived: job.arrived,
            first_token: None,
            first_write: None,
            held,
            bill: None,
            claim,
            delivered: false,
        }
    }

    /// An attempt goes out.
    pub(super) fn begun(&mut self, now: Instant, job: &Job) {
        self.line.attempts += 1;
        if self.line.attempts == 1 {
            let ours = now.saturating_duration_since(job.body_read + job.queued.unwrap_or_default());
            self.gateway.metrics.overhead_request.observe(ours.as_secs_f64());
        }
    }

    /// Bytes of an answer have gone out.
    pub(super) fn written(&mut self, now: Instant, attempt: Option<&Attempt>) {
        if self.first_write.replace(now).is_some() {
            return;
        }
        if let Some(attempt) = attempt
            && let Some(token) = attempt.first_token
        {
            self.first_token = Some(token);
            attempt.guard.observe(Outcome::Alive, self.gateway.clock.ms_at(now));
            self.gateway.metrics.overhead_response.observe((now - token).as_secs_f64());
        }
    }

    /// An attempt failed; after the first bytes that is how the request ends. It costs nothing then, and the
    /// ledger says so.
    pub(super) fn failed(&mut self, job: &Job, attempt: &Attempt, reason: Reason, committed: bool) {
        self.line.endpoint = Some(Arc::clone(&attempt.endpoint.key));
        self.line.reason = Some(reason.name());
        if committed {
            self.line.ended = Ended::Upstream;
            let measured = attempt.reply.meter().measure(job.facts.requirements.prompt_tokens, None);
            self.charge(job, attempt, measured, store::Ended::Upstream, Some(reason.name()));
        }
    }

    /// Charges for a whole answer and tells the pool how it went. What is returned can be waited for.
    pub(super) fn post(&mut self, job: &Job, attempt: &Attempt, counted: Option<u32>) -> Option<Posting> {
        let measurement = attempt.reply.meter().measure(job.facts.requirements.prompt_tokens, counted);
        let Measurement { usage, source } = measurement;
        self.measured = Some(measurement);
        self.bill = Some((
            Bill { usage, source, cost: MicroCredits::ZERO, own_key: attempt.guard.is_borrowed() },
            MicroCredits::ZERO,
        ));
        let now = Instant::now();
        let ms = |d: Duration| u32::try_from(d.as_millis()).unwrap_or(u32::MAX);
        let outcome = Outcome::Success {
            ttft_ms: attempt.first_token.filter(|_| job.shape.stream).map(|at| ms(at - attempt.started)),
            tokens: measurement.usage.completion_tokens,
            duration_ms: ms(now - attempt.started),
        };
        attempt.guard.observe(outcome, job.gateway.clock.ms_at(now));
        self.gateway.metrics.attempts.with_label_values(&[&*attempt.endpoint.key, "ok"]).inc();
        self.answered(attempt);
        self.hold_session(job, attempt, now);
        self.line.ended = Ended::Complete;
        self.line.status = 200;
        self.line.reason = attempt.reply.finish_reason();
        let balance = self.held.as_ref().and_then(Held::caller).map(|caller| caller.wallet.balance());
        let posting = self.charge(job, attempt, measurement, store::Ended::Complete, self.line.reason);
        if let Some((bill, left)) = &mut self.bill {
            bill.cost = self.line.charged;
            *left = balance.and_then(|balance| balance.checked_sub(bill.cost)).unwrap_or_default();
        }
        posting
    }

    /// What a whole answer comes to. `settled` is what the ledger says; where that is late, the bill says
    /// what is due.
    pub(super) fn bill(&mut self, settled: Option<Settled>) -> Bill {
        let nothing = || {
            (
                Bill {
                    usage: Usage::default(),
                    source: UsageSource::Estimated,
                    cost: MicroCredits::ZERO,
                    own_key: false,
                },
                MicroCredits::ZERO,
            )
        };
        let (bill, left) = self.bill.get_or_insert_with(nothing);
        if let Some(settled) = settled {
            (bill.cost, *left) = (settled.charged, settled.balance);
            self.line.charged = settled.charged;
        }
        *bill
    }

    /// What a whole answer was charged, and what is left; nothing in open mode.
    pub(super) fn receipt(&self) -> Option<(MicroCredits, MicroCredits)> {
        self.line.payer.and(self.bill).map(|(bill, left)| (bill.cost, left))
    }

    /// Tokens of the prompt, and of the answer that was posted.
    pub(super) fn measured_tokens(&self) -> (u32, u32) {
        self.measured.map_or((0, 0), |m| (m.usage.prompt_tokens, m.usage.completion_tokens))
    }

    /// Nothing comes of the request: before its client hears that, its key is free for another try.
    pub(super) fn came_to_nothing(&mut self) {
        self.claim = None;
    }

    /// Whether something will be charged and is not yet.
    pub(super) const fn is_open(&self) -> bool {
        self.held.is_some()
    }

    /// Bytes of the answer are about to go out.
    pub(super) fn record(&mut self, bytes: &[u8]) {
        if let Some(claim) = &mut self.claim {
            claim.record(bytes);
        }
    }

    /// The answer is whole with these last bytes; it is given again to who asks with the same key.
    pub(super) fn keep_answer(&mut self, job: &Job, last: &[u8]) {
        if let Some(claim) = &mut self.claim {
            claim.record(last);
            claim.keep(&job.id, reply::content_type(job.shape.stream), job.gateway.clock.now_ms());
        }
    }

    /// The client left: what had been generated for it is measured and charged; before the first
    /// token that is nothing.
    pub(super) fn client_left(
        &mut self,
        job: &Job,
        attempt: Option<&Attempt>,
        committed: bool,
        counted: Option<u32>,
    ) {
        self.line.ended = Ended::Client;
        self.line.reason = None;
        let Some(attempt) = attempt else { return };
        self.gateway.metrics.attempts.with_label_values(&[&*attempt.endpoint.key, "client_left"]).inc();
        self.answered(attempt);
        if committed && job.shape.stream {
            self.hold_session(job, attempt, Instant::now());
            let measured = attempt.reply.meter().measure(job.facts.requirements.prompt_tokens, counted);
            self.measured = Some(measured);
            self.charge(job, attempt, measured, store::Ended::Client, None);
        }
    }

    /// The conversation is with this endpoint now.
    fn hold_session(&self, job: &Job, attempt: &Attempt, now: Instant) {
        if let Some(stick) = reply::session(job, &attempt.endpoint, self.line.attempts > 1) {
            self.gateway.metrics.session_turns.with_label_values(&[stick.outcome()]).inc();
        }
        if let Some(session) = job.facts.session {
            let now_ms = self.gateway.clock.ms_at(now);
            self.gateway.sessions.remember(session.key, attempt.endpoint.id(), now_ms);
        }
    }

    fn answered(&mut self, attempt: &Attempt) {
        self.line.endpoint = Some(Arc::clone(&attempt.endpoint.key));
        self.line.model.clone_from(&attempt.endpoint.model.id);
    }

    /// Posts the charge, if it has not been posted and there is somebody to pay it.
    fn charge(
        &mut self,
        job: &Job,
        attempt: &Attempt,
        Measurement { usage, source }: Measurement,
        ended: store::Ended,
        reason: Option<&'static str>,
    ) -> Option<Posting> {
        let held = self.held.take()?;
        // What an upstream broke off costs nothing, and may be asked again with the same key.
        let costs = ended != store::Ended::Upstream;
        let (amount, absorbed) = if costs { held.price(&usage) } else { Default::default() };
        self.line.charged = amount;
        let clock = &job.gateway.clock;
        let ms = |d: Duration| u32::try_from(d.as_millis()).unwrap_or(u32::MAX);
        let first_token = attempt.first_token.filter(|_| job.shape.stream);
        let once = self.claim.as_ref().filter(|_| costs).map(Claim::once);
        Some(held.post(Charge {
            id: job.id.clone(),
            amount,
            absorbed,
            usage,
            source,
            ended,
            reason,
            model: attempt.endpoint.model.id.clone(),
            provider: attempt.endpoint.provider.slug.clone(),
            streamed: job.shape.stream,
            created_ms: clock.ms_at(job.arrived),
            first_token_ms: first_token.map(|at| ms(at - job.arrived)),
            took_ms: ms(job.arrived.elapsed()),
            idempotency: once.map(|once| once.idempotency(clock.now_ms())),
        }))
    }

    /// The status the client got, and who ended the request if nobody has said so.
    pub(super) fn answered_with(&mut self, status: u16) {
        self.line.status = status;
        if self.line.ended == Ended::Unknown {
            self.line.ended = Ended::Upstream;
        }
    }
}

impl Drop for Settlement {
    fn drop(&mut self) {
        let metrics = &self.gateway.metrics;
        let streamed = if self.line.streamed { "true" } else { "false" };
        let took = self.arrived.elapsed();
        metrics.in_flight.dec();
        metrics.requests.with_label_values(&[self.line.dialect_name(), self.line.outcome()]).inc();
        metrics.duration.with_label_values(&[streamed]).observe(took.as_secs_f64());
        if let Some(token) = self.first_token {
            let waited = token - self.arrived;
            metrics.first_token.with_label_values(&[streamed]).observe(waited.as_secs_f64());
            self.line.first_token = Some(waited);
        }
        if let Some(Measurement { usage, source }) = self.measured {
            let model = self.line.model.as_str();
            let count =
                |direction, n| metrics.tokens.with_label_values(&[model, direction]).inc_by(u64::from(n));
            count("input", usage.prompt_tokens);
            count("output", usage.completion_tokens);
            metrics.usage.with_label_values(&[source.name()]).inc();
            self.line.usage = Some(usage);
            self.line.estimated = source == UsageSource::Estimated;
        }
        self.line.took = took;
        access_log::write(&self.line);
        // The attempt has been dropped before this: its place is free.
        self.gateway.waiting.kick();
    }
}

/// Writes down how a request ended. For forwarded ones, dropping the exchange does it.
pub(super) fn conclude(gateway: &Gateway, stage: Stage, arrived: Instant) {
    let Stage::Answered(Answered { id, dialect, chat, status, ended, payer, queued }) = stage else { return };
    let ended = if status == 0 { Ended::Client } else { ended };
    let line = Line { id, dialect, status, ended, payer, queued, took: arrived.elapsed(), ..Line::default() };
    if chat {
        gateway.metrics.requests.with_label_values(&[line.dialect_name(), line.outcome()]).inc();
    }
    access_log::write(&line);
}
