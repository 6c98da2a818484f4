//! How many retries there may be, so that failures are not multiplied when everything fails at once.

use super::quota::sliding::Sliding;

/// Requests and retries are counted over so many seconds.
const WINDOW_S: u32 = 10;
/// Retries may come to one in so many requests,
const REQUESTS_PER_RETRY: u64 = 5;
/// and besides to ten a second, or a few requests that fail would be left without one.
const FLOOR: u64 = 30;
/// The seconds over which those are counted.
const FLOOR_WINDOW_S: u32 = 3;

/// At most 20 % of the requests of the last 10 s, and 10 a second. A first attempt needs no leave.
#[derive(Debug)]
pub struct RetryBudget {
    requests: Sliding,
    retries: Sliding,
    floor: Sliding,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self {
            requests: Sliding::new(WINDOW_S),
            retries: Sliding::new(WINDOW_S),
            floor: Sliding::new(FLOOR_WINDOW_S),
        }
    }
}

impl RetryBudget {
    /// A request is about to make its first attempt.
    pub fn request(&self, now_ms: u64) {
        self.requests.add(1, now_ms);
    }

    /// Takes one retry; `false` where there have been too many.
    pub fn take(&self, now_ms: u64) -> bool {
        let share = self.requests.used(now_ms) / REQUESTS_PER_RETRY;
        self.floor.take(1, FLOOR, now_ms) || self.retries.take(1, share, now_ms)
    }

    /// Counts a retry that is made whatever is left, at the expense of those that follow.
    pub fn spend(&self, now_ms: u64) {
        if !self.take(now_ms) {
            self.retries.add(1, now_ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: u64 = 1_787_400_000_000;

    /// Requests at a steady rate for half a minute, each of which would be retried `wanted` times; the retries.
    fn retries(per_s: u64, wanted: u64) -> u64 {
        let budget = RetryBudget::default();
        let mut granted = 0;
        for i in 0..30 * per_s {
            let now = T + i * 1_000 / per_s;
            budget.request(now);
            granted += (0..wanted).filter(|_| budget.take(now)).count() as u64;
        }
        granted
    }

    #[test]
    fn retries_are_a_fifth_of_the_requests_and_ten_a_second() {
        for per_s in [1, 10, 100, 1_000] {
            let (granted, requests) = (retries(per_s, 3), 30 * per_s);
            let most = requests / 5 + 10 * 30;
            assert!(granted <= most, "{granted} of {most} at {per_s} a second");
            assert!(granted * 100 >= most.min(3 * requests) * 90, "{granted} of {most} at {per_s} a second");
        }
    }

    #[test]
    fn a_few_failures_are_always_retried() {
        let budget = RetryBudget::default();
        for i in 0..100 {
            assert!(budget.take(T + i * 110));
        }
    }

    #[test]
    fn after_a_quiet_while_there_is_no_more_than_the_floor() {
        let budget = RetryBudget::default();
        assert_eq!((0..1_000).filter(|_| budget.take(T)).count(), 30);
    }

    #[test]
    fn what_is_spent_regardless_is_missing_afterwards() {
        let budget = RetryBudget::default();
        (0..100).for_each(|_| budget.request(T));
        (0..35).for_each(|_| budget.spend(T));
        assert_eq!((0..100).filter(|_| budget.take(T)).count(), 15, "of 30 and 20");
    }

    #[test]
    fn many_threads_take_no_more_than_there_is() {
        let budget = RetryBudget::default();
        (0..1_000).for_each(|_| budget.request(T));
        let taken = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| (0..500).filter(|_| budget.take(T)).count())).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum::<usize>()
        });
        assert_eq!(taken, 230);
    }
}
