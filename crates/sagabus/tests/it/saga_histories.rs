//! Many histories of sagas on a simulated disk, each from a seed.
//!
//! Whatever fails, each saga ends, and leaves of its effects what its end says.
//!
//! Definitions are random, with lists, sagas inside sagas and steps elsewhere; handlers fail, hang, panic, are slow or in doubt; the process is killed, power is lost, syncs fail;
//! operators cancel, pause and retry. A store in between knows what is durable: a handler that is called, told to stop, or an answer
//! that is given before its record is durable breaks the history. `SEED=n` lives one again; `SEEDS=n` says how many there are.

#![expect(
    clippy::indexing_slicing,
    reason = "sagas and steps are numbers below their count"
)]

mod counted;
mod definition;
mod end;
mod handlers;
mod history;
mod laws;
mod life;
mod log;
mod notes;
mod store;
mod sweep;

use std::time::Duration;

use sagabus::engines::embedded::simulation::SagaBug;

use self::counted::Counted;
use self::history::History;
use crate::simulation::{live_all, number};

/// Histories in an ordinary run; each has some ten sagas.
const SEEDS: u64 = 1_200;
/// Sagas that an ordinary run has at least.
const SAGAS_MIN: u64 = 10_000;
/// Histories that are lived twice.
const SEEDS_TWICE: u64 = 200;
/// Histories among which a planted fault must show itself.
const SEEDS_PER_BUG: u64 = 1_000;
/// Longest time of an attempt, and the grace after it.
const TIMEOUT: Duration = Duration::from_secs(1);
/// How often, and how many times, the last life looks whether all sagas are over: far longer than all their delays together.
const LOOK: Duration = Duration::from_secs(30);
const LOOKS_MAX: usize = 200;
/// The name of the one signal that steps wait for.
const SIGNAL: &str = "go";
/// The name of a saga that is in no other.
const OUTERMOST: &str = "random";
/// The service that is elsewhere.
const FAR: &str = "far";
fn live(seed: u64) -> Result<Counted, String> {
    let history = std::panic::AssertUnwindSafe(|| History::new(seed).live());
    std::panic::catch_unwind(history).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        format!("SEED={seed}: {}", text.unwrap_or_default())
    })
}

#[test]
fn sagas_keep_their_promises_in_every_simulated_history() {
    if let Some(seed) = number("SEED") {
        println!("{:#?}", live(seed).unwrap_or_else(|what| panic!("{what}")));
        return;
    }
    let seeds = number("SEEDS").unwrap_or(SEEDS);
    let all = live_all(seeds, live, Counted::add);
    println!("{seeds} histories: {all:#?}");
    assert!(
        all.sagas >= SAGAS_MIN * seeds / SEEDS,
        "{} sagas",
        all.sagas
    );
    for (count, what) in [
        (all.kills, "kills"),
        (all.power_losses, "losses of power"),
        (all.failed_syncs, "failed syncs"),
        (all.compensations, "calls of compensations"),
        (all.stops, "handlers told to stop"),
        (all.completed, "completed sagas"),
        (all.compensated, "compensated sagas"),
        (all.cancelled, "cancelled sagas"),
        (all.late_results, "late results"),
        (all.signals, "signals"),
        (all.verbs, "verbs of operators"),
        (all.cut_off, "sagas with many attempts"),
        (all.children, "sagas inside sagas"),
        (all.items, "items of lists"),
        (all.far, "calls of handlers elsewhere"),
    ] {
        assert!(count >= seeds / 50, "{count} {what}");
    }
}

#[test]
fn a_seed_lived_twice_is_the_same_history_of_sagas() {
    for seed in 0..SEEDS_TWICE {
        let (first, second) = (live(seed).unwrap(), live(seed).unwrap());
        assert_eq!(first.trace, second.trace, "SEED={seed}");
    }
}

#[test]
fn each_fault_planted_into_sagas_is_found() {
    let mut missed = Vec::new();
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    for bug in SagaBug::ALL {
        SagaBug::plant(Some(bug));
        let found = (0..SEEDS_PER_BUG).find_map(|seed| Some((seed, live(seed).err()?)));
        SagaBug::plant(None);
        match found {
            Some((seed, what)) => println!("{bug:?}: seed {seed}: {:.300}", what),
            None => missed.push(bug),
        }
    }
    std::panic::set_hook(hook);
    assert!(missed.is_empty(), "not found: {missed:?}");
}
