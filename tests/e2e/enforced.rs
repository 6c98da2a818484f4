//! A provider that enforces limits by its own clock and counts, each in the way of some real one.

use crate::provider::Provider;
use crate::script::{Script, Step};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

/// How long an answer takes.
const ANSWER: Duration = Duration::from_millis(60);
/// What an answer uses, prompt and answer together, as its usage says: about what is to be expected.
const TOKENS: u64 = 80;

/// One limit, over requests, of a window in milliseconds.
#[derive(Clone, Copy)]
pub enum Rule {
    /// So many in the last window.
    Sliding(u64, u64),
    /// So many from one full window of the clock to the next.
    Clock(u64, u64),
    /// So many tokens in the last window; what an answer uses counts when it begins.
    Tokens(u64, u64),
    /// So many at once.
    AtOnce(u64),
}

/// What such a provider has done.
#[derive(Default)]
pub struct Counts {
    /// When each answer began, Unix ms.
    answered: Vec<u64>,
    /// When each refusal was made.
    refused: Vec<u64>,
}

/// A provider under rules.
pub struct Enforced {
    pub provider: Provider,
    counts: Arc<Mutex<Counts>>,
}

impl Rule {
    /// Whether there is room for one more.
    fn allows(self, answered: &[u64], now_ms: u64) -> bool {
        let since = |from: u64| answered.iter().rev().take_while(|at| **at > from).count() as u64;
        match self {
            Self::Sliding(ms, most) => since(now_ms - ms) < most,
            Self::Clock(ms, most) => since((now_ms / ms * ms).saturating_sub(1)) < most,
            Self::Tokens(ms, most) => (since(now_ms - ms) + 1) * TOKENS <= most,
            Self::AtOnce(most) => since(now_ms - ANSWER.as_millis() as u64) < most,
        }
    }
}

impl Enforced {
    /// One that keeps all of these rules.
    pub async fn start(slug: &str, rules: &'static [Rule]) -> Self {
        let counts = Arc::new(Mutex::new(Counts::default()));
        let seen = Arc::clone(&counts);
        let script = Script::asked(move |_| {
            let mut counts = seen.lock().expect("not poisoned");
            let now = now_ms();
            if rules.iter().all(|rule| rule.allows(&counts.answered, now)) {
                counts.answered.push(now);
                return answer();
            }
            counts.refused.push(now);
            Script::error(429, "rate_limit_exceeded", "Rate limit exceeded.").header("retry-after", "1")
        });
        Self { provider: Provider::start(slug, [script]).await, counts }
    }

    /// How often it refused.
    pub fn refused(&self) -> usize {
        self.counts.lock().expect("not poisoned").refused.len()
    }

    /// How often it answered from one time to another, Unix ms.
    pub fn answered(&self, from_ms: u64, to_ms: u64) -> usize {
        let counts = self.counts.lock().expect("not poisoned");
        counts.answered.iter().filter(|at| (from_ms..to_ms).contains(*at)).count()
    }
}

fn answer() -> Script {
    let used = TOKENS as u32;
    let stream = Script::stream().role().step(Step::Rest(ANSWER)).text("Yes.").finish("stop");
    stream.usage(used - 3, 3).done()
}

/// The time, Unix ms.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    u64::try_from(since.as_millis()).expect("before the end of time")
}
