//! Connections that only read, used off the worker threads.

use crate::store::{Reader, Store, StoreError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Looks at one time. More only wait for each other's disk.
const READERS: usize = 4;
/// How long a look waits for its turn.
const TURN_WAIT: Duration = Duration::from_secs(2);

pub(super) struct Readers {
    store: Arc<dyn Store>,
    turns: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Box<dyn Reader>>>>,
}

impl Readers {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, turns: Arc::new(Semaphore::new(READERS)), idle: Arc::default() }
    }

    pub(super) async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&mut dyn Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let turn = tokio::time::timeout(TURN_WAIT, Arc::clone(&self.turns).acquire_owned()).await;
        let turn = turn.map_err(|_| StoreError::Busy)?.map_err(|_| StoreError::Busy)?;
        let (store, idle) = (Arc::clone(&self.store), Arc::clone(&self.idle));
        let looking = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let free = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut reader = free.map_or_else(|| store.reader(), Ok)?;
            let found = look(reader.as_mut())?;
            // One that failed is not used again.
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
            Ok(found)
        });
        looking.await.unwrap_or_else(|panic| Err(StoreError::Failed(panic.to_string())))
    }
}
