//! A service on a folder of its own, with a recorder in the place of the bus.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use audit_service::model::{Entry, Filter, Page};
use audit_service::{AuditService, Settings};
use sagabus::clock::SystemClock;
use sagabus::event::EventType;
use sagabus::sqlite::Publish;
use sagabus::{Event, Result};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

#[derive(Debug, Default)]
pub(crate) struct Recorder(Mutex<Vec<Event>>);

#[async_trait]
impl Publish for Recorder {
    async fn publish(&self, events: Vec<Event>) -> Result<()> {
        self.0.lock().unwrap().extend(events);
        Ok(())
    }
}

pub(crate) struct Fixture {
    pub(crate) service: AuditService,
    recorder: Arc<Recorder>,
    folder: TempDir,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let service = open(&folder.path().join("audit.db")).await.unwrap();
        let recorder = Arc::new(Recorder::default());
        TaskTracker::new().spawn(service.outbox().clone().relay(
            Arc::clone(&recorder) as Arc<dyn Publish>,
            Arc::new(SystemClock),
            CancellationToken::new(),
        ));
        Self {
            service,
            recorder,
            folder,
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("audit.db")
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

    /// All entries, oldest first.
    pub(crate) async fn entries(&self) -> Vec<Entry> {
        let page = Page {
            page: 1,
            limit: 100,
        };
        let (mut entries, _) = self.service.entries(Filter::default(), page).await.unwrap();
        entries.reverse();
        entries
    }
}

pub(crate) async fn open(path: &Path) -> Result<AuditService> {
    AuditService::open(path, Settings::default(), Arc::new(SystemClock)).await
}

pub(crate) fn event(event_type: &str, data: &str) -> Event {
    Event::raw(
        EventType::new(event_type).unwrap(),
        "sample-service",
        data.as_bytes().to_vec().into(),
        &SystemClock,
    )
    .about("sample-1")
    .correlated("work-1")
}
