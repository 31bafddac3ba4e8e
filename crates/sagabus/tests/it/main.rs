//! Promises of the library, through its public API.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

#[cfg(all(feature = "macros", feature = "testing"))]
mod api;
mod backlog;
mod bad_input;
mod bus;
#[cfg(all(feature = "simulation", feature = "conformance"))]
mod bus_histories;
mod capabilities;
#[cfg(feature = "conformance")]
mod conformance;
#[cfg(all(feature = "conformance", feature = "simulation", feature = "testing"))]
mod conservation;
mod costs;
#[cfg(all(feature = "simulation", unix))]
mod crash_loop;
mod dead_letters;
mod duplicates;
mod durability;
#[cfg(all(
    feature = "macros",
    feature = "simulation",
    feature = "sqlite",
    feature = "testing"
))]
mod effect_histories;
#[cfg(all(feature = "macros", feature = "sqlite", feature = "testing"))]
mod effects;
#[cfg(feature = "testing")]
mod emit;
#[cfg(all(feature = "macros", feature = "testing"))]
mod examples;
#[cfg(feature = "simulation")]
mod faults;
mod filters;
mod flow;
#[cfg(all(feature = "fuzzing", feature = "simulation"))]
mod fuzz;
mod members;
#[cfg(target_os = "linux")]
mod memory;
#[cfg(all(feature = "sqlite", feature = "testing"))]
mod migration;
mod model;
mod order;
#[cfg(feature = "simulation")]
mod probe;
mod recovery;
mod replay;
mod retention;
mod saga;
mod saga_doors;
#[cfg(all(feature = "simulation", feature = "testing"))]
mod saga_histories;
#[cfg(all(feature = "simulation", feature = "sqlite"))]
mod saga_kills;
mod saga_loader;
mod saga_remote;
mod saga_steno;
#[cfg(feature = "simulation")]
mod saga_syncs;
mod saga_triggers;
#[cfg(feature = "testing")]
mod sagatest;
mod schema;
#[cfg(feature = "simulation")]
mod simulation;
mod support;
mod time;
mod traps;
