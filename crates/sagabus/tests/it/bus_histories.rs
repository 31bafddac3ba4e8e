//! Many histories of a whole bus on a simulated disk, each from a seed: its promises hold through crashes and failures.
//!
//! Handlers fail, hang and panic, the process is killed, power is lost, syncs fail, the disk is full for a while. `SEED=n`
//! lives one history again; `SEEDS=n` says how many there are.

#![expect(
    clippy::indexing_slicing,
    reason = "subscriptions are numbers below their count"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use sagabus::bus::Subscription;
use sagabus::clock::TestClock;
use sagabus::conformance::embedded::EmbeddedCluster;
use sagabus::conformance::history;
use sagabus::engines::embedded::simulation::{Bug, Chance, Crash, DeliveryBug, SimDisk};
use sagabus::engines::embedded::{self, Embedded, Settings};
use sagabus::filter::Filter;
use sagabus::ledger::By;
use sagabus::transport::DeadLetterQuery;
use sagabus::{
    Bus, Clock, Delivery, Emit, ErrorKind, Event, EventType, HandlerError, Pattern, Retry, Start,
    Timestamp,
};

use crate::simulation::{live_all, number};
use crate::support::event;

/// Histories in an ordinary run.
const SEEDS: u64 = 5_000;
/// Histories that are lived twice.
const SEEDS_TWICE: u64 = 50;
/// Histories among which a planted fault must show itself.
const SEEDS_PER_BUG: u64 = 1_000;
/// Ids that are remembered where what nobody needs is dropped.
const DEDUPLICATION_EVENTS: usize = 32;
/// Histories of an engine's members among which a planted fault must show itself, and their steps.
const HISTORIES_PER_BUG: u64 = 60;
const STEPS: usize = 300;
/// What handlers answer with.
const EMITTED: &str = "c.e";
/// An entry of the metadata that says which subscription answered.
const EMITTED_BY: &str = "by";
const TYPES: [&str; 3] = ["a.x", "a.y", "b.y"];
const PATTERNS: [&str; 4] = ["a.*", "*.y", "**", "b.y"];
/// Longer than handlers take unless they hang.
const TIMEOUT: Duration = Duration::from_secs(1);
/// How far the wall clock jumps at most, either way: a day.
const CLOCK_JUMP_MS_MAX: u64 = 24 * 60 * 60 * 1000;
/// Longer than all retries of a delivery take.
const LONG: Duration = Duration::from_hours(1);

/// What is known of one subscription.
#[derive(Debug)]
struct Known {
    name: String,
    pattern: &'static str,
    retries: u32,
    concurrency: usize,
    /// Its handler answers with an event.
    emits: bool,
    /// It wants payloads of even length only.
    has_filter: bool,
}

impl Known {
    fn wants(&self, event: &Event) -> bool {
        let pattern = Pattern::new(self.pattern).unwrap();
        pattern.matches(&event.event_type) && (!self.has_filter || is_even(event))
    }

    /// An event of a handler is not answered with another.
    fn answers(&self, event: &Event) -> bool {
        self.emits && event.event_type.as_str() != EMITTED
    }
}

fn is_even(event: &Event) -> bool {
    event.data.len().is_multiple_of(2)
}

/// A delivery: the subscription's number and the position.
type Key = (usize, u64);

/// What the handlers saw.
#[derive(Debug, Default)]
struct Notes {
    /// Handlers fail no more.
    is_calm: bool,
    /// How often the bus was stopped in order: what that cuts does not count.
    stops: u32,
    /// Attempts on what is answered that were handled: where there is no room for the answer, they do not count.
    answered: BTreeMap<Key, u32>,
    /// The latest attempt since attempts may have been forgotten.
    attempts: BTreeMap<Key, u32>,
    /// Events of which an attempt was begun, by subscription: the filter is asked no more.
    begun: BTreeSet<(usize, String)>,
    /// Handled at least once.
    handled: BTreeSet<Key>,
    /// Handled since the last start: not to be seen again before the next.
    handled_now: BTreeSet<Key>,
    /// Acknowledged and written: not to be seen again, unless the power is lost.
    settled: BTreeSet<Key>,
    /// Acknowledged and synced: not to be seen again.
    settled_for_good: BTreeSet<Key>,
    deliveries: u64,
    broken: Option<String>,
}

/// What happened, in sum.
#[derive(Debug, Default)]
struct Counted {
    trace: u64,
    published: u64,
    unknown: u64,
    deliveries: u64,
    starts: u64,
    kills: u64,
    power_losses: u64,
    failed_syncs: u64,
    refused_full: u64,
    healed: u64,
    filtered: u64,
    emitted: u64,
    redriven: u64,
    settled_for_good: u64,
    /// Histories at whose end something was dropped.
    dropped: u64,
}

impl Counted {
    fn add(&mut self, other: &Self) {
        self.trace ^= other.trace;
        self.published += other.published;
        self.unknown += other.unknown;
        self.deliveries += other.deliveries;
        self.starts += other.starts;
        self.kills += other.kills;
        self.power_losses += other.power_losses;
        self.failed_syncs += other.failed_syncs;
        self.refused_full += other.refused_full;
        self.healed += other.healed;
        self.filtered += other.filtered;
        self.emitted += other.emitted;
        self.redriven += other.redriven;
        self.settled_for_good += other.settled_for_good;
        self.dropped += other.dropped;
    }
}

struct History {
    seed: u64,
    chance: Chance,
    disk: SimDisk,
    segment_bytes: u64,
    known: Vec<Arc<Known>>,
    has_crashes: bool,
    has_power_losses: bool,
    has_failed_syncs: bool,
    has_clock_jumps: bool,
    /// What nobody needs is dropped at once.
    has_retention: bool,
    has_full_disks: bool,
    /// The disk takes no further file.
    is_full: bool,
    /// It was full in this life, and it is not known that all was stored since.
    was_full: bool,
    /// The log has not looked for room since the disk was full, and may refuse one publish before it does.
    may_refuse: bool,
    notes: Arc<Mutex<Notes>>,
    /// Acknowledged events and their positions.
    acknowledged: BTreeMap<String, u64>,
    published: Vec<Event>,
    now: Timestamp,
    counted: Counted,
}

fn lock(notes: &Mutex<Notes>) -> MutexGuard<'_, Notes> {
    notes.lock().unwrap()
}

/// One life of the process.
struct Life {
    bus: Bus,
    _running: Vec<Subscription>,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed ^ 0xB0B5);
        let known = (0..1 + chance.index(3))
            .map(|number| {
                let pattern = *chance.pick(&PATTERNS);
                Arc::new(Known {
                    name: format!("s{number}"),
                    pattern,
                    retries: u32::try_from(chance.below(5)).unwrap(),
                    concurrency: 1 + chance.index(4),
                    emits: chance.one_in(3),
                    has_filter: chance.one_in(3),
                })
            })
            .collect();
        Self {
            seed,
            disk: SimDisk::new(chance.bits()),
            segment_bytes: *chance.pick(&[4096, 8192, 65_536]),
            known,
            has_crashes: !chance.one_in(3),
            has_power_losses: chance.one_in(2),
            has_failed_syncs: chance.one_in(4),
            has_clock_jumps: chance.one_in(4),
            has_retention: chance.one_in(3),
            has_full_disks: chance.one_in(3),
            is_full: false,
            was_full: false,
            may_refuse: false,
            notes: Arc::default(),
            acknowledged: BTreeMap::new(),
            published: Vec::new(),
            now: Timestamp::from_milliseconds(1_767_225_600_000),
            counted: Counted::default(),
            chance,
        }
    }

    fn live(mut self) -> Counted {
        for _ in 0..1 + self.chance.below(5) {
            self.one_life(false);
        }
        self.one_life(true);
        let notes = lock(&self.notes);
        self.counted.deliveries = notes.deliveries;
        self.counted.settled_for_good = notes.settled_for_good.len() as u64;
        drop(notes);
        self.counted
    }

    /// A process from its start to its end, of whatever kind; its tasks go with it.
    fn one_life(&mut self, is_last: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let is_clean = runtime.block_on(async {
            let began = tokio::time::Instant::now();
            let is_clean = if is_last {
                self.last().await;
                true
            } else {
                self.act_all().await
            };
            self.now = self.now.after(began.elapsed());
            is_clean
        });
        if !is_clean && !self.disk.is_down() {
            self.disk.crash();
        }
        drop(runtime);
        let crash = match () {
            () if is_clean => Crash::Process,
            () if self.has_power_losses && self.chance.one_in(2) => Crash::Power,
            () => *self.chance.pick(&[Crash::Process, Crash::ProcessAndCache]),
        };
        let has_failed_sync = self.disk.has_failed_sync();
        self.counted.failed_syncs += u64::from(has_failed_sync);
        self.counted.kills += u64::from(!is_clean && crash != Crash::Power);
        self.counted.power_losses += u64::from(crash == Crash::Power);
        let mut notes = lock(&self.notes);
        if crash == Crash::Power || has_failed_sync {
            // What was only written may be forgotten.
            notes.attempts.clear();
            notes.begun.clear();
            notes.settled = notes.settled_for_good.clone();
        }
        notes.handled_now.clear();
        assert_eq!(notes.broken, None);
        drop(notes);
        if self.has_clock_jumps {
            // The wall clock is put right, or wrong, while the process is down.
            let jump = i64::try_from(self.chance.below(2 * CLOCK_JUMP_MS_MAX)).unwrap();
            let back = i64::try_from(CLOCK_JUMP_MS_MAX).unwrap();
            self.now = Timestamp::from_milliseconds(self.now.milliseconds() + jump - back);
        }
        self.disk.restart(crash);
        // As often as not somebody makes room meanwhile; what the last life could not store is not stored now.
        self.was_full = self.is_full;
        self.may_refuse = self.is_full;
        if self.is_full && self.chance.one_in(2) {
            self.set_full(false);
        }
    }

    fn set_full(&mut self, is_full: bool) {
        self.is_full = is_full;
        self.was_full |= is_full;
        self.may_refuse |= is_full;
        self.disk.set_room(if is_full { 0 } else { u64::MAX });
    }

    async fn open(&mut self) -> sagabus::Result<Life> {
        self.counted.starts += 1;
        let clock: Arc<dyn Clock> = Arc::new(TestClock::new(self.now, self.chance.bits()));
        let settings = Settings {
            segment_bytes: self.segment_bytes,
            deduplication_events: if self.has_retention {
                DEDUPLICATION_EVENTS
            } else {
                embedded::DEDUPLICATION_EVENTS
            },
            retention_bytes: if self.has_retention { 0 } else { u64::MAX },
            ..Settings::default()
        };
        let engine = Embedded::on(Arc::new(self.disk.clone()), &settings, Arc::clone(&clock))?;
        let bus = Bus::builder(Arc::new(engine), clock).build()?;
        let mut running = Vec::new();
        for number in 0..self.known.len() {
            running.push(self.subscribe(&bus, number).await?);
        }
        Ok(Life {
            bus,
            _running: running,
        })
    }

    async fn subscribe(&self, bus: &Bus, number: usize) -> sagabus::Result<Subscription> {
        let known = Arc::clone(&self.known[number]);
        let (notes, disk, seed) = (Arc::clone(&self.notes), self.disk.clone(), self.seed);
        let handled = Arc::clone(&known);
        let mut builder = bus.subscription(&known.name).pattern(known.pattern);
        if known.has_filter {
            let notes = Arc::clone(&self.notes);
            let filter = Filter::closure("even", move |event| {
                let mut notes = lock(&notes);
                if notes.begun.contains(&(number, event.id.to_string())) {
                    let text = format!("the filter of {number} is asked again of {}", event.id);
                    notes.broken.get_or_insert(text);
                    return false;
                }
                is_even(event)
            });
            builder = builder.filter(filter);
        }
        builder
            .start(Start::Earliest)
            .retry(Retry::times(known.retries).delay(Duration::from_millis(30)))
            .timeout(TIMEOUT)
            .concurrency(known.concurrency)
            .handler_emitting(move |delivery| {
                let (notes, disk, known) = (Arc::clone(&notes), disk.clone(), Arc::clone(&handled));
                async move {
                    handle(seed, number, &known, &notes, &disk, &delivery).await?;
                    Ok(answer(&known, &delivery))
                }
            })
            .await
    }

    /// A life with faults; whether it ended in good order.
    async fn act_all(&mut self) -> bool {
        if self.has_crashes && self.chance.one_in(3) {
            self.disk.crash_in(self.chance.below(40));
        }
        let life = match self.open().await {
            Ok(life) => life,
            Err(error) => {
                let is_excused = self.disk.is_down() || self.disk.has_failed_sync() || self.is_full;
                assert!(
                    is_excused && error.kind() != ErrorKind::Corrupt,
                    "{}",
                    error.chain()
                );
                return false;
            }
        };
        for _ in 0..self.chance.below(20) {
            self.act(&life.bus).await;
            if self.disk.is_down() || self.disk.has_failed_sync() {
                return false;
            }
            for ledger in life.bus.ledgers().list() {
                assert!(ledger.counts.is_conserved(), "{ledger:?}");
            }
        }
        if self.has_crashes && self.chance.one_in(2) {
            return false;
        }
        lock(&self.notes).stops += 1;
        life.bus
            .shutdown(Duration::from_millis(self.chance.below(2_000)))
            .await;
        // A log that stopped itself says why, whether it was closed after that or not.
        let condition = life.bus.condition().unwrap_err();
        let is_clean = !self.disk.is_down() && condition.to_string() == "the engine was closed";
        if is_clean {
            let mut notes = lock(&self.notes);
            notes.settled_for_good = notes.settled.clone();
        }
        is_clean
    }

    async fn act(&mut self, bus: &Bus) {
        match self.chance.below(12) {
            0 if self.has_crashes => self.disk.crash_in(self.chance.below(30)),
            1 if self.has_failed_syncs => self.disk.fail_sync_in(self.chance.below(4)),
            2 => self.redrive(bus).await,
            3 if self.is_full => self.heal(bus).await,
            3 if self.has_full_disks => self.set_full(true),
            3..=6 => {
                let milliseconds = *self.chance.pick(&[1, 10, 100, 1_000, 10_000]);
                tokio::time::sleep(Duration::from_millis(milliseconds)).await;
                self.note_settled(bus);
            }
            _ => self.publish(bus).await,
        }
    }

    async fn publish(&mut self, bus: &Bus) {
        let mut batch = Vec::new();
        for _ in 0..1 + self.chance.below(5) {
            // Where old ones are soon forgotten, a repeat may be a new event.
            let is_repeatable = !self.published.is_empty() && !self.has_retention;
            if is_repeatable && self.chance.one_in(5) {
                batch.push(self.chance.pick(&self.published).clone());
                continue;
            }
            let event_type = *self.chance.pick(&TYPES);
            let data = format!("\"{}\"", "x".repeat(self.chance.index(200)));
            let event = event(bus, event_type, &data);
            self.published.push(event.clone());
            batch.push(event);
        }
        self.note_settled(bus);
        let settled = lock(&self.notes).settled.clone();
        let answer = bus.publish_batch(batch).await;
        if self.disk.is_down() {
            // It reaches nobody.
            self.counted.unknown += 1;
            return;
        }
        match answer {
            Ok(receipts) => {
                assert!(
                    !self.disk.has_failed_sync(),
                    "acknowledged after a failed sync"
                );
                self.counted.published += receipts.len() as u64;
                for receipt in receipts {
                    let id = receipt.id.to_string();
                    let earlier = self.acknowledged.insert(id, receipt.position);
                    assert!(
                        earlier.is_none_or(|it| it == receipt.position && receipt.duplicate),
                        "{receipt:?} was {earlier:?}"
                    );
                }
                lock(&self.notes).settled_for_good = settled;
            }
            Err(error) if error.kind() == ErrorKind::Full => {
                assert!(
                    self.is_full || self.may_refuse,
                    "there is room: {}",
                    error.chain()
                );
                self.may_refuse = self.is_full;
                self.counted.refused_full += 1;
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Closed, "{}", error.chain());
                self.counted.unknown += 1;
            }
        }
    }

    /// There is room again, and without a restart everything goes on: publishes, and what the ledgers could not write.
    async fn heal(&mut self, bus: &Bus) {
        self.set_full(false);
        loop {
            let healed = event(bus, "a.x", "\"healed\"");
            let answer = bus.publish(healed.clone()).await;
            if self.disk.is_down() || self.disk.has_failed_sync() {
                return;
            }
            match answer {
                Ok(receipt) => {
                    self.acknowledged
                        .insert(receipt.id.to_string(), receipt.position);
                    self.published.push(healed);
                    break;
                }
                Err(error) => assert!(self.may_refuse, "there is room: {}", error.chain()),
            }
            self.may_refuse = false;
        }
        self.counted.healed += 1;
        for known in &self.known {
            // Durable, and no record of a ledger is stored without those before it.
            let told = bus.ledgers().set_pause(&known.name, None, By::default());
            if told.await.is_err() {
                assert!(self.disk.is_down() || self.disk.has_failed_sync());
                return;
            }
        }
        self.was_full = false;
    }

    /// Where no handler is at work, all that was handled is acknowledged.
    fn note_settled(&self, bus: &Bus) {
        if self.disk.is_down() || self.disk.has_failed_sync() || self.was_full {
            return;
        }
        let stats = bus.stats();
        let mut notes = lock(&self.notes);
        for (number, known) in self.known.iter().enumerate() {
            let subscription = stats.subscriptions.iter().find(|it| it.name == known.name);
            if subscription.is_some_and(|it| it.counts.leased == 0) {
                let handled: Vec<Key> = notes
                    .handled_now
                    .iter()
                    .filter(|(it, _)| *it == number)
                    .copied()
                    .collect();
                notes.settled.extend(handled);
            }
        }
    }

    async fn redrive(&mut self, bus: &Bus) {
        let query = DeadLetterQuery {
            max: 100_000,
            ..DeadLetterQuery::default()
        };
        let Ok(dead) = bus.dead_letters(query).await else {
            return;
        };
        for (number, known) in self.known.iter().enumerate() {
            let positions: Vec<u64> = dead
                .iter()
                .filter(|it| it.subscription == known.name)
                .map(|it| it.position)
                .collect();
            if positions.is_empty() {
                continue;
            }
            {
                let mut notes = lock(&self.notes);
                for position in &positions {
                    let key = (number, *position);
                    notes.attempts.remove(&key);
                    assert!(
                        !notes.settled.contains(&key),
                        "{key:?} was handled and is dead"
                    );
                }
            }
            match bus.ledgers().redrive(&known.name, &positions).await {
                Ok(count) => self.counted.redriven += count as u64,
                Err(error) => assert!(
                    self.disk.is_down()
                        || self.disk.has_failed_sync()
                        || (self.is_full && error.kind() == ErrorKind::Full),
                    "{}",
                    error.chain()
                ),
            }
        }
    }

    /// Without faults everything comes to a good end.
    async fn last(&mut self) {
        lock(&self.notes).is_calm = true;
        self.set_full(false);
        let life = self
            .open()
            .await
            .unwrap_or_else(|error| panic!("{}", error.chain()));
        tokio::time::sleep(LONG).await;
        self.redrive(&life.bus).await;
        tokio::time::sleep(LONG).await;
        let stats = life.bus.stats();
        assert_eq!((stats.queue, stats.dead_letters), (0, 0), "{stats:?}");
        // Before the runtime is dropped, which drops tasks in an order of its own.
        self.counted.trace = self.disk.trace();
        let stored = life.bus.read(1, 100_000).await.unwrap().events;
        let positions: BTreeMap<String, u64> = stored
            .iter()
            .map(|(position, event)| (event.id.to_string(), *position))
            .collect();
        assert_eq!(positions.len(), stored.len(), "an event is stored twice");
        let oldest = stats.kept.oldest;
        self.counted.dropped += u64::from(oldest > 1);
        assert!(oldest == 1 || self.has_retention);
        for (id, position) in &self.acknowledged {
            let found = positions.get(id);
            let is_there = found == Some(position) || (*position < oldest && found.is_none());
            assert!(is_there, "{id} was acknowledged");
        }
        let events: BTreeMap<String, &Event> = self
            .published
            .iter()
            .map(|event| (event.id.to_string(), event))
            .collect();
        let notes = lock(&self.notes);
        for (number, known) in self.known.iter().enumerate() {
            let pattern = Pattern::new(known.pattern).unwrap();
            let fitting = stored
                .iter()
                .filter(|(_, event)| pattern.matches(&event.event_type));
            let matched = fitting.count() as u64;
            let wanted: BTreeSet<Key> = stored
                .iter()
                .filter(|(_, event)| known.wants(event))
                .map(|(position, _)| (number, *position))
                .collect();
            // What is dropped was handled before by all who want it.
            for (id, position) in &self.acknowledged {
                assert!(
                    !known.wants(events[id]) || notes.handled.contains(&(number, *position)),
                    "`{}` never handles {id}",
                    known.name
                );
            }
            let lost: Vec<_> = wanted.difference(&notes.handled).collect();
            assert!(lost.is_empty(), "`{}` never handles {lost:?}", known.name);
            let subscription = stats.subscriptions.iter().find(|it| it.name == known.name);
            let counts = subscription.unwrap().counts;
            let filtered = matched - wanted.len() as u64;
            let found = (counts.matched, counts.acked, counts.filtered);
            let expected = (matched, wanted.len() as u64, filtered);
            let is_counted = found == expected
                || (oldest > 1
                    && found.0 >= expected.0
                    && found.0 == found.1 + found.2
                    && found.2 >= expected.2);
            assert!(is_counted, "`{}`: {counts:?}, not {expected:?}", known.name);
            self.counted.filtered += filtered;
            self.counted.emitted += check_emitted(known, &stored, oldest);
        }
    }
}

/// Each event that the subscription answered has one answer in the log. Answers of some that were dropped may be there.
fn check_emitted(known: &Known, stored: &[(u64, Arc<Event>)], oldest: u64) -> u64 {
    let answers = stored.iter().filter(|(_, event)| {
        event.event_type.as_str() == EMITTED && event.metadata.get(EMITTED_BY) == Some(&known.name)
    });
    let mut found: Vec<String> = answers
        .map(|(_, event)| event.causation_id.as_ref().unwrap().to_string())
        .collect();
    let causes = stored
        .iter()
        // One before that is kept for another subscription, and its answer to this one may be gone.
        .filter(|(position, _)| *position >= oldest)
        .filter(|(_, event)| known.wants(event) && known.answers(event));
    let mut expected: Vec<String> = causes.map(|(_, event)| event.id.to_string()).collect();
    found.sort();
    expected.sort();
    if oldest > 1 {
        let all = found.len();
        found.dedup();
        assert_eq!(found.len(), all, "`{}` answers twice", known.name);
        found.retain(|it| expected.contains(it));
    }
    assert_eq!(
        found, expected,
        "answers of `{}`, by their causes",
        known.name
    );
    found.len() as u64
}

/// What the handler answers with.
fn answer(known: &Known, delivery: &Delivery) -> Emit {
    if !known.answers(&delivery.event) {
        return Emit::none();
    }
    let mut event = delivery.event.as_ref().clone();
    event.event_type = EventType::new(EMITTED).unwrap();
    event
        .metadata
        .insert(EMITTED_BY.to_owned(), known.name.clone());
    Emit::none().event(event)
}

/// Notes a delivery and does as the seed says.
async fn handle(
    seed: u64,
    number: usize,
    known: &Known,
    notes: &Mutex<Notes>,
    disk: &SimDisk,
    delivery: &Delivery,
) -> Result<(), HandlerError> {
    let key = (number, delivery.position);
    let mut chance = Chance::new(
        seed ^ (delivery.position << 24) ^ (u64::from(delivery.attempt) << 8) ^ number as u64,
    );
    let is_calm = {
        let mut notes = lock(notes);
        if disk.is_down() {
            // The process is gone already.
            drop(notes);
            return pending().await;
        }
        notes.deliveries += 1;
        notes.begun.insert((number, delivery.event.id.to_string()));
        let earlier = notes.attempts.insert(key, delivery.attempt).unwrap_or(0);
        let answered = notes.answered.get(&key).copied().unwrap_or_default();
        let most = known.retries + 1 + notes.stops + answered;
        let broken = if delivery.attempt <= earlier {
            Some(format!("attempt {} after {earlier}", delivery.attempt))
        } else if delivery.attempt > most {
            Some(format!("attempt {} of {most}", delivery.attempt))
        } else if notes.settled.contains(&key) || notes.handled_now.contains(&key) {
            Some("a delivery after it was handled".to_owned())
        } else {
            None
        };
        if let Some(broken) = broken {
            notes.broken.get_or_insert(format!("{key:?}: {broken}"));
        }
        notes.is_calm
    };
    if !is_calm {
        match chance.below(12) {
            0 => return Err(HandlerError::permanent("never")),
            1..=3 => return Err(HandlerError::transient("not yet")),
            4 => std::panic::resume_unwind(Box::new("a handler that panics")),
            5 => return pending().await,
            6 | 7 => tokio::time::sleep(Duration::from_millis(chance.below(900))).await,
            _ => {}
        }
    }
    if disk.is_down() {
        return pending().await;
    }
    let mut notes = lock(notes);
    notes.handled.insert(key);
    if known.answers(&delivery.event) {
        // Its answer may not be stored yet, and it comes again.
        *notes.answered.entry(key).or_default() += 1;
    } else {
        notes.handled_now.insert(key);
    }
    Ok(())
}

fn live(seed: u64) -> Result<Counted, String> {
    let history = std::panic::AssertUnwindSafe(|| History::new(seed).live());
    std::panic::catch_unwind(history).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        format!("SEED={seed}: {}", text.unwrap_or_default())
    })
}

#[test]
fn the_bus_keeps_its_promises_in_every_simulated_history() {
    if let Some(seed) = number("SEED") {
        println!("{:#?}", live(seed).unwrap_or_else(|what| panic!("{what}")));
        return;
    }
    let seeds = number("SEEDS").unwrap_or(SEEDS);
    let all = live_all(seeds, live, Counted::add);
    println!("{seeds} histories: {all:#?}");
    for (count, what) in [
        (all.published, "acknowledged events"),
        (all.unknown, "appends of unknown outcome"),
        (all.deliveries, "deliveries"),
        (all.kills, "kills"),
        (all.power_losses, "losses of power"),
        (all.failed_syncs, "failed syncs"),
        (all.refused_full, "publishes refused for want of room"),
        (all.healed, "disks that had room again"),
        (all.filtered, "filtered events"),
        (all.emitted, "emitted events"),
        (all.redriven, "dead letters handed out again"),
        (all.settled_for_good, "deliveries handled for good"),
        (all.dropped, "logs of which something was dropped"),
    ] {
        assert!(count >= seeds / 50, "{count} {what}");
    }
}

#[test]
fn a_seed_lived_twice_is_the_same_history_of_the_bus() {
    for seed in 0..SEEDS_TWICE {
        let (first, second) = (live(seed).unwrap(), live(seed).unwrap());
        assert_eq!(first.trace, second.trace, "SEED={seed}");
    }
}

#[test]
fn a_log_that_forgets_shows_itself_in_the_histories_of_the_bus() {
    for bug in [
        Bug::NoSync,
        Bug::AckBeforeWrite,
        Bug::NeededDropped,
        Bug::IdsForgotten,
        Bug::CacheTrusted,
        // Found where the disk is full for a while.
        Bug::RefusedRemembered,
    ] {
        Bug::plant(Some(bug));
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let found = (0..SEEDS_PER_BUG).find(|seed| live(*seed).is_err());
        std::panic::set_hook(hook);
        Bug::plant(None);
        println!("{bug:?}: {found:?}");
        assert!(found.is_some(), "{bug:?} is not found");
    }
}

/// A history of an engine's members, and what in it must not be.
fn live_members(seed: u64) -> Result<(), String> {
    let lived = std::panic::catch_unwind(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let cluster = EmbeddedCluster::in_paused_memory();
            history::run(&cluster, seed, STEPS).await.0
        })
    });
    let history = lived.map_err(|_| "it breaks down".to_owned())?;
    match history::check(&history).first() {
        None => Ok(()),
        Some(violation) => Err(violation.to_string()),
    }
}

#[test]
fn a_log_that_drops_what_is_needed_shows_itself_in_the_histories_of_members() {
    Bug::plant(Some(Bug::NeededDropped));
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let found = (0..HISTORIES_PER_BUG).find_map(|seed| {
        let what = live_members(seed).err()?;
        what.starts_with("I13").then_some((seed, what))
    });
    std::panic::set_hook(hook);
    Bug::plant(None);
    println!("{found:?}");
    assert!(found.is_some());
}

#[test]
fn each_fault_planted_into_delivery_is_found() {
    const BUGS: [DeliveryBug; 17] = [
        DeliveryBug::AttemptCountedAtItsEnd,
        DeliveryBug::FencedSettleCounts,
        DeliveryBug::FollowersGo,
        DeliveryBug::RetryTooEarly,
        DeliveryBug::AckTakesEarlier,
        DeliveryBug::RedriveReachesAny,
        DeliveryBug::FaultsCut,
        DeliveryBug::SilentMemberKeeps,
        DeliveryBug::PassedWithoutEnd,
        DeliveryBug::PauseForgotten,
        DeliveryBug::FilterAskedAgain,
        DeliveryBug::SuspectInCompany,
        DeliveryBug::ReleaseCosts,
        DeliveryBug::AckNotCounted,
        DeliveryBug::AttemptsWithoutEnd,
        DeliveryBug::DeadLetterDropped,
        DeliveryBug::EmittedLost,
    ];
    let mut missed = Vec::new();
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    for bug in BUGS {
        DeliveryBug::plant(Some(bug));
        let of_members =
            (0..HISTORIES_PER_BUG).find_map(|seed| Some((seed, live_members(seed).err()?)));
        let of_bus = || (0..SEEDS_PER_BUG).find_map(|seed| Some((seed, live(seed).err()?)));
        match of_members
            .map(|it| ("members", it))
            .or_else(|| Some(("bus", of_bus()?)))
        {
            Some((whose, (seed, what))) => println!("{bug:?}: {whose}, seed {seed}: {what}"),
            None => missed.push(bug),
        }
        DeliveryBug::plant(None);
    }
    std::panic::set_hook(hook);
    assert!(missed.is_empty(), "not found: {missed:?}");
}
