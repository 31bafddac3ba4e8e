//! Each example prints what stands beside it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Where cargo puts examples: beside the folder of this test.
fn built() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().parent().unwrap().join("examples")
}

#[test]
fn each_example_prints_what_stands_beside_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut compared = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let source = entry.unwrap().path();
        if source.extension().is_none_or(|it| it != "rs") {
            continue;
        }
        let expected = std::fs::read_to_string(source.with_extension("stdout")).unwrap();
        let name = source.file_stem().unwrap();
        let output = Command::new(built().join(name)).output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(printed, expected, "{}", source.display());
        compared += 1;
    }
    assert_eq!(compared, 8);
}
