//! The AI service: what it holds, its start and its end, and what can be read from it.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use nanopore::sample;
use sagabus::sqlite::rusqlite::Transaction;
use sagabus::sqlite::{Database, FENCES, Outbox, TABLES};
use sagabus::{Clock, Error, ErrorKind, Result};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::llm::Model;
use crate::model::{ExtractionResult, Fault, FaultKind, Job, JobFilter, JobStatus, Part, Stats};
use crate::pdf::{Confinement, PdfReader};
use crate::publisher::Publisher;
use crate::repository as rows;
use crate::retry::RETRIES_MAX;
use crate::settings::AiSettings;
use crate::uploads::{FileId, Upload, UploadWriter, Uploads};

const MIGRATIONS: &[&str] = &[
    TABLES,
    include_str!("tables.sql"),
    FENCES,
    include_str!("review.sql"),
];
/// Documents that are read at a time; each may have 50 MiB. The other jobs wait.
const JOBS_AT_A_TIME: usize = 2;

/// Who makes samples of forms.
#[async_trait]
pub trait Submissions: fmt::Debug + Send + Sync + 'static {
    /// Whether samples of a submission can be made of this form: what whoever submits did not say must stand there.
    ///
    /// # Errors
    /// `Invalid`, with every field that is wrong; `NotFound`; as the database says.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    async fn check(&self, submission_id: &str, form: sample::Form) -> Result<()>;
}

/// The AI service over its own SQLite file and its own folder of uploads. Handles are cheap to clone.
#[derive(Clone, Debug)]
pub struct AiService {
    pub(crate) outbox: Outbox,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) submissions: Option<Arc<dyn Submissions>>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) uploads: Uploads,
    pub(crate) reader: PdfReader,
    /// One for each document that may be read now.
    pub(crate) turns: Semaphore,
    pub(crate) tasks: TaskTracker,
    /// No more work is taken.
    closing: CancellationToken,
    /// Work that goes on is dropped.
    pub(crate) stop: CancellationToken,
    /// How far the jobs are that are being read. Not stored: a job does not outlive the process.
    progress: Mutex<HashMap<String, u8>>,
    /// What stops the work on a job.
    working: Mutex<HashMap<String, CancellationToken>>,
    pub(crate) settings: AiSettings,
    pub(crate) model: Model,
    /// Documents whose values were known.
    pub(crate) cache_hits: AtomicU64,
}

impl AiService {
    /// Opens or creates the database at `path` and the folder `uploads`.
    ///
    /// A job that had not ended when the service last did is tried again, three times in all, as after any failure that may
    /// pass. One of a saga's step ends now as failed with `INTERRUPTED`, with its events; the step, which runs again, begins it again.
    ///
    /// # Errors
    /// As [`Database::open`]; `Full` or `Transient` when the folder cannot be opened.
    ///
    /// # Cancel safety
    /// As [`Database::open`].
    pub async fn open(
        path: impl Into<PathBuf>,
        uploads: impl Into<PathBuf>,
        (reader, settings): (PdfReader, AiSettings),
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let tasks = TaskTracker::new();
        let folder = uploads.into();
        let uploads = tasks.spawn_blocking(move || Uploads::open(folder)).await;
        let service = Self {
            outbox: Outbox::new(Database::open(path, MIGRATIONS).await?),
            clock,
            submissions: None,
            shared: Arc::new(Shared {
                uploads: uploads.map_err(|_| Error::closed("runtime is shutting down"))??,
                reader,
                turns: Semaphore::new(JOBS_AT_A_TIME),
                tasks,
                closing: CancellationToken::new(),
                stop: CancellationToken::new(),
                progress: Mutex::default(),
                working: Mutex::default(),
                model: Model::new(settings.model.clone()),
                settings,
                cache_hits: AtomicU64::new(0),
            }),
        };
        service.take_up().await?;
        Ok(service)
    }

    /// The service with who makes samples of forms; without, what only they know is not asked at acceptance.
    #[must_use]
    pub fn with_submissions(mut self, submissions: Arc<dyn Submissions>) -> Self {
        self.submissions = Some(submissions);
        self
    }

    /// How far the last child that read a PDF could lock itself in; nothing before the first.
    #[must_use]
    pub fn confinement(&self) -> Option<Confinement> {
        self.shared.reader.confinement()
    }

    /// The outbox: its relay must run for events to reach the bus.
    #[must_use]
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Begins an upload that arrives in chunks.
    ///
    /// # Errors
    /// `Transient` after [`AiService::shutdown`].
    pub fn begin_upload(&self) -> Result<UploadWriter> {
        self.check_open()?;
        let Shared {
            uploads,
            tasks,
            stop,
            ..
        } = &*self.shared;
        Ok(uploads.begin(tasks, stop, &*self.clock))
    }

    /// Keeps a document; the same bytes are kept once. Whether it is a PDF shows when it is processed.
    ///
    /// # Errors
    /// `Invalid` with [`crate::UploadTooLarge`] as its source; `Full`, `Transient` as the disk says; `Transient`
    /// after [`AiService::shutdown`]; `Closed` when that cuts the upload short.
    ///
    /// # Cancel safety
    /// The document is kept or not; repeat the call.
    pub async fn store_upload(&self, bytes: Bytes) -> Result<Upload> {
        let mut upload = self.begin_upload()?;
        upload.write(bytes).await?;
        upload.finish().await
    }

    /// The bytes of an upload.
    ///
    /// # Errors
    /// `NotFound`; `Transient` as the disk says.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn upload(&self, file_id: FileId) -> Result<Bytes> {
        self.on_disk(move |uploads| uploads.read(&file_id)).await
    }

    /// How many bytes an upload has.
    ///
    /// # Errors
    /// `NotFound`; otherwise as the disk says.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn upload_size(&self, file_id: FileId) -> Result<u64> {
        self.on_disk(move |uploads| uploads.size(&file_id)).await
    }

    /// One job.
    ///
    /// # Errors
    /// `NotFound`.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn job(&self, id: String) -> Result<Job> {
        let mut job = self.read(move |tx| rows::get_job(tx, &id)).await?;
        self.add_progress(&mut job);
        Ok(job)
    }

    /// A part of the jobs that `filter` lets through, newest first, and how many there are in all.
    ///
    /// # Errors
    /// As the database says.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn jobs(&self, filter: JobFilter, part: Part) -> Result<(Vec<Job>, u64)> {
        let (mut jobs, total) = self
            .read(move |tx| rows::list_jobs(tx, &filter, part))
            .await?;
        jobs.iter_mut().for_each(|job| self.add_progress(job));
        Ok((jobs, total))
    }

    /// One result, with its evidence.
    ///
    /// # Errors
    /// `NotFound`.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn result(&self, id: String) -> Result<ExtractionResult> {
        self.read(move |tx| rows::get_result(tx, &id)).await
    }

    /// Counts of jobs and results.
    ///
    /// # Errors
    /// As the database says.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn stats(&self) -> Result<Stats> {
        let threshold = self.shared.settings.confidence_threshold;
        let mut stats = self.read(move |tx| rows::stats(tx, threshold)).await?;
        stats.cache_hits = self.shared.cache_hits.load(Ordering::Relaxed);
        stats.model = self.shared.model.stats(&*self.clock);
        Ok(stats)
    }

    /// Takes no more work, waits until `deadline` for the jobs and uploads that go on, then drops them; returns how many
    /// it dropped. A dropped job ends as interrupted at the next start. The database stays open, for the outbox's relay.
    ///
    /// # Cancel safety
    /// Call it again: what has ended stays ended.
    pub async fn shutdown(&self, deadline: Duration) -> usize {
        let Shared {
            closing,
            tasks,
            stop,
            ..
        } = &*self.shared;
        closing.cancel();
        tasks.close();
        let ended = tokio::time::timeout(deadline, tasks.wait()).await;
        let dropped = if ended.is_ok() { 0 } else { tasks.len() };
        stop.cancel();
        tasks.wait().await;
        dropped
    }

    pub(crate) fn check_open(&self) -> Result<()> {
        if self.shared.closing.is_cancelled() {
            // Nothing was done: a saga may call again after the next start.
            return Err(Error::new(
                ErrorKind::Transient,
                "AI service is shutting down",
            ));
        }
        Ok(())
    }

    /// What only reads the database.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.outbox.database().read(work).await
    }

    /// A change with its events.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>, &mut Publisher<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let clock = Arc::clone(&self.clock);
        self.outbox
            .write(move |tx| {
                let mut publisher = Publisher::new(&*clock);
                let value = work(tx, &mut publisher)?;
                Ok((value, publisher.into_events()))
            })
            .await
    }

    /// Work on the folder of uploads, off the threads that must not block.
    pub(crate) async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Uploads) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let uploads = self.shared.uploads.clone();
        let outcome = self.shared.tasks.spawn_blocking(move || work(&uploads));
        outcome
            .await
            .map_err(|_| Error::closed("runtime is shutting down"))?
    }

    /// What stops the work on a job that begins; it also stops with the service.
    pub(crate) fn begin_work(&self, job_id: &str) -> CancellationToken {
        let stop = self.shared.stop.child_token();
        self.working().insert(job_id.to_owned(), stop.clone());
        stop
    }

    /// The work on a job is over.
    pub(crate) fn end_work(&self, job_id: &str) {
        self.working().remove(job_id);
    }

    /// Stops the work on a job.
    pub(crate) fn drop_work(&self, job_id: &str) {
        if let Some(stop) = self.working().get(job_id) {
            stop.cancel();
        }
    }

    fn working(&self) -> MutexGuard<'_, HashMap<String, CancellationToken>> {
        let working = self.shared.working.lock();
        working.unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes how far a job is.
    pub(crate) fn note_progress(&self, job_id: &str, percent: u8) {
        let mut progress = self.progress();
        match progress.get_mut(job_id) {
            Some(known) => *known = percent.min(100),
            None => {
                progress.insert(job_id.to_owned(), percent.min(100));
            }
        }
    }

    /// Forgets how far a job was, and says it a last time.
    pub(crate) fn take_progress(&self, job_id: &str) -> u8 {
        self.progress().remove(job_id).unwrap_or(0)
    }

    fn add_progress(&self, job: &mut Job) {
        if job.status == JobStatus::Processing
            && let Some(percent) = self.progress().get(&job.id)
        {
            job.progress = *percent;
        }
    }

    fn progress(&self) -> MutexGuard<'_, HashMap<String, u8>> {
        let progress = self.shared.progress.lock();
        progress.unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes up what had not ended: a job of nobody's saga is tried again, the others wait for their saga.
    async fn take_up(&self) -> Result<()> {
        let again = self.change(|tx, publisher| {
            let mut again = Vec::new();
            for mut job in rows::open_jobs(tx)? {
                let fault = Fault {
                    kind: FaultKind::Interrupted,
                    message: "the service ended before the job did".to_owned(),
                };
                let was_read = job.status == JobStatus::Processing;
                if job.step_key.is_some() || (was_read && job.retry_count >= RETRIES_MAX) {
                    end_failed(tx, publisher, &mut job, JobStatus::Failed, &fault)?;
                    continue;
                }
                if was_read {
                    publisher.pdf_failed(&mut job, &fault)?;
                    rows::count_error(tx, fault.kind)?;
                    job.repeat(publisher.now());
                    rows::update_job(tx, &job)?;
                }
                again.push(job);
            }
            Ok(again)
        });
        for job in again.await? {
            drop(self.spawn(job, Arc::new(|_| {})));
        }
        Ok(())
    }
}

/// Ends an open job without a result: `ai.pdf_processing_failed` if its document was being read, `ai.processing_job_failed`.
pub(crate) fn end_failed(
    tx: &Transaction<'_>,
    publisher: &mut Publisher<'_>,
    job: &mut Job,
    status: JobStatus,
    fault: &Fault,
) -> Result<()> {
    let was_read = job.status == JobStatus::Processing;
    job.fail(status, fault.clone(), publisher.now());
    if was_read {
        publisher.pdf_failed(job, fault)?;
    }
    publisher.job_failed(job, fault)?;
    rows::count_error(tx, fault.kind)?;
    rows::update_job(tx, job)
}
