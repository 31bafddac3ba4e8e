//! Runs one attempt of a handler: with a timeout, a way to stop it, and without letting its panics out.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::saga::Saga;
use crate::saga::handlers::{StepError, checked, guarded};
use crate::saga::machine::{AttemptResult, Input, Limit};
use crate::saga::remote::REPLY_GRACE;

/// One attempt of a step or a compensation.
pub(super) struct Job {
    pub(super) saga: Arc<Saga>,
    pub(super) step: usize,
    pub(super) attempt: u32,
    pub(super) timeout: Duration,
    /// A service elsewhere does it, and goes on for its own grace whatever is dropped here.
    pub(super) is_elsewhere: bool,
    /// How long the handler may go without a sign of life, if it is to give any, and these.
    pub(super) heartbeat: Option<(Duration, watch::Sender<()>)>,
    /// Tells the handler to stop.
    pub(super) cancelled: CancellationToken,
    /// Drops the handler without a report; the log says that the attempt began.
    pub(super) killed: CancellationToken,
}

type Running<T> = Pin<Box<dyn Future<Output = Result<T, StepError>> + Send>>;

/// Runs an attempt of a step. It reports a timeout and goes on until it ends or is stopped.
pub(super) async fn run_step(
    job: Job,
    stop: oneshot::Receiver<Duration>,
    handler: impl FnOnce() -> Running<Bytes> + Send,
) {
    let result = tokio::select! {
        biased;
        result = attempt(&job, stop, guarded(handler)) => result,
        () = job.killed.cancelled() => {
            job.cancelled.cancel();
            return;
        }
    };
    if matches!(result, AttemptResult::Abandoned) && job.killed.is_cancelled() {
        // Nobody says how long any more, because nobody waits: that is no end of what a service elsewhere does.
        job.cancelled.cancel();
        return;
    }
    job.saga.inbox.push(Input::Ended {
        step: job.step,
        attempt: job.attempt,
        result,
    });
}

async fn attempt(
    job: &Job,
    mut stop: oneshot::Receiver<Duration>,
    work: impl Future<Output = Result<Bytes, StepError>>,
) -> AttemptResult {
    let mut work = pin!(work);
    let deadline = Instant::now() + job.timeout;
    let stopped = tokio::select! {
        biased;
        result = &mut work => return ended(result),
        grace = &mut stop => Ok(grace),
        () = sleep_until(deadline) => Err(Limit::Timeout(job.timeout)),
        limit = silence(job) => Err(limit),
    };
    let grace = match stopped {
        // Nobody is awaited longer than the limit of the attempt itself.
        // Where handlers are not awaited, nor is a reply.
        Ok(grace) if job.is_elsewhere => grace.map(|it| match it.is_zero() {
            true => it,
            false => it.saturating_add(REPLY_GRACE),
        }),
        Ok(grace) => grace.map(|it| it.min(deadline.saturating_duration_since(Instant::now()))),
        Err(limit) => {
            job.saga.inbox.push(Input::TimedOut {
                step: job.step,
                attempt: job.attempt,
                limit,
            });
            // Stopped only when the timeout is durable: until then the attempt may still succeed.
            tokio::select! {
                biased;
                result = &mut work => return ended(result),
                grace = &mut stop => grace.map(|it| match job.is_elsewhere {
                    true => it.saturating_add(REPLY_GRACE),
                    false => it,
                }),
            }
        }
    };
    job.cancelled.cancel();
    // The worker has gone when nobody says how long: nothing of this attempt can be recorded any more.
    match timeout(grace.unwrap_or_default(), work).await {
        Ok(result) => ended(result),
        Err(_) => AttemptResult::Abandoned,
    }
}

/// Ends when the handler has given no sign of life for too long.
async fn silence(job: &Job) -> Limit {
    let Some((silence_max, heartbeat)) = &job.heartbeat else {
        return std::future::pending().await;
    };
    let mut signs = heartbeat.subscribe();
    loop {
        match timeout(*silence_max, signs.changed()).await {
            Ok(Ok(())) => {}
            // The sender lives as long as the job.
            Ok(Err(_)) | Err(_) => return Limit::Heartbeat(*silence_max),
        }
    }
}

fn ended(result: Result<Bytes, StepError>) -> AttemptResult {
    match result.and_then(checked) {
        Ok(output) => AttemptResult::Ok(output),
        Err(error) => AttemptResult::Err(error),
    }
}

/// Runs an attempt of a compensation. After its timeout it is told to stop, and its success still counts.
pub(super) async fn compensate(
    job: Job,
    grace: Duration,
    handler: impl FnOnce() -> Running<()> + Send,
) {
    let mut work = pin!(guarded(handler));
    let timed = async {
        if let Ok(result) = timeout(job.timeout, &mut work).await {
            return result;
        }
        job.cancelled.cancel();
        let in_time = timeout(grace, &mut work).await;
        let late = StepError::InDoubt(format!("timed out after {:?}", job.timeout));
        match in_time {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(late),
        }
    };
    let result = tokio::select! {
        biased;
        result = timed => result,
        () = job.killed.cancelled() => {
            job.cancelled.cancel();
            return;
        }
    };
    job.saga.inbox.push(Input::CompensationEnded {
        step: job.step,
        attempt: job.attempt,
        result,
    });
}
