//! A process for tests that ends itself at one of its points: events whose effects are rows of a database.
//!
//! `effect-probe DIRECTORY KIND POINT` does the same work in the same directory whenever it is called, and is killed at its
//! POINT-th point of that kind; 0 is none. The kinds are `disk`, before each write and sync of the log; `tx`, inside the
//! handler's transaction; `relay`, around the relay's publish.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use sagabus::engines::embedded::disk::{Disk, DiskFile, RealDisk};
use sagabus::engines::embedded::{Embedded, Settings};
use sagabus::sqlite::{Database, Outbox, Publish, TABLES};
use sagabus::{Bus, Clock, Emit, Event, EventId, Payload, Result, Retry, Start, SystemClock};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const EVENTS: u64 = 7;
const SEGMENT_BYTES: u64 = 64 * 1024;
/// No unique key: a second effect would be a second row.
const MIGRATIONS: &[&str] = &[
    TABLES,
    "CREATE TABLE effects (number INTEGER NOT NULL) STRICT;",
];

#[derive(Serialize, Deserialize, Payload)]
#[event(name = "order.placed", source = "probe", subject = number)]
struct Placed {
    number: u64,
}

#[derive(Serialize, Deserialize, Payload)]
#[event(name = "order.taken", source = "probe", subject = number)]
struct Taken {
    number: u64,
}

/// Where the process ends.
#[derive(Debug)]
struct Points {
    kind: String,
    last: u64,
    passed: AtomicU64,
}

impl Points {
    fn pass(&self, kind: &str) {
        if self.kind == kind && self.passed.fetch_add(1, Ordering::SeqCst) + 1 == self.last {
            std::process::abort();
        }
    }
}

#[derive(Debug)]
struct CountedDisk(RealDisk, Arc<Points>);

#[derive(Debug)]
struct CountedFile(Arc<dyn DiskFile>, Arc<Points>);

impl CountedDisk {
    fn wrap(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(CountedFile(file, Arc::clone(&self.1)))
    }
}

impl Disk for CountedDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }

    fn create(&self, name: &str, len: u64) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.wrap(self.0.create(name, len)?))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.wrap(self.0.open(name)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }
}

impl DiskFile for CountedFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.1.pass("disk");
        self.0.write_at(offset, bytes)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(offset, buffer)
    }

    fn sync(&self) -> io::Result<()> {
        self.1.pass("disk");
        self.0.sync()
    }

    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
}

#[derive(Debug)]
struct CountedBus(Bus, Arc<Points>);

#[async_trait]
impl Publish for CountedBus {
    async fn publish(&self, events: Vec<Event>) -> Result<()> {
        self.1.pass("relay");
        self.0.publish_batch(events).await?;
        self.1.pass("relay");
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let usage = || sagabus::Error::invalid("say `effect-probe DIRECTORY KIND POINT`");
    let directory: PathBuf = arguments.next().ok_or_else(usage)?.into();
    let kind = arguments.next().ok_or_else(usage)?;
    let last = arguments.next().ok_or_else(usage)?;
    let last = last.to_str().and_then(|it| it.parse().ok());
    let points = Points {
        kind: kind.to_string_lossy().into_owned(),
        last: last.ok_or_else(usage)?,
        passed: AtomicU64::new(0),
    };
    work(&directory, &Arc::new(points)).await
}

async fn work(directory: &Path, points: &Arc<Points>) -> Result<()> {
    let outbox = Outbox::new(Database::open(directory.join("effects.db"), MIGRATIONS).await?);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let disk = RealDisk::new(directory.join("log"))
        .map_err(|error| sagabus::Error::invalid("no directory").with_source(error))?;
    let disk = CountedDisk(disk, Arc::clone(points));
    let settings = Settings {
        segment_bytes: SEGMENT_BYTES,
        ..Settings::default()
    };
    let engine = Embedded::on(Arc::new(disk), &settings, Arc::clone(&clock))?;
    let bus = Bus::builder(Arc::new(engine), Arc::clone(&clock)).build()?;

    let stop = CancellationToken::new();
    let publisher = CountedBus(bus.clone(), Arc::clone(points));
    let relay = outbox
        .clone()
        .relay(Arc::new(publisher), Arc::clone(&clock), stop.clone());
    let tasks = TaskTracker::new();
    tasks.spawn(relay);
    tasks.close();

    let passing = Arc::clone(points);
    bus.subscription("taking")
        .pattern(Placed::TYPE)
        .start(Start::Earliest)
        .retry(Retry::times(5).delay(Duration::from_millis(1)))
        .handler_tx(&outbox, move |tx, delivery| {
            passing.pass("tx");
            let Placed { number } = delivery.payload()?;
            tx.execute("INSERT INTO effects VALUES (?1)", [number.cast_signed()])?;
            passing.pass("tx");
            let emit = Emit::of(&Taken { number });
            passing.pass("tx");
            Ok(emit)
        })
        .await?;

    for number in 0..EVENTS {
        let mut event = Event::new(&Placed { number }, clock.as_ref())?;
        event.id = EventId::new(format!("placed-{number}"))?;
        bus.publish(event).await?;
        while bus.stats().queue > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        outbox.drain().await?;
        points.pass("relay");
    }
    stop.cancel();
    tasks.wait().await;
    bus.shutdown(Duration::from_secs(5)).await;
    outbox.database().close().await
}
