//! The order in which an append takes effect for those who watch the log, and that each is answered whatever the order of threads.

#[cfg(feature = "simulation")]
mod power;

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use shuttle::future::block_on;
use shuttle::thread;

use super::*;
use crate::clock::SystemClock;
use crate::engines::embedded::disk::{Disk, MemoryDisk};
use crate::engines::embedded::recovery::recover;
use crate::engines::embedded::room;
use crate::engines::embedded::window::Limits;
use crate::engines::embedded::window::Window;
use crate::event::EventType;
use crate::sync::any_order::in_random_orders;

/// Notes for each event whether it could be read already when its observer was told of it.
#[derive(Debug)]
struct Watch {
    shared: Arc<Shared>,
    told: Mutex<Vec<(u64, bool)>>,
}

impl Observer for Watch {
    fn durable(&self, events: &mut Vec<(u64, Arc<Event>)>) {
        let readable = self.shared.durable.load(Ordering::Acquire);
        let mut told = self.told.lock().unwrap();
        told.extend(events.iter().map(|(at, _)| (*at, *at < readable)));
    }
}

/// A new log in memory, with who watches it.
fn parts() -> (committer::Parts, Arc<Watch>) {
    parts_on(Arc::new(MemoryDisk::default()))
}

fn parts_on(disk: Arc<dyn Disk>) -> (committer::Parts, Arc<Watch>) {
    let recovered = recover(disk.as_ref(), &mut |_, _, _, _| Ok(())).unwrap();
    let room = room::Watch::new(Arc::clone(&disk), 0);
    let shared = Arc::new(Shared::new(&recovered, room));
    let watch = Arc::new(Watch {
        shared: Arc::clone(&shared),
        told: Mutex::default(),
    });
    let parts = committer::Parts {
        disk,
        segment_bytes: 64 * 1024,
        salt_seed: (1, 2),
        shared,
        recovered,
        observer: Arc::clone(&watch) as Arc<dyn Observer>,
        window: Window::new(Limits {
            events: 100,
            time: Duration::from_hours(24),
        }),
        clock: Arc::new(SystemClock),
    };
    (parts, watch)
}

fn append(keys: &Keys) -> Append {
    let event_type = EventType::new("a.b").unwrap();
    let event = Event::raw(event_type, "test", Bytes::from_static(b"1"), &SystemClock);
    Append {
        entries: vec![Entry::event(Arc::new(event), keys, Duration::ZERO)],
        durability: Durability::Synced,
        admission: Admission::New,
        link: None,
    }
}

#[tokio::test]
async fn an_event_is_counted_by_its_observer_before_anybody_can_read_it() {
    let (parts, watch) = parts();
    let shared = Arc::clone(&parts.shared);
    let log = Log::start(parts).unwrap();
    for _ in 0..3 {
        let placed = log.enqueue(append(log.keys())).done().await.unwrap();
        assert_eq!(shared.durable.load(Ordering::Acquire), placed.first + 1);
    }
    assert_eq!(
        *watch.told.lock().unwrap(),
        [(1, false), (2, false), (3, false)]
    );
}

/// The answers to appends of so many threads; where `closes`, another one closes the log meanwhile.
fn append_from_threads(threads: usize, closes: bool) -> Vec<Result<Placed>> {
    let log = Arc::new(Log::start(parts().0).unwrap());
    let all: Vec<_> = (0..threads)
        .map(|_| {
            let log = Arc::clone(&log);
            thread::spawn(move || block_on(log.enqueue(append(log.keys())).done()))
        })
        .collect();
    if closes {
        log.close();
    }
    all.into_iter().map(|it| it.join().unwrap()).collect()
}

#[test]
fn every_append_is_answered_though_its_thread_found_another_at_work_in_any_order() {
    in_random_orders(2_000, || {
        let answers = append_from_threads(4, false).into_iter();
        let positions: BTreeSet<u64> = answers.map(|placed| placed.unwrap().first).collect();
        assert_eq!(positions, (1..=4).collect());
    });
}

#[test]
fn an_append_that_meets_the_close_is_stored_or_told_so_in_any_order_of_threads() {
    in_random_orders(2_000, || {
        let mut positions = BTreeSet::new();
        for answer in append_from_threads(3, true) {
            match answer {
                Ok(placed) => assert!(positions.insert(placed.first)),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Closed),
            }
        }
        let stored = u64::try_from(positions.len()).unwrap();
        assert_eq!(positions, (1..=stored).collect());
    });
}

#[test]
fn every_group_is_answered_though_some_have_stopped_waiting_in_any_order_of_threads() {
    in_random_orders(2_000, || {
        let (parts, watch) = parts();
        let keys = parts.window.keys().clone();
        let committer = Committer::new(parts).unwrap();
        let (sender, receiver) = mpsc::channel();
        let writer = thread::spawn(move || committer.run(&receiver));
        let sender = Arc::new(sender);
        let all: Vec<_> = (0..6)
            .map(|at| {
                let (sender, append) = (Arc::clone(&sender), append(&keys));
                thread::spawn(move || {
                    let (reply, answer) = oneshot::channel();
                    sender.send(Request { append, reply }).unwrap();
                    drop(sender);
                    // The others may be left to this one.
                    (at % 3 != 0).then(|| block_on(answer).unwrap().unwrap().open().first)
                })
            })
            .collect();
        drop(sender);
        let answers = all.into_iter().map(|it| it.join().unwrap());
        let positions: BTreeSet<u64> = answers.flatten().collect();
        assert_eq!(positions.len(), 4);
        writer.join().unwrap();
        assert_eq!(watch.told.lock().unwrap().len(), 6);
    });
}
