//! Whatever the order of threads: what is acknowledged is on the disk, in the order of its positions, and nothing is after a failed sync.

use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;
use crate::engines::embedded::disk::DiskFile;
use crate::engines::embedded::planted::Bug;
use crate::engines::embedded::record;
use crate::engines::embedded::simulation::{Crash, SimDisk};

const THREADS: u64 = 5;

/// A disk that loses what was not synced. Others get their turn before each write and each sync, and after it.
#[derive(Debug)]
struct Turns(SimDisk);

#[derive(Debug)]
struct TurnsFile(Arc<dyn DiskFile>);

fn in_turn<T>(act: impl FnOnce() -> T) -> T {
    thread::yield_now();
    let done = act();
    thread::yield_now();
    done
}

impl Disk for Turns {
    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }

    fn create(&self, name: &str, len: u64) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.0.create(name, len)?;
        Ok(Arc::new(TurnsFile(file)))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.0.open(name)?;
        Ok(Arc::new(TurnsFile(file)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }

    /// So that no thread is started whose turns nobody tells.
    fn is_instant(&self) -> bool {
        true
    }
}

impl DiskFile for TurnsFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        in_turn(|| self.0.write_at(offset, bytes))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(offset, buffer)
    }

    fn sync(&self) -> io::Result<()> {
        in_turn(|| self.0.sync())
    }

    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
}

/// What goes wrong with the disk.
#[derive(Clone, Copy)]
enum Trouble {
    /// Power is lost as soon as one of the threads has its answer.
    Power,
    /// The sync after so many more fails.
    Sync(u64),
}

/// What the threads were told until the disk was gone: ids of events by their positions.
type Acknowledged = Arc<Mutex<BTreeMap<u64, String>>>;

/// One thread: an append, and what it is told.
fn append_once(log: &Log, disk: &SimDisk, acknowledged: &Acknowledged, takes_power: bool) {
    let append = append(log.keys());
    let id = append.entries[0].content().1.to_vec();
    let id = record::named(&id).unwrap().id.to_owned();
    let answer = block_on(log.enqueue(append).done());
    let is_over = disk.is_down() || disk.has_failed_sync();
    match answer {
        // Its answer was given before, and is heard only now.
        Ok(_) if disk.is_down() => {}
        Ok(placed) => {
            let before = acknowledged.lock().unwrap().insert(placed.first, id);
            assert_eq!(before, None, "two events at one position");
            if takes_power {
                disk.crash();
            }
        }
        Err(error) => assert!(is_over, "{}", error.chain()),
    }
}

fn live(trouble: Trouble) {
    let disk = SimDisk::new(SEED);
    let (parts, watch) = parts_on(Arc::new(Turns(disk.clone())));
    let log = Arc::new(Log::start(parts).unwrap());
    if let Trouble::Sync(syncs) = trouble {
        disk.fail_sync_in(syncs);
    }
    let acknowledged = Acknowledged::default();
    let all: Vec<_> = (0..THREADS)
        .map(|at| {
            let (log, disk) = (Arc::clone(&log), disk.clone());
            let acknowledged = Arc::clone(&acknowledged);
            let takes_power = matches!(trouble, Trouble::Power) && at == 0;
            thread::spawn(move || append_once(&log, &disk, &acknowledged, takes_power))
        })
        .collect();
    for one in all {
        one.join().unwrap();
    }
    let told = watch.told.lock().unwrap().clone();
    let places: Vec<u64> = told.iter().map(|(at, _)| *at).collect();
    let expected: Vec<u64> = (1..).take(places.len()).collect();
    assert_eq!(places, expected, "durable in another order");
    disk.crash();
    drop(log);
    disk.restart(Crash::Power);
    let mut stored = BTreeMap::new();
    recover(&disk, &mut |position, kind, content, _| {
        if kind == record::EVENT {
            stored.insert(position, record::named(content)?.id.to_owned());
        }
        Ok(())
    })
    .unwrap();
    for (position, id) in acknowledged.lock().unwrap().iter() {
        assert_eq!(stored.get(position), Some(id), "{position} is lost");
    }
}

const SEED: u64 = 11;
const ROUNDS: usize = 1_000;
const TROUBLES: [Trouble; 4] = [
    Trouble::Power,
    Trouble::Sync(0),
    Trouble::Sync(1),
    Trouble::Sync(2),
];

#[test]
fn what_is_acknowledged_is_on_the_disk_in_its_order_whatever_the_order_of_threads() {
    for trouble in TROUBLES {
        in_random_orders(ROUNDS, move || live(trouble));
    }
}

#[test]
fn an_acknowledgement_before_or_without_its_sync_is_found_in_some_order_of_threads() {
    for bug in [Bug::AckBeforeSync, Bug::NoSync, Bug::AckAfterFailedSync] {
        Bug::plant(Some(bug));
        let mut troubles = TROUBLES.into_iter();
        let is_found = troubles.any(|trouble| {
            let run = || in_random_orders(ROUNDS, move || live(trouble));
            catch_unwind(AssertUnwindSafe(run)).is_err()
        });
        Bug::plant(None);
        assert!(is_found, "{bug:?}");
    }
}
