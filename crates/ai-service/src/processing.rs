//! How a document becomes a result: into the queue, a turn, reading, and one transaction that ends the job.

mod outcome;
mod reading_of;

use std::sync::Arc;

use bytes::Bytes;
use nanopore::events::ai::JobType;
use nanopore::events::ai::Method;
use nanopore::sample::{FieldErrors, check_file_name, visible};
use sagabus::event::{ATTRIBUTE_BYTES_MAX, Cause};
use sagabus::sqlite::barrier::{self, Call, Forward};
use sagabus::sqlite::rusqlite::Transaction;
use sagabus::{Error, ErrorKind, EventId, Result, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use self::outcome::{complete, result_of};
use crate::form::{Extraction, Form};
use crate::model::{Fault, FaultKind, Job, JobStatus};
use crate::pdf::{PdfError, PdfErrorKind, PdfReader, Progress};
use crate::publisher::Publisher;
use crate::reading;
use crate::repository as rows;
use crate::retry::{RETRIES_MAX, delay};
use crate::service::{AiService, end_failed};
use crate::uploads::FileId;

/// Jobs that may be open at a time; each is a row, and two of them hold their document.
const JOBS_OPEN_MAX: u64 = 1_000;
/// Longest name of a document, in characters.
pub(crate) const FILE_NAME_CHARACTERS_MAX: usize = 255;

/// Told how far the reading of a document is.
pub type OnProgress = Arc<dyn Fn(Progress) + Send + Sync>;

/// The step of a saga that a document is processed for.
#[derive(Clone, Debug)]
pub(crate) struct StepKey {
    /// Names the step for ever.
    pub(crate) key: String,
    /// Fencing token of the call.
    pub(crate) fence: u64,
}

/// A document to process.
#[derive(Clone, Debug)]
pub struct ProcessRequest {
    /// The upload.
    pub file_id: FileId,
    /// What the document is called, for people; at most 255 characters.
    pub file_name: String,
    /// The submission that it came with.
    pub submission_id: Option<String>,
    /// The sample that it belongs to.
    pub sample_id: Option<String>,
    /// Who asks for it.
    pub user_id: Option<String>,
    /// How it is to be read; absent: as the settings say.
    pub method: Option<Method>,
    /// Why; every event of the processing carries the correlation id, and the first one the cause.
    pub cause: Cause,
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Processed {
    /// The stored result.
    pub extraction_result_id: String,
    /// The job that made it.
    pub job_id: String,
    /// How sure it is, 0 to 1.
    pub confidence: f64,
    /// Rows of the sample table.
    pub sample_count: usize,
    /// The form as it was read; blank while a person has to look at it.
    pub form: Form,
    /// A person has to look at it before anything is made of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub review: bool,
}

/// How an attempt ended.
enum Ended {
    /// With a result.
    Done(Processed),
    /// For good.
    Failed(Fault),
    /// For a time: this job is tried again.
    Again(Job),
}

/// What a call finds.
enum Entry {
    /// A job that must be run.
    Run(Job),
    /// The step has its effect already.
    Done(Processed),
}

/// Reads a PDF and what it holds, by the labels and the geometry of its pages, and stores nothing.
///
/// The form may break rules: [`Extraction::check`] says whether samples can be made of it.
///
/// # Errors
/// As [`PdfReader::read`] and [`reading::read`].
///
/// # Cancel safety
/// Dropping the future kills the child process; a layout that is being looked at then is finished in vain.
pub async fn extract(
    reader: &PdfReader,
    bytes: Bytes,
    progress: impl Fn(Progress),
) -> std::result::Result<Extraction, PdfError> {
    let document = reader.read(bytes, progress).await?;
    // Pure and quick for a form; a hostile document can have many thousand words.
    tokio::task::spawn_blocking(move || reading::read(&document, Method::Pattern))
        .await
        .unwrap_or_else(|_| {
            let message = "the layout of the document could not be understood";
            Err(PdfError::new(PdfErrorKind::UnknownError, message))
        })
}

impl AiService {
    /// Processes a document and waits for the result.
    ///
    /// Publishes `ai.processing_job_created`, `ai.processing_job_started`, `ai.pdf_processing_started`, then
    /// `ai.extraction_result_created`, with it `ai.extraction_confidence_low` where a person has to look,
    /// `ai.pdf_processing_completed` and `ai.processing_job_completed`; or `ai.pdf_processing_failed` and
    /// `ai.processing_job_failed`. Each is caused by the one before. What may pass is tried three times in all.
    ///
    /// # Errors
    /// `Invalid` when the document cannot be read or its form breaks a rule, `Transient` when it may be read at another
    /// time: the text names the [`PdfErrorKind`] and what is wrong. `NotFound` without such an upload; `Full` when too
    /// many jobs are open; `Transient` after [`AiService::shutdown`]; `Closed` when the database is.
    ///
    /// # Cancel safety
    /// The job goes on without its caller.
    pub async fn process(
        &self,
        request: ProcessRequest,
        on_progress: OnProgress,
    ) -> Result<Processed> {
        self.process_once(request, None, on_progress).await
    }

    /// Puts a document into the queue and returns its job, which runs by itself. Events as for [`AiService::process`].
    ///
    /// # Errors
    /// `Invalid`, naming the field; `NotFound` without such an upload; `Full` when too many jobs are open; `Transient`
    /// after [`AiService::shutdown`]; `Closed` when the database is.
    ///
    /// # Cancel safety
    /// The job is in the queue or not; one that is not run is taken up at the next start.
    pub async fn submit(&self, request: ProcessRequest) -> Result<Job> {
        let job = match self.enter(request, None).await? {
            Entry::Run(job) => job,
            Entry::Done(processed) => return self.job(processed.job_id).await,
        };
        drop(self.spawn(job.clone(), Arc::new(|_| {})));
        Ok(job)
    }

    /// As [`AiService::process`]; with a key, the whole has its effect once.
    pub(crate) async fn process_once(
        &self,
        request: ProcessRequest,
        step: Option<StepKey>,
        on_progress: OnProgress,
    ) -> Result<Processed> {
        match self.enter(request, step).await? {
            Entry::Done(processed) => Ok(processed),
            Entry::Run(job) => self
                .spawn(job, on_progress)
                .await
                .map_err(|_| Error::closed("processing ended without an outcome"))?,
        }
    }

    /// Makes the job, or finds what an earlier call with the same key has made.
    async fn enter(&self, request: ProcessRequest, step: Option<StepKey>) -> Result<Entry> {
        self.check_open()?;
        check(&request)?;
        let file_id = request.file_id.clone();
        let method = request.method.unwrap_or(self.shared.settings.method.into());
        let size = self.on_disk(move |uploads| uploads.size(&file_id)).await;
        self.change(move |tx, publisher| {
            if let Some(step) = &step
                && let Some(entry) = enter_again(tx, publisher, step)?
            {
                return Ok(entry);
            }
            let open = rows::open_job_count(tx)?;
            if open >= JOBS_OPEN_MAX {
                let text = format!("{open} documents wait to be processed");
                return Err(Error::new(ErrorKind::Full, text));
            }
            let mut job = new_job((request, method), step.map(|it| it.key), size?, publisher);
            publisher.job_created(&mut job)?;
            rows::insert_job(tx, &job)?;
            Ok(Entry::Run(job))
        })
        .await
    }

    /// Runs a job in a task of its own, so that it ends whether or not somebody waits for it.
    pub(crate) fn spawn(&self, job: Job, on_progress: OnProgress) -> JoinHandle<Result<Processed>> {
        let service = self.clone();
        let stop = self.begin_work(&job.id);
        let job_id = job.id.clone();
        self.shared.tasks.spawn(async move {
            let running = service.run(job, on_progress);
            let outcome = stop.run_until_cancelled(running).await;
            let outcome = match outcome {
                Some(outcome) => outcome,
                None if service.shared.stop.is_cancelled() => Err(interrupted()),
                None => service.ended_elsewhere(&job_id).await,
            };
            service.end_work(&job_id);
            if let Err(error) = &outcome {
                log_failure(&job_id, error);
            }
            outcome
        })
    }

    async fn run(&self, mut job: Job, on_progress: OnProgress) -> Result<Processed> {
        loop {
            let turn = self.shared.turns.acquire().await;
            let turn = turn.map_err(|_| interrupted())?;
            job = match self.start(job).await? {
                Entry::Done(processed) => return Ok(processed),
                Entry::Run(job) => job,
            };
            let began = self.clock.elapsed();
            let outcome = self.read_form(&job, Arc::clone(&on_progress)).await;
            let took = self.clock.elapsed().saturating_sub(began);
            let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            let ended = self.end(job, outcome, took_ms).await?;
            drop(turn);
            job = match ended {
                Ended::Done(processed) => return Ok(processed),
                Ended::Failed(fault) => return Err(Error::from(&fault)),
                Ended::Again(job) => job,
            };
            let first = self.shared.settings.retry_delay;
            tokio::time::sleep(delay(first, job.retry_count)).await;
        }
    }

    /// How a job ended whose reading was stopped.
    async fn ended_elsewhere(&self, job_id: &str) -> Result<Processed> {
        let id = job_id.to_owned();
        self.take_progress(job_id);
        self.change(move |tx, publisher| {
            let job = rows::get_job(tx, &id)?;
            ended(tx, &job, publisher.now())
        })
        .await
    }

    /// Its turn has come.
    async fn start(&self, job: Job) -> Result<Entry> {
        self.change(move |tx, publisher| {
            let mut job = rows::get_job(tx, &job.id)?;
            match job.status {
                JobStatus::Pending => {
                    let is_first = job.step_key.is_some() || job.retry_count == 0;
                    job.begin(publisher.now());
                    if is_first {
                        publisher.job_started(&mut job)?;
                    }
                    publisher.pdf_started(&mut job)?;
                    rows::update_job(tx, &job)?;
                    Ok(Entry::Run(job))
                }
                // An earlier attempt that nobody waits for goes on: the first one to end counts.
                JobStatus::Processing => Ok(Entry::Run(job)),
                JobStatus::Completed | JobStatus::Failed | JobStatus::Cancelled => {
                    ended(tx, &job, publisher.now()).map(Entry::Done)
                }
            }
        })
        .await
    }

    /// Ends the job with its result, or with its failure; or says that it is to be tried again.
    async fn end(
        &self,
        begun: Job,
        outcome: std::result::Result<Extraction, PdfError>,
        took_ms: u64,
    ) -> Result<Ended> {
        let progress = self.take_progress(&begun.id);
        let settings = self.shared.settings.clone();
        self.change(move |tx, publisher| {
            let mut job = rows::get_job(tx, &begun.id)?;
            if let Some(key) = &job.step_key
                && let Forward::Repeat(output) =
                    barrier::forward(tx, &Call::new(key, publisher.now()))?
            {
                return stored(output).map(Ended::Done);
            }
            if !job.status.is_open() && job.step_key.is_none() {
                return ended(tx, &job, publisher.now()).map(Ended::Done);
            }
            let outcome = outcome.map_err(Fault::from);
            match outcome.and_then(|it| result_of(&job, it, took_ms, (publisher, &settings))) {
                Ok((result, processed)) => {
                    complete(tx, publisher, &mut job, &result, &processed, &settings)?;
                    Ok(Ended::Done(processed))
                }
                Err(fault) => {
                    // Unless a later attempt is on its way, or somebody has ended the job.
                    if !job.status.is_open() || job.retry_count != begun.retry_count {
                        return Ok(Ended::Failed(fault));
                    }
                    job.progress = progress;
                    let may_pass = fault.kind.retryable() && job.step_key.is_none();
                    if may_pass && job.retry_count < RETRIES_MAX {
                        publisher.pdf_failed(&mut job, &fault)?;
                        rows::count_error(tx, fault.kind)?;
                        job.repeat(publisher.now());
                        rows::update_job(tx, &job)?;
                        return Ok(Ended::Again(job));
                    }
                    end_failed(tx, publisher, &mut job, JobStatus::Failed, &fault)?;
                    Ok(Ended::Failed(fault))
                }
            }
        })
        .await
    }
}

/// What a fault says may cite the form, and stands with the job: the log has its kind alone.
fn log_failure(job_id: &str, error: &Error) {
    let text = error.to_string();
    let kind = text.split(':').next().and_then(FaultKind::from_word);
    match kind.map(FaultKind::as_str) {
        Some(kind) => tracing::warn!(job_id, kind, "document was not processed"),
        None => tracing::warn!(job_id, error = error.chain(), "document was not processed"),
    }
}

fn check(request: &ProcessRequest) -> Result<(), FieldErrors> {
    check_names(
        &request.file_name,
        [
            ("submissionId", request.submission_id.as_ref()),
            ("sampleId", request.sample_id.as_ref()),
            ("userId", request.user_id.as_ref()),
        ],
    )
}

/// A document's name and the ids that come with it: what the events about it can carry.
pub(crate) fn check_names(
    file_name: &str,
    ids: [(&'static str, Option<&String>); 3],
) -> Result<(), FieldErrors> {
    let mut errors = FieldErrors::default();
    if let Err(message) = check_file_name(file_name) {
        errors.add("fileName", message);
    }
    for (field, id) in ids {
        let Some(id) = id else {
            continue;
        };
        if id.is_empty() || id.len() > ATTRIBUTE_BYTES_MAX {
            errors.add(field, format!("must have 1 to {ATTRIBUTE_BYTES_MAX} bytes"));
        } else if let Err(fault) = visible(id) {
            errors.add(field, fault);
        }
    }
    if errors.0.is_empty() {
        Ok(())
    } else {
        Err(errors)
    }
}

/// What a call finds whose key was used before; nothing for the first call.
fn enter_again(
    tx: &Transaction<'_>,
    publisher: &Publisher<'_>,
    step: &StepKey,
) -> Result<Option<Entry>> {
    let once = Call::new(&step.key, publisher.now()).fenced(step.fence);
    if let Forward::Repeat(output) = barrier::forward(tx, &once)? {
        return stored(output).map(Entry::Done).map(Some);
    }
    let Some(mut job) = rows::job_of_step(tx, &step.key)? else {
        return Ok(None);
    };
    if job.status.is_open() {
        return Ok(Some(Entry::Run(job)));
    }
    if job.error.as_ref().is_some_and(|it| it.kind.retryable()) {
        job.retry_count += 1;
        job.wait(publisher.now());
        rows::update_job(tx, &job)?;
        return Ok(Some(Entry::Run(job)));
    }
    ended(tx, &job, publisher.now()).map(Entry::Done).map(Some)
}

/// How a job ended that has ended: its output, or its failure again.
fn ended(tx: &Transaction<'_>, job: &Job, now: Timestamp) -> Result<Processed> {
    if let Some(key) = &job.step_key
        && let Forward::Repeat(output) = barrier::forward(tx, &Call::new(key, now))?
    {
        return stored(output);
    }
    Err(job.error.as_ref().map_or_else(
        || {
            let text = format!("job `{}` is `{}`", job.id, job.status.as_str());
            Error::new(ErrorKind::Conflict, text)
        },
        Error::from,
    ))
}

fn stored(output: serde_json::Value) -> Result<Processed> {
    serde_json::from_value(output).map_err(|error| {
        Error::new(ErrorKind::Corrupt, "stored output does not fit the step").with_source(error)
    })
}

fn new_job(
    (request, method): (ProcessRequest, Method),
    step_key: Option<String>,
    file_size: u64,
    publisher: &Publisher<'_>,
) -> Job {
    let now = publisher.now();
    Job {
        id: EventId::generate(publisher.clock()).to_string(),
        job_type: JobType::PdfExtraction,
        method,
        status: JobStatus::Pending,
        progress: 0,
        submission_id: request.submission_id,
        sample_id: request.sample_id,
        file_name: request.file_name,
        file_id: request.file_id.as_str().to_owned(),
        file_size,
        user_id: request.user_id,
        result_id: None,
        error: None,
        retry_count: 0,
        created_at: now,
        started_at: None,
        ended_at: None,
        updated_at: now,
        step_key,
        correlation_id: request.cause.correlation_id,
        last_event_id: request.cause.causation_id,
    }
}

fn interrupted() -> Error {
    Error::new(ErrorKind::Transient, "service ends before the job does")
}
