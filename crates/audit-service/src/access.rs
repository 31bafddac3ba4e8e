//! Entries of who looked at what, written before they see it. Those that look at the same time share one commit.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nanopore::events::audit::{Category, Outcome, Severity};
use sagabus::{Clock, ErrorKind, EventId, Result};
use serde_json::Value;

use crate::model::{Act, More};
use crate::repository as rows;
use crate::service::{AuditService, alerts, enter};

/// What such an entry says was done.
pub const ACTION: &str = "access.read";
/// Longest text of an entry, in characters: what is longer is cut.
const TEXT_CHARACTERS_MAX: usize = 255;

/// Somebody looks at something.
#[derive(Clone, Debug, PartialEq)]
pub struct Access {
    /// Who.
    pub actor_id: String,
    /// The kind of thing.
    pub resource: String,
    /// Which one, where it is one.
    pub resource_id: Option<String>,
    /// The piece of work that it belongs to.
    pub correlation_id: Option<String>,
    /// With what program.
    pub user_agent: Option<String>,
    /// How it was asked for.
    pub details: Value,
}

/// Most accesses that wait in memory while the disk has no room for their entries.
const KEPT_MAX: usize = 10_000;

/// The accesses whose entries are not known to be written, by the ids of those, which are in the order of time.
#[derive(Debug, Default)]
pub(crate) struct Queue(Mutex<BTreeMap<String, Act>>);

impl Queue {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Act>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AuditService {
    /// Adds an entry of an access. It is durable when this returns: whoever answers waits for it. On a disk without room it
    /// waits in memory instead, and is written when there is room. No event tells of it, or looking at events would make ever
    /// more of them; alerts do.
    ///
    /// # Errors
    /// As the database says: then nothing may be shown.
    ///
    /// # Cancel safety
    /// The entry is made when the future is dropped.
    pub async fn accessed(&self, access: Access) -> Result<()> {
        let id = EventId::generate(&*self.clock).to_string();
        let act = act(access, &*self.clock);
        self.accesses.all().insert(id.clone(), act);
        let outcome = self.write_accesses(Some(id.clone())).await;
        let mut all = self.accesses.all();
        match outcome {
            Err(error) if error.kind() == ErrorKind::Full && all.len() <= KEPT_MAX => {
                tracing::warn!(kept = all.len(), "entries of accesses wait for room");
                Ok(())
            }
            outcome => {
                all.remove(&id);
                outcome
            }
        }
    }

    /// Writes the entries that wait for room, if there are any.
    pub(crate) async fn write_kept_accesses(&self) -> Result<()> {
        if self.accesses.all().is_empty() {
            return Ok(());
        }
        self.write_accesses(None).await
    }

    /// Writes the entries of all that wait, unless that of `id` is there already.
    ///
    /// Transactions are one after the other. The first that begins writes all that wait; those behind it find theirs in the
    /// trail, change nothing, and cost no sync. Where a transaction fails, each behind it tries for itself.
    async fn write_accesses(&self, id: Option<String>) -> Result<()> {
        let (queue, clock) = (Arc::clone(&self.accesses), Arc::clone(&self.clock));
        self.outbox
            .write(move |tx| {
                if let Some(id) = &id
                    && rows::has_entry(tx, id)?
                {
                    return Ok(((), vec![]));
                }
                let waiting = queue.all().clone();
                let alerts = alerts(tx);
                let (mut told, mut written) = (Vec::new(), Vec::new());
                for (id, act) in waiting {
                    if rows::has_entry(tx, &id)? {
                        written.push(id);
                    } else {
                        told.extend(enter(tx, id, &act, &alerts, &*clock)?.1);
                    }
                }
                queue.all().retain(|id, _| !written.contains(id));
                Ok(((), told))
            })
            .await
    }
}

fn act(access: Access, clock: &dyn Clock) -> Act {
    let clipped = |text: String| text.chars().take(TEXT_CHARACTERS_MAX).collect::<String>();
    Act {
        event_id: None,
        time: clock.now(),
        service: "http".to_owned(),
        action: ACTION.to_owned(),
        actor_id: Some(clipped(access.actor_id)),
        actor_email: None,
        resource: access.resource,
        resource_id: access.resource_id.map(clipped),
        outcome: Outcome::Success,
        severity: Severity::Info,
        category: Category::DataAccess,
        correlation_id: access.correlation_id.map(clipped),
        causation_id: None,
        more: More {
            user_agent: access.user_agent.map(clipped),
            ..More::default()
        },
        details: access.details.to_string().into_bytes(),
    }
}
