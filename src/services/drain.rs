//! The end of a process: what it is told by signals, and how it leaves without cutting anybody off.
//!
//! Pingora closes the listeners and then sleeps for the whole of its grace period. Here the process ends as
//! soon as the last request has ended and its charge is durable.

use super::state_keeper::StateKeeper;
use crate::proxy::Gateway;
use async_trait::async_trait;
use pingora::server::{ExecutionPhase, ShutdownSignal, ShutdownSignalWatch};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, sleep, sleep_until};

/// The process ends when nothing has been under way for this long. Clients that keep a connection may have
/// sent their next request already; each gets one more answer, which says that it is the last.
const LAST_CALL: Duration = Duration::from_millis(250);
/// Between two looks at what is still running.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// How long what is queued may take to become durable, when everything else has ended.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);
/// The same on SIGINT.
const HASTY_PATIENCE: Duration = Duration::from_secs(1);
/// A process that takes over may come this much later than the signal.
const SUCCESSOR_WAIT: Duration = Duration::from_secs(5);
/// What Pingora takes to hand the listeners over, at most.
const HANDOVER: Duration = Duration::from_secs(12);

/// What a process can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// SIGTERM: end when the running answers have.
    Terminate,
    /// SIGQUIT: hand over to the process that waits, then end the same way.
    Upgrade,
    /// SIGINT: end.
    EndNow,
}

/// The signals a process listens to.
pub struct Signals {
    terminate: Signal,
    quit: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Listens from now on.
    ///
    /// # Errors
    /// When the system does not let it.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            quit: signal(SignalKind::quit())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::Terminate,
            _ = self.quit.recv() => Told::Upgrade,
            _ = self.interrupt.recv() => Told::EndNow,
        }
    }
}

/// What Pingora is to do, once that is known.
pub type Order = watch::Sender<Option<Closing>>;

/// How Pingora closes its listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// At once.
    AtOnce,
    /// After another process has them.
    HandedOver,
}

/// Pingora's ear: hears the order instead of signals.
pub struct Orders(pub watch::Receiver<Option<Closing>>);

#[async_trait]
impl ShutdownSignalWatch for Orders {
    async fn recv(&self) -> ShutdownSignal {
        let mut orders = self.0.clone();
        let order = orders.wait_for(Option::is_some).await.map(|order| *order);
        match order {
            Ok(Some(Closing::HandedOver)) => ShutdownSignal::GracefulUpgrade,
            Ok(_) => ShutdownSignal::GracefulTerminate,
            // Whoever gives orders is gone, and so is the process in a moment.
            Err(_) => std::future::pending().await,
        }
    }
}

/// Watches over a process from its start to its end.
pub struct Drain {
    /// Whose requests are waited for.
    pub gateway: Arc<Gateway>,
    /// What is kept beyond its end.
    pub state: Option<Arc<StateKeeper>>,
    /// What the process is told.
    pub signals: Signals,
    /// Where Pingora is.
    pub phases: broadcast::Receiver<ExecutionPhase>,
    /// What Pingora is told.
    pub order: Order,
}

/// Pingora has ended although nobody told it to.
#[derive(Debug)]
pub struct Gone;

impl Drain {
    /// Waits until the process may end. `successor_waits` says whether another one is there to take over.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn until_the_end(mut self, successor_waits: impl Fn() -> bool) -> Result<(), Gone> {
        let closing = loop {
            let told = tokio::select! {
                told = self.signals.next() => told,
                () = gone(&mut self.phases) => return Err(Gone),
            };
            match told {
                Told::EndNow => {
                    self.close(HASTY_PATIENCE);
                    return Ok(());
                }
                Told::Terminate => break Closing::AtOnce,
                Told::Upgrade if comes(&successor_waits).await => break Closing::HandedOver,
                Told::Upgrade => {
                    tracing::warn!("no process waits to take over: start one with --upgrade first");
                }
            }
        };
        let patience = if self.drain(closing).await { CLOSE_PATIENCE } else { HASTY_PATIENCE };
        self.close(patience);
        Ok(())
    }

    /// Closes the listeners and waits for the requests. `false`: they are not to be waited for.
    async fn drain(&mut self, closing: Closing) -> bool {
        let Self { gateway, state, signals, phases, order } = self;
        let config = gateway.config();
        let running = gateway.traffic().running();
        tracing::info!(requests = running, handed_over = closing == Closing::HandedOver, "stopping");
        gateway.traffic().leave();
        let mut until = Instant::now()
            + match closing {
                Closing::AtOnce => config.shutdown_grace,
                Closing::HandedOver => HANDOVER + config.upgrade_grace,
            };
        if closing == Closing::HandedOver
            && let Some(ledger) = &gateway.ledger
        {
            ledger.retire();
        }
        if closing == Closing::HandedOver {
            state.iter().for_each(|keeper| keeper.hand_over());
        }
        order.send_replace(Some(closing));
        let mut drained = std::pin::pin!(drained(gateway, phases));
        loop {
            tokio::select! {
                () = &mut drained => return true,
                () = sleep_until(until) => {
                    tracing::warn!(requests = gateway.traffic().running(), "cut off: their time is over");
                    return true;
                }
                told = signals.next() => match told {
                    Told::EndNow => return false,
                    Told::Terminate => until = until.min(Instant::now() + config.shutdown_grace),
                    Told::Upgrade => {}
                },
            }
        }
    }

    fn close(&self, patience: Duration) {
        self.state.iter().for_each(|keeper| keeper.save());
        let Some(ledger) = &self.gateway.ledger else { return };
        if !ledger.close(patience) {
            tracing::error!("the ledger cannot be written; the last charges are lost");
        }
    }
}

/// Waits until the listeners are closed, no request is under way, and none comes any more.
async fn drained(gateway: &Gateway, phases: &mut broadcast::Receiver<ExecutionPhase>) {
    use ExecutionPhase::{ShutdownGracePeriod, ShutdownStarted};
    use broadcast::error::RecvError::Closed;
    while !matches!(phases.recv().await, Ok(ShutdownStarted | ShutdownGracePeriod) | Err(Closed)) {}
    let traffic = gateway.traffic();
    let mut seen = traffic.seen();
    let mut quiet_since = Instant::now();
    while quiet_since.elapsed() < LAST_CALL {
        sleep(LOOK_AGAIN).await;
        let before = std::mem::replace(&mut seen, traffic.seen());
        if traffic.running() > 0 || seen != before {
            quiet_since = Instant::now();
        }
    }
}

async fn gone(phases: &mut broadcast::Receiver<ExecutionPhase>) {
    while !matches!(phases.recv().await, Err(broadcast::error::RecvError::Closed)) {}
}

/// Whether a process to take over is there, or comes in time.
async fn comes(successor_waits: &impl Fn() -> bool) -> bool {
    let until = Instant::now() + SUCCESSOR_WAIT;
    while !successor_waits() {
        if Instant::now() > until {
            return false;
        }
        sleep(LOOK_AGAIN).await;
    }
    true
}
