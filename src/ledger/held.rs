//! A request's hold on the ledger, from admission to its charge.

use super::Ledger;
use super::queue::{Done, Job};
use crate::accounts::{Caller, Fit, Reservation};
use crate::money::MicroCredits;
use crate::protocol::usage::Usage;
use crate::store::{Charge, Op, Settle, Settled};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::oneshot;

/// Places, of which each is held by one request or change.
#[derive(Clone)]
pub(super) struct Slots {
    taken: Arc<AtomicUsize>,
    most: usize,
}

/// A place; free again when dropped.
pub(super) struct Slot(Arc<AtomicUsize>);

impl Slots {
    pub(super) fn new(most: usize) -> Self {
        Self { taken: Arc::default(), most }
    }

    pub(super) fn take(&self) -> Option<Slot> {
        let slot = Slot(Arc::clone(&self.taken));
        (self.taken.fetch_add(1, Ordering::AcqRel) < self.most).then_some(slot)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// An admitted request. Dropping it voids it: nothing is charged, and the request still counts among the
/// day's.
#[must_use = "dropping it voids the request"]
pub struct Held {
    ledger: Arc<Ledger>,
    fit: Fit,
    /// Taken out when it ends.
    open: Option<(Reservation, Slot)>,
}

/// A charge on its way to the store.
pub struct Posting {
    durable: oneshot::Receiver<Settled>,
    ledger: Arc<Ledger>,
}

impl Held {
    pub(super) fn new(ledger: Arc<Ledger>, reservation: Reservation, fit: Fit, slot: Slot) -> Self {
        ledger.metrics.open.inc();
        Self { ledger, fit, open: Some((reservation, slot)) }
    }

    /// The limit of the answer that the reservation covers, and whether it is below the default.
    pub const fn fit(&self) -> Fit {
        self.fit
    }

    /// Who asked.
    pub fn caller(&self) -> Option<&Arc<Caller>> {
        self.open.as_ref().map(|(reservation, _)| reservation.caller())
    }

    /// What `usage` costs: the part that is charged, and the part beyond the reservation, which nobody pays.
    pub fn price(&self, usage: &Usage) -> (MicroCredits, MicroCredits) {
        let due = self.ledger.rules.price.charge(usage);
        let reserved = self.open.as_ref().map_or(MicroCredits::ZERO, |(reservation, _)| reservation.amount());
        let charged = due.min(reserved);
        (charged, due.checked_sub(charged).unwrap_or_default())
    }

    /// The request is not admitted after all: as if it had not been asked for.
    pub fn reject(mut self) {
        if let Some((reservation, _slot)) = self.open.take() {
            reservation.reject();
            self.ledger.metrics.open.dec();
        }
    }

    /// Posts the charge. It is on its way even if nobody waits for it.
    pub fn post(mut self, charge: Charge) -> Posting {
        let (reply, durable) = oneshot::channel();
        if let Some((reservation, slot)) = self.open.take() {
            self.ledger.metrics.absorbed.inc_by(charge.absorbed.get().max(0) as u64);
            let op = settle(&reservation, Some(charge));
            self.ledger.queue.push(Job { op, done: Done::Settle { reservation, reply, _slot: slot } });
            self.ledger.metrics.open.dec();
        }
        Posting { durable, ledger: Arc::clone(&self.ledger) }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some((reservation, slot)) = self.open.take() {
            let op = settle(&reservation, None);
            drop(reservation);
            self.ledger.queue.push(Job { op, done: Done::Void { _slot: slot } });
            self.ledger.metrics.open.dec();
        }
    }
}

impl Posting {
    /// Waits until the charge is durable, for as long as the rules allow. `None`: it is late. It stays
    /// queued and will be charged; the answer need not wait any longer.
    pub async fn durable(self) -> Option<Settled> {
        let waited = self.ledger.metrics.wait.start_timer();
        let settled = tokio::time::timeout(self.ledger.rules.commit_wait, self.durable).await;
        waited.observe_duration();
        let settled = settled.ok().and_then(Result::ok);
        if settled.is_none() {
            self.ledger.metrics.late.inc();
        }
        settled
    }
}

fn settle(reservation: &Reservation, charge: Option<Charge>) -> Op {
    let (account, key, day) = (reservation.account(), reservation.key(), reservation.day());
    Op::Settle(Box::new(Settle { account, key, day, charge }))
}
