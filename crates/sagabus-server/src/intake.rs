//! Takes a submitted form: keeps the file, enters the submission, starts its saga.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_api::NOBODY;
use sagabus::event::Cause;
use sagabus::saga::{self, SagaId};
use sagabus::{ErrorKind, EventId, Result};
use sample_service::Actor;
use sample_service::model::{NewSubmission, Page, Submission, SubmissionStatus};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::assemble::System;

/// Submissions looked at together when the program starts.
const RESUMED_AT_ONCE: u32 = 1000;
/// How long what cannot be resumed for want of room waits for its next try.
const RESUMED_AGAIN: Duration = Duration::from_secs(2);

/// How long the saga of a submission waits for the submission's event to be in the log.
const TOLD_WITHIN: Duration = Duration::from_millis(250);

/// A form as it arrives.
#[derive(Debug)]
pub(crate) struct Form {
    pub(crate) file_name: String,
    /// Id under which the file was kept.
    pub(crate) file_id: String,
    pub(crate) submitter_name: Option<String>,
    pub(crate) submitter_email: Option<String>,
    pub(crate) user_id: Option<String>,
    /// A repeat with the same key is the same submission.
    pub(crate) idempotency_key: Option<String>,
}

/// A form that was taken.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) submission: Submission,
    pub(crate) saga: SagaId,
    pub(crate) correlation_id: String,
}

/// Keeps a file; the same bytes have the same id.
pub(crate) async fn keep(system: &System, bytes: Bytes) -> Result<String> {
    let upload = system.services.ai()?.store_upload(bytes).await?;
    Ok(upload.file_id.as_str().to_owned())
}

/// Enters a submission and starts its saga. Both have happened when this returns; if the process ends between the two,
/// the next start of the program makes up for the second. Where there is no room for the saga neither stays.
pub(crate) async fn submit(system: &System, form: Form) -> Result<Taken> {
    // One of a key at a time, so that none takes back what another has just found.
    let _turn = match &form.idempotency_key {
        Some(_) => Some(system.keyed_intake.lock().await),
        None => None,
    };
    let id = match &form.idempotency_key {
        Some(key) => id_of_key(key),
        None => EventId::generate(system.clock.as_ref()).to_string(),
    };
    // What belongs to a submission is tied together by its id.
    let actor = Actor {
        user_id: form.user_id.clone().unwrap_or_else(|| NOBODY.to_owned()),
        cause: Cause::new(Some(id.clone()), system.clock.as_ref()),
    };
    let submission = NewSubmission {
        id: Some(id),
        file_name: form.file_name,
        file_id: form.file_id,
        submitter_name: form.submitter_name,
        submitter_email: form.submitter_email,
    };
    let samples = system.services.sample()?;
    let made = samples.create_submission(submission, actor.clone());
    let submission = made.await?;
    told(system, &submission).await;
    let saga = match start(system, &submission, form.user_id.as_deref()).await {
        Ok(saga) => saga,
        Err(error) => {
            if error.kind() == ErrorKind::Full {
                // If that fails too, the next start of the program goes on with it.
                let reason = error.to_string();
                let withdrawn = samples
                    .withdraw_submission(submission.id, reason, actor)
                    .await;
                if let Err(fault) = withdrawn {
                    tracing::warn!(error = %fault, "a submission that was refused stays");
                }
            }
            return Err(error);
        }
    };
    Ok(Taken {
        correlation_id: submission.id.clone(),
        submission,
        saga,
    })
}

/// Waits for the event of a submission to be in the log, so that it stands before what follows from it. Not for long: where
/// there is no room for it there is none for the saga, and what follows names it in any case.
async fn told(system: &System, submission: &Submission) {
    let event = submission.event_id.as_deref().map(EventId::new);
    if let (Some(Ok(event)), Ok(samples)) = (event, system.services.sample()) {
        let sent = samples.outbox().sent(&event);
        let _late = tokio::time::timeout(TOLD_WITHIN, sent).await;
    }
}

/// Starts the sagas of submissions that were entered just before the process ended. Those there is no room for are started
/// when there is. Where the services of those sagas are not all here, submissions wait until they are.
pub(crate) async fn resume(system: &Arc<System>) -> Result<()> {
    if system.shipped.submission.is_none() {
        return Ok(());
    }
    let samples = system.services.sample()?;
    let mut left = Vec::new();
    let received = async |page| {
        let page = Page {
            page,
            limit: RESUMED_AT_ONCE,
        };
        let received = Some(SubmissionStatus::Received);
        samples.submissions(received, page).await
    };
    let (_, total) = received(1).await?;
    let pages = u32::try_from(total.div_ceil(u64::from(RESUMED_AT_ONCE))).unwrap_or(u32::MAX);
    // The last page first: sagas run already, and what they take out of one page moves up those after it only.
    for page in (1..=pages).rev() {
        let (waiting, _) = received(page).await?;
        for submission in waiting {
            if !go_on(system, &submission).await? {
                left.push(submission);
            }
        }
    }
    if left.is_empty() {
        return Ok(());
    }
    tracing::warn!(
        submissions = left.len(),
        "they go on when there is room for their sagas"
    );
    let (system, stop) = (Arc::clone(system), system.stop_relays.clone());
    let tracker = system.relays.clone();
    tracker.spawn(async move { stop.run_until_cancelled(go_on_with(&system, left)).await });
    Ok(())
}

/// Goes on with all of them, each as soon as there is room.
async fn go_on_with(system: &System, left: Vec<Submission>) {
    for submission in left {
        loop {
            match go_on(system, &submission).await {
                Ok(true) => break,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(submission_id = submission.id, error = %error.chain(), "cannot go on yet");
                }
            }
            tokio::time::sleep(RESUMED_AGAIN).await;
        }
    }
}

/// Starts the saga of a submission that was entered before; false where there is no room for it.
async fn go_on(system: &System, submission: &Submission) -> Result<bool> {
    match start(system, submission, None).await {
        Ok(saga) => {
            tracing::info!(submission_id = submission.id, saga_id = %saga, "went on with a submission");
            Ok(true)
        }
        Err(error) if error.kind() == ErrorKind::Full => Ok(false),
        Err(error) => Err(error),
    }
}

/// Starts the submission's saga, or finds the one that was started.
async fn start(system: &System, submission: &Submission, user_id: Option<&str>) -> Result<SagaId> {
    let mut input = json!({
        "submissionId": submission.id,
        "fileId": submission.file_id,
        "fileName": submission.file_name,
    });
    if let (Some(user_id), Some(input)) = (user_id, input.as_object_mut()) {
        input.insert("userId".to_owned(), user_id.into());
    }
    let mut start = saga::Start::new(input.to_string())
        .correlated(&submission.id)
        .keyed(format!("submission/{}", submission.id));
    if let Some(event_id) = &submission.event_id {
        start = start.caused_by(EventId::new(event_id.as_str())?);
    }
    let definition = system.shipped.submission.as_ref();
    let definition = definition.ok_or_else(|| system.services.served().refusal())?;
    system.sagas.start(definition, start).await
}

/// The id of the submission with this idempotency key: always the same one.
fn id_of_key(key: &str) -> String {
    let hash = Sha256::digest(key.as_bytes());
    let hex: String = hash
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("key-{hex}")
}
