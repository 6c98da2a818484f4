//! What this process may spend of one account: a slice of its balance, leased durably, from which
//! requests are reserved in memory; and a slice of the day's requests.

use super::id::AccountId;
use crate::money::MicroCredits;
use std::sync::atomic::{
    AtomicI64, AtomicU64, AtomicUsize, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed,
    Ordering::Release,
};

/// One account as this process knows it. Every operation is a few atomic instructions.
#[derive(Debug)]
pub struct Wallet {
    account: AccountId,
    /// Leased to this process and not reserved, micro-credits.
    free: AtomicI64,
    /// The posted balance as last heard.
    balance: AtomicI64,
    /// What nobody had leased, as last heard.
    left: AtomicI64,
    /// A [`Slice`], packed.
    requests: AtomicU64,
    /// The day (high half) and its requests (low half) as last heard, ours included.
    used: AtomicU64,
    /// Reservations that are not settled yet.
    open: AtomicUsize,
    /// When it was last used, Unix ms.
    touched_ms: AtomicU64,
}

/// What a durable lease brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Micro-credits added to the lease.
    pub amount: MicroCredits,
    /// The posted balance.
    pub balance: MicroCredits,
    /// What nobody has leased yet; zero: all of the balance is spoken for.
    pub left: MicroCredits,
    /// The day the requests are for: days since 1970, UTC.
    pub day: u32,
    /// Requests added to the slice.
    pub requests: u32,
    /// The tier they were granted under.
    pub funded: bool,
    /// Requests of that day in all, unused slices included.
    pub day_used: u32,
}

/// Requests of a day that may be admitted without asking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    /// Days since 1970, UTC.
    pub day: u32,
    /// The tier whose limit they were granted under.
    pub funded: bool,
    /// How many are left.
    pub left: u32,
}

impl Slice {
    const fn pack(self) -> u64 {
        (self.day as u64 & 0x7fff_ffff) << 33 | (self.funded as u64) << 32 | self.left as u64
    }

    const fn unpack(bits: u64) -> Self {
        Self { day: (bits >> 33) as u32, funded: bits >> 32 & 1 == 1, left: bits as u32 }
    }
}

impl Wallet {
    /// An account of which nothing is leased yet.
    pub fn new(account: AccountId, balance: MicroCredits, now_ms: u64) -> Self {
        Self {
            account,
            free: AtomicI64::new(0),
            balance: AtomicI64::new(balance.get()),
            left: AtomicI64::new(0),
            requests: AtomicU64::new(0),
            used: AtomicU64::new(0),
            open: AtomicUsize::new(0),
            touched_ms: AtomicU64::new(now_ms),
        }
    }

    /// Whose it is.
    pub const fn account(&self) -> AccountId {
        self.account
    }

    /// What may be reserved right now.
    pub fn free(&self) -> MicroCredits {
        MicroCredits::new(self.free.load(Acquire))
    }

    /// The posted balance as last heard.
    pub fn balance(&self) -> MicroCredits {
        MicroCredits::new(self.balance.load(Acquire))
    }

    /// Takes note of the posted balance.
    pub fn heard_balance(&self, balance: MicroCredits) {
        self.balance.store(balance.get(), Release);
    }

    /// The requests of `day` as last heard, those of unused slices of this process left out.
    pub fn day_used(&self, day: u32) -> u32 {
        let (heard_day, used) = unpack_used(self.used.load(Acquire));
        let slice = Slice::unpack(self.requests.load(Acquire));
        let unused = if slice.day == day { slice.left } else { 0 };
        if heard_day == day { used.saturating_sub(unused) } else { 0 }
    }

    /// The latest day heard of; a clock that was set back does not make an earlier one current.
    pub fn day(&self) -> u32 {
        unpack_used(self.used.load(Acquire)).0
    }

    /// Reserves an amount of what is leased. `false`: there is not that much.
    pub(super) fn hold(&self, amount: MicroCredits) -> bool {
        let take = |free: i64| free.checked_sub(amount.get()).filter(|left| *left >= 0);
        let held = self.free.fetch_update(AcqRel, Acquire, take).is_ok();
        if held {
            self.open.fetch_add(1, AcqRel);
        }
        held
    }

    /// Ends a reservation of `held`, of which `charged` is gone from the lease, too.
    pub(super) fn release(&self, held: MicroCredits, charged: MicroCredits) {
        self.free.fetch_add(held.get() - charged.get(), AcqRel);
        self.open.fetch_sub(1, AcqRel);
    }

    /// Takes one request of the day from the slice. `false`: there is none for this day and tier.
    pub(super) fn take_request(&self, day: u32, funded: bool) -> bool {
        let take = |bits| {
            let slice = Slice::unpack(bits);
            let fits = slice.day == day && slice.funded == funded && slice.left > 0;
            fits.then(|| Slice { left: slice.left - 1, ..slice }.pack())
        };
        self.requests.fetch_update(AcqRel, Acquire, take).is_ok()
    }

    /// Whether [`Wallet::take_request`] would find one.
    pub(super) fn has_request(&self, day: u32, funded: bool) -> bool {
        let slice = Slice::unpack(self.requests.load(Acquire));
        slice.day == day && slice.funded == funded && slice.left > 0
    }

    /// Puts a request back that was not admitted after all. `false`: its slice is gone.
    pub(super) fn give_back_request(&self, day: u32) -> bool {
        let put = |bits| {
            let slice = Slice::unpack(bits);
            (slice.day == day).then(|| Slice { left: slice.left + 1, ..slice }.pack())
        };
        self.requests.fetch_update(AcqRel, Acquire, put).is_ok()
    }

    /// The slice of requests, taken out to be exchanged for another.
    pub fn take_slice(&self) -> Slice {
        Slice::unpack(self.requests.swap(0, AcqRel))
    }

    /// Whether the store had more to lease when last asked.
    pub(super) fn can_grow(&self) -> bool {
        self.left.load(Acquire) > 0
    }

    /// Adds what a lease brought. Returns a slice of requests that had to make room, to be returned.
    pub fn grant(&self, grant: &Grant) -> Option<Slice> {
        self.heard_balance(grant.balance);
        self.left.store(grant.left.get(), Release);
        self.used.fetch_max(pack_used(grant.day, grant.day_used), AcqRel);
        self.free.fetch_add(grant.amount.get(), AcqRel);
        if grant.requests == 0 {
            return None;
        }
        let mut displaced = None;
        let add = |bits| {
            let slice = Slice::unpack(bits);
            let same = slice.day == grant.day && slice.funded == grant.funded;
            displaced = (!same && slice.left > 0).then_some(slice);
            let left = if same { slice.left + grant.requests } else { grant.requests };
            Some(Slice { day: grant.day, funded: grant.funded, left }.pack())
        };
        let _ = self.requests.fetch_update(AcqRel, Acquire, add);
        displaced
    }

    /// Takes all that is leased and not reserved, to be returned.
    pub fn surrender(&self) -> (MicroCredits, Slice) {
        (MicroCredits::new(self.free.swap(0, AcqRel)), self.take_slice())
    }

    /// Whether nothing is leased to it.
    pub fn is_empty(&self) -> bool {
        self.free.load(Acquire) == 0 && Slice::unpack(self.requests.load(Acquire)).left == 0
    }

    /// Notes that it is in use.
    pub fn touch(&self, now_ms: u64) {
        self.touched_ms.store(now_ms, Relaxed);
    }

    /// Whether no reservation is open and nobody has used it since `before_ms`.
    pub fn is_idle(&self, before_ms: u64) -> bool {
        self.open.load(Acquire) == 0 && self.touched_ms.load(Relaxed) < before_ms
    }
}

fn pack_used(day: u32, used: u32) -> u64 {
    u64::from(day) << 32 | u64::from(used)
}

fn unpack_used(bits: u64) -> (u32, u32) {
    ((bits >> 32) as u32, bits as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ucr(amount: i64) -> MicroCredits {
        MicroCredits::new(amount)
    }

    fn grant(amount: i64, day: u32, requests: u32) -> Grant {
        let (balance, left) = (ucr(1_000), ucr(1_000 - amount));
        Grant { amount: ucr(amount), balance, left, day, requests, funded: false, day_used: requests }
    }

    fn wallet() -> Wallet {
        Wallet::new(AccountId::new(1), ucr(1_000), 0)
    }

    #[test]
    fn only_what_is_leased_can_be_reserved_and_comes_back_but_for_the_charge() {
        let wallet = wallet();
        assert!(!wallet.hold(ucr(1)));
        wallet.grant(&grant(100, 7, 0));
        assert!(wallet.hold(ucr(60)) && !wallet.hold(ucr(41)));
        wallet.release(ucr(60), ucr(25));
        assert_eq!(wallet.free(), ucr(75));
        assert_eq!(wallet.surrender().0, ucr(75));
        assert!(wallet.is_empty());
    }

    #[test]
    fn many_threads_never_reserve_more_than_there_is() {
        let wallet = wallet();
        wallet.grant(&grant(100, 7, 0));
        let held: usize = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| (0..100).filter(|_| wallet.hold(ucr(3))).count())).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
        });
        assert_eq!((held, wallet.free()), (33, ucr(1)));
    }

    #[test]
    fn requests_belong_to_a_day_and_a_tier() {
        let wallet = wallet();
        wallet.grant(&grant(0, 7, 2));
        assert!(!wallet.take_request(8, false) && !wallet.take_request(7, true));
        assert!(wallet.take_request(7, false) && wallet.take_request(7, false));
        assert!(!wallet.take_request(7, false));
        assert!(wallet.give_back_request(7) && !wallet.give_back_request(6));
        assert_eq!(wallet.day_used(7), 1);
    }

    #[test]
    fn a_slice_of_another_day_makes_room_and_goes_back() {
        let wallet = wallet();
        wallet.grant(&grant(0, 7, 5));
        let displaced = wallet.grant(&grant(0, 8, 3));
        assert_eq!(displaced, Some(Slice { day: 7, funded: false, left: 5 }));
        assert_eq!(wallet.grant(&grant(0, 8, 1)), None);
        assert_eq!(wallet.take_slice().left, 4);
    }

    #[test]
    fn a_wallet_in_use_is_not_idle() {
        let wallet = wallet();
        wallet.grant(&grant(10, 7, 0));
        wallet.touch(50);
        assert!(wallet.is_idle(51) && !wallet.is_idle(50));
        assert!(wallet.hold(ucr(1)));
        assert!(!wallet.is_idle(51));
    }
}
