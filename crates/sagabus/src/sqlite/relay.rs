//! A relay that runs: the task that brings an outbox's events to a bus.

use std::sync::Arc;

use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::Outbox;
use crate::bus::Bus;

/// A running relay. Dropping the handle stops it, without waiting for it to end.
#[derive(Debug)]
pub struct Relay {
    stop: DropGuard,
    tasks: TaskTracker,
}

impl Outbox {
    /// Starts a relay to `bus`. Run one per outbox; stop it before the bus.
    #[must_use = "dropping the handle stops the relay"]
    pub fn relay_to(&self, bus: &Bus) -> Relay {
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let clock = Arc::clone(bus.clock());
        let relay = self
            .clone()
            .relay(Arc::new(bus.clone()), clock, stop.clone());
        tasks.spawn(async move {
            if let Err(error) = relay.await {
                tracing::error!(error = %error.chain(), "relay ended");
            }
        });
        tasks.close();
        Relay {
            stop: stop.drop_guard(),
            tasks,
        }
    }
}

impl Relay {
    /// Stops it and waits for its end. What was not sent stays in the outbox.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the relay to end by itself.
    pub async fn stop(self) {
        self.stop.disarm().cancel();
        self.tasks.wait().await;
    }
}
