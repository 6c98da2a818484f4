//! What endpoints share: the provider's account, and each key it is called with.

use super::breaker::{Breaker, Until};
use super::quota::Quota;
use crate::catalog::{LimitScope, Provider, Secret};
use crate::routing::condition::Cause;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// What all endpoints of a provider share, whatever the key: whether the host is there, and the limits of
/// the operator's account.
#[derive(Debug)]
pub(super) struct AccountState {
    pub(super) breaker: Breaker,
    pub(super) told: Until,
    pub(super) quota: Quota,
    /// A limit of one key is one of all: the provider counts by account.
    pub(super) is_shared: bool,
    /// Requests that failed count against its limits.
    pub(super) failures_count: bool,
}

impl AccountState {
    pub(super) fn new(provider: &Provider) -> Self {
        Self {
            breaker: Breaker::default(),
            told: Until::default(),
            quota: Quota::new(&provider.quotas, LimitScope::Account, None),
            is_shared: provider.quotas.limits.iter().any(|limit| limit.scope == LimitScope::Account),
            failures_count: provider.quotas.failures_count,
        }
    }
}

/// What a provider's endpoints share because they are called with the same key: its limits, its refusal, and
/// how many requests are under way.
#[derive(Debug)]
pub struct KeyState {
    pub(super) account: Arc<AccountState>,
    pub(super) secret: Option<Secret>,
    pub(super) disabled: Until,
    pub(super) told: Until,
    pub(super) quota: Quota,
    in_flight: AtomicU32,
    max_concurrency: u32,
    unpaid: AtomicU32,
}

/// So many models in a row that want money: it is the account that has none.
const UNPAID_MODELS: u32 = 3;

impl KeyState {
    pub(super) fn new(provider: &Provider, secret: Option<Secret>, account: Arc<AccountState>) -> Self {
        let disabled = Until::default();
        if provider.callers_keys {
            disabled.extend(u64::MAX, Cause::CallersKeysOnly);
        }
        Self {
            account,
            secret,
            disabled,
            told: Until::default(),
            quota: Quota::new(&provider.quotas, LimitScope::Key, None),
            in_flight: AtomicU32::new(0),
            max_concurrency: provider.max_concurrency.unwrap_or(u32::MAX),
            unpaid: AtomicU32::new(0),
        }
    }

    /// A model wanted money. Whether that is about the account rather than the model.
    pub(super) fn was_unpaid(&self) -> bool {
        self.unpaid.fetch_add(1, Relaxed) + 1 >= UNPAID_MODELS
    }

    /// A model wanted none.
    pub(super) fn was_free(&self) {
        if self.unpaid.load(Relaxed) > 0 {
            self.unpaid.store(0, Relaxed);
        }
    }

    /// Requests under way with this key.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// Why the key is not used at all, if so.
    pub fn disabled(&self, now_ms: u64) -> Option<Cause> {
        self.disabled.left(now_ms).map(|(_, cause)| cause)
    }

    /// What it is presented with; `None` where the provider wants none.
    pub fn secret(&self) -> Option<&Secret> {
        self.secret.as_ref()
    }

    pub(super) fn is_full(&self) -> bool {
        self.in_flight() >= self.max_concurrency
    }

    /// Counts one more; `false`, and nothing is counted, if that is one too many.
    pub(super) fn enter(&self) -> bool {
        let most = self.max_concurrency;
        let more = |now| (now < most).then_some(now + 1);
        self.in_flight.fetch_update(Relaxed, Relaxed, more).is_ok()
    }

    pub(super) fn leave(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
    }
}
