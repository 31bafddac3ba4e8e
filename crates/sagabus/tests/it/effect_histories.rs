//! Random histories of handlers in a transaction: through failures, panics and kills each event has one effect (I15).
//!
//! `SEED=n` lives one history again; `SEEDS=n` says how many there are.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sagabus::bus::RetryPlan;
use sagabus::engines::embedded::simulation::{Chance, DeliveryBug};
use sagabus::sqlite::rusqlite::Transaction;
use sagabus::sqlite::{Database, Outbox, Relay, TABLES};
use sagabus::testing::{Power, TestBus};
use sagabus::transport::DeadLetterQuery;
use sagabus::{
    Emit, Error, Event, EventId, HandlerError, Payload, Result, Retry, Start, SystemClock,
};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::simulation::number;

/// Histories in an ordinary run: each writes to a real disk.
const SEEDS: u64 = 25;
/// Histories among which a planted fault must show itself.
const SEEDS_PER_BUG: u64 = 20;
/// Events of a history.
const EVENTS: i64 = 12;
/// More than a history has failures.
const RETRIES: u32 = 200;
/// How long a history waits for what must come.
const LIMIT: Duration = Duration::from_mins(1);

/// No unique key: a second effect is a second row.
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

/// What happened, in sum.
#[derive(Debug, Default)]
struct Counted {
    calls: u64,
    failures: u64,
    panics: u64,
    kills: u64,
    given_up: u64,
}

/// What handlers share with the history.
#[derive(Debug, Default)]
struct Shared {
    counted: Counted,
    /// The switch of the present bus.
    power: Option<Power>,
    /// Nothing fails any more.
    is_calm: bool,
}

impl Shared {
    /// The process is killed now, or a few writes later.
    fn kill(&mut self, writes: u64) {
        if let Some(power) = self.power.as_ref().filter(|it| !it.is_off()) {
            power.turn_off_after(writes);
            self.counted.kills += 1;
        }
    }
}

/// Has an effect, or fails before or after it, or ends the process; as the seed says.
fn work(
    seed: u64,
    shared: &Mutex<Shared>,
    tx: &Transaction<'_>,
    delivery: &sagabus::Delivery,
) -> Result<Emit, HandlerError> {
    let word = (delivery.position << 24) ^ u64::from(delivery.attempt);
    let mut chance = Chance::new(seed ^ word);
    let mut shared = shared.lock().unwrap();
    shared.counted.calls += 1;
    let what = if shared.is_calm { 99 } else { chance.below(12) };
    match what {
        0 => {
            shared.counted.failures += 1;
            return Err(HandlerError::transient("before its effect"));
        }
        1 => shared.kill(0),
        2 => shared.kill(chance.below(3)),
        _ => {}
    }
    let Placed { number } = delivery.payload()?;
    tx.execute("INSERT INTO effects VALUES (?1)", [number])?;
    match what {
        3 => {
            shared.counted.failures += 1;
            return Err(HandlerError::transient("after its effect"));
        }
        4 => {
            shared.counted.panics += 1;
            drop(shared);
            std::panic::resume_unwind(Box::new("after its effect"));
        }
        5 => shared.kill(0),
        _ => {}
    }
    Ok(Emit::of(&Taken { number }))
}

async fn start(seed: u64, outbox: &Outbox, shared: &Arc<Mutex<Shared>>) -> TestBus {
    let (outbox, shared) = (outbox.clone(), Arc::clone(shared));
    let register = move |bus: sagabus::Bus| {
        let (outbox, shared) = (outbox.clone(), Arc::clone(&shared));
        async move {
            bus.subscription("taking")
                .pattern(Placed::TYPE)
                .start(Start::Earliest)
                .retry(Retry::times(RETRIES).delay(Duration::from_millis(1)))
                .concurrency(3)
                .handler_tx(&outbox, move |tx, delivery| {
                    work(seed, &shared, tx, delivery)
                })
                .await
                .map(drop)
        }
    };
    TestBus::start(register).await.unwrap()
}

/// Waits until everything is handled, or the process is killed.
async fn settle(bus: &TestBus) {
    let end = tokio::time::Instant::now() + LIMIT;
    while bus.bus().stats().queue > 0 && !bus.power().is_off() {
        assert!(
            tokio::time::Instant::now() < end,
            "never idle: {:?}",
            bus.bus().stats()
        );
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Redrives what is dead, and says how much that was: an event whose process was killed in three attempts in a row, be it
/// before or after its effect, is not tried again by itself.
async fn redrive(bus: &TestBus) -> u64 {
    let dead = bus.dead_letters().await.unwrap();
    for letter in &dead {
        let last = letter.faults.last().map(|it| it.kind.as_str());
        assert_eq!(last, Some("crash_loop"), "{letter:?}");
    }
    let letters = bus.bus().letters();
    let all = DeadLetterQuery::all();
    letters.retry(&all, &RetryPlan::default()).await.unwrap();
    u64::try_from(dead.len()).unwrap()
}

/// A bus with its relay, which ends and starts with it.
struct Life {
    bus: TestBus,
    relay: Option<Relay>,
}

impl Life {
    async fn revive(&mut self, outbox: &Outbox, shared: &Mutex<Shared>) {
        if let Some(relay) = self.relay.take() {
            self.bus.power().turn_off();
            relay.stop().await;
        }
        self.bus.crash_and_restart().await.unwrap();
        shared.lock().unwrap().power = Some(self.bus.power());
        self.relay = Some(outbox.relay_to(self.bus.bus()));
    }
}

/// Effects by their numbers, in order.
async fn effects(outbox: &Outbox) -> Vec<i64> {
    let read = |tx: &Transaction<'_>| {
        let mut select = tx.prepare("SELECT number FROM effects ORDER BY number")?;
        let numbers = select.query_map([], |row| row.get(0))?;
        let numbers: std::result::Result<Vec<i64>, _> = numbers.collect();
        Ok::<_, Error>(numbers?)
    };
    outbox.database().call(read).await.unwrap()
}

async fn live(seed: u64) -> Counted {
    let folder = TempDir::new().unwrap();
    let database = Database::open(folder.path().join("effects.db"), MIGRATIONS).await;
    let outbox = Outbox::new(database.unwrap());
    let shared: Arc<Mutex<Shared>> = Arc::default();
    let bus = start(seed, &outbox, &shared).await;
    let mut life = Life { bus, relay: None };
    life.revive(&outbox, &shared).await;
    let mut chance = Chance::new(seed ^ 0xEFFE);
    for number in 0..EVENTS {
        let mut event = Event::new(&Placed { number }, &SystemClock).unwrap();
        event.id = EventId::new(format!("placed-{number}")).unwrap();
        while life.bus.bus().publish(event.clone()).await.is_err() {
            assert!(life.bus.power().is_off(), "a publish fails without a kill");
            life.revive(&outbox, &shared).await;
        }
        if chance.one_in(2) {
            settle(&life.bus).await;
        }
        if life.bus.power().is_off() || chance.one_in(8) {
            life.revive(&outbox, &shared).await;
        }
    }
    shared.lock().unwrap().is_calm = true;
    life.revive(&outbox, &shared).await;
    let Life { bus, relay } = life;
    settle(&bus).await;
    let given_up = redrive(&bus).await;
    settle(&bus).await;
    outbox.drain().await.unwrap();
    relay.unwrap().stop().await;
    let expected: Vec<i64> = (0..EVENTS).collect();
    assert_eq!(effects(&outbox).await, expected, "one effect per event");
    let answers = bus.published_as::<Taken>().await.unwrap();
    let mut answers: Vec<i64> = answers.iter().map(|it| it.number).collect();
    answers.sort_unstable();
    assert_eq!(answers, expected, "one answer per event");
    assert_eq!(bus.bus().stats().dead_letters, 0);
    bus.bus().shutdown(LIMIT).await;
    outbox.database().close().await.unwrap();
    let mut counted = std::mem::take(&mut shared.lock().unwrap().counted);
    counted.given_up = given_up;
    counted
}

/// The history of a seed on a runtime of its own, on this thread; its complaint if a promise was broken.
fn lived(seed: u64) -> Result<Counted, String> {
    let lived = std::panic::catch_unwind(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(live(seed))
    });
    lived.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        format!("SEED={seed}: {}", text.unwrap_or_default())
    })
}

#[test]
fn each_event_has_one_effect_in_every_random_history() {
    if let Some(seed) = number("SEED") {
        println!("{:?}", lived(seed).unwrap_or_else(|what| panic!("{what}")));
        return;
    }
    let mut all = Counted::default();
    for seed in 0..number("SEEDS").unwrap_or(SEEDS) {
        let counted = lived(seed).unwrap_or_else(|what| panic!("{what}"));
        all.calls += counted.calls;
        all.failures += counted.failures;
        all.panics += counted.panics;
        all.kills += counted.kills;
        all.given_up += counted.given_up;
    }
    println!("{all:?}");
    for (count, what) in [
        (all.failures, "failures"),
        (all.panics, "panics"),
        (all.kills, "kills"),
    ] {
        assert!(count >= SEEDS / 2, "{count} {what}");
    }
}

#[test]
fn each_fault_planted_into_the_inbox_is_found() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let mut missed = Vec::new();
    for bug in [DeliveryBug::MarkForgotten, DeliveryBug::MarkBeforeEffect] {
        DeliveryBug::plant(Some(bug));
        match (0..SEEDS_PER_BUG).find_map(|seed| lived(seed).err()) {
            Some(what) => println!("{bug:?}: {what}"),
            None => missed.push(bug),
        }
        DeliveryBug::plant(None);
    }
    std::panic::set_hook(hook);
    assert!(missed.is_empty(), "not found: {missed:?}");
}
