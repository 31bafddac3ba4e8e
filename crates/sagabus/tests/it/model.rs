//! A random course of publishing, failing, stopping, restarting and repairing, compared with a simple model.

#![expect(
    clippy::indexing_slicing,
    reason = "subscriptions, patterns and types are numbers below the lengths of their tables"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use sagabus::bus::Subscription;
use sagabus::clock::TestClock;
use sagabus::engines::embedded::disk::MemoryDisk;
use sagabus::engines::embedded::{Embedded, Settings};
use sagabus::transport::DeadLetterQuery;
use sagabus::{Bus, Clock, HandlerError, Retry, Start, Timestamp};

use crate::support::{Checked, checked, event};

const NAMES: [&str; 2] = ["one", "two"];
const PATTERNS: [&str; 3] = ["a.*", "*.y", "**"];
const TYPES: [&str; 3] = ["a.x", "a.y", "b.y"];

#[derive(Clone, Copy, Debug)]
enum Act {
    Publish(usize, usize),
    Start(usize, usize),
    Stop(usize),
    Remove(usize),
    /// From now on a handler fails the given share of its calls, in tenths.
    Fail(usize, u8),
    Redrive(usize),
    Wait(u64),
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    let name = 0..NAMES.len();
    prop_oneof![
        6 => (0..TYPES.len(), 1..20_usize).prop_map(|(kind, count)| Act::Publish(kind, count)),
        3 => (name.clone(), 0..PATTERNS.len()).prop_map(|(name, it)| Act::Start(name, it)),
        1 => name.clone().prop_map(Act::Stop),
        1 => name.clone().prop_map(Act::Remove),
        2 => (name.clone(), 0..=10_u8).prop_map(|(name, tenths)| Act::Fail(name, tenths)),
        2 => name.prop_map(Act::Redrive),
        3 => (1..5_000_u64).prop_map(Act::Wait),
        1 => Just(Act::Restart),
    ]
}

/// What the handlers of one subscription saw. Shared by all handlers that it had.
#[derive(Debug, Default)]
struct Seen {
    handled: BTreeMap<u64, u32>,
    fail_tenths: u8,
    calls: u64,
}

/// What must hold for one subscription.
#[derive(Debug, Default)]
struct Expected {
    /// Positions that it has to handle.
    events: BTreeSet<u64>,
    pattern: usize,
}

struct Course {
    disk: MemoryDisk,
    clock: Arc<dyn Clock>,
    bus: Checked,
    running: BTreeMap<usize, Subscription>,
    seen: [Arc<Mutex<Seen>>; 2],
    expected: BTreeMap<usize, Expected>,
}

fn open(disk: &MemoryDisk, clock: &Arc<dyn Clock>) -> Checked {
    let settings = Settings {
        segment_bytes: 8192,
        ..Settings::default()
    };
    let engine = Embedded::on(Arc::new(disk.clone()), &settings, Arc::clone(clock)).unwrap();
    let bus = Bus::builder(Arc::new(engine), Arc::clone(clock)).build();
    checked(bus.unwrap())
}

impl Course {
    fn new() -> Self {
        let disk = MemoryDisk::default();
        let clock: Arc<dyn Clock> = Arc::new(TestClock::new(Timestamp::from_milliseconds(1), 3));
        Self {
            bus: open(&disk, &clock),
            disk,
            clock,
            running: BTreeMap::new(),
            seen: Default::default(),
            expected: BTreeMap::new(),
        }
    }

    async fn act(&mut self, act: Act) {
        match act {
            Act::Publish(kind, count) => self.publish(TYPES[kind], count).await,
            Act::Start(name, pattern) => self.start(name, pattern).await,
            Act::Stop(name) => {
                if let Some(running) = self.running.remove(&name) {
                    running.stop(Duration::from_millis(3)).await;
                }
            }
            Act::Remove(name) => {
                if !self.running.contains_key(&name) {
                    let existed = self.bus.remove(NAMES[name]).await.unwrap();
                    assert_eq!(existed, self.expected.remove(&name).is_some());
                    self.seen[name].lock().unwrap().handled.clear();
                }
            }
            Act::Fail(name, tenths) => self.seen[name].lock().unwrap().fail_tenths = tenths,
            Act::Redrive(name) => {
                self.redrive(name).await;
            }
            Act::Wait(milliseconds) => {
                tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            }
            Act::Restart => {
                self.running.clear();
                self.bus.shutdown(Duration::from_millis(3)).await;
                self.bus = open(&self.disk, &self.clock);
            }
        }
        for ledger in self.bus.ledgers().list() {
            assert!(ledger.counts.is_conserved(), "{ledger:?}");
        }
    }

    async fn publish(&mut self, event_type: &str, count: usize) {
        let events: Vec<_> = (0..count)
            .map(|it| event(&self.bus, event_type, &it.to_string()))
            .collect();
        let receipts = self.bus.publish_batch(events).await.unwrap();
        let (family, word) = event_type.split_once('.').unwrap();
        for expected in self.expected.values_mut() {
            let fits = match PATTERNS[expected.pattern] {
                "a.*" => family == "a",
                "*.y" => word == "y",
                _ => true,
            };
            if fits {
                let positions = receipts.iter().map(|it| it.position);
                expected.events.extend(positions);
            }
        }
    }

    async fn start(&mut self, name: usize, pattern: usize) {
        if self.running.contains_key(&name) {
            return;
        }
        // A known one keeps its pattern: what another one means for events between is told elsewhere.
        let expected = self.expected.entry(name).or_insert_with(|| Expected {
            pattern,
            ..Expected::default()
        });
        let seen = Arc::clone(&self.seen[name]);
        let retry = Retry::times(2).delay(Duration::from_millis(20));
        let started = self
            .bus
            .subscription(NAMES[name])
            .pattern(PATTERNS[expected.pattern])
            .start(Start::Latest)
            .retry(retry)
            .concurrency(3)
            .handler(move |delivery| {
                let seen = Arc::clone(&seen);
                async move {
                    tokio::time::sleep(Duration::from_millis(delivery.position % 7)).await;
                    let mut seen = seen.lock().unwrap();
                    seen.calls += 1;
                    if seen.calls * 7 % 10 < u64::from(seen.fail_tenths) {
                        return Err(HandlerError::transient("asked to fail"));
                    }
                    *seen.handled.entry(delivery.position).or_default() += 1;
                    Ok(())
                }
            });
        self.running.insert(name, started.await.unwrap());
    }

    async fn dead(&self, name: usize) -> Vec<u64> {
        let query = DeadLetterQuery {
            subscription: Some(NAMES[name].to_owned()),
            max: 100_000,
            ..DeadLetterQuery::default()
        };
        let found = self.bus.dead_letters(query).await.unwrap_or_default();
        found.iter().map(|it| it.position).collect()
    }

    async fn redrive(&self, name: usize) {
        let dead = self.dead(name).await;
        if !dead.is_empty() {
            let redriven = self.bus.ledgers().redrive(NAMES[name], &dead).await;
            assert_eq!(redriven.unwrap(), dead.len());
        }
    }

    /// Lets everything come to an end without failures, and compares.
    async fn finish(mut self) {
        for seen in &self.seen {
            seen.lock().unwrap().fail_tenths = 0;
        }
        for name in 0..NAMES.len() {
            if self.expected.contains_key(&name) {
                self.start(name, 0).await;
            }
        }
        tokio::time::sleep(Duration::from_mins(1)).await;
        for name in self.expected.keys() {
            self.redrive(*name).await;
        }
        tokio::time::sleep(Duration::from_mins(1)).await;
        let stats = self.bus.stats();
        assert_eq!(stats.queue, 0, "{stats:?}");
        assert_eq!(stats.dead_letters, 0, "{stats:?}");
        for (name, expected) in &self.expected {
            let seen = self.seen[*name].lock().unwrap();
            let handled: BTreeSet<u64> = seen.handled.keys().copied().collect();
            assert_eq!(handled, expected.events, "`{}`", NAMES[*name]);
            let twice: Vec<_> = seen.handled.iter().filter(|it| *it.1 > 1).collect();
            assert!(twice.is_empty(), "`{}` twice: {twice:?}", NAMES[*name]);
            let ledger = stats
                .subscriptions
                .iter()
                .find(|it| it.name == NAMES[*name]);
            let counts = ledger.unwrap().counts;
            assert_eq!(counts.acked, expected.events.len() as u64);
            assert_eq!(counts.matched, counts.acked);
        }
        self.bus.shutdown(Duration::from_secs(1)).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn each_subscription_handles_each_of_its_events_once_whatever_happens_between(
        acts in prop::collection::vec(act(), 1..60)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut course = Course::new();
            for act in acts {
                course.act(act).await;
            }
            course.finish().await;
        });
    }
}
