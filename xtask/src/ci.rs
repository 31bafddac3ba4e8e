//! Every check in order; the tests come last, so that their count closes the output.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::failure::{Failure, Result};
use crate::{fuzz, preflight, tidy};

/// One program of the list, run at the workspace's root.
struct Stage {
    name: &'static str,
    program: String,
    arguments: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
}

impl Stage {
    fn cargo(name: &'static str, arguments: &'static [&'static str]) -> Self {
        Self {
            name,
            program: "cargo".to_owned(),
            arguments,
            environment: &[],
        }
    }

    /// What to type to run this stage alone.
    fn command_line(&self) -> String {
        let mut words: Vec<String> = self
            .environment
            .iter()
            .map(|(name, value)| format!("{name}=\"{value}\""))
            .collect();
        words.push(self.program.clone());
        words.extend(self.arguments.iter().map(|&word| word.to_owned()));
        words.join(" ")
    }

    fn run(&self, root: &Path) -> Result<()> {
        let status = Command::new(&self.program)
            .args(self.arguments)
            .envs(self.environment.iter().copied())
            .current_dir(root)
            .status()
            .map_err(|source| Failure::Io {
                what: format!("run `{}`", self.program),
                source,
            })?;
        if status.success() {
            return Ok(());
        }
        Err(Failure::Stage {
            name: self.name,
            repeat: self.command_line(),
            why: status.to_string(),
        })
    }
}

/// The stages before `tidy`. All take all features, so that they share one build of each dependency.
fn stages() -> [Stage; 5] {
    [
        Stage::cargo("fmt", &["fmt", "--all", "--check"]),
        Stage::cargo(
            "fmt",
            &["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"],
        ),
        Stage::cargo(
            "clippy",
            &[
                "clippy",
                "--workspace",
                "--all-targets",
                "--all-features",
                "--",
                "-D",
                "warnings",
            ],
        ),
        // With one example, which like the tests takes what is only for development: without it other features of the
        // dependencies are on, and nearly all of them are built once more.
        Stage {
            environment: &[("RUSTDOCFLAGS", "-D warnings")],
            ..Stage::cargo(
                "doc",
                &[
                    "doc",
                    "--workspace",
                    "--no-deps",
                    "--all-features",
                    "--lib",
                    "--bins",
                    "--example",
                    "01_publish_subscribe",
                ],
            )
        },
        Stage::cargo(
            "doctests",
            &["test", "--doc", "--workspace", "--all-features"],
        ),
    ]
}

/// Licences, sources and refused crates, by `deny.toml`; needs no network.
fn deny() -> Stage {
    Stage::cargo(
        "deny",
        &[
            "deny",
            "check",
            "--hide-inclusion-graph",
            "licenses",
            "bans",
            "sources",
        ],
    )
}

/// All tests, by the runner that the machine has.
fn tests(nextest: String) -> Stage {
    Stage {
        name: "tests",
        program: nextest,
        arguments: &["nextest", "run", "--workspace", "--all-features"],
        environment: &[],
    }
}

/// What is run.
enum Check {
    Program(Stage),
    /// The house rules, which are looked at by this program itself.
    Tidy,
    /// All parsers with inputs of chance, for some seconds each.
    Fuzz,
}

impl Check {
    fn name(&self) -> &'static str {
        match self {
            Self::Program(stage) => stage.name,
            Self::Tidy => "tidy",
            Self::Fuzz => "fuzz",
        }
    }

    fn run(&self, root: &Path) -> Result<()> {
        match self {
            Self::Program(stage) => timed(self.name(), &stage.command_line(), || stage.run(root)),
            Self::Tidy => timed(self.name(), "cargo xtask tidy", || tidy::run(root)),
            Self::Fuzz => timed(self.name(), "cargo xtask fuzz all", || fuzz::short(root)),
        }
    }
}

/// All checks but the tests, in their order.
fn checks(has_deny: bool, has_cplusplus: bool) -> Vec<Check> {
    let mut checks: Vec<Check> = stages().map(Check::Program).into();
    checks.push(Check::Tidy);
    if has_deny {
        checks.push(Check::Program(deny()));
    }
    if has_cplusplus {
        checks.push(Check::Fuzz);
    }
    checks
}

/// Runs everything; the first failure stops.
pub(crate) fn run(root: &Path) -> Result<()> {
    let ready = timed("preflight", "", || preflight::run(root))?;
    for check in checks(preflight::has_deny(root), preflight::has_cplusplus(root)) {
        check.run(root)?;
    }
    let tests = tests(ready.nextest);
    println!("\n==> {}: {}", tests.name, tests.command_line());
    // The runner shows no output of a test that passes: what a test skips is said here.
    for line in &ready.skipped {
        println!("    skipped: this machine lacks {line}");
    }
    // The runner prints its own duration and the count; what is missing from that count is the only line after it.
    let outcome = tests.run(root);
    if let Some(line) = preflight::closing(&ready.skipped) {
        println!("{line}");
    }
    outcome
}

/// Announces a stage, runs it and says how long it took.
fn timed<T>(name: &str, command_line: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let colon = if command_line.is_empty() { "" } else { ": " };
    println!("\n==> {name}{colon}{command_line}");
    let start = now();
    let outcome = work();
    let word = if outcome.is_ok() { "done" } else { "failed" };
    println!("<== {name} {word} in {}", seconds(start.elapsed()));
    outcome
}

#[expect(
    clippy::disallowed_methods,
    reason = "a stage's duration is for the reader and decides nothing"
)]
fn now() -> Instant {
    Instant::now()
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests;
