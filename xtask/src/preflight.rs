//! What a bare machine may lack, and the command that brings it.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::failure::{Failure, Result};

/// The test runner's version that is installed where there is none.
const NEXTEST_VERSION: &str = "0.9.143";

/// A program that must answer, and what to type when it does not.
struct Need {
    command: &'static [&'static str],
    what: &'static str,
    install: &'static str,
}

const NEEDS: [Need; 3] = [
    Need {
        command: &["cc", "--version"],
        what: "a C compiler and linker (`cc`), for linking and for the bundled SQLite",
        install: "sudo apt-get install -y build-essential",
    },
    Need {
        command: &["cargo", "fmt", "--version"],
        what: "rustfmt",
        install: "rustup component add rustfmt",
    },
    Need {
        command: &["cargo", "clippy", "--version"],
        what: "clippy",
        install: "rustup component add clippy",
    },
];

/// Programs without which some tests and checks are skipped.
const WANTS: [Need; 3] = [
    Need {
        command: &["strace", "-V"],
        what: "`strace`: tests of failed syncs, of kills at chosen syncs and of how a segment is made are skipped",
        install: "sudo apt-get install -y strace",
    },
    Need {
        command: &["sh", "-c", "test \"$(id -u)\" = 0"],
        what: "root, who may mount a small disk: the test of a full disk is skipped",
        install: "run this command as root, in a container for one",
    },
    Need {
        command: &["cargo", "deny", "--version"],
        what: "`cargo-deny`: licences and sources of the dependencies are not checked",
        install: "cargo install cargo-deny --locked",
    },
];

/// One line for each thing whose lack makes something be skipped.
pub(crate) fn skipped(root: &Path) -> Vec<String> {
    lacking(&WANTS, |command| answers(root, command))
}

/// Whether the licences and sources of the dependencies can be checked.
pub(crate) fn has_deny(root: &Path) -> bool {
    answers(root, &["cargo", "deny", "--version"])
}

/// Checks what the other stages need and returns the program that runs the tests.
pub(crate) fn run(root: &Path) -> Result<String> {
    let answers = |command: &[&str]| answers(root, command);
    let lacks = lacking(&NEEDS, answers);
    if !lacks.is_empty() {
        return Err(Failure::Lacking(lacks));
    }
    let own = root.join("target/tools/bin/cargo-nextest");
    let own = own.display().to_string();
    match runner(&own, answers) {
        Some(program) => Ok(program),
        None => install_nextest(root).map(|()| own),
    }
}

/// One line for each need that does not answer.
fn lacking(needs: &[Need], answers: impl Fn(&[&str]) -> bool) -> Vec<String> {
    needs
        .iter()
        .filter(|need| !answers(need.command))
        .map(|need| format!("{}: {}", need.what, need.install))
        .collect()
}

/// The test runner of the machine, else the workspace's own at `own`, else none.
fn runner(own: &str, answers: impl Fn(&[&str]) -> bool) -> Option<String> {
    if answers(&["cargo", "nextest", "--version"]) {
        return Some("cargo".to_owned());
    }
    answers(&[own, "nextest", "--version"]).then(|| own.to_owned())
}

fn install_nextest(root: &Path) -> Result<()> {
    let arguments = [
        "install",
        "cargo-nextest",
        "--version",
        NEXTEST_VERSION,
        "--locked",
        // Without updates of itself it needs no TLS and less C.
        "--no-default-features",
        "--features",
        "default-no-update",
        "--root",
        "target/tools",
    ];
    let line = format!("cargo {}", arguments.join(" "));
    println!("`cargo-nextest` is missing; installing it into target/tools (some minutes, once):");
    println!("  {line}");
    let status = Command::new("cargo")
        .args(arguments)
        .current_dir(root)
        .status()
        .map_err(|source| Failure::Io {
            what: "run `cargo install`".to_owned(),
            source,
        })?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::Stage {
        name: "preflight",
        repeat: line,
        why: "cargo-nextest could not be installed".to_owned(),
    })
}

/// Whether the command ends well; its output is not shown.
fn answers(root: &Path, command: &[&str]) -> bool {
    let Some((program, arguments)) = command.split_first() else {
        return false;
    };
    Command::new(program)
        .args(arguments)
        .current_dir(root)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests;
