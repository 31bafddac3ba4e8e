//! What preflight says on machines that lack something.

use super::*;

#[test]
fn what_is_missing_is_named_with_the_command_that_installs_it() {
    let lacks = lacking(&NEEDS, |command| command.first() != Some(&"cc"));
    assert_eq!(lacks.len(), 1, "{lacks:?}");
    assert!(lacks[0].ends_with(": sudo apt-get install -y build-essential"));
}

#[test]
fn everything_missing_is_named_at_once() {
    let lacks = lacking(&NEEDS, |_| false);
    assert_eq!(lacks.len(), NEEDS.len());
    assert!(lacks.iter().all(|line| line.contains(": ")), "{lacks:?}");
}

#[test]
fn what_is_skipped_for_want_of_a_tool_is_named_with_the_command_that_installs_it() {
    let lines = lacking(&WANTS, |command| command.first() != Some(&"strace"));
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("are skipped: sudo apt-get install -y strace"));
    assert_eq!(lacking(&WANTS, |_| false).len(), WANTS.len());
}

#[test]
fn the_test_runner_of_the_machine_comes_before_the_workspaces_own() {
    assert_eq!(runner("own", |_| true).as_deref(), Some("cargo"));
    let only_own = |command: &[&str]| command.first() == Some(&"own");
    assert_eq!(runner("own", only_own).as_deref(), Some("own"));
    assert_eq!(runner("own", |_| false), None);
}

#[test]
fn a_program_that_is_not_there_does_not_answer() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert!(!answers(root, &["no-such-program-here"]));
    assert!(!answers(root, &[]));
    assert!(answers(root, &["cargo", "--version"]));
}
