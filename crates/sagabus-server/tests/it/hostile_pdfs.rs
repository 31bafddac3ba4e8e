//! PDFs that mean harm through the real program: each has its answer in time, and nothing of it stays behind.

mod own;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use sagabus::{Clock, SystemClock, Timestamp};
use serde_json::Value;

use crate::program::{Place, Server, form_bytes, until};
use crate::world;

/// Longest time for one reading of a file.
const READING_MAX: Duration = Duration::from_secs(20);
/// Longest time for a file with its repeats, while others are read too.
const ANSWER_MAX: Duration = Duration::from_mins(10);
/// Most memory of the program, whatever its children read.
const RESIDENT_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// Files under way at one time; two of them are read, the others wait for their turn or for their next try.
const AT_ONCE: usize = 16;

/// A file with a name that says where it comes from.
type File = (String, Vec<u8>);

/// How files of one outcome were answered.
#[derive(Clone, Debug, Default)]
struct Outcome {
    files: usize,
    slowest: (Duration, String),
}

/// What became of one file.
#[derive(Debug)]
struct Told {
    outcome: String,
    reading: Duration,
}

#[test]
fn each_hostile_file_is_answered_in_time_and_leaves_no_child_no_file_and_no_memory() {
    let mut files = own::quick();
    match std::env::var_os("HOSTILE_PDFS") {
        Some(folder) => {
            files.extend(own::slow());
            files.extend(collection(Path::new(&folder)));
        }
        None => println!("skipped: bombs and public collections: tools/hostile-pdfs.sh has them"),
    }
    let place = Place::new();
    let temporary = place.file("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let data = place.data_text();
    let mut command =
        crate::program::sagabus(&["serve", "--listen", "127.0.0.1:0", "--data-dir", &data]);
    let server = Server::spawn(&place, command.env("TMPDIR", &temporary));
    let before = everything(&place);
    let stop = std::sync::atomic::AtomicBool::new(false);
    let (outcomes, seen) = std::thread::scope(|scope| {
        let watching = scope.spawn(|| watch(server.id(), &stop));
        let outcomes = hand_in(&server, files);
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        (outcomes, watching.join().unwrap())
    });
    println!("{seen:?}");
    assert!(seen.limits.len() == 1, "{seen:?}");
    assert_eq!(seen.limits.first().map(String::as_str), Some(LOCKED_IN));
    assert!(seen.children <= 2, "{seen:?}");
    assert!(seen.bytes_max < 768 * 1024 * 1024, "{seen:?}");
    print(&outcomes);
    assert!(outcomes.len() > 3, "{outcomes:?}");
    for (outcome, told) in &outcomes {
        let (slowest, file) = &told.slowest;
        assert!(*slowest <= READING_MAX, "{outcome}: {file}: {slowest:?}");
        // The program itself is never at fault, and its child always has an answer.
        let ours = ["WORKER_FAILED", "UNKNOWN_ERROR", "NETWORK_ERROR"];
        assert!(!ours.contains(&outcome.as_str()), "{outcome}: {file}");
    }
    assert_eq!(children(server.id()), Vec::<u32>::new());
    let memory = resident_bytes_max(server.id());
    println!("memory of the program at most: {} MiB", memory >> 20);
    assert!(memory < RESIDENT_BYTES_MAX, "{memory} bytes");
    let left: Vec<PathBuf> = std::fs::read_dir(place.data().join("uploads"))
        .unwrap()
        .map(|it| it.unwrap().path())
        .filter(|it| it.extension().is_none_or(|it| it != "pdf"))
        .collect();
    assert_eq!(left, Vec::<PathBuf>::new());
    assert_eq!(everything(&place), before);
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);
    // The next good one is read.
    let good = read(&server, "small.pdf", &form_bytes("small.pdf"));
    assert_eq!(good.outcome, "read: htsf_form");
    world::check(&server, &place.data(), 0);
    assert_eq!(server.terminate().code, Some(0));
}

/// Every PDF below a folder.
fn collection(folder: &Path) -> Vec<File> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|it| it == "pdf" || it == "fuzz")
            {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                files.push((name, std::fs::read(path).unwrap()));
            }
        }
    }
    assert!(!files.is_empty(), "no PDF in {}", folder.display());
    files.sort();
    println!("{} files of public collections", files.len());
    files
}

fn hand_in(server: &Server, files: Vec<File>) -> BTreeMap<String, Outcome> {
    let files = Mutex::new(files.into_iter());
    let outcomes = Mutex::new(BTreeMap::<String, Outcome>::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = files.lock().unwrap().next();
                    let Some((name, bytes)) = next else {
                        return;
                    };
                    let told = read(server, &name, &bytes);
                    let mut outcomes = outcomes.lock().unwrap();
                    let of = outcomes.entry(told.outcome).or_default();
                    of.files += 1;
                    of.slowest = of.slowest.clone().max((told.reading, name));
                }
            });
        }
    });
    outcomes.into_inner().unwrap()
}

/// Hands in one file and waits for its answer.
fn read(server: &Server, name: &str, bytes: &[u8]) -> Told {
    let request = server.request("POST", "/api/process/pdf");
    let answer = request.upload("hostile.pdf", bytes, &[]).send();
    if answer.status != 202 {
        answer.expect_problem(400, &[]);
        return Told {
            outcome: "refused at the door".to_owned(),
            reading: Duration::ZERO,
        };
    }
    let path = answer.json()["statusUrl"].as_str().unwrap().to_owned();
    let began = SystemClock.elapsed();
    let job = loop {
        let job = server.get(&path).expect(200);
        if !job["endedAt"].is_null() {
            break job;
        }
        let spent = SystemClock.elapsed().saturating_sub(began);
        assert!(spent < ANSWER_MAX, "{name}: {job}");
        std::thread::sleep(Duration::from_millis(20));
    };
    let time = |field: &str| -> i64 {
        let time: Timestamp = job[field].as_str().unwrap().parse().unwrap();
        time.milliseconds()
    };
    let reading = time("endedAt") - time("startedAt");
    Told {
        outcome: outcome(server, &job),
        reading: Duration::from_millis(reading.try_into().unwrap()),
    }
}

fn outcome(server: &Server, job: &Value) -> String {
    if job["status"] == "failed" {
        let message = job["error"]["message"].as_str().unwrap();
        assert!(message.len() > 5 && !message.contains('\n'), "{job}");
        return job["error"]["kind"].as_str().unwrap().to_owned();
    }
    let result = job["resultId"].as_str().unwrap();
    let result = server.get(&format!("/api/results/{result}")).expect(200);
    let kind = result["kind"].as_str().unwrap();
    match result["review"].is_null() {
        true => format!("read: {kind}"),
        false => format!("read, waits for a person: {kind}"),
    }
}

fn print(outcomes: &BTreeMap<String, Outcome>) {
    println!("| outcome | files | slowest reading | of |");
    println!("|---|---|---|---|");
    for (outcome, told) in outcomes {
        let (slowest, file) = &told.slowest;
        let ms = slowest.as_millis();
        println!("| {outcome} | {} | {ms} ms | {file} |", told.files);
    }
}

/// The children of all threads of a process, when those that were killed have been waited for.
fn children(process: u32) -> Vec<u32> {
    let mut last = Vec::new();
    let asked = || {
        last = children_now(process);
        last.is_empty().then_some(())
    };
    until("the children's end", asked);
    last
}

/// What a child may use, in the words of the kernel: memory, time, files and their size.
const LOCKED_IN: &str = "address space 805306368, cpu time 10, file size 0, open files 16";

/// What was seen of the children.
#[derive(Debug, Default)]
struct Seen {
    children: usize,
    bytes_max: u64,
    limits: std::collections::BTreeSet<String>,
}

/// Looks at the children until it is told to stop.
fn watch(process: u32, stop: &std::sync::atomic::AtomicBool) -> Seen {
    let mut seen = Seen::default();
    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
        let children = children_now(process);
        seen.children = seen.children.max(children.len());
        for child in children {
            let of = |name: &str| std::fs::read_to_string(format!("/proc/{child}/{name}"));
            let status = of("status").unwrap_or_default();
            let line = status.lines().find_map(|it| it.strip_prefix("VmHWM:"));
            let kib = line.and_then(|it| it.trim().strip_suffix(" kB")?.parse::<u64>().ok());
            seen.bytes_max = seen.bytes_max.max(kib.unwrap_or(0) * 1024);
            // Before it has locked itself in it has opened no file; after that it reads, as its other threads show.
            let threads = status.lines().find_map(|it| it.strip_prefix("Threads:"));
            if threads.is_none_or(|it| it.trim() == "1") {
                continue;
            }
            let limits = of("limits").unwrap_or_default();
            let soft = |name: &str| {
                let line = limits
                    .lines()
                    .find_map(|it| it.strip_prefix(&format!("Max {name}")));
                let word = line.and_then(|it| it.split_whitespace().next());
                format!("{name} {}", word.unwrap_or("?"))
            };
            if !limits.is_empty() {
                let all = ["address space", "cpu time", "file size", "open files"].map(soft);
                seen.limits.insert(all.join(", "));
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    seen
}

/// The names in the folder of the data, without those of uploads that are kept, and those of the program elsewhere.
fn everything(place: &Place) -> std::collections::BTreeSet<PathBuf> {
    let kept = place.data().join("uploads");
    let mut all = std::collections::BTreeSet::new();
    let mut folders = vec![place.data()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            let is_pdf = path.extension().is_some_and(|it| it == "pdf");
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().is_some_and(|it| it == "audit.checkpoints") {
                // Signed at whatever time.
            } else if next != kept || !is_pdf {
                all.insert(path);
            }
        }
    }
    all
}

fn children_now(process: u32) -> Vec<u32> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let lists = threads.map(|it| std::fs::read_to_string(it.unwrap().path().join("children")));
    let numbers = lists.flat_map(|it| {
        let list = it.unwrap_or_default();
        list.split_whitespace()
            .map(|it| it.parse().unwrap())
            .collect::<Vec<u32>>()
    });
    numbers.collect()
}

/// The most memory that a process had so far.
fn resident_bytes_max(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|it| it.starts_with("VmHWM:")).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}
