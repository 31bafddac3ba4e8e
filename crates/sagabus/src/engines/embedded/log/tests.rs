//! The order in which an append takes effect for those who watch the log.

use bytes::Bytes;

use std::time::Duration;

use super::*;
use crate::clock::SystemClock;
use crate::engines::embedded::disk::MemoryDisk;
use crate::engines::embedded::recovery::recover;
use crate::engines::embedded::window::Limits;
use crate::engines::embedded::window::Window;
use crate::event::EventType;

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

#[tokio::test]
async fn an_event_is_counted_by_its_observer_before_anybody_can_read_it() {
    let disk = Arc::new(MemoryDisk::default());
    let recovered = recover(disk.as_ref(), &mut |_, _, _, _| Ok(())).unwrap();
    let shared = Arc::new(Shared::new(&recovered));
    let watch = Arc::new(Watch {
        shared: Arc::clone(&shared),
        told: Mutex::default(),
    });
    let log = Log::start(committer::Parts {
        disk,
        segment_bytes: 64 * 1024,
        salt_seed: (1, 2),
        shared: Arc::clone(&shared),
        recovered,
        observer: Arc::clone(&watch) as Arc<dyn Observer>,
        window: Window::new(Limits {
            events: 100,
            time: Duration::from_hours(24),
        }),
        clock: Arc::new(SystemClock),
    })
    .unwrap();
    for _ in 0..3 {
        let event_type = EventType::new("a.b").unwrap();
        let event = Event::raw(event_type, "test", Bytes::from_static(b"1"), &SystemClock);
        let append = Append {
            entries: vec![Entry::event(Arc::new(event), log.keys(), Duration::ZERO)],
            durability: Durability::Synced,
            refusable: true,
            link: None,
        };
        let placed = log.enqueue(append).done().await.unwrap();
        assert_eq!(shared.durable.load(Ordering::Acquire), placed.first + 1);
    }
    assert_eq!(
        *watch.told.lock().unwrap(),
        [(1, false), (2, false), (3, false)]
    );
}
