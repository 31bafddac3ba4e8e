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
    bring: Bring,
}

/// How what is wanted comes within seconds, to who may install it.
#[derive(Clone, Copy)]
enum Bring {
    /// As Debian's package.
    Package(&'static str),
    /// By this line, which leaves the machine as it is.
    Line(&'static str),
    /// Not at all.
    Never,
}

const WANTS: [Want; 9] = [
    Want {
        need: Need {
            command: &["strace", "-V"],
            what: "`strace`: tests of failed syncs, of kills at chosen syncs and of how a segment is made are skipped",
            install: "sudo apt-get install -y strace",
        },
        bring: Bring::Package("strace"),
    },
    Want {
        need: Need {
            command: &["mkfs.ext4", "-V"],
            what: "`mkfs.ext4`: tests of a loss of power on ext4 are skipped",
            install: "sudo apt-get install -y e2fsprogs",
        },
        bring: Bring::Package("e2fsprogs"),
    },
    Want {
        need: Need {
            command: &["mkfs.xfs", "-V"],
            what: "`mkfs.xfs`: tests of a loss of power on XFS are skipped",
            install: "sudo apt-get install -y xfsprogs",
        },
        bring: Bring::Package("xfsprogs"),
    },
    Want {
        need: Need {
            command: &["python3", "--version"],
            what: "`python3`, which cuts a disk's power: tests of a loss of power are skipped",
            install: "sudo apt-get install -y python3",
        },
        bring: Bring::Package("python3"),
    },
    Want {
        need: Need {
            command: &["valgrind", "--version"],
            what: "`valgrind`: tests that count instructions are skipped",
            install: "sudo apt-get install -y valgrind",
        },
        bring: Bring::Package("valgrind"),
    },
    Want {
        need: Need {
            command: CPLUSPLUS,
            what: "`c++`, which builds libFuzzer: parsers are not fuzzed",
            install: "sudo apt-get install -y g++",
        },
        bring: Bring::Package("g++"),
    },
    Want {
        need: Need {
            command: &["sh", "-c", MOUNTS],
            what: "the right to mount a small disk: tests of a full disk and of a loss of power are skipped",
            install: "run this command as root, in a container that may mount for one",
        },
        bring: Bring::Never,
    },
    Want {
        need: Need {
            command: &["cargo", "deny", "--version"],
            what: "`cargo-deny`: licences and sources of the dependencies are not checked",
            install: "cargo install cargo-deny --locked",
        },
        bring: Bring::Never,
    },
    Want {
        need: Need {
            command: &["sh", "-c", PROMTOOL],
            what: "`promtool`: the rules for alerts are not tried",
            install: "sudo apt-get install -y prometheus",
        },
        bring: Bring::Line(BRING_PROMTOOL),
    },
];

const PROMTOOL: &str = "promtool --version || target/tools/usr/bin/promtool --version";

/// Its package has a server, which would run at once: only the program is taken out of it.
const BRING_PROMTOOL: &str = "mkdir -p target/tools && cd target/tools && apt-get download prometheus && \
dpkg --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool && rm prometheus_*.deb";

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
    let (packages, lines) = to_bring(answers);
    let failed = bring(&packages, &lines, |line| shell(root, line));
    Ok(Ready {
        nextest,
        skipped: skipped(failed.as_deref(), answers),
    })
}

/// Debian's packages of what is missing, and lines that bring the rest, where this program may install them: as root, with
/// `apt-get`.
fn to_bring(answers: impl Fn(&[&str]) -> bool) -> (Vec<&'static str>, Vec<&'static str>) {
    let (mut packages, mut lines) = (Vec::new(), Vec::new());
    let may = answers(&["sh", "-c", "test \"$(id -u)\" = 0"]) && answers(&["apt-get", "--version"]);
    if !may {
        return (packages, lines);
    }
    for want in WANTS.iter().filter(|want| !answers(want.need.command)) {
        match want.bring {
            Bring::Package(package) => packages.push(package),
            Bring::Line(line) => lines.push(line),
            Bring::Never => {}
        }
    }
    (packages, lines)
}

/// Brings the packages, and then what lines bring, each line said before it runs. On failure says why; what came is seen by whether it answers.
fn bring(
    packages: &[&str],
    lines: &[&str],
    run: impl Fn(&str) -> std::result::Result<(), String>,
) -> Option<String> {
    /// A machine without network must not hold up the checks.
    const BOUNDS: &str =
        "-o Acquire::Retries=1 -o Acquire::http::Timeout=20 -o DPkg::Lock::Timeout=60";
    // A bare image has no lists of packages: they are fetched where the first try fails.
    let update = format!("apt-get {BOUNDS} update");
    let twice = |line: &str| run(line).or_else(|_| run(&update).and_then(|()| run(line)));
    let rest = |failed: Option<String>| {
        lines
            .iter()
            .fold(failed, |failed, line| failed.or(twice(line).err()))
    };
    if packages.is_empty() {
        return rest(None);
    }
    let install = format!(
        "DEBIAN_FRONTEND=noninteractive apt-get {BOUNDS} install -y --no-install-recommends {}",
        packages.join(" ")
    );
    rest(twice(&install).err())
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
        .map(|want| match (want.bring, failed) {
            (Bring::Package(_) | Bring::Line(_), Some(why)) => format!("{}: {why}", want.need.what),
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
