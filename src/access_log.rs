//! The one line a request leaves: who ended it and where, by which endpoint, how long, how much.
//! Never what was asked or answered, and never a key.

use crate::accounts::{AccountId, KeyId};
use crate::money::MicroCredits;
use crate::protocol::Dialect;
use crate::protocol::usage::Usage;
use std::sync::Arc;
use std::time::Duration;

/// What the line says.
#[derive(Debug)]
pub struct Line {
    /// Our id of the request.
    pub id: String,
    /// The dialect it came in.
    pub dialect: Dialect,
    /// It asked for a stream.
    pub streamed: bool,
    /// The task it was classified as.
    pub task: &'static str,
    /// Bytes of its body.
    pub body_bytes: usize,
    /// The status the client got; 0 for none.
    pub status: u16,
    /// Who ended it.
    pub ended: Ended,
    /// The finish reason, or why the last attempt failed.
    pub reason: Option<&'static str>,
    /// Attempts made.
    pub attempts: u32,
    /// The endpoint that answered, or was tried last.
    pub endpoint: Option<Arc<str>>,
    /// The model that answered.
    pub model: String,
    /// Tokens, where an answer was measured.
    pub usage: Option<Usage>,
    /// We counted them, not the provider.
    pub estimated: bool,
    /// Whose request it was; nobody's in open mode.
    pub payer: Option<Payer>,
    /// What it was charged, if the ledger did not refuse it later.
    pub charged: MicroCredits,
    /// How long it waited for a place, if it did.
    pub queued: Option<Duration>,
    /// Arrival to first meaningful token.
    pub first_token: Option<Duration>,
    /// Arrival to end.
    pub took: Duration,
}

/// Who pays for a request. Ids only: the key itself is never written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payer {
    /// The account.
    pub account: AccountId,
    /// The key it was asked with.
    pub key: KeyId,
}

/// Who ended a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ended {
    /// Nobody yet.
    #[default]
    Unknown,
    /// Its answer was whole.
    Complete,
    /// The client left.
    Client,
    /// No upstream answered, or one broke off.
    Upstream,
    /// We refused it.
    Router,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            id: String::new(),
            dialect: Dialect::OpenAi,
            streamed: false,
            task: "",
            body_bytes: 0,
            status: 0,
            ended: Ended::Unknown,
            reason: None,
            attempts: 0,
            endpoint: None,
            model: String::new(),
            usage: None,
            estimated: false,
            payer: None,
            charged: MicroCredits::ZERO,
            queued: None,
            first_token: None,
            took: Duration::ZERO,
        }
    }
}

impl Line {
    /// Two letters, as HAProxy has them: who ended the request (`-` complete, `C` client, `S` server,
    /// `P` the proxy) and how far it was (`-` done, `R` request, `H` waiting for the first token, `D` within
    /// the answer).
    pub fn termination(&self) -> &'static str {
        match (self.ended, self.first_token.is_some()) {
            (Ended::Complete, _) => "--",
            (Ended::Router, _) => "PR",
            (Ended::Client, false) => "CH",
            (Ended::Client, true) => "CD",
            (Ended::Upstream | Ended::Unknown, false) => "SH",
            (Ended::Upstream | Ended::Unknown, true) => "SD",
        }
    }

    /// The request's outcome as a metric label.
    pub fn outcome(&self) -> &'static str {
        match (self.ended, self.first_token.is_some()) {
            (Ended::Complete, _) => "ok",
            (Ended::Router, _) => "refused",
            (Ended::Client, _) => "client_left",
            (_, true) => "cut",
            (_, false) => "failed",
        }
    }

    /// The dialect as a metric label.
    pub fn dialect_name(&self) -> &'static str {
        dialect_name(self.dialect)
    }
}

/// A dialect as a metric label.
pub fn dialect_name(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OpenAi => "openai",
        Dialect::OpenRouter => "openrouter",
    }
}

/// Writes the line.
pub fn write(line: &Line) {
    let usage = line.usage.unwrap_or_default();
    tracing::info!(
        target: "access",
        id = line.id,
        termination = line.termination(),
        outcome = line.outcome(),
        status = line.status,
        dialect = line.dialect_name(),
        stream = line.streamed,
        task = line.task,
        body_bytes = line.body_bytes,
        endpoint = line.endpoint.as_deref().unwrap_or(""),
        model = line.model,
        attempts = line.attempts,
        reason = line.reason.unwrap_or(""),
        prompt_tokens = usage.prompt_tokens,
        completion_tokens = usage.completion_tokens,
        estimated = line.estimated,
        charged_ucr = line.charged.get(),
        account = line.payer.map(|payer| tracing::field::display(payer.account)),
        key = line.payer.map(|payer| tracing::field::display(payer.key)),
        queued_ms = line.queued.map_or(0, |d| d.as_millis() as u64),
        first_token_us = line.first_token.map_or(0, |d| d.as_micros() as u64),
        took_us = line.took.as_micros() as u64,
    );
}
