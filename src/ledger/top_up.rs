//! Leasing for an account: once at a time, and everybody who needs it waits for the same lease.

use super::queue::{Done, Job, Queue};
use crate::accounts::{AccountId, Exhausted, Grant, Wallet, Wish};
use crate::store::{Lease, Op, Returned};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// What came of a lease; nothing yet, or what the store is known to have none of. A sender that is dropped
/// says that the store failed.
type Heard = watch::Sender<Option<Exhausted>>;

/// The leases under way, one an account.
#[derive(Default)]
pub(super) struct TopUps(Mutex<HashMap<AccountId, UnderWay>>);

struct UnderWay {
    heard: Heard,
    requests: u32,
}

impl TopUps {
    /// Leases, or joins the lease under way. `None`: the store failed.
    pub(super) async fn ask(&self, queue: &Queue, wallet: &Arc<Wallet>, wish: Wish) -> Option<Exhausted> {
        let mut heard = self.begin(queue, wallet, wish).subscribe();
        let heard = heard.wait_for(Option::is_some).await;
        heard.ok().and_then(|exhausted| *exhausted)
    }

    /// Leases unless a lease is under way; nobody waits.
    pub(super) fn ahead(&self, queue: &Queue, wallet: &Arc<Wallet>, wish: Wish) {
        if !self.lock().contains_key(&wallet.account()) {
            self.begin(queue, wallet, wish);
        }
    }

    /// Gives back what the wallet has not reserved, unless a lease is under way for it: that one would find
    /// all of it leased, and whoever waits would be refused for want of what is just coming back.
    pub(super) fn give_back(&self, queue: &Queue, wallet: &Arc<Wallet>) {
        let under_way = self.lock();
        if under_way.contains_key(&wallet.account()) {
            return;
        }
        let (amount, slice) = wallet.surrender();
        if amount.get() != 0 || slice.left != 0 {
            let op = Op::Return(Returned { account: wallet.account(), amount, slice });
            queue.push(Job { op, done: Done::Return { wallet: Arc::clone(wallet) } });
        }
    }

    fn begin(&self, queue: &Queue, wallet: &Arc<Wallet>, mut wish: Wish) -> Heard {
        let mut under_way = self.lock();
        if let Some(under_way) = under_way.get(&wallet.account()) {
            return under_way.heard.clone();
        }
        let heard = watch::Sender::new(None);
        let requests = wish.requests;
        under_way.insert(wallet.account(), UnderWay { heard: heard.clone(), requests });
        if wish.requests > 0 {
            wish.returned = wallet.take_slice();
        }
        queue.push(Job { op: Op::Lease(Lease { wish }), done: Done::Lease { wallet: Arc::clone(wallet) } });
        drop(under_way);
        heard
    }

    /// The lease is durable: `grant` is in the wallet. Without one the store failed.
    pub(super) fn end(&self, account: AccountId, grant: Option<&Grant>) {
        let Some(UnderWay { heard, requests }) = self.lock().remove(&account) else { return };
        if let Some(grant) = grant {
            let credits = grant.left.get() <= 0;
            let requests = (grant.requests < requests).then_some((grant.day, grant.funded));
            heard.send_replace(Some(Exhausted { credits, requests }));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AccountId, UnderWay>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
