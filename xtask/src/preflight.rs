//! What a bare machine may lack, and the command that brings it; as root on Debian it is brought.

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

const NEEDS: [Need; 4] = [
    Need {
        command: &["cc", "--version"],
        what: "a C compiler and linker (`cc`), for linking and for the bundled SQLite",
        install: "sudo apt-get install -y build-essential",
    },
    Need {
        command: &["make", "--version"],
        what: "`make`, for jemalloc",
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

/// Something without which some tests and checks are skipped.
struct Want {
    need: Need,
    /// Debian's package, for what `apt-get` brings within seconds.
    package: Option<&'static str>,
}

const WANTS: [Want; 8] = [
    Want {
        need: Need {
            command: &["strace", "-V"],
            what: "`strace`: tests of failed syncs, of kills at chosen syncs and of how a segment is made are skipped",
            install: "sudo apt-get install -y strace",
        },
        package: Some("strace"),
    },
    Want {
        need: Need {
            command: &["mkfs.ext4", "-V"],
            what: "`mkfs.ext4`: tests of a loss of power on ext4 are skipped",
            install: "sudo apt-get install -y e2fsprogs",
        },
        package: Some("e2fsprogs"),
    },
    Want {
        need: Need {
            command: &["mkfs.xfs", "-V"],
            what: "`mkfs.xfs`: tests of a loss of power on XFS are skipped",
            install: "sudo apt-get install -y xfsprogs",
        },
        package: Some("xfsprogs"),
    },
    Want {
        need: Need {
            command: &["python3", "--version"],
            what: "`python3`, which cuts a disk's power: tests of a loss of power are skipped",
            install: "sudo apt-get install -y python3",
        },
        package: Some("python3"),
    },
    Want {
        need: Need {
            command: &["valgrind", "--version"],
            what: "`valgrind`: tests that count instructions are skipped",
            install: "sudo apt-get install -y valgrind",
        },
        package: Some("valgrind"),
    },
    Want {
        need: Need {
            command: CPLUSPLUS,
            what: "`c++`, which builds libFuzzer: parsers are not fuzzed",
            install: "sudo apt-get install -y g++",
        },
        package: Some("g++"),
    },
    Want {
        need: Need {
            command: &["sh", "-c", MOUNTS],
            what: "the right to mount a small disk: tests of a full disk and of a loss of power are skipped",
            install: "run this command as root, in a container that may mount for one",
        },
        package: None,
    },
    Want {
        need: Need {
            command: &["cargo", "deny", "--version"],
            what: "`cargo-deny`: licences and sources of the dependencies are not checked",
            install: "cargo install cargo-deny --locked",
        },
        package: None,
    },
];

const CPLUSPLUS: &[&str] = &["c++", "--version"];

/// Mounts what the tests mount; to be root is not enough in a container without the right.
const MOUNTS: &str = r#"d=$(mktemp -d) || exit 1
mount -t tmpfs -o size=64k tmpfs "$d" && umount "$d"
code=$?
rmdir "$d"
exit $code"#;

/// The machine after preflight.
#[derive(Debug)]
pub(crate) struct Ready {
    /// The program that runs the tests.
    pub(crate) nextest: String,
    /// One line for each thing whose lack makes something be skipped, with the reason.
    pub(crate) skipped: Vec<String>,
}

/// The last line about what is skipped, so that a count of tests is not taken for all of them.
pub(crate) fn closing(skipped: &[String]) -> Option<String> {
    let names = skipped
        .iter()
        .map(|line| line.split(": ").next().unwrap_or(line));
    let names: Vec<&str> = names.collect();
    (!names.is_empty()).then(|| {
        format!(
            "skipped: what needs {} of {} things that this machine lacks: {}",
            names.len(),
            WANTS.len(),
            names.join("; ")
        )
    })
}

/// Whether the licences and sources of the dependencies can be checked.
pub(crate) fn has_deny(root: &Path) -> bool {
    answers(root, &["cargo", "deny", "--version"])
}

/// Whether libFuzzer can be built.
pub(crate) fn has_cplusplus(root: &Path) -> bool {
    answers(root, CPLUSPLUS)
}

/// Checks what the other stages need, and brings what it can.
pub(crate) fn run(root: &Path) -> Result<Ready> {
    let answers = |command: &[&str]| answers(root, command);
    let lacks = lacking(&NEEDS, answers);
    if !lacks.is_empty() {
        return Err(Failure::Lacking(lacks));
    }
    let own = root.join("target/tools/bin/cargo-nextest");
    let own = own.display().to_string();
    let nextest = match runner(&own, answers) {
        Some(program) => program,
        None => install_nextest(root).map(|()| own)?,
    };
    let packages = to_bring(answers);
    let failed = bring(&packages, |line| shell(root, line));
    Ok(Ready {
        nextest,
        skipped: skipped(failed.as_deref(), answers),
    })
}

/// Debian's packages of what is missing, where this program may install them: as root, with `apt-get`.
fn to_bring(answers: impl Fn(&[&str]) -> bool) -> Vec<&'static str> {
    let may = answers(&["sh", "-c", "test \"$(id -u)\" = 0"]) && answers(&["apt-get", "--version"]);
    if !may {
        return Vec::new();
    }
    WANTS
        .iter()
        .filter_map(|want| Some((want.package?, want)))
        .filter(|(_, want)| !answers(want.need.command))
        .map(|(package, _)| package)
        .collect()
}

/// Brings the packages, each line said before it runs. On failure says why; what came is seen by whether it answers.
fn bring(
    packages: &[&str],
    run: impl Fn(&str) -> std::result::Result<(), String>,
) -> Option<String> {
    /// A machine without network must not hold up the checks.
    const BOUNDS: &str =
        "-o Acquire::Retries=1 -o Acquire::http::Timeout=20 -o DPkg::Lock::Timeout=60";
    if packages.is_empty() {
        return None;
    }
    let install = format!(
        "DEBIAN_FRONTEND=noninteractive apt-get {BOUNDS} install -y --no-install-recommends {}",
        packages.join(" ")
    );
    // A bare image has no lists of packages: they are fetched where the first try fails.
    let update = format!("apt-get {BOUNDS} update");
    run(&install)
        .or_else(|_| run(&update).and_then(|()| run(&install)))
        .err()
}

/// Says what runs, and runs it. Its output is shown only when it fails.
fn shell(root: &Path, line: &str) -> std::result::Result<(), String> {
    println!("  {line}");
    let output = Command::new("sh")
        .args(["-c", line])
        .current_dir(root)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let last = text.lines().last().unwrap_or("it said nothing").trim();
    Err(format!("`apt-get` failed ({}): {last}", output.status))
}

/// One line for each thing that is still missing; `failed` says why it could not be brought.
fn skipped(failed: Option<&str>, answers: impl Fn(&[&str]) -> bool) -> Vec<String> {
    let missing = WANTS.iter().filter(|want| !answers(want.need.command));
    missing
        .map(|want| match (want.package, failed) {
            (Some(_), Some(why)) => format!("{}: {why}", want.need.what),
            _ => format!("{}: {}", want.need.what, want.need.install),
        })
        .collect()
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
