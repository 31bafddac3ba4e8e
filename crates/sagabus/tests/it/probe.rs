//! A process that publishes and consumes, to be killed; and what its log must hold after that.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use sagabus::engines::embedded::{Embedded, Settings};
use sagabus::{Bus, Retry, Start, SystemClock};

use crate::support::{Checked, checked, idle};

/// Far more than anything here takes.
const DEADLINE: Duration = Duration::from_secs(60);

/// As the probe's.
const SEGMENT_BYTES: u64 = 64 * 1024;

/// As the probe's.
const RETRIES: u32 = 10_000;

/// How a probe is started.
pub(crate) struct Order<'a> {
    pub(crate) directory: &'a Path,
    pub(crate) life: usize,
    pub(crate) publishers: usize,
    pub(crate) subscriptions: usize,
    pub(crate) events: usize,
    /// What is old and needed by nobody is dropped.
    pub(crate) drops: bool,
}

impl Order<'_> {
    /// The probe's arguments.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![self.directory.to_str().unwrap().to_owned()];
        let numbers = [self.life, self.publishers, self.subscriptions, self.events];
        arguments.extend(numbers.map(|it| it.to_string()));
        if self.drops {
            arguments.push("drop".to_owned());
        }
        arguments
    }
}

/// The lines of a probe so far.
#[derive(Default)]
struct Heard {
    lines: Vec<String>,
    has_ended: bool,
}

/// A running probe.
pub(crate) struct Probe {
    child: Child,
    heard: Arc<(Mutex<Heard>, Condvar)>,
    reader: Option<JoinHandle<()>>,
}

impl Probe {
    pub(crate) fn start(order: &Order<'_>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fault-probe"));
        command.args(order.arguments());
        Self::run(command)
    }

    /// Starts any process whose lines are to be heard.
    pub(crate) fn run(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let heard = Arc::new((Mutex::new(Heard::default()), Condvar::new()));
        let output = BufReader::new(child.stdout.take().unwrap());
        let shared = Arc::clone(&heard);
        let reader = std::thread::spawn(move || {
            for line in output.split(b'\n') {
                let Ok(line) = line else { break };
                let line = String::from_utf8(line).unwrap();
                shared.0.lock().unwrap().lines.push(line);
                shared.1.notify_all();
            }
            shared.0.lock().unwrap().has_ended = true;
            shared.1.notify_all();
        });
        Self {
            child,
            heard,
            reader: Some(reader),
        }
    }

    /// Waits until `is_enough` of the lines so far, or the end of the process; says whether it was enough.
    pub(crate) fn wait_until(&self, is_enough: impl Fn(&[String]) -> bool) -> bool {
        let guard = self.heard.0.lock().unwrap();
        let (heard, timeout) = self
            .heard
            .1
            .wait_timeout_while(guard, DEADLINE, |heard| {
                !heard.has_ended && !is_enough(&heard.lines)
            })
            .unwrap();
        assert!(!timeout.timed_out(), "{} lines", heard.lines.len());
        is_enough(&heard.lines)
    }

    /// The lines so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.heard.0.lock().unwrap().lines.clone()
    }

    /// Kills it and returns all its whole lines.
    pub(crate) fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.reader.take().unwrap().join().unwrap();
        self.lines()
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        // Killed already, unless a test failed.
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// How many events these lines acknowledge.
pub(crate) fn acknowledged(lines: &[String]) -> usize {
    lines.iter().filter(|it| it.starts_with("A ")).count()
}

/// What probes said about one directory.
#[derive(Debug, Default)]
pub(crate) struct Book {
    /// Ids and positions.
    pub(crate) acknowledged: BTreeMap<String, u64>,
    /// The latest attempt of each subscription at each position.
    attempts: BTreeMap<(String, u64), u32>,
    /// What reached a subscription.
    handled: BTreeSet<(String, u64)>,
    /// So many subscriptions must have handled an event before it may be gone.
    drops_for: Option<usize>,
    /// Events that were acknowledged and are gone, as found last.
    pub(crate) dropped: usize,
}

impl Book {
    /// Of processes that drop what so many subscriptions have handled, or drop nothing.
    pub(crate) fn dropping(drops_for: Option<usize>) -> Self {
        Self {
            drops_for,
            ..Self::default()
        }
    }

    /// Takes a probe's lines into account; attempts must grow.
    pub(crate) fn add(&mut self, lines: &[String]) {
        self.add_handled(lines);
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["A", id, position] => {
                    let position = position.parse().unwrap();
                    let earlier = self.acknowledged.insert((*id).to_owned(), position);
                    assert_eq!(earlier, None, "{id} is acknowledged twice");
                }
                ["H", name, position, attempt] => {
                    let key = ((*name).to_owned(), position.parse().unwrap());
                    let attempt = attempt.parse().unwrap();
                    let earlier = self.attempts.insert(key, attempt).unwrap_or(0);
                    assert!(
                        attempt > earlier,
                        "{line}: attempt {earlier} was made before"
                    );
                }
                ["D", ..] | ["F"] => {}
                // A kill may cut the last line.
                _ => assert!(line.len() < 64 && !line.starts_with('E'), "{line}"),
            }
        }
    }

    /// Takes the deliveries among a probe's lines into account, without a look at their attempts, which may be forgotten.
    pub(crate) fn add_handled(&mut self, lines: &[String]) {
        for line in lines {
            if let ["D", name, position] = line.split(' ').collect::<Vec<_>>()[..] {
                let position = position.parse().unwrap();
                self.handled.insert((name.to_owned(), position));
            }
        }
    }

    /// As [`Book::add`], for the acknowledgements alone.
    pub(crate) fn add_acknowledged(&mut self, lines: &[String]) {
        let lines: Vec<String> = lines
            .iter()
            .filter(|it| it.starts_with("A "))
            .cloned()
            .collect();
        self.add(&lines);
    }

    /// The log in `directory` holds all that was acknowledged, where that was said to be, and each event once, each
    /// publisher's in order. Returns how many there are.
    pub(crate) async fn check(&mut self, directory: &Path) -> usize {
        let bus = open(directory).unwrap_or_else(|error| panic!("{}", error.chain()));
        let mut found: BTreeMap<String, u64> = BTreeMap::new();
        let mut latest: BTreeMap<String, usize> = BTreeMap::new();
        let mut position = 1;
        loop {
            let page = bus.read(position, 10_000).await.unwrap();
            for (position, event) in &page.events {
                let id = event.id.as_str();
                let data = std::str::from_utf8(&event.data).unwrap();
                assert!(data.starts_with(&format!("\"{id} ")), "{id} has {data}");
                let earlier = found.insert(id.to_owned(), *position);
                assert_eq!(earlier, None, "{id} is stored twice");
                let (publisher, number) = id.rsplit_once('-').unwrap();
                let number: usize = number.parse().unwrap();
                let before = latest.insert(publisher.to_owned(), number);
                let least = before.map_or(0, |it| it + 1);
                let is_in_order = least == number || (self.drops_for.is_some() && least < number);
                assert!(is_in_order, "{id} is out of order");
            }
            position = page.next;
            if page.is_last {
                break;
            }
        }
        let oldest = bus.stats().kept.oldest;
        self.dropped = 0;
        for (id, position) in &self.acknowledged {
            let is_handled =
                |number: usize| self.handled.contains(&(format!("s{number}"), *position));
            let is_dropped = self.drops_for.is_some_and(|subscriptions| {
                !found.contains_key(id) && *position < oldest && (0..subscriptions).all(is_handled)
            });
            self.dropped += usize::from(is_dropped);
            assert!(
                is_dropped || found.get(id) == Some(position),
                "{id} was acknowledged and is lost"
            );
        }
        bus.shutdown(DEADLINE).await;
        found.len()
    }

    /// Every event reaches each of the subscriptions in the end.
    pub(crate) async fn check_handled(&self, directory: &Path, subscriptions: usize) {
        let bus = open(directory).unwrap();
        let handled: Arc<Mutex<BTreeSet<(String, u64)>>> =
            Arc::new(Mutex::new(self.handled.clone()));
        for number in 0..subscriptions {
            let handled = Arc::clone(&handled);
            bus.subscription(&format!("s{number}"))
                .pattern("**")
                .start(Start::Earliest)
                // What a kill interrupted is not given up.
                .retry(Retry::times(RETRIES))
                .handler(move |delivery| {
                    let key = (delivery.subscription.to_string(), delivery.position);
                    handled.lock().unwrap().insert(key);
                    async { Ok(()) }
                })
                .await
                .unwrap();
        }
        idle(&bus).await;
        let stats = bus.stats();
        assert_eq!(stats.dead_letters, 0, "{stats:?}");
        bus.shutdown(DEADLINE).await;
        let handled = handled.lock().unwrap();
        for position in self.acknowledged.values() {
            for number in 0..subscriptions {
                let key = (format!("s{number}"), *position);
                assert!(handled.contains(&key), "{key:?} is never handled");
            }
        }
    }
}

fn open(directory: &Path) -> sagabus::Result<Checked> {
    let clock = Arc::new(SystemClock);
    let settings = Settings {
        segment_bytes: SEGMENT_BYTES,
        ..Settings::default()
    };
    let engine = Embedded::open(directory, &settings, Arc::clone(&clock) as _)?;
    let bus = Bus::builder(Arc::new(engine), clock).build();
    bus.map(checked)
}
