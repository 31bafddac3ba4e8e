//! The list of stages, and what a failed one says.

use std::path::PathBuf;

use super::*;

fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_stages_come_in_the_promised_order() {
    let names = |has_deny, has_cplusplus| -> Vec<&str> {
        let checks = checks(has_deny, has_cplusplus);
        checks.iter().map(Check::name).collect()
    };
    let least = ["fmt", "fmt", "clippy", "doc", "doctests", "tidy"];
    assert_eq!(names(false, false), least);
    assert_eq!(names(true, true), [&least[..], &["deny", "fuzz"]].concat());
    // The tests come last, all of them.
    assert_eq!(
        tests("cargo".to_owned()).command_line(),
        "cargo nextest run --workspace --all-features"
    );
    let source = include_str!("../ci.rs");
    let run = source.split("pub(crate) fn run").nth(1).unwrap();
    let place = |words: &str| run.find(words).unwrap();
    assert!(place("preflight::run") < place("check.run(root)"));
    assert!(place("check.run(root)") < place("tests.run(root)"));
}

#[test]
fn a_stage_is_repeated_with_its_own_command_line() {
    let lines = stages().map(|stage| stage.command_line());
    assert_eq!(
        lines,
        [
            "cargo fmt --all --check",
            "cargo fmt --manifest-path fuzz/Cargo.toml --check",
            "cargo clippy --workspace --all-targets --all-features -- -D warnings",
            "RUSTDOCFLAGS=\"-D warnings\" cargo doc --workspace --no-deps --all-features --lib --bins --example 01_publish_subscribe",
            "cargo test --doc --workspace --all-features",
        ]
    );
}

#[test]
fn a_failed_stage_names_the_command_that_repeats_it() {
    let stage = Stage::cargo("fmt", &["no-such-subcommand-here"]);
    let failure = stage.run(&here()).unwrap_err();
    let text = failure.to_string();
    assert!(text.contains("fmt failed"), "{text}");
    assert!(
        text.ends_with("\n  cargo no-such-subcommand-here"),
        "{text}"
    );
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let stage = Stage {
        program: "no-such-program-here".to_owned(),
        ..Stage::cargo("fmt", &[])
    };
    let text = stage.run(&here()).unwrap_err().to_string();
    assert!(text.contains("`no-such-program-here`"), "{text}");
}
