//! An event that ends every real process that handles it is given up, and the others are handled.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use sagabus::engines::embedded::{Embedded, Settings};
use sagabus::{Bus, Clock, SystemClock};
use tempfile::TempDir;

use crate::support::{all, checked};

/// The signal of a process that aborts.
const SIGABRT: i32 = 6;
/// More processes than the event may end.
const PROCESSES_MAX: usize = 10;

/// Runs the probe to its end: its lines, and whether it ended well or by itself.
fn run(directory: &Path) -> (Vec<(u32, u32)>, bool) {
    let ended = Command::new(env!("CARGO_BIN_EXE_crash-probe"))
        .arg(directory)
        .output()
        .unwrap();
    let said = String::from_utf8(ended.stdout).unwrap();
    let complaint = String::from_utf8_lossy(&ended.stderr);
    let is_over = ended.status.success();
    assert!(
        is_over || ended.status.signal() == Some(SIGABRT),
        "{:?} {complaint}",
        ended.status
    );
    let lines = said.lines().map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        let [_, number, attempt] = words.as_slice() else {
            panic!("`{line}` is no line of the probe");
        };
        (number.parse().unwrap(), attempt.parse().unwrap())
    });
    (lines.collect(), is_over)
}

#[tokio::test]
async fn an_event_that_ends_three_real_processes_is_given_up_and_the_others_are_handled() {
    let folder = TempDir::new().unwrap();
    let mut begun: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let mut last_alone = Vec::new();
    let mut ended = 0;
    for _ in 0..PROCESSES_MAX {
        let (lines, is_over) = run(folder.path());
        if is_over {
            let deadly = lines.iter().filter(|(number, _)| *number == 4);
            assert_eq!(deadly.count(), 0, "it is not begun any more: {lines:?}");
        } else {
            ended += 1;
            last_alone.clone_from(&lines);
        }
        for (number, attempt) in lines {
            begun.entry(number).or_default().push(attempt);
        }
        if is_over {
            break;
        }
    }
    println!("{ended} processes ended; attempts: {begun:?}");
    assert_eq!(ended, 3, "processes that it ended");
    assert_eq!(begun[&4], [1, 2, 3]);
    // Whoever shared its fate was handled before its last attempt, which was made alone.
    assert_eq!(last_alone.last(), Some(&(4, 3)));

    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let engine = Embedded::open(folder.path(), &Settings::default(), Arc::clone(&clock)).unwrap();
    let bus = checked(Bus::builder(Arc::new(engine), clock).build().unwrap());
    let counts = bus.stats().subscriptions.remove(0).counts;
    assert_eq!((counts.acked, counts.dead), (9, 1), "{counts:?}");
    let letters = bus.dead_letters(all()).await.unwrap();
    let faults: Vec<&str> = letters[0]
        .faults
        .iter()
        .map(|it| it.kind.as_str())
        .collect();
    assert_eq!(faults, ["crash_loop"]);
    assert_eq!(letters[0].event.data, "4");
    bus.shutdown(Duration::from_secs(5)).await;
}
