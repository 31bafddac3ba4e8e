//! Jobs that are taken back, that are stuck, and that are old.

use std::time::Duration;

use sagabus::{Error, ErrorKind, Result, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::model::{Fault, FaultKind, Job, JobStatus};
use crate::pdf::PdfErrorKind;
use crate::repository as rows;
use crate::service::{AiService, end_failed};

/// Between two looks.
const LOOK: Duration = Duration::from_mins(1);
/// A document that is read for so long never ends.
const STUCK: Duration = Duration::from_mins(30);
/// How long a job is kept after its end.
const KEPT: Duration = Duration::from_hours(30 * 24);

/// What a look at all jobs did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// Jobs that were stuck and have ended.
    pub stuck: usize,
    /// Jobs that were old and are gone.
    pub removed: usize,
}

impl AiService {
    /// Takes a job back: the reading of its document stops. Publishes `ai.processing_job_failed` with `CANCELLED`.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when it has ended.
    ///
    /// # Cancel safety
    /// It is taken back or not.
    pub async fn cancel_job(&self, id: String, author: Option<String>) -> Result<Job> {
        let job = self
            .change(move |tx, publisher| {
                let mut job = rows::get_job(tx, &id)?;
                if !job.status.is_open() {
                    let text = format!("job `{id}` is `{}`", job.status.as_str());
                    return Err(Error::new(ErrorKind::Conflict, text));
                }
                let fault = Fault {
                    kind: FaultKind::Cancelled,
                    message: match author {
                        Some(author) => format!("taken back by `{}`", author.escape_debug()),
                        None => "taken back".to_owned(),
                    },
                };
                end_failed(tx, publisher, &mut job, JobStatus::Cancelled, &fault)?;
                Ok(job)
            })
            .await?;
        self.drop_work(&job.id);
        Ok(job)
    }

    /// Ends jobs that are stuck and removes those that are old, as of this time. A result stays, and so does a job whose
    /// result waits for a person.
    ///
    /// # Errors
    /// As the database says.
    ///
    /// # Cancel safety
    /// It was done or not.
    pub async fn look_at_jobs(&self, now: Timestamp) -> Result<Looked> {
        let before = |time: Duration| {
            let time = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
            Timestamp::from_milliseconds(now.milliseconds().saturating_sub(time))
        };
        let (stuck_before, old_before) = (before(STUCK), before(KEPT));
        let (stuck, removed) = self
            .change(move |tx, publisher| {
                let mut stuck = Vec::new();
                for mut job in rows::stuck_jobs(tx, stuck_before)? {
                    let fault = Fault {
                        kind: FaultKind::Pdf(PdfErrorKind::TimeoutError),
                        message: format!("it took more than {} minutes", STUCK.as_secs() / 60),
                    };
                    end_failed(tx, publisher, &mut job, JobStatus::Failed, &fault)?;
                    stuck.push(job.id);
                }
                Ok((stuck, rows::remove_jobs(tx, old_before)?))
            })
            .await?;
        for id in &stuck {
            tracing::warn!(job_id = id, "job was stuck");
            self.drop_work(id);
        }
        Ok(Looked {
            stuck: stuck.len(),
            removed,
        })
    }

    /// Looks at all jobs each minute until told to stop.
    ///
    /// # Cancel safety
    /// Safe: each look is done or not.
    pub async fn work(self, stop: CancellationToken) {
        while stop
            .run_until_cancelled(tokio::time::sleep(LOOK))
            .await
            .is_some()
        {
            if let Err(error) = self.look_at_jobs(self.clock.now()).await {
                tracing::error!(error = error.chain(), "jobs cannot be looked at");
            }
        }
    }
}
