//! The trail on a real bus.

use std::sync::Arc;
use std::time::Duration;

use audit_service::model::{Filter, Page};
use audit_service::{AuditService, Settings};
use sagabus::engines::embedded::Embedded;
use sagabus::{Bus, Clock, SystemClock};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::fixture::event;

#[tokio::test]
async fn every_event_on_the_bus_is_audited_and_the_trail_comes_to_rest() {
    let folder = TempDir::new().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let engine = Arc::new(Embedded::in_memory(Arc::clone(&clock)).unwrap());
    let bus = Bus::builder(engine, Arc::clone(&clock)).build().unwrap();
    // Published before anybody listened: the trail has no gap at its start.
    bus.publish(event("sample.created", "{}")).await.unwrap();
    let path = folder.path().join("audit.db");
    let service = AuditService::open(path, Settings::default(), Arc::clone(&clock))
        .await
        .unwrap();
    let relay =
        service
            .outbox()
            .clone()
            .relay(Arc::new(bus.clone()), clock, CancellationToken::new());
    TaskTracker::new().spawn(relay);
    let _subscription = service.subscribe(&bus).await.unwrap();
    for _ in 0..20 {
        bus.publish(event("sample.updated", "{}")).await.unwrap();
    }
    let told = async {
        loop {
            let page = bus.read(1, 1_000).await.unwrap();
            let is_told = |event_type: &str| event_type == "audit.entry_recorded";
            if page
                .events
                .iter()
                .filter(|(_, it)| is_told(it.event_type.as_str()))
                .count()
                == 21
                && bus.stats().queue == 0
            {
                break page.events.len();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let events = tokio::time::timeout(Duration::from_secs(60), told)
        .await
        .unwrap();
    assert_eq!(events, 42);
    let (_, entries) = service
        .entries(Filter::default(), Page::default())
        .await
        .unwrap();
    assert_eq!(entries, 21);
    assert!(service.verify().await.unwrap().ok);
    bus.shutdown(Duration::from_secs(5)).await;
}
