//! The requests under way, counted from their heads to their last bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// How many there are, and whether connections are still kept for more.
#[derive(Debug, Default)]
pub struct Traffic {
    seen: AtomicU64,
    running: AtomicUsize,
    leaving: AtomicBool,
}

/// One of them, until it is dropped.
pub(super) struct Visit(Arc<Traffic>);

impl Traffic {
    pub(super) fn enter(self: &Arc<Self>) -> Visit {
        self.seen.fetch_add(1, Ordering::Relaxed);
        self.running.fetch_add(1, Ordering::AcqRel);
        Visit(Arc::clone(self))
    }

    /// Requests whose heads have been read since the start.
    pub fn seen(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }

    /// Requests that have not ended: their last byte is not written, or their access line.
    pub fn running(&self) -> usize {
        self.running.load(Ordering::Acquire)
    }

    /// From now on each answer says that its connection will be closed, so that clients move on.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
    }

    /// Whether [`Traffic::leave`] was called.
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_runs_until_it_is_dropped() {
        let traffic = Arc::new(Traffic::default());
        let visits = [traffic.enter(), traffic.enter()];
        assert_eq!(traffic.running(), 2);
        drop(visits);
        assert_eq!((traffic.running(), traffic.seen()), (0, 2));
    }
}
