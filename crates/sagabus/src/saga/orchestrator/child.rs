//! Children of sagas: started with an id that is made of their parent's, awaited, and cancelled when their parent turns back.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::saga::Saga;
use super::{Sagas, Shared, Start, Started};
use crate::error::{ErrorKind, Result};
use crate::ledger::By;
use crate::saga::definition::Definition;
use crate::saga::id::SagaId;
use crate::saga::machine::{Action, ChildEnd, InFlight, Input};

/// How long to wait before what is refused for now is asked for again, at first and at most.
const AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// A child that the saga `parent` waits for.
pub(super) struct Awaited {
    pub(super) shared: Arc<Shared>,
    pub(super) parent: Arc<Saga>,
    pub(super) step: usize,
    pub(super) attempt: u32,
    pub(super) id: SagaId,
    pub(super) definition: Definition,
    /// What it is started with, if it is not there already.
    pub(super) start: Start,
    /// The parent has turned back.
    pub(super) cancelled: CancellationToken,
    /// The parent's worker has ended.
    pub(super) killed: CancellationToken,
}

impl Awaited {
    /// Brings the child to its end and tells its parent.
    pub(super) async fn run(self) {
        let closing = self.shared.closing.clone();
        let end = tokio::select! {
            biased;
            // At the next open the parent looks for its children again.
            () = closing.cancelled() => return,
            () = self.killed.cancelled() => return,
            end = self.end() => end,
        };
        self.parent.inbox.push(Input::ChildEnded {
            step: self.step,
            attempt: self.attempt,
            end,
        });
    }

    async fn end(&self) -> ChildEnd {
        let Some(child) = self.started().await else {
            return ChildEnd::NotStarted;
        };
        tokio::select! {
            biased;
            () = child.ended() => {}
            () = self.cancelled.cancelled() => {
                self.cancel().await;
                child.ended().await;
            }
        }
        let end = child.state().child_end();
        end.unwrap_or(ChildEnd::NotStarted)
    }

    /// The child, started if it is not there. None: its parent has turned back before.
    async fn started(&self) -> Option<Arc<Saga>> {
        let sagas = Sagas(Arc::clone(&self.shared));
        let (mut delay, delay_max) = AGAIN;
        loop {
            let known = self.shared.book().find(&self.id);
            if let Some(child) = known
                && child.stored().await.is_ok()
            {
                return Some(child);
            }
            // Nobody else starts it.
            if self.cancelled.is_cancelled() {
                return None;
            }
            let started = sagas.start_child(&self.definition, self.start.clone());
            if let Err(error) = started.await {
                tracing::warn!(saga_id = %self.id, error = %error.chain(), "saga of a step cannot be started yet");
                tokio::select! {
                    biased;
                    () = self.cancelled.cancelled() => {}
                    () = tokio::time::sleep(delay) => {}
                }
                delay = (delay * 2).min(delay_max);
            }
        }
    }

    /// Has the child taken back. One that has passed its pivot is only brought to its end.
    async fn cancel(&self) {
        let sagas = Sagas(Arc::clone(&self.shared));
        let (mut delay, delay_max) = AGAIN;
        loop {
            let action = Action::Cancel {
                in_flight: InFlight::default(),
            };
            let by = By::new("", &format!("saga `{}` turned back", self.parent.id));
            match sagas.operate(&self.id, action, by).await {
                Err(error) if error.kind() == ErrorKind::Full => {}
                Ok(_) | Err(_) => return,
            }
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(delay_max);
        }
    }
}

impl Sagas {
    /// Starts a saga that another one waits for. Handlers that are missing are waited for.
    async fn start_child(&self, definition: &Definition, start: Start) -> Result<Started> {
        let bound = self.0.handlers.bind_what_is_there(definition);
        self.start_bound(definition, start, bound).await
    }
}
