//! How much there was in the last so many seconds, without a lock.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A window is cut in this many ticks.
const TICKS: u64 = 240;
/// A tick counts until this many have passed, two more than the window has: what was noted at the end of its
/// tick, and reached the provider late, is still over the whole window old.
const COUNTED: u64 = TICKS + 2;
/// Slots of the ring; the slack is for threads whose `now` is a little old.
const SLOTS: u64 = 256;

/// A count over the last so many seconds. Always at least what the provider can have seen in that time, and
/// never more than a hundredth of the window longer.
#[derive(Debug)]
pub(crate) struct Sliding {
    tick_ms: u64,
    /// In each the low bits of its tick and an amount.
    slots: Box<[AtomicU64]>,
    total: AtomicU64,
    swept: AtomicU64,
}

impl Sliding {
    pub(crate) fn new(seconds: u32) -> Self {
        Self {
            tick_ms: (u64::from(seconds) * 1000).div_ceil(TICKS).max(1),
            slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
            total: AtomicU64::new(0),
            swept: AtomicU64::new(0),
        }
    }

    /// What counts at `now_ms`.
    pub(crate) fn used(&self, now_ms: u64) -> u64 {
        self.sweep(now_ms);
        self.total.load(Relaxed)
    }

    /// Adds `amount` if no more than `limit` count then.
    pub(crate) fn take(&self, amount: u32, limit: u64, now_ms: u64) -> bool {
        self.sweep(now_ms);
        let fits = |total: u64| total.checked_add(u64::from(amount)).filter(|sum| *sum <= limit);
        if self.total.fetch_update(Relaxed, Relaxed, fits).is_err() {
            return false;
        }
        self.put(amount, now_ms / self.tick_ms);
        true
    }

    /// Adds `amount` whatever counts already.
    pub(crate) fn add(&self, amount: u32, now_ms: u64) {
        self.add_at(amount, now_ms, now_ms);
    }

    /// Adds `amount` as if it had come at `at_ms`, which lies within the window before `now_ms`.
    pub(crate) fn add_at(&self, amount: u32, at_ms: u64, now_ms: u64) {
        self.sweep(now_ms);
        self.total.fetch_add(u64::from(amount), Relaxed);
        self.put(amount, at_ms / self.tick_ms);
    }

    /// Changes what was added at `at_ms`, as far as it still counts.
    pub(crate) fn correct(&self, at_ms: u64, from: u32, to: u32) {
        let tick = at_ms / self.tick_ms;
        let changed = self.slot(tick).fetch_update(Relaxed, Relaxed, |word| {
            (tag(word) == tick as u32)
                .then(|| pack(tick, amount(word).saturating_sub(from).saturating_add(to)))
        });
        if let Ok(before) = changed {
            let after = amount(before).saturating_sub(from).saturating_add(to);
            self.total.fetch_add(u64::from(after), Relaxed);
            self.total.fetch_sub(u64::from(amount(before)), Relaxed);
        }
    }

    /// Milliseconds until `amount` more would fit below `limit`; `None` where it never does.
    pub(crate) fn room_in(&self, more: u32, limit: u64, now_ms: u64) -> Option<u64> {
        let over = (self.used(now_ms) + u64::from(more)).saturating_sub(limit);
        if over == 0 {
            return Some(0);
        }
        if u64::from(more) > limit {
            return None;
        }
        let tick = now_ms / self.tick_ms;
        let mut freed = 0;
        for old in tick.saturating_sub(COUNTED - 1)..=tick {
            let word = self.slot(old).load(Relaxed);
            if tag(word) == old as u32 {
                freed += u64::from(amount(word));
            }
            if freed >= over {
                return Some(((old + COUNTED) * self.tick_ms).saturating_sub(now_ms));
            }
        }
        Some(COUNTED * self.tick_ms)
    }

    /// When nothing counts any more unless more is added, Unix ms.
    pub(crate) fn empty_ms(&self, now_ms: u64) -> u64 {
        let tick = now_ms / self.tick_ms;
        let counts = |old: &u64| {
            let word = self.slot(*old).load(Relaxed);
            tag(word) == *old as u32 && amount(word) > 0
        };
        let newest = (tick.saturating_sub(COUNTED - 1)..=tick).rev().find(counts);
        newest.map_or(now_ms, |newest| (newest + COUNTED) * self.tick_ms)
    }

    fn slot(&self, tick: u64) -> &AtomicU64 {
        &self.slots[(tick % SLOTS) as usize]
    }

    fn put(&self, more: u32, tick: u64) {
        let put = |word| match tag(word) == tick as u32 {
            true => pack(tick, amount(word).saturating_add(more)),
            false => pack(tick, more),
        };
        if let Ok(before) = self.slot(tick).fetch_update(Relaxed, Relaxed, |word| Some(put(word)))
            && tag(before) != tick as u32
        {
            self.total.fetch_sub(u64::from(amount(before)), Relaxed);
        }
    }

    /// Takes out what no longer counts. Each amount leaves the total once, with its slot.
    fn sweep(&self, now_ms: u64) {
        let tick = now_ms / self.tick_ms;
        let swept = self.swept.load(Relaxed);
        if tick <= swept || self.swept.compare_exchange(swept, tick, Relaxed, Relaxed).is_err() {
            return;
        }
        if self.total.load(Relaxed) == 0 {
            return;
        }
        // After a pause of a window or more every slot is looked at once.
        let first = (swept + 1).max((tick + 1).saturating_sub(SLOTS));
        for now in first..=tick {
            let Some(old) = now.checked_sub(COUNTED) else { continue };
            let gone = |word| (amount(word) > 0 && expired(word, tick)).then_some(0);
            if let Ok(before) = self.slot(old).fetch_update(Relaxed, Relaxed, gone) {
                self.total.fetch_sub(u64::from(amount(before)), Relaxed);
            }
        }
    }
}

fn expired(word: u64, tick: u64) -> bool {
    u64::from((tick as u32).wrapping_sub(tag(word))) >= COUNTED
}

fn pack(tick: u64, amount: u32) -> u64 {
    tick << 32 | u64::from(amount)
}

fn tag(word: u64) -> u32 {
    (word >> 32) as u32
}

fn amount(word: u64) -> u32 {
    word as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;

    const T: u64 = 1_787_400_000_000;

    #[test]
    fn what_was_taken_counts_for_the_window_and_a_little_longer() {
        let window = Sliding::new(60);
        assert!(window.take(3, 3, T) && !window.take(1, 3, T + 60_000));
        assert_eq!(window.used(T + 60_000), 3);
        assert_eq!(window.used(T + 60_750), 0);
        assert!(window.take(1, 3, T + 60_750));
    }

    #[test]
    fn the_wait_ends_when_enough_has_left_the_window() {
        let window = Sliding::new(60);
        (0..3).for_each(|i| window.add(10, T + i * 1_000));
        assert_eq!(window.room_in(1, 31, T + 2_000), Some(0));
        let wait = window.room_in(5, 30, T + 2_000).expect("fits");
        assert!((58_000..=58_750).contains(&wait), "{wait}");
        assert!(window.take(5, 30, T + 2_000 + wait) && !window.take(6, 30, T + 2_000 + wait));
        assert_eq!(window.room_in(31, 30, T), None, "more than there ever is");
    }

    #[test]
    fn it_is_empty_when_what_was_added_last_has_left_the_window() {
        let window = Sliding::new(60);
        assert_eq!(window.empty_ms(T), T);
        window.add(3, T);
        window.add(1, T + 30_000);
        let empty = window.empty_ms(T + 40_000);
        assert!(window.used(empty - 1) == 1 && window.used(empty) == 0, "{empty}");
    }

    #[test]
    fn a_correction_changes_what_still_counts_and_nothing_else() {
        let window = Sliding::new(60);
        window.add(1_000, T);
        window.correct(T, 1_000, 400);
        assert_eq!(window.used(T + 1), 400);
        window.correct(T, 400, 900);
        assert_eq!(window.used(T + 59_000), 900);
        assert_eq!(window.used(T + 61_000), 0);
        window.correct(T, 900, 5);
        assert_eq!(window.used(T + 61_000), 0);
    }

    #[test]
    fn a_long_pause_leaves_nothing_behind() {
        let window = Sliding::new(10);
        for i in 0..1_000 {
            window.add(7, T + i * 13);
        }
        assert_eq!(window.used(T + 10_000_000), 0);
        assert!(window.slots.iter().all(|slot| amount(slot.load(Relaxed)) == 0));
    }

    #[test]
    fn many_threads_never_take_more_than_the_limit_in_any_window() {
        let window = Sliding::new(60);
        let taken = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for thread in 0..16 {
                let (window, taken) = (&window, &taken);
                scope.spawn(move || {
                    for i in 0..2_000 {
                        if window.take(1, 500, T + (i * 7 + thread) % 30_000) {
                            taken.fetch_add(1, Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(taken.load(Relaxed), 500);
        assert_eq!(window.used(T + 30_000), 500);
        assert_eq!(window.used(T + 200_000), 0);
    }
}
