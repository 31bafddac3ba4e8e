//! The database thread, outbox, inbox and barrier against real files.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::Transaction;
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::clock::{SystemClock, Timestamp};
use crate::error::Result;
use crate::event::{Event, EventId, EventType};

const MIGRATIONS: &[&str] = &[
    TABLES,
    "CREATE TABLE notes (text TEXT NOT NULL) STRICT;",
    FENCES,
];

/// Takes what it is given, after refusing as often as told.
#[derive(Debug, Default)]
struct Recorder {
    taken: Mutex<Vec<String>>,
    refusals: AtomicUsize,
    poison: Mutex<Option<String>>,
}

#[async_trait]
impl Publish for Recorder {
    async fn publish(&self, events: Vec<Event>) -> Result<()> {
        let refuse = self
            .refusals
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            });
        if refuse.is_ok() {
            return Err(Error::new(ErrorKind::Transient, "the bus is away"));
        }
        let poison = self.poison.lock().unwrap().clone();
        if events
            .iter()
            .any(|event| Some(event.id.to_string()) == poison)
        {
            return Err(Error::invalid("`data.sampleId` is empty"));
        }
        let mut taken = self.taken.lock().unwrap();
        taken.extend(events.iter().map(|event| event.id.to_string()));
        Ok(())
    }
}

struct Fixture {
    folder: TempDir,
    outbox: Outbox,
    recorder: Arc<Recorder>,
}

impl Fixture {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let database = open(&folder).await.unwrap();
        Self {
            folder,
            outbox: Outbox::new(database),
            recorder: Arc::default(),
        }
    }

    fn relay(&self) -> (CancellationToken, JoinHandle<Result<()>>) {
        let stop = CancellationToken::new();
        let relay = self.outbox.clone().relay(
            Arc::clone(&self.recorder) as Arc<dyn Publish>,
            Arc::new(SystemClock),
            stop.clone(),
        );
        (stop, tokio_util::task::TaskTracker::new().spawn(relay))
    }

    async fn write(&self, ids: &[&str]) {
        let events: Vec<_> = ids.iter().map(|id| event(id)).collect();
        self.outbox
            .write(move |tx| {
                tx.execute("INSERT INTO notes VALUES ('x')", [])?;
                Ok::<_, Error>(((), events))
            })
            .await
            .unwrap();
    }

    fn taken(&self) -> Vec<String> {
        self.recorder.taken.lock().unwrap().clone()
    }
}

async fn open(folder: &TempDir) -> Result<Database> {
    Database::open(folder.path().join("service.db"), MIGRATIONS).await
}

fn event(id: &str) -> Event {
    let mut event = Event::raw(
        EventType::new("note.written").unwrap(),
        "note-service",
        br#"{"big": 123456789012345678901234567890}"#.to_vec().into(),
        &SystemClock,
    );
    event.id = EventId::new(id).unwrap();
    event
}

async fn notes(database: &Database) -> i64 {
    database
        .call(|tx| {
            Ok::<_, Error>(tx.query_row("SELECT count(*) FROM notes", [], |row| row.get(0))?)
        })
        .await
        .unwrap()
}

#[tokio::test]
async fn a_read_waits_for_no_write_sees_what_is_committed_and_writes_nothing() {
    let fixture = Fixture::new().await;
    fixture.write(&["a"]).await;
    let database = fixture.outbox.database().clone();
    let count = |tx: &Transaction<'_>| {
        Ok::<i64, Error>(tx.query_row("SELECT count(*) FROM outbox", [], |row| row.get(0))?)
    };
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let (began, begins) = tokio::sync::oneshot::channel();
    let writer = database.clone();
    let mut writing = tokio::task::JoinSet::new();
    writing.spawn(async move {
        let work = move |tx: &Transaction<'_>| {
            tx.execute("DELETE FROM outbox", [])?;
            began.send(()).unwrap();
            wait.recv().unwrap();
            Ok::<(), Error>(())
        };
        writer.call(work).await
    });
    begins.await.unwrap();
    assert_eq!(database.read(count).await.unwrap(), 1);
    go_on.send(()).unwrap();
    writing.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(database.read(count).await.unwrap(), 0);
    let wrong = |tx: &Transaction<'_>| {
        tx.execute("DELETE FROM outbox", [])?;
        Ok::<(), Error>(())
    };
    database.read(wrong).await.unwrap_err();
    // Nor is a thread lost by that.
    assert_eq!(database.read(count).await.unwrap(), 0);
    database.close().await.unwrap();
    let closed = database.read(count).await.unwrap_err();
    assert_eq!(closed.kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn whoever_waits_for_one_event_goes_on_when_it_was_sent_whatever_else_waits() {
    let fixture = Fixture::new().await;
    fixture.write(&["a"]).await;
    let id = EventId::new("a").unwrap();
    let soon = Duration::from_millis(50);
    let early = tokio::time::timeout(soon, fixture.outbox.sent(&id)).await;
    assert!(early.is_err(), "nothing is relayed yet");
    let (stop, relay) = fixture.relay();
    fixture.outbox.sent(&id).await.unwrap();
    assert_eq!(fixture.taken(), ["a"]);
    stop.cancel();
    relay.await.unwrap().unwrap();
    fixture.write(&["b"]).await;
    fixture.outbox.sent(&id).await.unwrap();
}

#[tokio::test]
async fn events_reach_the_bus_in_the_order_in_which_they_were_written() {
    let fixture = Fixture::new().await;
    fixture.write(&["a", "b"]).await;
    let (stop, relay) = fixture.relay();
    fixture.outbox.drain().await.unwrap();
    fixture.write(&["c"]).await;
    fixture.outbox.drain().await.unwrap();
    assert_eq!(fixture.taken(), ["a", "b", "c"]);
    stop.cancel();
    relay.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_change_that_fails_leaves_neither_state_nor_event() {
    let fixture = Fixture::new().await;
    let outcome: Result<()> = fixture
        .outbox
        .write(|tx| {
            tx.execute("INSERT INTO notes VALUES ('x')", [])?;
            // The second event breaks the rule that an id is written once.
            Ok(((), vec![event("same"), event("same")]))
        })
        .await;
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(notes(fixture.outbox.database()).await, 0);
    assert_eq!(
        fixture.outbox.counts().await.unwrap(),
        OutboxCounts::default()
    );
}

#[tokio::test(start_paused = true)]
async fn events_wait_while_the_bus_is_away() {
    let fixture = Fixture::new().await;
    fixture.recorder.refusals.store(4, Ordering::SeqCst);
    fixture.write(&["a", "b"]).await;
    let (stop, relay) = fixture.relay();
    fixture.outbox.drain().await.unwrap();
    assert_eq!(fixture.taken(), ["a", "b"]);
    stop.cancel();
    relay.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_event_that_can_never_be_taken_does_not_hold_up_the_others() {
    let fixture = Fixture::new().await;
    *fixture.recorder.poison.lock().unwrap() = Some("bad".to_owned());
    fixture.write(&["a", "bad", "c"]).await;
    let (stop, relay) = fixture.relay();
    fixture.outbox.drain().await.unwrap();
    assert_eq!(fixture.taken(), ["a", "c"]);
    let counts = fixture.outbox.counts().await.unwrap();
    assert_eq!((counts.pending, counts.refused), (0, 1));
    stop.cancel();
    relay.await.unwrap().unwrap();
}

#[tokio::test]
async fn events_survive_a_restart_with_their_ids_and_bytes() {
    let fixture = Fixture::new().await;
    fixture.write(&["a"]).await;
    fixture.outbox.database().close().await.unwrap();
    let database = open(&fixture.folder).await.unwrap();
    let waiting = database
        .call(|tx| {
            let envelope: Vec<u8> =
                tx.query_row("SELECT envelope FROM outbox", [], |row| row.get(0))?;
            crate::event::envelope::from_json(&envelope, &SystemClock)
        })
        .await
        .unwrap();
    assert_eq!(waiting.id.as_str(), "a");
    assert_eq!(waiting.data, event("a").data);
}

#[tokio::test]
async fn a_closed_database_takes_no_calls_and_ends_the_relay() {
    let fixture = Fixture::new().await;
    let (_stop, relay) = fixture.relay();
    fixture.outbox.drain().await.unwrap();
    let database = fixture.outbox.database().clone();
    database.close().await.unwrap();
    database.close().await.unwrap();
    let outcome: Result<()> = database.call(|_| Ok(())).await;
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Closed);
    // The relay learns of it when it is woken.
    fixture.outbox.written.notify_one();
    let ended = tokio::time::timeout(Duration::from_secs(60), relay)
        .await
        .unwrap();
    assert_eq!(ended.unwrap().unwrap_err().kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn a_transaction_that_panics_is_rolled_back_and_the_next_one_works() {
    let fixture = Fixture::new().await;
    let database = fixture.outbox.database();
    let outcome: Result<()> = database
        .call(|tx| {
            tx.execute("INSERT INTO notes VALUES ('x')", [])?;
            panic!("on purpose");
        })
        .await;
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(notes(database).await, 0);
}

#[tokio::test]
async fn what_was_called_is_done_even_when_nobody_waits() {
    let fixture = Fixture::new().await;
    let database = fixture.outbox.database();
    let mut call = Box::pin(database.call(|tx| {
        tx.execute("INSERT INTO notes VALUES ('x')", [])?;
        Ok::<_, Error>(())
    }));
    let waker = std::task::Waker::noop();
    let _first = call
        .as_mut()
        .poll(&mut std::task::Context::from_waker(waker));
    drop(call);
    assert_eq!(notes(database).await, 1);
}

#[tokio::test]
async fn a_file_of_a_newer_program_is_refused() {
    let fixture = Fixture::new().await;
    fixture.outbox.database().close().await.unwrap();
    let path = fixture.folder.path().join("service.db");
    let error = Database::open(&path, &[TABLES]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let error = error.chain();
    assert!(error.contains("schema version 3, newer than 1"), "{error}");
    assert!(error.contains("service.db"), "{error}");
}

#[tokio::test]
async fn a_migration_that_fails_leaves_the_file_as_it_was() {
    let fixture = Fixture::new().await;
    fixture.outbox.database().close().await.unwrap();
    let path = fixture.folder.path().join("service.db");
    let broken: &[&str] = &[TABLES, "", "", "CREATE TABLE more (x) STRICT; nonsense"];
    assert!(Database::open(&path, broken).await.is_err());
    open(&fixture.folder).await.unwrap();
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_as_damaged() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("service.db"), "x".repeat(4096)).unwrap();
    assert_eq!(open(&folder).await.unwrap_err().kind(), ErrorKind::Corrupt);
}

#[tokio::test]
async fn the_inbox_lets_an_event_through_once_per_consumer_until_it_is_forgotten() {
    let fixture = Fixture::new().await;
    let start = Timestamp::from_milliseconds(1_000);
    let (seen, kept) = fixture
        .outbox
        .database()
        .call(move |tx| {
            let first_time =
                |consumer, id: &str, now| inbox::first_time(tx, consumer, &EventId::new(id)?, now);
            let mut seen = vec![
                first_time("audit", "e", start)?,
                first_time("audit", "e", start)?,
                first_time("other", "e", start)?,
            ];
            let later = start.after(inbox::REMEMBERED);
            seen.push(first_time("audit", "e", later)?);
            let much_later = later.after(Duration::from_millis(1));
            first_time("audit", "f", much_later)?;
            seen.push(first_time("audit", "e", much_later)?);
            let kept: i64 = tx.query_row("SELECT count(*) FROM inbox", [], |row| row.get(0))?;
            Ok::<_, Error>((seen, kept))
        })
        .await
        .unwrap();
    assert_eq!(seen, [true, false, true, false, true]);
    assert_eq!(kept, 2);
}

#[tokio::test]
async fn a_step_runs_once_and_not_after_its_compensation() {
    let fixture = Fixture::new().await;
    let now = Timestamp::from_milliseconds(1);
    fixture
        .outbox
        .database()
        .call(move |tx| {
            let call = |key: &str| barrier::Call::new(key, now);
            assert_eq!(barrier::forward(tx, &call("s/a"))?, barrier::Forward::Run);
            barrier::done(tx, &call("s/a"), &json!({"n": 1}))?;
            assert_eq!(
                barrier::forward(tx, &call("s/a"))?,
                barrier::Forward::Repeat(json!({"n": 1}))
            );
            assert_eq!(
                barrier::backward(tx, &call("s/a"))?,
                barrier::Backward::Run(json!({"n": 1}))
            );
            assert_eq!(
                barrier::backward(tx, &call("s/a"))?,
                barrier::Backward::Repeat
            );
            assert_eq!(
                barrier::forward(tx, &call("s/a")).unwrap_err().kind(),
                ErrorKind::Conflict
            );

            assert_eq!(
                barrier::backward(tx, &call("s/late"))?,
                barrier::Backward::NothingDone
            );
            assert_eq!(
                barrier::forward(tx, &call("s/late")).unwrap_err().kind(),
                ErrorKind::Conflict
            );
            assert_eq!(
                barrier::backward(tx, &call("s/late"))?,
                barrier::Backward::Repeat
            );
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn one_call_does_the_work_of_a_step_or_of_its_compensation_once() {
    let fixture = Fixture::new().await;
    let now = Timestamp::from_milliseconds(1);
    let work = move |tx: &rusqlite::Transaction<'_>| {
        let call = |key: &str| barrier::Call::new(key, now);
        let calls = std::cell::RefCell::new(Vec::new());
        let step = |key: &str| {
            barrier::step(tx, call(key), || {
                calls.borrow_mut().push(format!("{key} done"));
                Ok(7_u32)
            })
        };
        let back = |key: &str| {
            barrier::compensation(tx, call(key), |output: Option<u32>| {
                calls.borrow_mut().push(format!("{key} back {output:?}"));
                Ok(())
            })
        };
        assert_eq!((step("s/a")?, step("s/a")?), (7, 7));
        let of_other_type = barrier::step(tx, call("s/a"), || Ok(String::new()));
        assert_eq!(of_other_type.unwrap_err().kind(), ErrorKind::Corrupt);
        back("s/a")?;
        back("s/a")?;
        assert_eq!(step("s/a").unwrap_err().kind(), ErrorKind::Conflict);
        // It comes before its step, which then has no effect any more.
        back("s/late")?;
        assert_eq!(step("s/late").unwrap_err().kind(), ErrorKind::Conflict);
        let failed = barrier::step::<u32>(tx, call("s/b"), || Err(Error::invalid("no room")));
        assert_eq!(failed.unwrap_err().kind(), ErrorKind::Invalid);
        assert_eq!(step("s/b")?, 7);
        let calls = calls.take();
        let done = [
            "s/a done",
            "s/a back Some(7)",
            "s/late back None",
            "s/b done",
        ];
        assert_eq!(calls, done);
        Ok::<_, Error>(())
    };
    fixture.outbox.database().call(work).await.unwrap();
}

#[tokio::test]
async fn a_call_with_an_older_fencing_token_than_one_before_it_is_refused() {
    let fixture = Fixture::new().await;
    let now = Timestamp::from_milliseconds(1);
    let work = move |tx: &rusqlite::Transaction<'_>| {
        let done = std::cell::Cell::new(0_u32);
        let step = |key: &str, fence: u64| {
            barrier::step(tx, barrier::Call::new(key, now).fenced(fence), || {
                done.set(done.get() + 1);
                Ok(done.get())
            })
        };
        let back = |key: &str, fence: u64| {
            let call = barrier::Call::new(key, now).fenced(fence);
            barrier::compensation(tx, call, |_: Option<u32>| Ok(()))
        };
        let is_fenced = |result: Result<()>| result.unwrap_err().kind() == ErrorKind::Fenced;
        assert_eq!(step("s/a", 5)?, 1);
        // A repeat by a later process is the same, and overtakes the one before.
        assert_eq!(step("s/a", 9)?, 1);
        assert!(is_fenced(step("s/a", 8).map(drop)));
        assert!(is_fenced(back("s/a", 8)));
        assert_eq!(step("s/a", 9)?, 1);
        back("s/a", 11)?;
        assert!(is_fenced(back("s/a", 10)));
        // A repeat of a compensation counts too.
        back("s/a", 12)?;
        assert!(is_fenced(back("s/a", 11)));
        assert!(is_fenced(step("s/a", 11).map(drop)));
        assert_eq!(step("s/a", 12).unwrap_err().kind(), ErrorKind::Conflict);
        // Another key has its own.
        assert_eq!(step("s/b", 1)?, 2);
        // One beyond the numbers of the database is later than all others.
        assert_eq!(step("s/b", u64::MAX)?, 2);
        assert!(is_fenced(step("s/b", 2).map(drop)));
        // Without a token nobody is refused.
        assert_eq!(
            barrier::step(tx, barrier::Call::new("s/b", now), || Ok(7))?,
            2
        );
        Ok::<_, Error>(())
    };
    fixture.outbox.database().call(work).await.unwrap();
}

#[tokio::test]
async fn keys_of_steps_from_before_the_fences_take_any_token() {
    const BEFORE: &[&str] = &[TABLES];
    const AFTER: &[&str] = &[TABLES, FENCES];
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("service.db");
    let now = Timestamp::from_milliseconds(1);
    let database = Database::open(&path, BEFORE).await.unwrap();
    let old = "INSERT INTO step_keys VALUES ('s/a', 'done', '7', 1)";
    let written = database.call(move |tx| Ok::<_, Error>(tx.execute(old, ())?));
    assert_eq!(written.await.unwrap(), 1);
    drop(database);
    let database = Database::open(&path, AFTER).await.unwrap();
    let work = move |tx: &rusqlite::Transaction<'_>| {
        let call = barrier::Call::new("s/a", now).fenced(1);
        barrier::step(tx, call, || Ok(8))
    };
    assert_eq!(database.call(work).await.unwrap(), 7);
}

#[tokio::test]
async fn an_event_relayed_again_after_a_crash_is_one_event_on_the_bus() {
    let fixture = Fixture::new().await;
    let clock: Arc<dyn crate::clock::Clock> = Arc::new(SystemClock);
    let engine = crate::engines::embedded::Embedded::in_memory(Arc::clone(&clock)).unwrap();
    let bus = crate::bus::Bus::builder(Arc::new(engine), Arc::clone(&clock))
        .build()
        .unwrap();
    // The bus had it, and the process died before the outbox was told.
    bus.publish(event("a")).await.unwrap();
    fixture.write(&["a", "b"]).await;
    let stop = CancellationToken::new();
    let relay = fixture
        .outbox
        .clone()
        .relay(Arc::new(bus.clone()), clock, stop.clone());
    let relay = tokio_util::task::TaskTracker::new().spawn(relay);
    fixture.outbox.drain().await.unwrap();
    let page = bus.read(1, 10).await.unwrap();
    let ids: Vec<_> = page
        .events
        .iter()
        .map(|(_, event)| event.id.as_str())
        .collect();
    assert_eq!(ids, ["a", "b"]);
    stop.cancel();
    relay.await.unwrap().unwrap();
}
