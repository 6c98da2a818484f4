//! The mirror of what providers allow: every limit of a scope, counted here before a request is sent, so
//! that refusals are avoided and not met.
//!
//! Requests and tokens are taken in one step or not at all, and corrected when the answer is known. Atomics
//! only.

mod calendar;
mod glance;
mod meter;
pub(super) mod sliding;

pub(super) use calendar::next_start;
pub(super) use sliding::Sliding;

use crate::catalog::{Limit, LimitScope, Midnight, Period, Quotas, Unit, Window};
use crate::routing::condition::Cause;
use glance::{Glance, Seen};
use meter::Meter;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// What is counted of every model and key, limited or not: limits nobody wrote down are learned from it. An
/// account is counted where it has limits.
const ALWAYS: [(Unit, Period); 4] = [
    (Unit::Requests, Period::MINUTE),
    (Unit::Tokens, Period::MINUTE),
    (Unit::Requests, Period::Day),
    (Unit::Tokens, Period::Day),
];

/// The limits of one scope: a model with a key, a key, or an account.
#[derive(Debug)]
pub(super) struct Quota {
    meters: Box<[Meter]>,
    /// The meters with a limit, a bit each.
    limited: AtomicU32,
    glance: Glance,
}

/// How much is left of a scope.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Room {
    /// The least share left of any limit, after this request.
    pub(super) share: f32,
    /// How far the day's spending is ahead of an even pace, as a share of the day's limit; below zero it is
    /// behind. [`f32::NEG_INFINITY`] where no day is limited.
    pub(super) ahead: f32,
    /// Until there is room, and what there is none of; a wait of `u64::MAX` means never.
    pub(super) shut: Option<(u64, Cause)>,
    /// No request of more tokens ever fits, however long it waits.
    pub(super) most_tokens: u32,
}

impl Room {
    pub(super) const OPEN: Self =
        Self { share: 1.0, ahead: f32::NEG_INFINITY, shut: None, most_tokens: u32::MAX };

    /// Both hold.
    pub(super) fn and(self, other: Self) -> Self {
        let shut = match (self.shut, other.shut) {
            (Some(a), Some(b)) => Some(if b.0 > a.0 { b } else { a }),
            (a, b) => a.or(b),
        };
        let most_tokens = self.most_tokens.min(other.most_tokens);
        Self { share: self.share.min(other.share), ahead: self.ahead.max(other.ahead), shut, most_tokens }
    }
}

/// What was taken, to be corrected once more is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) at_ms: u64,
    pub(super) requests: u32,
    pub(super) tokens: u32,
}

impl Taken {
    fn of(&self, unit: Unit) -> u32 {
        match unit {
            Unit::Requests => self.requests,
            Unit::Tokens => self.tokens,
        }
    }
}

/// What a provider said about one of its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observed {
    /// What is counted.
    pub unit: Unit,
    /// Over which time.
    pub per: Period,
    /// For what.
    pub scope: LimitScope,
    /// How much there is.
    pub limit: Option<u64>,
    /// How much is left.
    pub remaining: Option<u64>,
    /// Milliseconds until all of it is back.
    pub resets_in_ms: Option<u64>,
}

/// One limit as people see it, and as it is kept over restarts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// What shares it.
    pub scope: LimitScope,
    /// What is counted.
    pub unit: Unit,
    /// Over which time.
    pub per: Period,
    /// How much is used.
    pub used: u64,
    /// How much there is; `None` when nobody knows.
    pub limit: Option<u64>,
    /// The limit is what replies have taught, and not what the profile says.
    #[serde(default)]
    pub learned: bool,
    /// When all of it is back, Unix ms; of a sliding window, when nothing more is added.
    pub resets_ms: u64,
}

impl Reading {
    /// How much is left; `None` where no limit is known.
    pub fn remaining(&self) -> Option<u64> {
        self.limit.map(|limit| limit.saturating_sub(self.used))
    }
}

impl Quota {
    /// The limits of `scope` that cover the model `id`; those of a key or an account cover every model.
    pub(super) fn new(quotas: &Quotas, scope: LimitScope, id: Option<&str>) -> Self {
        let mut meters: Vec<Meter> = Vec::new();
        let mut add = |unit, per, window: Window, limit: Option<u64>, midnight: &Midnight| {
            let known = meters.iter().position(|m: &Meter| (m.unit, m.per) == (unit, per));
            let at = known.unwrap_or_else(|| {
                meters.push(Meter::new(unit, per, window, midnight.zone()));
                meters.len() - 1
            });
            if let Some(limit) = limit {
                meters[at].write(limit);
            }
        };
        let covers = |limit: &&Limit| limit.scope == scope && id.is_none_or(|id| limit.covers(id));
        for limit in quotas.limits.iter().filter(covers) {
            limit.amounts().for_each(|(unit, amount)| {
                add(unit, limit.per, limit.window(), Some(amount), &quotas.midnight);
            });
        }
        let limited = quotas.limits.iter().any(|limit| limit.scope == scope);
        for (unit, per) in ALWAYS.into_iter().filter(|_| limited || scope != LimitScope::Account) {
            add(unit, per, per.usual_window(), None, &quotas.midnight);
        }
        let quota = Self { meters: meters.into(), limited: AtomicU32::new(0), glance: Glance::default() };
        quota.note_limits();
        quota
    }

    /// What is left for a request of so many tokens.
    pub(super) fn room(&self, tokens: u32, now_ms: u64) -> Room {
        let seen = self.glance.get(now_ms).unwrap_or_else(|| {
            let seen = self.look(now_ms);
            self.glance.put(&seen, now_ms);
            seen
        });
        seen.room(tokens).unwrap_or_else(|| self.shut_room(&seen, tokens, now_ms))
    }

    /// All limits, whatever a request needs of them.
    fn look(&self, now_ms: u64) -> Seen {
        let mut seen = Seen::OPEN;
        for meter in self.limited() {
            let Some(limit) = meter.limit(now_ms) else { continue };
            let used = meter.used(now_ms);
            let left = u32::try_from(limit.saturating_sub(used)).unwrap_or(u32::MAX);
            let scale = 1.0 / limit.max(1) as f32;
            let share = 1.0 - used as f32 * scale;
            match meter.unit {
                Unit::Requests => {
                    seen.left_requests = seen.left_requests.min(left);
                    seen.share_requests = seen.share_requests.min(share - scale);
                }
                Unit::Tokens => {
                    seen.left_tokens = seen.left_tokens.min(left);
                    seen.share_tokens = seen.share_tokens.min(share);
                    seen.share_a_token = seen.share_a_token.max(scale);
                    // What was cut off by a refusal grows back; only what was said is there for good.
                    let said = meter.said().and_then(|said| u32::try_from(said).ok());
                    seen.most_tokens = seen.most_tokens.min(said.unwrap_or(u32::MAX));
                }
            }
            if meter.per.seconds() >= Period::Day.seconds() {
                seen.ahead = seen.ahead.max(used as f32 * scale - meter.even(now_ms));
            }
        }
        seen
    }

    /// The same for a request that does not fit: what there is none of, and for how long.
    fn shut_room(&self, seen: &Seen, tokens: u32, now_ms: u64) -> Room {
        let Seen { ahead, most_tokens, .. } = *seen;
        let full = self.limited().filter_map(|meter| {
            let wait = meter.room_in(of(meter.unit, tokens), now_ms).unwrap_or(u64::MAX);
            (wait > 0).then_some((wait, meter.cause()))
        });
        Room { share: 0.0, ahead, shut: full.max_by_key(|(wait, _)| *wait), most_tokens }
    }

    /// Takes one request and its tokens of every limit, or nothing.
    ///
    /// # Errors
    /// Milliseconds until there is room, and what there is none of.
    pub(super) fn take(&self, taken: &Taken) -> Result<(), (u64, Cause)> {
        for (position, meter) in self.meters.iter().enumerate() {
            if !meter.take(taken.of(meter.unit), taken.at_ms) {
                let undo = |m: &Meter| m.correct(taken.at_ms, taken.of(m.unit), 0);
                self.meters[..position].iter().for_each(undo);
                let wait = meter.room_in(taken.of(meter.unit), taken.at_ms).unwrap_or(u64::MAX);
                return Err((wait.max(1), meter.cause()));
            }
        }
        self.glance.forget();
        Ok(())
    }

    /// Makes what was taken what it turned out to be.
    pub(super) fn correct(&self, taken: &Taken, requests: u32, tokens: u32) {
        for meter in &self.meters {
            let to = if meter.unit == Unit::Requests { requests } else { tokens };
            meter.correct(taken.at_ms, taken.of(meter.unit), to);
        }
        self.glance.forget();
    }

    /// Counts tokens that had not been taken.
    pub(super) fn add_tokens(&self, tokens: u32, now_ms: u64) {
        let of_tokens = self.meters.iter().filter(|meter| meter.unit == Unit::Tokens);
        of_tokens.for_each(|meter| meter.add(u64::from(tokens), now_ms));
        self.glance.forget();
    }

    /// Believes what the provider says is left, where that is less than was thought.
    pub(super) fn observe(&self, observed: &Observed, now_ms: u64) {
        let Some(meter) = self.meter(observed.unit, observed.per) else { return };
        if let Some(limit) = observed.limit {
            meter.set_limit(Some(limit));
            self.note_limits();
        }
        if let (Some(limit), Some(remaining)) = (meter.said(), observed.remaining) {
            meter.at_least_for(limit.saturating_sub(remaining), observed.resets_in_ms, now_ms);
        }
        self.glance.forget();
    }

    /// A refusal for want of `unit` within `per`: `limit` is what the provider said there is.
    pub(super) fn refused(&self, unit: Unit, per: Period, limit: Option<u64>, now_ms: u64) {
        let Some(meter) = self.meter(unit, per) else { return };
        match limit {
            Some(limit) => meter.set_limit(Some(limit)),
            None => meter.refused(now_ms),
        }
        self.note_limits();
    }

    /// Every limit that is known, and what of it is used.
    pub(super) fn readings(&self, scope: LimitScope, now_ms: u64) -> impl Iterator<Item = Reading> {
        self.meters.iter().filter_map(move |meter| {
            let (used, limit) = (meter.used(now_ms), meter.limit(now_ms));
            let (learned, resets_ms) = (meter.has_learned(now_ms), meter.ends_ms(now_ms));
            let reading =
                Reading { scope, unit: meter.unit, per: meter.per, used, limit, learned, resets_ms };
            (used > 0 || limit.is_some()).then_some(reading)
        })
    }

    /// Counts what was used before a restart, and believes what was learned.
    pub(super) fn restore(&self, reading: &Reading, now_ms: u64) {
        let Some(meter) = self.meter(reading.unit, reading.per) else { return };
        if now_ms < reading.resets_ms {
            meter.at_least(reading.used, now_ms);
        }
        if let Some(limit) = reading.limit.filter(|_| reading.learned) {
            meter.recall(limit, now_ms);
            self.note_limits();
        }
        self.glance.forget();
    }

    fn meter(&self, unit: Unit, per: Period) -> Option<&Meter> {
        self.meters.iter().find(|m| m.unit == unit && m.per == per)
    }

    fn limited(&self) -> impl Iterator<Item = &Meter> {
        let limited = self.limited.load(Relaxed);
        self.meters.iter().enumerate().filter(move |(at, _)| limited & (1 << at) != 0).map(|(_, m)| m)
    }

    fn note_limits(&self) {
        let known = self.meters.iter().take(32).enumerate().filter(|(_, m)| m.limit(0).is_some());
        self.limited.store(known.fold(0, |bits, (at, _)| bits | 1 << at), Relaxed);
        self.glance.forget();
    }
}

fn of(unit: Unit, tokens: u32) -> u32 {
    if unit == Unit::Requests { 1 } else { tokens }
}

#[cfg(test)]
mod tests;
