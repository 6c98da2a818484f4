//! A limit as a provider enforces it, each in its own way. Shares nothing with the mirror it is to test.

use freeway::catalog::{Limit, LimitScope, Period, Unit};
use std::collections::VecDeque;

/// A limit: what it is about, how much, and how its time is cut.
#[derive(Clone, Copy)]
pub struct Rule {
    pub scope: LimitScope,
    pub unit: Unit,
    pub per: Period,
    pub amount: u64,
    pub cut: Cut,
}

/// How a provider cuts time.
#[derive(Clone, Copy, PartialEq)]
pub enum Cut {
    /// Anew with each minute (or whatever) of the clock.
    Clock,
    /// The last so many seconds.
    Sliding,
    /// A bucket of that size that refills evenly; it may be overdrawn by answers longer than expected.
    Bucket,
    /// Anew at midnight, so many hours after midnight UTC; and what an even spender had used of the day when
    /// the simulation began.
    Midnight { utc_h: u64 },
    /// Not in the time that is simulated.
    Never,
}

impl Rule {
    /// What the operator's profile says of it. How time is cut is not told: providers rarely do.
    pub fn told(&self) -> Limit {
        let of = |unit| (self.unit == unit).then_some(self.amount);
        Limit {
            scope: self.scope,
            per: self.per,
            requests: of(Unit::Requests),
            tokens: of(Unit::Tokens),
            window: None,
            pattern: None,
        }
    }

    /// Milliseconds of its period.
    pub fn length_ms(&self) -> u64 {
        u64::from(self.per.seconds()) * 1_000
    }

    /// What of it is used when the simulation begins.
    pub fn used_at(&self, start_ms: u64) -> f64 {
        match self.cut {
            Cut::Midnight { utc_h } => {
                let passed = (start_ms - utc_h * 3_600_000) % self.length_ms();
                (self.amount as f64 * passed as f64 / self.length_ms() as f64).round()
            }
            _ => 0.0,
        }
    }
}

/// A rule and what of it is used.
pub struct Window {
    pub rule: Rule,
    used: f64,
    /// Which minute or day `used` is of; for a bucket, when it was last looked at.
    at: u64,
    log: VecDeque<(u64, f64)>,
}

impl Window {
    pub fn new(rule: Rule, start_ms: u64) -> Self {
        let mut window = Self { rule, used: 0.0, at: 0, log: VecDeque::new() };
        window.advance(start_ms);
        window.used = rule.used_at(start_ms);
        window
    }

    /// Milliseconds until so much more is allowed; 0 for now.
    pub fn wait_ms(&mut self, amount: f64, now_ms: u64) -> u64 {
        self.advance(now_ms);
        let (limit, length) = (self.rule.amount as f64, self.rule.length_ms());
        let over = self.used + amount - limit;
        if over <= 1e-9 {
            return 0;
        }
        let wait = match self.rule.cut {
            Cut::Clock => length - now_ms % length,
            Cut::Sliding => self.log.front().map_or(length, |(at, _)| at + length - now_ms),
            Cut::Bucket => (over * length as f64 / limit).ceil() as u64,
            Cut::Midnight { utc_h } => length - (now_ms - utc_h * 3_600_000) % length,
            Cut::Never => 10 * 86_400_000,
        };
        wait.max(1)
    }

    /// Counts so much more.
    pub fn add(&mut self, amount: f64, now_ms: u64) {
        self.advance(now_ms);
        self.used += amount;
        if self.rule.cut == Cut::Sliding {
            self.log.push_back((now_ms, amount));
        }
    }

    fn advance(&mut self, now_ms: u64) {
        let length = self.rule.length_ms();
        match self.rule.cut {
            Cut::Clock => self.anew(now_ms / length),
            Cut::Midnight { utc_h } => self.anew((now_ms - utc_h * 3_600_000) / length),
            Cut::Sliding => {
                while self.log.front().is_some_and(|(at, _)| at + length <= now_ms) {
                    self.used -= self.log.pop_front().map_or(0.0, |(_, amount)| amount);
                }
            }
            Cut::Bucket => {
                let back = (now_ms - self.at.min(now_ms)) as f64 * self.rule.amount as f64 / length as f64;
                self.used = (self.used - back).max(0.0);
                self.at = now_ms;
            }
            Cut::Never => {}
        }
    }

    fn anew(&mut self, index: u64) {
        if index != self.at {
            self.at = index;
            self.used = 0.0;
        }
    }
}
