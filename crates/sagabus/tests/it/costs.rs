//! What a delivery costs, in figures that no other program on the machine can change.
//!
//! A release build of a process with one thread publishes events in memory and has them handled, or not; valgrind counts
//! the instructions and the pieces of memory of both, and the difference is what handling costs.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Few enough to be all in memory, many enough that a start does not count.
const EVENTS: u64 = 16_000;
/// Most instructions for a delivery, its two entries in the ledger included. The aim is 2,000.
const INSTRUCTIONS_MAX: u64 = 2_200;
/// Most pieces of memory for a hundred deliveries: what is taken for a batch is shared by all that are in it.
const ALLOCATIONS_MAX: u64 = 20;

#[test]
fn a_delivery_costs_at_most_2200_instructions_and_takes_no_memory_of_its_own() {
    let has_valgrind = Command::new("valgrind").arg("--version").output();
    if !has_valgrind.is_ok_and(|it| it.status.success()) {
        println!("skipped: this machine lacks valgrind");
        return;
    }
    let probe = build();
    let per_event = |count: fn(&Path, &str) -> u64, share: u64| {
        let more = count(&probe, "deliver").saturating_sub(count(&probe, "publish"));
        more * share / EVENTS
    };
    let instructions = per_event(instructions, 1);
    let allocations = per_event(allocations, 100);
    println!("a delivery: {instructions} instructions, {allocations} allocations in 100");
    assert!(instructions <= INSTRUCTIONS_MAX, "{instructions}");
    assert!(allocations <= ALLOCATIONS_MAX, "{allocations}");
}

/// Builds the process as a release is built.
fn build() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = root.join("../../target/costs");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--quiet", "--locked", "--offline"])
        .args(["--package", "sagabus", "--bin", "delivery-probe"])
        .arg("--target-dir")
        .arg(&target)
        .current_dir(root)
        .status()
        .unwrap();
    assert!(built.success());
    target.join("release/delivery-probe")
}

fn valgrind(tool: &[&str], probe: &Path, what: &str) -> String {
    let output = Command::new("valgrind")
        .args(tool)
        .arg(probe)
        .args([what, &EVENTS.to_string()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

/// The number after `label` in what valgrind says.
fn number(said: &str, label: &str) -> u64 {
    let (_, rest) = said.split_once(label).unwrap_or_else(|| panic!("{said}"));
    let word = rest.split_whitespace().next().unwrap_or_default();
    word.replace(',', "").parse().unwrap()
}

fn instructions(probe: &Path, what: &str) -> u64 {
    let tool = ["--tool=callgrind", "--callgrind-out-file=/dev/null"];
    number(&valgrind(&tool, probe, what), "Collected :")
}

fn allocations(probe: &Path, what: &str) -> u64 {
    number(&valgrind(&["--leak-check=no"], probe, what), "heap usage:")
}
