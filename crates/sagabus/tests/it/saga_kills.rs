//! Fifty sagas in flight in a real process that is killed again and again.
//!
//! None is lost or stuck, and behind the barrier each effect is there once. `RUN_SLOW=1` kills it two hundred times.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use sagabus::Error;
use sagabus::engines::embedded::simulation::Chance;
use sagabus::sqlite::{Database, FENCES, TABLES};
use tempfile::TempDir;

use crate::probe::Probe;

const KILLS: usize = 10;
const KILLS_SLOW: usize = 200;
/// As the probe's.
const IN_FLIGHT: usize = 50;
/// As the probe's.
const MIGRATIONS: &[&str] = &[
    TABLES,
    FENCES,
    "CREATE TABLE effects (action TEXT NOT NULL, key TEXT NOT NULL) STRICT;",
];
/// Lines of a probe that is let live the longest.
const LINES_MAX: u64 = 300;
const ACTIONS: [&str; 6] = [
    "reserve",
    "charge",
    "ship",
    "undo_reserve",
    "undo_charge",
    "undo_ship",
];

fn probe(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_saga-probe"));
    command.arg(directory);
    command
}

/// How often each key stands in the files of the handlers, by handler.
fn lines(directory: &Path) -> BTreeMap<&'static str, BTreeMap<String, usize>> {
    let read = |action| {
        let text = std::fs::read_to_string(directory.join(format!("{action}.txt"))).unwrap();
        let mut counts = BTreeMap::new();
        for key in text.lines() {
            *counts.entry(key.to_owned()).or_insert(0) += 1;
        }
        (action, counts)
    };
    ACTIONS.into_iter().map(read).collect()
}

/// How often each effect stands in the database.
async fn rows(directory: &Path) -> BTreeMap<(String, String), usize> {
    let database = Database::open(directory.join("effects.db"), MIGRATIONS).await;
    let database = database.unwrap();
    let counted = database.call(|tx| {
        let mut select = tx.prepare("SELECT action, key, count(*) FROM effects GROUP BY 1, 2")?;
        let rows = select.query_map([], |row| {
            let count: i64 = row.get(2)?;
            Ok(((row.get(0)?, row.get(1)?), usize::try_from(count).unwrap()))
        })?;
        Ok::<_, Error>(rows.collect::<Result<_, _>>()?)
    });
    let counted = counted.await.unwrap();
    database.close().await.unwrap();
    counted
}

/// Numbers that stand behind this word in the lines.
fn numbers(lines: &[String], word: &str) -> Vec<u64> {
    let of_word = lines.iter().filter_map(|line| line.strip_prefix(word));
    of_word
        .map(|rest| rest.split(' ').next().unwrap().parse().unwrap())
        .collect()
}

#[tokio::test]
async fn sagas_of_a_process_killed_at_random_moments_all_end_and_have_each_effect_once() {
    let kills = match std::env::var_os("RUN_SLOW") {
        Some(_) => KILLS_SLOW,
        None => KILLS,
    };
    let folder = TempDir::new().unwrap();
    let mut chance = Chance::new(6);
    let (mut started, mut told_to_go_on, mut early) = (BTreeSet::new(), 0, 0);
    for _ in 0..kills {
        // At times before it has read its log, and else anywhere in the work of its sagas.
        let until = if chance.one_in(5) {
            chance.below(2)
        } else {
            chance.below(LINES_MAX)
        };
        let probe = Probe::run(probe(folder.path()));
        let is_there = probe.wait_until(|lines| lines.len() as u64 > until);
        let said = probe.kill();
        assert!(is_there, "it ended by itself: {:?}", said.last());
        assert!(!said.iter().any(|line| line.starts_with("E ")), "{said:?}");
        early += usize::from(said.len() < 2);
        told_to_go_on += said.iter().filter(|line| line.starts_with("P ")).count();
        // A kill may cut the last line.
        let whole = said.split_last().map_or(&[][..], |(_, whole)| whole);
        started.extend(numbers(whole, "S "));
    }
    let ended = probe(folder.path()).arg("end").output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    let said = String::from_utf8(ended.stdout).unwrap();
    let said: Vec<String> = said.lines().map(str::to_owned).collect();
    let ends: BTreeMap<u64, &str> = said
        .iter()
        .filter_map(|line| line.strip_prefix("Z ")?.split_once(' '))
        .map(|(number, status)| (number.parse().unwrap(), status))
        .collect();
    assert_eq!(ends.len(), numbers(&said, "Z ").len(), "a number twice");
    for number in &started {
        assert!(
            ends.contains_key(number),
            "{number} was started and is lost"
        );
    }

    // The barrier: every effect exactly once.
    let rows = rows(folder.path()).await;
    let (mut completed, mut compensated) = (0, 0);
    for (number, status) in &ends {
        let rejected = number.is_multiple_of(3);
        assert_eq!(
            *status,
            if rejected { "compensated" } else { "completed" },
            "{number}"
        );
        completed += usize::from(!rejected);
        compensated += usize::from(rejected);
    }
    for ((action, key), count) in &rows {
        assert_eq!(*count, 1, "{action} {key}");
    }
    let of = |action: &str| rows.keys().filter(|(other, _)| other == action).count();
    let all = completed + compensated;
    let found = ACTIONS.map(of);
    assert_eq!(found, [all, all, completed, compensated, compensated, 0]);

    // The plain files: each at least once, and again for each handler that a kill may have cut off.
    let lines = lines(folder.path());
    for (action, key) in rows.keys() {
        assert!(lines[action.as_str()].contains_key(key), "{action} {key}");
    }
    let counts = lines.values().flat_map(BTreeMap::values);
    let repeats: usize = counts.map(|count| count - 1).sum();
    println!(
        "{kills} kills, {early} of them before the log was read: {completed} sagas completed, {compensated} compensated, \
         {told_to_go_on} paused and told to go on; {} effects, {repeats} calls of handlers repeated",
        rows.len()
    );
    assert!(repeats <= kills * IN_FLIGHT, "{repeats}");
    assert!(repeats > 0, "no handler was cut off");
}
