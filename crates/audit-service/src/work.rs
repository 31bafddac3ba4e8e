//! What the audit service does by itself, beside what it is asked for.

use std::time::Duration;

use sagabus::Result;
use sagabus::event::Cause;
use tokio_util::sync::CancellationToken;

use crate::model::Order;
use crate::repository as rows;
use crate::service::AuditService;

/// How often it looks whether there is something to do.
const LOOK: Duration = Duration::from_secs(1);
/// How often it looks whether the time of entries is over.
const RETENTION: Duration = Duration::from_hours(1);

impl AuditService {
    /// Signs the trail as its settings say, makes the reports that are due, and empties entries whose time is over, until `stop` fires; then it signs once more.
    ///
    /// # Cancel safety
    /// Safe: what is signed is signed, and the rest is looked at again.
    pub async fn work(self, stop: CancellationToken) {
        let mut retention_due = self.clock.elapsed() + RETENTION;
        let mut due = self.clock.elapsed() + self.settings.checkpoint_interval;
        while stop
            .run_until_cancelled(tokio::time::sleep(LOOK))
            .await
            .is_some()
        {
            let is_due = self.clock.elapsed() >= due;
            match self.sign_if_new(is_due).await {
                Ok(false) => {}
                Ok(true) => due = self.clock.elapsed() + self.settings.checkpoint_interval,
                Err(error) => {
                    tracing::error!(error = error.chain(), "the audit trail cannot be signed");
                    due = self.clock.elapsed() + self.settings.checkpoint_interval;
                }
            }
            self.write_what_is_kept().await;
            if let Err(error) = self.run_due_reports().await {
                tracing::error!(
                    error = error.chain(),
                    "a report of the audit trail cannot be made"
                );
            }
            if self.clock.elapsed() >= retention_due {
                retention_due = self.clock.elapsed() + RETENTION;
                self.empty_what_is_over().await;
            }
        }
        self.write_what_is_kept().await;
        if let Err(error) = self.sign_if_new(true).await {
            tracing::error!(error = error.chain(), "the audit trail cannot be signed");
        }
    }

    async fn write_what_is_kept(&self) {
        if let Err(error) = self.write_kept_accesses().await {
            tracing::warn!(error = error.chain(), "entries of accesses wait in memory");
        }
    }

    async fn empty_what_is_over(&self) {
        let order = Order {
            author: "audit-service".to_owned(),
            reason: "the time of the policy is over".to_owned(),
        };
        let cause = Cause::new(None, &*self.clock);
        if let Err(error) = self.apply_retention(&order, &cause).await {
            tracing::error!(
                error = error.chain(),
                "old entries of the audit trail cannot be emptied"
            );
        }
    }

    /// Signs the trail if there are entries that are not signed: many, or any where it is due.
    async fn sign_if_new(&self, is_due: bool) -> Result<bool> {
        let new = self
            .read(|tx| {
                let signed = rows::last_checkpoint(tx)?.map_or(0, |(size, _)| size);
                Ok(rows::size(tx)?.saturating_sub(signed))
            })
            .await?;
        let is_wanted = new >= self.settings.checkpoint_entries || (is_due && new > 0);
        if is_wanted {
            self.checkpoint().await?;
        }
        Ok(is_wanted)
    }
}
