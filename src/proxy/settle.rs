//! The end of a request: its charge, its measurements, its access line. Once, whatever happens.

use super::attempt::Attempt;
use super::context::{Answered, Stage};
use super::exchange::Job;
use super::failover::Reason;
use crate::access_log::{self, Ended, Line};
use crate::metering::{Measurement, estimate};
use crate::protocol::normalize::Bill;
use crate::protocol::usage::UsageSource;
use crate::proxy::gateway::Gateway;
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
    /// The client has the end of its answer.
    pub(super) delivered: bool,
}

/// Counts the tokens of a text off the reactor; `None` if that was not possible.
pub(super) async fn count(text: String) -> Option<u32> {
    tokio::task::spawn_blocking(move || estimate::count(&text)).await.ok()
}

impl Settlement {
    pub(super) fn new(job: &Job) -> Self {
        job.gateway.metrics.in_flight.inc();
        Self {
            gateway: Arc::clone(&job.gateway),
            line: Line {
                id: job.id.clone(),
                dialect: job.shape.dialect,
                streamed: job.shape.stream,
                task: job.plan.classification.task.name(),
                body_bytes: job.body.len(),
                ..Line::default()
            },
            measured: None,
            arrived: job.arrived,
            first_token: None,
            first_write: None,
            delivered: false,
        }
    }

    /// An attempt goes out.
    pub(super) fn begun(&mut self, now: Instant, job: &Job) {
        self.line.attempts += 1;
        if self.line.attempts == 1 {
            self.gateway.metrics.overhead_request.observe((now - job.body_read).as_secs_f64());
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
            attempt.guard.state().observe(Outcome::Alive, self.gateway.clock.ms_at(now));
            self.gateway.metrics.overhead_response.observe((now - token).as_secs_f64());
        }
    }

    /// An attempt failed; after the first bytes that is how the request ends.
    pub(super) fn failed(&mut self, attempt: &Attempt, reason: Reason, committed: bool) {
        self.line.endpoint = Some(Arc::clone(&attempt.endpoint.key));
        self.line.reason = Some(reason.name());
        if committed {
            self.line.ended = Ended::Upstream;
        }
    }

    /// Charges for a whole answer and tells the pool how it went.
    pub(super) fn post(&mut self, job: &Job, attempt: &Attempt, counted: Option<u32>) -> Bill {
        let measurement = attempt.reply.meter().measure(job.facts.requirements.prompt_tokens, counted);
        let bill = self.charge(measurement);
        let now = Instant::now();
        let ms = |d: Duration| u32::try_from(d.as_millis()).unwrap_or(u32::MAX);
        let outcome = Outcome::Success {
            ttft_ms: attempt.first_token.filter(|_| job.shape.stream).map(|at| ms(at - attempt.started)),
            tokens: measurement.usage.completion_tokens,
            duration_ms: ms(now - attempt.started),
        };
        attempt.guard.state().observe(outcome, job.gateway.clock.ms_at(now));
        self.gateway.metrics.attempts.with_label_values(&[&*attempt.endpoint.key, "ok"]).inc();
        self.answered(attempt);
        self.line.ended = Ended::Complete;
        self.line.status = 200;
        self.line.reason = attempt.reply.finish_reason();
        bill
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
            let prompt = job.facts.requirements.prompt_tokens;
            self.charge(attempt.reply.meter().measure(prompt, counted));
        }
    }

    fn answered(&mut self, attempt: &Attempt) {
        self.line.endpoint = Some(Arc::clone(&attempt.endpoint.key));
        self.line.model.clone_from(&attempt.endpoint.model.id);
    }

    fn charge(&mut self, measurement: Measurement) -> Bill {
        let cost = crate::money::MicroCredits::ZERO;
        self.measured = Some(measurement);
        Bill { usage: measurement.usage, source: measurement.source, cost }
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
    }
}

/// Writes down how a request ended. For forwarded ones, dropping the exchange does it.
pub(super) fn conclude(gateway: &Gateway, stage: Stage, arrived: Instant) {
    let Stage::Answered(Answered { id, dialect, chat, status }) = stage else { return };
    let ended = if status == 0 { Ended::Client } else { Ended::Router };
    let line = Line { id, dialect, status, ended, took: arrived.elapsed(), ..Line::default() };
    if chat {
        gateway.metrics.requests.with_label_values(&[line.dialect_name(), line.outcome()]).inc();
    }
    access_log::write(&line);
}
