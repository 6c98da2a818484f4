//! A store whose next commit goes wrong in the way it is told to.

use crate::memory::Memory;
use freeway::store::{Op, Outcome, Reader, Store, StoreError, Writer};
use std::sync::{Arc, Mutex, PoisonError};

/// What happens to a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It fails, and nothing was applied.
    Refused,
    /// It is applied, and said to have failed.
    Unheard,
    /// What may be applied twice is.
    Repeated,
    /// It is said to be applied, and is gone: what no store may do.
    Lost,
}

/// The fault of the next commit of one process.
#[derive(Clone, Default)]
pub(crate) struct Faults(Arc<Mutex<Option<Fault>>>);

impl Faults {
    pub(crate) fn set(&self, fault: Option<Fault>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    fn take(&self) -> Option<Fault> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The store as one process sees it.
pub(crate) struct Faulty {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) faults: Faults,
    /// The same store, where it can be set back.
    pub(crate) memory: Option<Memory>,
}

struct FaultyWriter {
    writer: Box<dyn Writer>,
    faults: Faults,
    memory: Option<Memory>,
}

impl Store for Faulty {
    fn writer(&self) -> Result<Box<dyn Writer>, StoreError> {
        let (writer, faults, memory) = (self.store.writer()?, self.faults.clone(), self.memory.clone());
        Ok(Box::new(FaultyWriter { writer, faults, memory }))
    }

    fn reader(&self) -> Result<Box<dyn Reader>, StoreError> {
        self.store.reader()
    }
}

impl Writer for FaultyWriter {
    fn apply(&mut self, ops: &[Op]) -> Result<Vec<Outcome>, StoreError> {
        let failed = || StoreError::Failed("a fault was injected".to_owned());
        match self.faults.take() {
            None => self.writer.apply(ops),
            Some(Fault::Refused) => Err(failed()),
            Some(Fault::Unheard) => {
                self.writer.apply(ops)?;
                Err(StoreError::Doubtful("a fault was injected".to_owned()))
            }
            Some(Fault::Repeated) => {
                let outcomes = self.writer.apply(ops)?;
                let again: Vec<Op> = ops.iter().filter(|op| may_be_repeated(op)).cloned().collect();
                self.writer.apply(&again)?;
                Ok(outcomes)
            }
            Some(Fault::Lost) => {
                let before = self.memory.as_ref().map(|memory| memory.state().clone());
                let outcomes = self.writer.apply(ops)?;
                if let Some((memory, before)) = self.memory.as_ref().zip(before) {
                    *memory.state() = before;
                }
                Ok(outcomes)
            }
        }
    }

    fn reap(&mut self) -> Result<usize, StoreError> {
        self.writer.reap()
    }
}

/// Leases are answered once, and returns and voids are counted: the ledger does not repeat them as they are.
fn may_be_repeated(op: &Op) -> bool {
    match op {
        Op::Lease(_) | Op::Return(_) => false,
        Op::Settle(settle) => settle.charge.is_some(),
        _ => true,
    }
}
