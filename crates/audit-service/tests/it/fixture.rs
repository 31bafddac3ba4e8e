//! A service on a folder of its own, with a recorder in the place of the bus.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use audit_service::model::{Entry, Filter, Page};
use audit_service::{AuditService, Settings};
use sagabus::clock::SystemClock;
use sagabus::event::EventType;
use sagabus::sqlite::Publish;
use sagabus::{Clock, Event, Result, Timestamp};
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
    days_ago: Arc<AtomicU32>,
    folder: TempDir,
}

/// The machine's clock, put back by some days.
#[derive(Debug)]
struct Aged(Arc<AtomicU32>);

impl Clock for Aged {
    fn now(&self) -> Timestamp {
        let days = i64::from(self.0.load(Ordering::Relaxed));
        Timestamp::from_milliseconds(SystemClock.now().milliseconds() - days * 86_400_000)
    }

    fn elapsed(&self) -> Duration {
        SystemClock.elapsed()
    }

    fn random(&self) -> u64 {
        SystemClock.random()
    }
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::aged(0).await
    }

    /// A service for which it is so many days ago.
    pub(crate) async fn aged(days: u32) -> Self {
        let days_ago = Arc::new(AtomicU32::new(days));
        let folder = TempDir::new().unwrap();
        let clock = Arc::new(Aged(Arc::clone(&days_ago)));
        let path = folder.path().join("audit.db");
        let service = AuditService::open(path, Settings::default(), clock)
            .await
            .unwrap();
        let recorder = Arc::new(Recorder::default());
        TaskTracker::new().spawn(service.outbox().clone().relay(
            Arc::clone(&recorder) as Arc<dyn Publish>,
            Arc::new(SystemClock),
            CancellationToken::new(),
        ));
        Self {
            service,
            recorder,
            days_ago,
            folder,
        }
    }

    /// Now it is today.
    pub(crate) fn today(self) -> Self {
        self.days_ago.store(0, Ordering::Relaxed);
        self
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
