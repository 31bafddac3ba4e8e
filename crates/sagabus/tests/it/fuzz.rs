//! The inputs that fuzzing kept, run once more; and that a target sees a fault.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use sagabus::engines::embedded::simulation::Bug;
use sagabus::fuzzing::{TARGETS, Target};

fn inputs(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let files = std::fs::read_dir(root.join(target)).unwrap();
    let paths = files.map(|it| it.unwrap().path());
    paths
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect()
}

#[test]
fn every_input_that_fuzzing_kept_holds() {
    for Target { name, run } in TARGETS {
        let inputs = inputs(name);
        assert!(!inputs.is_empty(), "{name}");
        for (path, bytes) in inputs {
            let outcome = catch_unwind(AssertUnwindSafe(|| run(&bytes)));
            assert!(outcome.is_ok(), "`{name}` does not hold for {path:?}");
        }
    }
}

#[test]
fn a_fault_planted_into_the_frames_is_seen_by_their_target() {
    let frames = TARGETS.iter().find(|it| it.name == "frames").unwrap();
    for bug in [Bug::ChecksumIgnored, Bug::SaltIgnored] {
        Bug::plant(Some(bug));
        let breaks = |(_, bytes): &(PathBuf, Vec<u8>)| {
            catch_unwind(AssertUnwindSafe(|| (frames.run)(bytes))).is_err()
        };
        let is_seen = inputs("frames").iter().any(breaks);
        Bug::plant(None);
        assert!(is_seen, "{bug:?}");
    }
}
