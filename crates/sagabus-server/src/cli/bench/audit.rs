//! The audit trail: how fast it takes entries, how large proofs are, and how long a check of all takes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use audit_service::offline::{Places, verify_database};
use audit_service::{AuditService, Settings};
use sagabus::event::EventType;
use sagabus::sqlite::Publish;
use sagabus::{Clock, Event, SystemClock};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Folder, failed, rounded};
use crate::cli::print::say;
use crate::cli::{Failure, Output};

/// Entries in one transaction, as many as the service takes from the bus.
const BATCH: usize = 100;
/// Between two looks at whether the service is at rest.
const LOOK: Duration = Duration::from_millis(100);
/// Proofs that are made, evenly over the trail.
const PROOFS: u64 = 1_000;

/// Where the events go that tell of entries.
#[derive(Debug)]
struct Nowhere;

#[async_trait]
impl Publish for Nowhere {
    async fn publish(&self, _: Vec<Event>) -> sagabus::Result<()> {
        Ok(())
    }
}

/// What was measured.
#[derive(Debug)]
struct Measured {
    append: Duration,
    proof_hashes_max: usize,
    proof: Duration,
    verify: Duration,
    verify_offline: Duration,
}

pub(super) fn run(
    runtime: &Runtime,
    dir: &Path,
    entries: usize,
    output: Output,
) -> Result<(), Failure> {
    let folder = Folder::new(dir)?;
    let path = folder.fresh("audit")?.join("audit.sqlite");
    let measured = runtime.block_on(measure(&path, entries))?;
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let rate = entries as f64 / measured.append.as_secs_f64();
    match output {
        Output::Json => say!(
            "{}",
            json!({
                "entries": entries,
                "entries_per_second": rounded(rate),
                "proof_hashes_max": measured.proof_hashes_max,
                "proof_ms": rounded(measured.proof.as_secs_f64() * 1_000.0),
                "verify_seconds": rounded(measured.verify.as_secs_f64()),
                "verify_offline_seconds": rounded(measured.verify_offline.as_secs_f64()),
            })
        ),
        Output::Text => {
            say!("{entries} entries, {rate:.0} a second");
            say!(
                "a proof of inclusion has at most {} hashes and is made in {:.3} ms",
                measured.proof_hashes_max,
                measured.proof.as_secs_f64() * 1_000.0
            );
            say!(
                "all entries are verified in {:.2} s, offline in {:.2} s",
                measured.verify.as_secs_f64(),
                measured.verify_offline.as_secs_f64()
            );
        }
    }
    Ok(())
}

async fn measure(path: &Path, entries: usize) -> Result<Measured, Failure> {
    let clock = SystemClock;
    let service = AuditService::open(path, Settings::default(), Arc::new(clock)).await?;
    let stop = CancellationToken::new();
    let relay = service
        .outbox()
        .clone()
        .relay(Arc::new(Nowhere), Arc::new(clock), stop.clone());
    let tasks = TaskTracker::new();
    tasks.spawn(relay);
    let began = clock.elapsed();
    let mut left = entries;
    while left > 0 {
        let events = (0..left.min(BATCH))
            .map(|_| event())
            .collect::<Result<Vec<_>, _>>()?;
        left -= events.len();
        service.consume_all(&events).await?;
    }
    let append = clock.elapsed().saturating_sub(began);
    service.checkpoint().await?;
    // What follows is of a service at rest: the events that tell of the entries are on their way until then.
    while service.outbox().counts().await?.pending > 0 {
        tokio::time::sleep(LOOK).await;
    }
    let size = entries as u64;
    let began = clock.elapsed();
    let mut proof_hashes_max = 0;
    for number in 0..PROOFS.min(size) {
        let proof = service
            .prove_inclusion(1 + number * size / PROOFS.min(size), None)
            .await?;
        proof_hashes_max = proof_hashes_max.max(proof.hashes.len());
    }
    let count = u32::try_from(PROOFS.min(size).max(1)).map_err(failed)?;
    let proof = clock.elapsed().saturating_sub(began) / count;
    let began = clock.elapsed();
    let found = service.verify().await?;
    let verify = clock.elapsed().saturating_sub(began);
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    service.outbox().database().close().await?;
    let began = clock.elapsed();
    let offline = verify_database(&Places::beside(path), service.verifier(), &[])?;
    let verify_offline = clock.elapsed().saturating_sub(began);
    if !found.ok || !offline.ok || found.count != size {
        return Err(failed(found));
    }
    Ok(Measured {
        append,
        proof_hashes_max,
        proof,
        verify,
        verify_offline,
    })
}

/// A change of a sample.
fn event() -> Result<Event, Failure> {
    let data = json!({
        "sampleId": "01a22016-0930-7a21-94e8-71b437e74ef0",
        "userId": "ada",
        "changes": {"volume": {"oldValue": 48, "newValue": 45.5}},
        "updatedFields": ["volume"],
    });
    let event_type = EventType::new("sample.updated")?;
    let data = data.to_string().into_bytes().into();
    let event = Event::raw(event_type, "sample-service", data, &SystemClock);
    Ok(event
        .about("01a22016-0930-7a21-94e8-71b437e74ef0")
        .correlated("work-1"))
}
