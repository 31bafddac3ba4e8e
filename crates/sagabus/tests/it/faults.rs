//! Real faults of real processes, file systems and files: nothing acknowledged is lost, nothing is stored twice.
//!
//! `RUN_SLOW=1` makes campaigns of them. What a machine lacks is said, and skipped.

#![expect(
    clippy::print_stdout,
    reason = "a test says what it met, and what the machine lacks"
)]
#![expect(
    clippy::indexing_slicing,
    reason = "what is damaged is chosen within the files and their lengths"
)]

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sagabus::engines::embedded::disk::{Disk, RealDisk};
use sagabus::engines::embedded::simulation::Chance;
use sagabus::engines::embedded::{Embedded, Settings};
use sagabus::saga_store::{SagaBatch, SagaStore};
use sagabus::transport::Transport;
use sagabus::{Bus, Clock, ErrorKind, HandlerError, Retry, Start, SystemClock};
use tempfile::{TempDir, tempdir};

use crate::probe::{Book, Order, Probe, acknowledged};
use crate::support::{event, idle};

/// Publishers of a probe.
const PUBLISHERS: usize = 8;
/// Subscriptions of a probe.
const SUBSCRIPTIONS: usize = 2;
/// More events than any probe lives to publish.
const EVENTS: usize = 1_000_000;
/// Lives of probes over one directory.
const LIVES: usize = 20;
/// Most acknowledgements that are waited for before a fault.
const ACKNOWLEDGED_MAX: u64 = 400;

/// Numbers from `SAGABUS_SEED`, or new each time; says which.
fn chance() -> Chance {
    let given = std::env::var_os("SAGABUS_SEED").map(|it| it.to_str().unwrap().parse().unwrap());
    let seed = given.unwrap_or_else(|| SystemClock.random());
    println!("SAGABUS_SEED={seed}");
    Chance::new(seed)
}

/// The ordinary number of rounds, or that of a campaign.
fn rounds(ordinary: usize, campaign: usize) -> usize {
    if std::env::var_os("RUN_SLOW").is_some() {
        campaign
    } else {
        ordinary
    }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(future)
}

/// Runs a command; its complaint if it fails.
fn ran(command: &mut Command) -> Result<(), String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?}: {}", complaint.trim()))
}

/// Lets a probe live until it acknowledged some events, or for a moment only.
fn live(probe: &Probe, chance: &mut Chance) {
    if chance.one_in(4) {
        // Within the start: there is no signal from there to wait for.
        std::thread::sleep(Duration::from_micros(chance.below(30_000)));
        return;
    }
    let enough = usize::try_from(chance.below(ACKNOWLEDGED_MAX)).unwrap();
    assert!(
        probe.wait_until(|lines| acknowledged(lines) >= enough),
        "it ended by itself: {:?}",
        probe.lines().last()
    );
}

#[test]
fn two_hundred_kills_of_a_process_that_publishes_and_consumes_lose_and_double_nothing() {
    let mut chance = chance();
    let kills = rounds(200, 2_000);
    let (mut events, mut acknowledged) = (0, 0);
    for _ in 0..kills / LIVES {
        let place = tempdir().unwrap();
        let directory = place.path();
        let mut book = Book::default();
        let mut found = 0;
        for life in 0..LIVES {
            let probe = Probe::start(&Order {
                directory,
                life,
                publishers: PUBLISHERS,
                subscriptions: SUBSCRIPTIONS,
                events: EVENTS,
                drops: false,
            });
            live(&probe, &mut chance);
            book.add(&probe.kill());
            found = wait(book.check(directory));
        }
        wait(book.check_handled(directory, SUBSCRIPTIONS));
        events += found;
        acknowledged += book.acknowledged.len();
    }
    println!(
        "{kills} kills: {events} events, {acknowledged} acknowledged before: 0 lost, 0 doubled"
    );
    assert!(acknowledged > kills * 20, "{acknowledged}");
}

#[test]
fn sixty_kills_of_a_process_that_drops_what_is_old_lose_and_double_nothing_that_is_needed() {
    let mut chance = chance();
    let kills = rounds(60, 2_000);
    let (mut dropped, mut acknowledged) = (0, 0);
    for _ in 0..kills / LIVES {
        let place = tempdir().unwrap();
        let directory = place.path();
        let mut book = Book::dropping(Some(SUBSCRIPTIONS));
        for life in 0..LIVES {
            let probe = Probe::start(&Order {
                directory,
                life,
                publishers: PUBLISHERS,
                subscriptions: SUBSCRIPTIONS,
                events: EVENTS,
                drops: true,
            });
            live(&probe, &mut chance);
            book.add(&probe.kill());
            wait(book.check(directory));
        }
        wait(book.check_handled(directory, SUBSCRIPTIONS));
        dropped += book.dropped;
        acknowledged += book.acknowledged.len();
    }
    println!(
        "{kills} kills: {acknowledged} events acknowledged before, {dropped} of them dropped after they were handled: 0 lost, 0 doubled"
    );
    assert!(dropped > kills * 5, "{dropped}");
}

/// A file system of its own in a file, whose power can be cut.
struct LoopDisk {
    folder: TempDir,
}

impl LoopDisk {
    /// Makes and mounts it.
    fn new(kind: &str) -> Result<Self, String> {
        let disk = Self {
            folder: tempdir().unwrap(),
        };
        std::fs::create_dir(disk.path()).unwrap();
        let image = std::fs::File::create(disk.image()).unwrap();
        // No less will do for XFS; the file is sparse.
        image.set_len(400 * 1024 * 1024).unwrap();
        ran(Command::new(format!("mkfs.{kind}"))
            .arg("-q")
            .arg(disk.image()))?;
        disk.mount()?;
        let python = ran(Command::new("python3").arg("--version"));
        if let Err(why) = python {
            disk.unmount().unwrap();
            return Err(why);
        }
        Ok(disk)
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("mounted")
    }

    fn mount(&self) -> Result<(), String> {
        ran(Command::new("mount")
            .args(["-o", "loop"])
            .arg(self.image())
            .arg(self.path()))
    }

    fn unmount(&self) -> Result<(), String> {
        ran(Command::new("umount").arg(self.path()))
    }

    /// Makes ready to cut the power.
    fn switch(&self) -> Switch {
        const SHUTDOWN: &str = "import fcntl, os, struct, sys\n\
            disk = os.open(sys.argv[1], os.O_RDONLY)\n\
            print(flush=True)\n\
            sys.stdin.readline()\n\
            fcntl.ioctl(disk, 0x8004587d, struct.pack('I', 2))";
        let mut process = Command::new("python3")
            .args(["-c", SHUTDOWN])
            .arg(self.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0];
        process
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut ready)
            .unwrap();
        Switch(process)
    }
}

/// Waits for the word to cut the power of a disk.
struct Switch(Child);

impl Switch {
    /// The file system forgets at once what it has not written, and writes no more: a loss of power.
    fn cut(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        // Not mounted, if that is what failed.
        let _unmounted = self.unmount();
    }
}

fn cut_the_power_many_times(kind: &str) {
    let mut chance = chance();
    let cuts = rounds(100, 1_000);
    let (mut events, mut known, mut dropped) = (0, 0, 0);
    for round in 0..cuts / LIVES {
        // Each second disk is of processes that drop what is old.
        let drops = round % 2 == 1;
        let disk = match LoopDisk::new(kind) {
            Ok(disk) => disk,
            Err(why) => return println!("skipped: a loss of power on {kind}: {why}"),
        };
        let directory = disk.path().join("data");
        let mut book = Book::dropping(drops.then_some(SUBSCRIPTIONS));
        for life in 0..LIVES {
            let probe = Probe::start(&Order {
                directory: &directory,
                life,
                publishers: 8 * PUBLISHERS,
                subscriptions: SUBSCRIPTIONS,
                events: EVENTS,
                drops,
            });
            let switch = disk.switch();
            live(&probe, &mut chance);
            // What is acknowledged from here on may be so on a disk without power.
            let lines = probe.lines();
            switch.cut();
            book.add_handled(&probe.kill());
            book.add_acknowledged(&lines);
            disk.unmount().unwrap();
            disk.mount().unwrap();
            // A start may be cut short by another loss: the next one finds what this one left.
            if !chance.one_in(3) {
                wait(book.check(&directory));
            }
        }
        events += wait(book.check(&directory));
        known += book.acknowledged.len();
        dropped += book.dropped;
    }
    println!(
        "{cuts} losses of power on {kind}: {events} events, {known} acknowledged before, {dropped} of them dropped after they were handled: 0 lost, 0 starts refused"
    );
    assert!(known > cuts * 20 && dropped > cuts, "{known} {dropped}");
}

#[test]
fn a_hundred_losses_of_power_on_ext4_lose_nothing_acknowledged_and_refuse_no_start() {
    cut_the_power_many_times("ext4");
}

#[test]
fn a_hundred_losses_of_power_on_xfs_lose_nothing_acknowledged_and_refuse_no_start() {
    cut_the_power_many_times("xfs");
}

/// Runs a probe with one publisher and lets one of its syncs fail. The calls that it made, in order.
fn run_with_a_failed_sync(
    directory: &Path,
    call: &str,
    number: usize,
) -> (Option<i32>, Vec<String>) {
    let order = Order {
        directory,
        life: number,
        publishers: 1,
        subscriptions: 0,
        events: 160,
        drops: false,
    };
    let calls = directory.with_extension("calls");
    let output = Command::new("strace")
        .args(["-f", "-qq", "-y", "-s", "60", "-o"])
        .arg(&calls)
        .args(["-e", &format!("trace={call},write"), "-e"])
        .arg(format!("inject={call}:error=EIO:when={number}"))
        .arg(env!("CARGO_BIN_EXE_fault-probe"))
        .args(order.arguments())
        .output()
        .unwrap();
    let calls = std::fs::read_to_string(&calls).unwrap();
    let calls = calls.lines().map(str::to_owned).collect();
    let mut book = Book::default();
    let lines: Vec<String> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    book.add_acknowledged(&lines);
    wait(book.check(directory));
    (output.status.code(), calls)
}

/// Acknowledgements that were told after the first call that was made to fail; `None` when none was.
fn told_after_failure(calls: &[String]) -> Option<usize> {
    let failure = calls.iter().position(|it| it.contains("(INJECTED)"))?;
    let after = calls.iter().skip(failure);
    Some(
        after
            .filter(|it| it.contains("write(1<") && it.contains("\"A "))
            .count(),
    )
}

#[test]
fn whichever_of_its_first_hundred_syncs_fails_the_process_acknowledges_nothing_after_it() {
    if let Err(why) = ran(Command::new("strace").arg("--version")) {
        return println!("skipped: failed syncs: {why}");
    }
    let place = tempdir().unwrap();
    let mut failures = 0;
    for number in 1..=100 {
        let directory = place.path().join(format!("data-{number}"));
        let (code, calls) = run_with_a_failed_sync(&directory, "fdatasync", number);
        let told = told_after_failure(&calls);
        assert_eq!(told, Some(0), "sync {number}: acknowledged after it failed");
        assert_eq!(code, Some(75), "sync {number}");
        failures += 1;
    }
    // Those that make new files and their names durable.
    let mut others = 0;
    for number in 1..=6 {
        let directory = place.path().join(format!("made-{number}"));
        let (code, calls) = run_with_a_failed_sync(&directory, "fsync", number);
        let told = told_after_failure(&calls);
        assert!(
            matches!((told, code), (None, Some(0)) | (Some(_), Some(0 | 75))),
            "sync of a folder or new file {number}: {code:?}"
        );
        others += usize::from(told.is_some());
    }
    println!(
        "{failures} failed syncs of the log: 0 acknowledged after, 0 lost; {others} of new files and folders: 0 lost"
    );
    assert!(others >= 3, "{others}");
}

#[test]
fn a_full_file_system_refuses_loses_nothing_and_takes_events_again_when_there_is_room() {
    let place = tempdir().unwrap();
    let mounted = place.path().join("small");
    std::fs::create_dir(&mounted).unwrap();
    let mount = |options: &str| {
        ran(Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(&mounted))
    };
    for round in 0..rounds(3, 20) {
        if let Err(why) = mount("size=2m") {
            return println!("skipped: a full file system: {why}");
        }
        let directory = mounted.join("data");
        let probe = Probe::start(&Order {
            directory: &directory,
            life: round,
            publishers: PUBLISHERS,
            subscriptions: SUBSCRIPTIONS,
            events: EVENTS,
            drops: false,
        });
        let refused = |lines: &[String]| lines.iter().filter(|it| *it == "F").count();
        let is_refused = probe.wait_until(|lines| refused(lines) > 50);
        let before = acknowledged(&probe.lines());
        ran(Command::new("mount")
            .args(["-o", "remount,size=64m"])
            .arg(&mounted))
        .unwrap();
        let is_well = probe.wait_until(|lines| acknowledged(lines) > before + 1_000);
        let lines = probe.kill();
        let mut book = Book::default();
        book.add(&lines);
        let found = wait(book.check(&directory));
        wait(book.check_handled(&directory, SUBSCRIPTIONS));
        ran(Command::new("umount").arg(&mounted)).unwrap();
        assert!(is_refused && is_well, "{before} {:?}", lines.last());
        println!(
            "full after {before} acknowledged, {} refusals, {found} events in the end: 0 lost",
            refused(&lines)
        );
    }
}

/// What is read from a log: the ids of its events, and each saga with its records or the key that is left of it.
type Held = (Vec<String>, Vec<(String, Vec<Bytes>, Option<String>)>);

async fn held(bus: &Bus, engine: &Embedded) -> Held {
    let events = bus.read(1, 1_000).await.unwrap().events;
    let sagas = engine.load().await.unwrap().into_iter();
    (
        events.iter().map(|(_, it)| it.id.to_string()).collect(),
        sagas.map(|it| (it.saga, it.records, it.key)).collect(),
    )
}

/// What a saga appends: of every third the number is the last.
fn batch(number: usize) -> SagaBatch {
    let (saga, place) = (number / 3, number % 3);
    SagaBatch {
        saga: format!("saga-{saga}"),
        records: vec![Bytes::from(format!("record {number}").repeat(5))],
        events: Vec::new(),
        is_start: place == 0,
        // Every second one stays open.
        is_last: place == 2 && saga % 2 == 0,
        keys: match place == 2 && saga % 2 == 0 {
            true => (0..=saga % 3)
                .map(|it| format!("key-{saga}-{it}"))
                .collect(),
            false => Vec::new(),
        },
    }
}

/// A log of many files that was closed in good order, and what is in it. Its beginning was dropped but for some dead
/// letters, the sagas that are open and the keys of those that are not.
fn closed_log(disk: &Path) -> Held {
    let settings = Settings {
        segment_bytes: DAMAGED_SEGMENT_BYTES,
        deduplication_events: 1,
        retention_bytes: 8 * DAMAGED_SEGMENT_BYTES,
        ..Settings::default()
    };
    wait(async {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let engine = Embedded::on(real(disk), &settings, Arc::clone(&clock)).unwrap();
        let engine = Arc::new(engine);
        let bus = Bus::builder(Arc::clone(&engine) as Arc<dyn Transport>, clock);
        let bus = bus.build().unwrap();
        let failing = bus.subscription("s").pattern("**").start(Start::Earliest);
        failing
            .retry(Retry::times(0))
            .handler(|delivery| async move {
                match delivery.position % 8 {
                    0 => Err(HandlerError::permanent("never")),
                    _ => Ok(()),
                }
            })
            .await
            .unwrap();
        for number in 0..180 {
            let data = format!("\"{}\"", "x".repeat(number * 7 % 400));
            bus.publish(event(&bus, "a.b", &data)).await.unwrap();
            if number % 3 == 0 {
                let batches = vec![batch(number / 3)];
                SagaStore::append(engine.as_ref(), batches).await.unwrap();
            }
            idle(&bus).await;
        }
        engine.retain().await.unwrap();
        let kept = bus.stats().kept;
        let first = bus.read(1, 1).await.unwrap().events[0].0;
        assert!(kept.oldest > 1 && first < kept.oldest, "{kept:?}");
        let held = held(&bus, &engine).await;
        bus.shutdown(Duration::from_secs(5)).await;
        held
    })
}

/// Small, so that there are many of them.
const DAMAGED_SEGMENT_BYTES: u64 = 4096;

fn real(path: &Path) -> Arc<dyn Disk> {
    Arc::new(RealDisk::new(path).unwrap())
}

/// The log's files, in order, and what is in them.
fn files(path: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(path)
        .unwrap()
        .map(|it| it.unwrap().path())
        .filter(|it| {
            let extension = it.extension();
            extension.is_some_and(|it| it == "log" || it == "compacted")
        })
        .map(|it| (it.clone(), std::fs::read(&it).unwrap()))
        .collect();
    files.sort();
    files
}

/// Damages one of the files, or two; says how.
fn damage(files: &mut [(PathBuf, Vec<u8>)], chance: &mut Chance) -> String {
    let number = chance.index(files.len());
    let bytes = &mut files[number].1;
    let used = bytes.iter().rposition(|it| *it != 0).unwrap() + 1;
    match chance.below(4) {
        0 => {
            let (at, bit) = (chance.index(used), chance.below(8));
            bytes[at] ^= 1 << bit;
            format!("bit {bit} of byte {at} of file {number}")
        }
        1 => {
            bytes.truncate(chance.index(bytes.len()));
            format!("file {number} cut to {}", bytes.len())
        }
        2 => {
            let at = chance.index(used) / 512 * 512;
            let end = (at + 512).min(bytes.len());
            bytes[at..end].fill(0);
            format!("a sector of zeros at {at} of file {number}")
        }
        _ => {
            let other = (number + 1 + chance.index(files.len() - 1)) % files.len();
            let (first, second) = (number.min(other), number.max(other));
            let (left, right) = files.split_at_mut(second);
            std::mem::swap(&mut left[first].1, &mut right[0].1);
            format!("files {first} and {second} swapped")
        }
    }
}

fn write(files: &[(PathBuf, Vec<u8>)]) {
    for (path, bytes) in files {
        std::fs::write(path, bytes).unwrap();
    }
}

#[test]
fn ten_thousand_damages_to_a_closed_log_are_found_or_harmless_and_never_silent() {
    let mut chance = chance();
    // In memory where there is a folder for that: the files are written ten thousand times.
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() {
        TempDir::new_in(memory).unwrap()
    } else {
        tempdir().unwrap()
    };
    let before = closed_log(place.path());
    let (open, ended): (Vec<_>, Vec<_>) = before.1.iter().partition(|it| it.2.is_none());
    assert!(open.len() > 5 && ended.len() > 2, "{before:?}");
    let good = files(place.path());
    assert!(good.len() > 4, "{}", good.len());
    let damages = rounds(10_000, 1_000_000);
    let (mut found, mut harmless) = (0, 0);
    for _ in 0..damages {
        let mut damaged = good.clone();
        let what = damage(&mut damaged, &mut chance);
        write(&damaged);
        let settings = Settings {
            segment_bytes: DAMAGED_SEGMENT_BYTES,
            ..Settings::default()
        };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        match Embedded::on(real(place.path()), &settings, Arc::clone(&clock)) {
            Err(error) => {
                assert_eq!(
                    error.kind(),
                    ErrorKind::Corrupt,
                    "{what}: {}",
                    error.chain()
                );
                assert!(files(place.path()) == damaged, "{what}: files were changed");
                found += 1;
            }
            Ok(engine) => {
                let engine = Arc::new(engine);
                let transport = Arc::clone(&engine) as Arc<dyn Transport>;
                let bus = Bus::builder(transport, clock).build().unwrap();
                let read = wait(held(&bus, &engine));
                assert!(read == before, "{what}: it changes what is read, unseen");
                harmless += 1;
            }
        }
        write(&good);
    }
    println!("{damages} damages: {found} found, {harmless} harmless, 0 silent");
    assert!(found > damages / 2 && harmless > 0, "{found} {harmless}");
}
