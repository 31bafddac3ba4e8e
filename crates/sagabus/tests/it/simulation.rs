//! Many histories of faults, each from a seed. `SEED=n` lives one history again; `SEEDS=n` says how many there are.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sagabus::ErrorKind;
use sagabus::engines::embedded::simulation::{Bug, Crash, Outcome, SimDisk, Violation, run};

use crate::support::{bus_on, event};

/// Histories of the log in an ordinary run.
const SEEDS: u64 = 20_000;
/// Histories among which each planted fault must show itself.
const SEEDS_PER_BUG: u64 = 4_000;
/// Histories that are lived twice.
const SEEDS_TWICE: u64 = 300;

/// A number from the environment.
pub(crate) fn number(name: &str) -> Option<u64> {
    std::env::var_os(name).map(|it| it.to_str().unwrap().parse().unwrap())
}

/// Lives one history; a panic of the log is a broken promise too.
fn live(seed: u64) -> Result<Outcome, String> {
    match catch_unwind(AssertUnwindSafe(|| run(seed))) {
        Ok(outcome) => outcome.map_err(|violation: Violation| violation.to_string()),
        Err(_) => Err(format!("SEED={seed}: panicked")),
    }
}

/// Lives the histories of all seeds below `seeds` on two threads; the first that breaks a promise stops.
pub(crate) fn live_all<T: Default + Send>(
    seeds: u64,
    live: impl Fn(u64) -> Result<T, String> + Sync,
    add: impl Fn(&mut T, &T) + Sync,
) -> T {
    let next = AtomicU64::new(0);
    let work = || {
        let mut all = T::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return all;
            }
            match live(seed) {
                Ok(outcome) => add(&mut all, &outcome),
                Err(what) => {
                    next.store(seeds, Ordering::Relaxed);
                    panic!("{what}");
                }
            }
        }
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(work);
        let mut all = work();
        add(&mut all, &other.join().unwrap());
        all
    })
}

#[test]
fn the_log_keeps_its_promises_in_every_simulated_history() {
    if let Some(seed) = number("SEED") {
        println!("{:#?}", live(seed).unwrap_or_else(|what| panic!("{what}")));
        return;
    }
    let seeds = number("SEEDS").unwrap_or(SEEDS);
    let all = live_all(seeds, live, Outcome::add);
    println!("{seeds} histories: {all:#?}");
    // What a simulation never meets it does not test.
    for (count, what) in [
        (all.acknowledged, "acknowledged appends"),
        (all.unknown, "appends of unknown outcome"),
        (all.refused_full, "appends refused for want of room"),
        (all.refused_large, "appends refused as too large"),
        (all.duplicates, "duplicates"),
        (all.starts_cut_short, "starts cut short"),
        (all.power_losses, "losses of power"),
        (all.kills, "kills"),
        (all.failed_syncs, "failed syncs"),
        (all.torn_tails, "torn tails"),
        (all.compactions, "replaced beginnings"),
        (all.reserve_taken, "beginnings replaced on a full disk"),
        (all.damage_found, "damage found"),
        (all.damage_harmless, "harmless damage"),
    ] {
        assert!(count >= seeds / 50, "{count} {what}");
    }
}

#[test]
fn a_seed_lived_twice_is_the_same_history() {
    for seed in 0..SEEDS_TWICE {
        assert_eq!(live(seed), live(seed), "SEED={seed}");
    }
}

#[test]
fn each_fault_planted_into_the_log_is_found() {
    let mut missed = Vec::new();
    for bug in Bug::ALL {
        Bug::plant(Some(bug));
        let found = (0..SEEDS_PER_BUG).find_map(|seed| live(seed).err());
        match found {
            Some(what) => println!("{bug:?}: {what}"),
            None => missed.push(bug),
        }
    }
    Bug::plant(None);
    assert!(missed.is_empty(), "not found: {missed:?}");
}

#[tokio::test(start_paused = true)]
async fn what_a_failed_sync_left_in_the_cache_alone_is_on_the_disk_before_it_is_acknowledged() {
    for seed in 0..50 {
        let disk = SimDisk::new(seed);
        let open = || bus_on(Arc::new(disk.clone()), 64 * 1024).unwrap();
        let bus = open();
        bus.publish(event(&bus, "a.b", "1")).await.unwrap();
        let doubtful = event(&bus, "a.b", "2");
        disk.fail_sync_in(0);
        let error = bus.publish(doubtful.clone()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed, "SEED={seed}");
        drop(bus);

        // The process starts again and sees the event, which no sync would bring to the disk any more.
        disk.restart(Crash::Process);
        let bus = open();
        bus.publish(doubtful.clone()).await.unwrap();
        disk.crash();
        drop(bus);

        disk.restart(Crash::Power);
        let bus = open();
        let events = bus.read(1, 10).await.unwrap().events;
        assert!(
            events.iter().any(|(_, it)| it.id == doubtful.id),
            "SEED={seed}: it was acknowledged and is lost"
        );
    }
}
