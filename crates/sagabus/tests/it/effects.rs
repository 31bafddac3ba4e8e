//! One effect per event: handlers in a transaction, the inbox and the outbox, through failures, lost acks and kills.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sagabus::engines::embedded::disk::RealDisk;
use sagabus::engines::embedded::{Embedded, Settings};
use sagabus::sqlite::{Database, Outbox, TABLES};
use sagabus::testing::{Power, TestBus};
use sagabus::{
    Bus, Clock, Emit, Error, Event, HandlerError, Payload, Result, Retry, Start, SystemClock,
};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::sync::Notify;

const MIGRATIONS: &[&str] = &[
    TABLES,
    "CREATE TABLE effects (number INTEGER NOT NULL) STRICT;",
];

#[derive(Serialize, Deserialize, Payload)]
#[event(name = "order.placed", source = "test", subject = number)]
struct Placed {
    number: i64,
}

#[derive(Serialize, Deserialize, Payload)]
#[event(name = "order.taken", source = "test", subject = number)]
struct Taken {
    number: i64,
}

async fn outbox(folder: &Path) -> Outbox {
    let database = Database::open(folder.join("effects.db"), MIGRATIONS).await;
    Outbox::new(database.unwrap())
}

/// The numbers of all effects, and the length of the inbox.
async fn effects(outbox: &Outbox) -> (Vec<i64>, i64) {
    outbox
        .database()
        .call(|tx| {
            let mut select = tx.prepare("SELECT number FROM effects ORDER BY number")?;
            let numbers = select.query_map([], |row| row.get(0))?;
            let numbers: Result<Vec<i64>, _> = numbers.collect();
            let marks = tx.query_row("SELECT count(*) FROM inbox", [], |row| row.get(0))?;
            Ok::<_, Error>((numbers?, marks))
        })
        .await
        .unwrap()
}

fn quick(times: u32) -> Retry {
    Retry::times(times).delay(Duration::from_millis(1))
}

#[tokio::test]
async fn a_handler_that_fails_leaves_no_effect_and_is_not_marked_as_done() {
    let folder = TempDir::new().unwrap();
    let outbox = outbox(folder.path()).await;
    let own = outbox.clone();
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    let bus = TestBus::start(move |bus| {
        let (own, noted) = (own.clone(), Arc::clone(&noted));
        async move {
            bus.subscription("taking")
                .pattern(Placed::TYPE)
                .start(Start::Earliest)
                .retry(quick(3))
                .handler_tx(&own, move |tx, delivery| {
                    let Placed { number } = delivery.payload()?;
                    let before: i64 =
                        tx.query_row("SELECT count(*) FROM effects", [], |row| row.get(0))?;
                    let marks: i64 =
                        tx.query_row("SELECT count(*) FROM inbox", [], |row| row.get(0))?;
                    noted
                        .lock()
                        .unwrap()
                        .push((delivery.attempt, before, marks));
                    tx.execute("INSERT INTO effects VALUES (?1)", [number])?;
                    if delivery.attempt < 3 {
                        return Err(HandlerError::transient("after its effect"));
                    }
                    Ok(Emit::of(&Taken { number }))
                })
                .await
                .map(drop)
        }
    })
    .await
    .unwrap();
    bus.publish(&Placed { number: 7 }).await.unwrap();
    bus.idle().await.unwrap();
    assert_eq!(effects(&outbox).await, (vec![7], 1));
    // Its own mark is the only one that each attempt sees.
    assert_eq!(*seen.lock().unwrap(), [(1, 0, 1), (2, 0, 1), (3, 0, 1)]);
    let relay = outbox.relay_to(bus.bus());
    outbox.drain().await.unwrap();
    relay.stop().await;
    bus.assert_published(&["order.placed 7", "order.taken 7"])
        .await;
    let events = bus.published().await.unwrap();
    assert_eq!(events[1].causation_id.as_ref(), Some(&events[0].id));
}

#[tokio::test]
async fn an_event_whose_ack_was_lost_comes_again_and_has_no_second_effect() {
    let folder = TempDir::new().unwrap();
    let outbox = outbox(folder.path()).await;
    let power: Arc<OnceLock<Power>> = Arc::default();
    let calls = Arc::new(AtomicU32::new(0));
    let handled = Arc::new(Notify::new());
    let (own, cut, called, done) = (
        outbox.clone(),
        Arc::clone(&power),
        Arc::clone(&calls),
        Arc::clone(&handled),
    );
    let mut bus = TestBus::start(move |bus| {
        let (own, cut, called, done) = (
            own.clone(),
            Arc::clone(&cut),
            Arc::clone(&called),
            Arc::clone(&done),
        );
        async move {
            bus.subscription("taking")
                .pattern(Placed::TYPE)
                .start(Start::Earliest)
                .handler_tx(&own, move |tx, delivery| {
                    called.fetch_add(1, Ordering::SeqCst);
                    let Placed { number } = delivery.payload()?;
                    tx.execute("INSERT INTO effects VALUES (?1)", [number])?;
                    // The transaction will be committed; nothing of the log is written after this.
                    cut.get().unwrap().turn_off();
                    done.notify_one();
                    Ok(Emit::none())
                })
                .await
                .map(drop)
        }
    })
    .await
    .unwrap();
    power.set(bus.power()).unwrap();
    bus.publish(&Placed { number: 7 }).await.unwrap();
    handled.notified().await;
    assert_eq!(effects(&outbox).await, (vec![7], 1));
    bus.crash_and_restart().await.unwrap();
    bus.idle().await.unwrap();
    let stats = bus.bus().stats().subscriptions.remove(0);
    // It was handed out once more in this life, and acked without a call.
    assert_eq!((stats.attempts, stats.counts.acked), (1, 1));
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert_eq!(effects(&outbox).await, (vec![7], 1));
}

#[tokio::test]
async fn an_event_that_the_bus_would_refuse_is_a_fault_of_the_handler_and_not_of_the_relay() {
    let folder = TempDir::new().unwrap();
    let outbox = outbox(folder.path()).await;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let engine = Embedded::in_memory(Arc::clone(&clock)).unwrap();
    let bus = Bus::builder(Arc::new(engine), clock)
        .payload::<Taken>()
        .build()
        .unwrap();
    bus.subscription("taking")
        .pattern(Placed::TYPE)
        .start(Start::Earliest)
        .handler_tx(&outbox, |tx, delivery| {
            let Placed { number } = delivery.payload()?;
            tx.execute("INSERT INTO effects VALUES (?1)", [number])?;
            let mut wrong = Event::new(&Taken { number }, &SystemClock)?;
            wrong.data = b"{}".to_vec().into();
            Ok(Emit::none().event(wrong))
        })
        .await
        .unwrap();
    let event = Event::new(&Placed { number: 7 }, &SystemClock).unwrap();
    bus.publish(event).await.unwrap();
    crate::support::idle(&bus).await;
    let letters = bus.dead_letters(crate::support::all()).await.unwrap();
    assert!(letters[0].faults[0].error.contains("`data.number`"));
    assert_eq!(effects(&outbox).await, (vec![], 0));
    assert_eq!(outbox.counts().await.unwrap().pending, 0);
}

fn run_probe(folder: &Path, kind: &str, point: u64) -> bool {
    let probe = Command::new(env!("CARGO_BIN_EXE_effect-probe"))
        .arg(folder)
        .arg(kind)
        .arg(point.to_string())
        .output()
        .unwrap();
    probe.status.success()
}

/// Types and subjects of all events in the log.
async fn logged(folder: &Path) -> Vec<(String, String)> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let disk = Arc::new(RealDisk::new(folder.join("log")).unwrap());
    let settings = Settings {
        segment_bytes: 64 * 1024,
        ..Settings::default()
    };
    let engine = Embedded::on(disk, &settings, Arc::clone(&clock)).unwrap();
    let bus = Bus::builder(Arc::new(engine), clock).build().unwrap();
    let page = bus.read(0, 1000).await.unwrap();
    let mut events: Vec<_> = page
        .events
        .iter()
        .map(|(_, it)| (it.event_type.to_string(), it.subject.clone().unwrap()))
        .collect();
    events.sort();
    bus.shutdown(Duration::ZERO).await;
    events
}

/// Kills the process at each of its points of this kind, and lets it end its work after that. Returns how many there
/// were.
async fn kill_at_each(kind: &str) -> u64 {
    let numbers: Vec<i64> = (0..7).collect();
    let mut expected = Vec::new();
    for event_type in [Placed::TYPE, Taken::TYPE] {
        let of_type = numbers
            .iter()
            .map(|it| (event_type.to_owned(), it.to_string()));
        expected.extend(of_type);
    }
    for point in 1.. {
        let folder = TempDir::new().unwrap();
        if run_probe(folder.path(), kind, point) {
            return point - 1;
        }
        assert!(run_probe(folder.path(), kind, 0), "{kind} {point}");
        let outbox = outbox(folder.path()).await;
        let found = effects(&outbox).await;
        assert_eq!(found, (numbers.clone(), 7), "{kind} {point}");
        assert_eq!(outbox.counts().await.unwrap().pending, 0);
        assert_eq!(logged(folder.path()).await, expected, "{kind} {point}");
    }
    0
}

#[tokio::test]
async fn a_handler_killed_at_any_point_of_its_transaction_has_one_effect_per_event() {
    let killed = kill_at_each("tx").await;
    println!("killed at {killed} points");
    assert!(killed >= 20, "{killed}");
}

#[tokio::test]
async fn a_process_killed_between_commit_and_relay_publishes_each_event_once() {
    let killed = kill_at_each("relay").await;
    println!("killed at {killed} points");
    assert!(killed >= 20, "{killed}");
}

#[tokio::test]
async fn a_process_killed_at_any_write_of_the_log_has_one_effect_per_event() {
    let killed = kill_at_each("disk").await;
    println!("killed at {killed} points");
    assert!(killed >= 20, "{killed}");
}
