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

/// A machine with root and `apt-get` as said, where these programs are missing.
fn machine<'a>(
    is_root: bool,
    has_apt: bool,
    missing: &'a [&'a str],
) -> impl Fn(&[&str]) -> bool + 'a {
    move |command| match command {
        ["sh", "-c", line] if line.contains("id -u") => is_root,
        ["apt-get", ..] => has_apt,
        [program, ..] => !missing.contains(program),
        [] => false,
    }
}

#[test]
fn what_is_skipped_for_want_of_a_tool_is_named_with_the_command_that_installs_it() {
    let lines = skipped(None, machine(false, true, &["strace"]));
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("are skipped: sudo apt-get install -y strace"));
    assert_eq!(skipped(None, |_| false).len(), WANTS.len());
}

#[test]
fn as_root_on_debian_the_missing_tools_are_brought_and_no_others() {
    let missing = ["strace", "mkfs.xfs"];
    let (packages, lines) = to_bring(machine(true, true, &missing));
    assert_eq!((packages, lines.len()), (vec!["strace", "xfsprogs"], 0));
    assert_eq!(to_bring(machine(true, true, &[])), (vec![], vec![]));
    // What apt-get does not bring is not asked of it: the right to mount, a program that is built for minutes. A program
    // whose package would start a server is taken out of it.
    let (packages, lines) = to_bring(machine(true, true, &["sh", "cargo"]));
    assert_eq!((packages, lines), (vec![], vec![BRING_PROMTOOL]));
}

#[test]
fn without_root_or_without_apt_get_nothing_is_installed() {
    let missing = ["strace", "mkfs.xfs", "valgrind"];
    assert_eq!(to_bring(machine(false, true, &missing)), (vec![], vec![]));
    assert_eq!(to_bring(machine(true, false, &missing)), (vec![], vec![]));
}

/// The lines that run until the packages are there, where those that hold `fails` fail, and what is said at the end.
fn brought(
    packages: &[&str],
    fails: &dyn Fn(usize, &str) -> bool,
) -> (Vec<String>, Option<String>) {
    let lines = std::cell::RefCell::new(Vec::new());
    let failed = bring(packages, &[], |line| {
        lines.borrow_mut().push(line.to_owned());
        let number = lines.borrow().len();
        if fails(number, line) {
            return Err(format!("no {number}"));
        }
        Ok(())
    });
    (lines.into_inner(), failed)
}

#[test]
fn the_lists_of_packages_are_fetched_only_where_the_first_try_fails() {
    let (lines, failed) = brought(&["strace", "xfsprogs"], &|_, _| false);
    assert_eq!((lines.len(), failed), (1, None));
    assert!(lines[0].ends_with(" install -y --no-install-recommends strace xfsprogs"));

    let (lines, failed) = brought(&["strace"], &|number, _| number == 1);
    assert_eq!((lines.len(), failed), (3, None));
    assert!(lines[1].ends_with(" update"), "{lines:?}");
    assert_eq!(lines[0], lines[2]);

    let (lines, failed) = brought(&["strace"], &|_, line| line.ends_with("update"));
    assert_eq!((lines.len(), failed), (1, None));

    assert_eq!(brought(&[], &|_, _| true), (Vec::new(), None));
}

#[test]
fn what_a_line_brings_is_tried_again_behind_the_lists_and_goes_its_own_way() {
    let lines = std::cell::RefCell::new(Vec::new());
    let failed = bring(&["strace"], &["fetch"], |line| {
        lines.borrow_mut().push(line.to_owned());
        match line {
            "fetch" if lines.borrow().len() < 4 => Err("no".to_owned()),
            _ => Ok(()),
        }
    });
    let lines = lines.into_inner();
    assert_eq!((lines.len(), failed), (4, None), "{lines:?}");
    assert_eq!((&*lines[1], &*lines[3]), ("fetch", "fetch"));
    assert!(lines[2].ends_with(" update"), "{lines:?}");
    let failed = bring(&[], &["fetch"], |_| Err("no way".to_owned()));
    assert_eq!(failed.as_deref(), Some("no way"));
}

#[test]
fn what_could_not_be_brought_is_skipped_with_the_reason() {
    let (lines, failed) = brought(&["valgrind"], &|_, _| true);
    assert_eq!((lines.len(), failed.as_deref()), (2, Some("no 2")));
    let lines = skipped(
        failed.as_deref(),
        machine(true, true, &["valgrind", "cargo"]),
    );
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].ends_with("are skipped: no 2"), "{lines:?}");
    // The reason is that of the packages alone.
    assert!(lines[1].ends_with("cargo install cargo-deny --locked"));
}

#[test]
fn the_closing_line_counts_what_is_lacking() {
    assert_eq!(closing(&[]), None);
    let line = closing(&skipped(None, machine(true, true, &["strace", "cargo"]))).unwrap();
    let expected =
        "skipped: what needs 2 of 9 things that this machine lacks: `strace`; `cargo-deny`";
    assert_eq!(line, expected);
}

#[test]
fn a_line_that_fails_says_its_last_words() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert_eq!(shell(root, "exit 0"), Ok(()));
    let why = shell(root, "echo one >&2; echo two >&2; exit 3").unwrap_err();
    assert_eq!(why, "`apt-get` failed (exit status: 3): two");
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
