//! The accounts that wait, in a ring: the order of turns.

use super::{MOST_COST, Newcomer, Ticket, Turn};
use std::collections::VecDeque;

/// What an account may spend in each turn: one ordinary request. What a turn leaves is saved for the next.
const QUANTUM: u32 = 1;

#[derive(Debug)]
pub(super) struct Ring<K, T> {
    /// The one whose turn it is first; each has somebody who waits.
    accounts: VecDeque<Account<K, T>>,
    next_id: u64,
}

#[derive(Debug)]
struct Account<K, T> {
    key: K,
    /// What it may still spend.
    saved: u32,
    /// Its turn has begun: it has been given what a turn is worth.
    granted: bool,
    /// By deadline.
    waiting: VecDeque<Waiter<T>>,
}

#[derive(Debug)]
struct Waiter<T> {
    id: u64,
    class: u64,
    cost: u32,
    deadline_ms: u64,
    payload: T,
}

/// How an account's turn ended.
enum End {
    /// Nobody of it waits any more.
    Empty,
    /// It has spent what it may, and others wait.
    Over,
    /// It may spend more but cannot: its turn goes on as soon as it can.
    Blocked,
}

impl<K, T> Default for Ring<K, T> {
    fn default() -> Self {
        Self { accounts: VecDeque::new(), next_id: 0 }
    }
}

impl<K: Copy + Eq, T> Ring<K, T> {
    pub(super) fn waiting(&self) -> usize {
        self.accounts.iter().map(|account| account.waiting.len()).sum()
    }

    pub(super) fn waiting_of(&self, key: K) -> usize {
        self.accounts.iter().find(|account| account.key == key).map_or(0, |account| account.waiting.len())
    }

    pub(super) fn join(&mut self, newcomer: Newcomer<K>, payload: T) -> Ticket<K> {
        let Newcomer { account: key, class, cost, deadline_ms } = newcomer;
        let id = self.next_id;
        self.next_id += 1;
        let waiter = Waiter { id, class, cost: cost.clamp(1, MOST_COST), deadline_ms, payload };
        match self.accounts.iter_mut().find(|account| account.key == key) {
            Some(account) => {
                let at = account.waiting.partition_point(|other| other.deadline_ms <= deadline_ms);
                account.waiting.insert(at, waiter);
            }
            None => {
                let waiting = VecDeque::from([waiter]);
                self.accounts.push_back(Account { key, saved: 0, granted: false, waiting });
            }
        }
        Ticket { account: key, id }
    }

    pub(super) fn leave(&mut self, ticket: &Ticket<K>) -> Option<T> {
        let of = self.accounts.iter().position(|account| account.key == ticket.account)?;
        let account = &mut self.accounts[of];
        let at = account.waiting.iter().position(|waiter| waiter.id == ticket.id)?;
        let waiter = account.waiting.remove(at)?;
        if account.waiting.is_empty() {
            self.accounts.remove(of);
        }
        Some(waiter.payload)
    }

    /// Takes out those whose deadline has come, by deadline.
    pub(super) fn expired(&mut self, now_ms: u64) -> Vec<T> {
        let mut expired = Vec::new();
        for account in &mut self.accounts {
            let count = account.waiting.partition_point(|waiter| waiter.deadline_ms <= now_ms);
            expired.extend(account.waiting.drain(..count));
        }
        if expired.is_empty() {
            return Vec::new();
        }
        self.accounts.retain(|account| !account.waiting.is_empty());
        expired.sort_by_key(|waiter| (waiter.deadline_ms, waiter.id));
        expired.into_iter().map(|waiter| waiter.payload).collect()
    }

    /// Rounds of turns until everybody left has been found blocked. Those that leave go to `done`; the
    /// number of those that were served.
    pub(super) fn turns(&mut self, ask: &mut dyn FnMut(&mut T) -> Turn, done: &mut Vec<T>) -> usize {
        let mut pass = Pass { ask, blocked: Vec::new(), done, served: 0 };
        loop {
            let mut goes_on = false;
            let mut at = 0;
            for _ in 0..self.accounts.len() {
                let account = &mut self.accounts[at];
                match account.turn(&mut pass) {
                    // It keeps its place, so that it is asked first when there is room again.
                    End::Blocked => at += 1,
                    End::Empty => drop(self.accounts.remove(at)),
                    End::Over => {
                        goes_on = true;
                        account.granted = false;
                        let last = self.accounts.remove(at);
                        self.accounts.extend(last);
                    }
                }
            }
            if !goes_on {
                return pass.served;
            }
        }
    }
}

/// One look at everybody who waits.
struct Pass<'a, T> {
    ask: &'a mut dyn FnMut(&mut T) -> Turn,
    /// The classes that cannot be served now.
    blocked: Vec<u64>,
    done: &'a mut Vec<T>,
    served: usize,
}

impl<K, T> Account<K, T> {
    fn turn(&mut self, pass: &mut Pass<'_, T>) -> End {
        let mut at = 0;
        while let Some(waiter) = self.waiting.get_mut(at) {
            if pass.blocked.contains(&waiter.class) {
                at += 1;
                continue;
            }
            if waiter.cost > self.saved {
                if self.granted {
                    return End::Over;
                }
                self.granted = true;
                self.saved += QUANTUM;
                continue;
            }
            match (pass.ask)(&mut waiter.payload) {
                Turn::Blocked => {
                    pass.blocked.push(waiter.class);
                    at += 1;
                    continue;
                }
                Turn::Served => {
                    self.saved -= waiter.cost;
                    pass.served += 1;
                }
                Turn::Gone => {}
            }
            pass.done.extend(self.waiting.remove(at).map(|waiter| waiter.payload));
        }
        if self.waiting.is_empty() { End::Empty } else { End::Blocked }
    }
}
