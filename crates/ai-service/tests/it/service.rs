//! A service on a folder of its own, with a recorder in the place of the bus.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ai_service::pdf::PdfReader;
use ai_service::{AiService, AiSettings, FileId, OnProgress, ProcessRequest};
use async_trait::async_trait;
use nanopore::steps::{StepCall, UndoCall};
use sagabus::event::Cause;
use sagabus::sqlite::Publish;
use sagabus::{Clock, Event, Result, SystemClock};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::fixture;

/// The events of a form that is read without doubt.
pub(crate) const HAPPY: [&str; 6] = [
    "ai.processing_job_created",
    "ai.processing_job_started",
    "ai.pdf_processing_started",
    "ai.extraction_result_created",
    "ai.pdf_processing_completed",
    "ai.processing_job_completed",
];

#[derive(Debug, Default)]
struct Recorder(Mutex<Vec<Event>>);

#[async_trait]
impl Publish for Recorder {
    async fn publish(&self, events: Vec<Event>) -> Result<()> {
        self.0.lock().unwrap().extend(events);
        Ok(())
    }
}

pub(crate) struct Fixture {
    pub(crate) service: AiService,
    pub(crate) folder: TempDir,
    recorder: Arc<Recorder>,
    relay: CancellationToken,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::with(crate::reader()).await
    }

    pub(crate) async fn with(reader: PdfReader) -> Self {
        let settings = AiSettings {
            retry_delay: Duration::from_millis(5),
            ..AiSettings::default()
        };
        Self::set(reader, settings).await
    }

    pub(crate) async fn set(reader: PdfReader, settings: AiSettings) -> Self {
        let folder = TempDir::new().unwrap();
        Self::on(folder, (reader, settings), Arc::default()).await
    }

    async fn on(
        folder: TempDir,
        (reader, settings): (PdfReader, AiSettings),
        recorder: Arc<Recorder>,
    ) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let (path, uploads) = (folder.path().join("ai.db"), folder.path().join("uploads"));
        let service = AiService::open(path, uploads, (reader, settings), Arc::clone(&clock))
            .await
            .unwrap();
        let relay = CancellationToken::new();
        TaskTracker::new().spawn(service.outbox().clone().relay(
            Arc::clone(&recorder) as Arc<dyn Publish>,
            clock,
            relay.clone(),
        ));
        Self {
            service,
            folder,
            recorder,
            relay,
        }
    }

    /// Ends the service at once and starts another one on the same folder.
    pub(crate) async fn restart(self, reader: PdfReader) -> Self {
        self.events().await;
        self.service.shutdown(Duration::ZERO).await;
        self.relay.cancel();
        self.service.outbox().database().close().await.unwrap();
        Self::on(self.folder, (reader, AiSettings::default()), self.recorder).await
    }

    /// All events so far, in order; each must fit its type.
    pub(crate) async fn events(&self) -> Vec<Event> {
        self.service.outbox().drain().await.unwrap();
        let events = self.recorder.0.lock().unwrap().clone();
        for event in &events {
            let info = nanopore::events::TYPES
                .iter()
                .find(|info| info.name == event.event_type.as_str())
                .unwrap();
            (info.check)(&event.data).unwrap();
        }
        events
    }

    /// The types of all events so far; each event must be caused by the one before.
    pub(crate) async fn types(&self) -> Vec<String> {
        let events = self.events().await;
        for pair in events.windows(2) {
            assert_eq!(pair[1].causation_id.as_ref(), Some(&pair[0].id));
            assert_eq!(pair[1].correlation_id, pair[0].correlation_id);
        }
        let types = events.iter().map(|event| event.event_type.to_string());
        types.collect()
    }

    /// The payload of the only event of a type.
    pub(crate) async fn payload(&self, event_type: &str) -> Value {
        let events = self.events().await;
        let mut found = events
            .iter()
            .filter(|event| event.event_type.as_str() == event_type);
        let event = found.next().unwrap();
        assert_eq!(found.next(), None, "one `{event_type}`");
        serde_json::from_slice(&event.data).unwrap()
    }

    pub(crate) async fn uploaded(&self, name: &str) -> FileId {
        let bytes = std::fs::read(fixture(name)).unwrap();
        let upload = self.service.store_upload(bytes.into()).await.unwrap();
        upload.file_id
    }

    pub(crate) async fn request(&self, name: &str) -> ProcessRequest {
        ProcessRequest {
            file_id: self.uploaded(name).await,
            file_name: name.to_owned(),
            submission_id: Some("sub-1".to_owned()),
            sample_id: None,
            user_id: Some("ada".to_owned()),
            method: None,
            cause: cause(),
        }
    }

    pub(crate) async fn call(&self, name: &str) -> StepCall {
        let file_id = self.uploaded(name).await;
        StepCall {
            key: "saga-1/process_pdf".to_owned(),
            fence: 1,
            cause: cause(),
            input: json!({
                "submissionId": "sub-1", "fileId": file_id.as_str(), "fileName": name, "userId": "ada",
            }),
        }
    }
}

pub(crate) fn cause() -> Cause {
    Cause {
        correlation_id: "work-1".to_owned(),
        causation_id: None,
    }
}

pub(crate) fn undo() -> UndoCall {
    UndoCall {
        forward_key: "saga-1/process_pdf".to_owned(),
        fence: 1,
        cause: cause(),
        reason: "the samples were refused".to_owned(),
        input: json!({"submissionId": "sub-1"}),
    }
}

pub(crate) fn quiet() -> OnProgress {
    Arc::new(|_| {})
}

/// A reader whose child is a shell command.
pub(crate) fn shell(command: &str) -> PdfReader {
    let args = vec!["-c".to_owned(), command.to_owned()];
    PdfReader::new(PathBuf::from("/bin/sh"), args)
}

/// A reader whose child says that it has begun and then hangs.
pub(crate) fn hanging() -> PdfReader {
    shell(r#"echo '{"v":1,"progress":{"stage":"parsing","percent":10}}'; exec sleep 600"#)
}

/// A reader whose first child dies; the others are real.
pub(crate) fn failing_once(folder: &Path) -> PdfReader {
    let mark = folder.join("was-here");
    let worker = env!("CARGO_BIN_EXE_pdf-worker");
    shell(&format!(
        "if [ -e {mark} ]; then exec {worker}; else : > {mark}; exit 3; fi",
        mark = mark.display()
    ))
}
