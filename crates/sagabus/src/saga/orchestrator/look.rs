//! Sagas as they are shown: one that waits for its key says who has it, and why that one does not go on.

use std::collections::HashMap;

use super::Shared;
use super::saga::Saga;
use crate::saga::id::SagaId;
use crate::saga::monitor::{SagaStatus, Status, Waits};

/// One look at sagas: what those wait for that have the keys of others, each asked once.
pub(super) struct Look<'a> {
    shared: &'a Shared,
    holders: HashMap<SagaId, Option<Waits>>,
}

impl<'a> Look<'a> {
    pub(super) fn at(shared: &'a Shared) -> Self {
        Self {
            shared,
            holders: HashMap::new(),
        }
    }

    pub(super) fn status(&mut self, saga: &Saga) -> SagaStatus {
        let mut status = saga.status();
        if status.status != Status::Queued {
            return status;
        }
        let behind = self.shared.book().behind(saga);
        if let Some((holder, others)) = behind {
            let id = holder.id.clone();
            let waits = (self.holders.entry(id)).or_insert_with(|| holder.status().waits);
            status.wait_for_key(&Waits::Key {
                saga: holder.id.clone(),
                others,
                waits: waits.clone().map(Box::new),
            });
        }
        status
    }
}

impl Shared {
    pub(super) fn status(&self, saga: &Saga) -> SagaStatus {
        Look::at(self).status(saga)
    }

    /// Those whose status is so, oldest first.
    pub(super) fn statuses(&self, is_one: impl Fn(&SagaStatus) -> bool) -> Vec<SagaStatus> {
        let sagas = self.book().stored();
        let mut look = Look::at(self);
        let statuses = sagas.iter().map(|saga| look.status(saga));
        statuses.filter(is_one).collect()
    }
}
