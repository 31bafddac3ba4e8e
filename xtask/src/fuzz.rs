//! Fuzzes the parsers: builds `fuzz/` with the coverage passes of the stable compiler, and runs libFuzzer on its targets.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

use crate::failure::{Failure, Result};

/// Every target, as `fuzz/src/main.rs` names them; each has a folder of inputs.
pub(crate) const TARGETS: [&str; 12] = [
    "frames",
    "records",
    "ledger",
    "envelope",
    "cloud_events",
    "patterns",
    "cesql",
    "filters",
    "definitions",
    "names",
    "settings",
    "headers",
];

/// What the compiler adds so that libFuzzer sees which code an input reaches.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Seconds of a target among all checks.
const SHORT_SECONDS: u32 = 5;
/// Seconds of a target unless said otherwise.
const SECONDS: u32 = 60;
/// Longest time that may be asked for: a day.
const SECONDS_MAX: u32 = 86_400;
/// Longest input; the limits of the parsers that lie above are tested by hand.
const INPUT_BYTES_MAX: u32 = 4096;
/// Lines shown of a run that found something.
const LINES_SHOWN: usize = 30;

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Order {
    targets: Vec<&'static str>,
    work: Work,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    /// Look for inputs that break something, for so many seconds.
    Search { seconds: u32 },
    /// Keep the inputs that were found to reach something new.
    Keep,
}

impl Order {
    /// Reads the words after `fuzz`.
    pub(crate) fn read(words: &[&str]) -> Result<Self> {
        let (name, work) = match words {
            [name] => (*name, Work::Search { seconds: SECONDS }),
            [name, "--keep"] => (*name, Work::Keep),
            [name, "--time", seconds] => (*name, Work::search(seconds)?),
            _ => {
                let text = format!("unknown: `fuzz {}`", words.join(" "));
                return Err(Failure::Usage(text));
            }
        };
        let targets: Vec<&'static str> = TARGETS
            .into_iter()
            .filter(|it| name == "all" || *it == name)
            .collect();
        if targets.is_empty() {
            return Err(Failure::Usage(format!(
                "unknown: `{name}`; targets are `all`, {}",
                TARGETS.map(|it| format!("`{it}`")).join(", ")
            )));
        }
        Ok(Self { targets, work })
    }
}

impl Work {
    fn search(seconds: &str) -> Result<Self> {
        match seconds.parse() {
            Ok(seconds @ 1..=SECONDS_MAX) => Ok(Self::Search { seconds }),
            _ => Err(Failure::Usage(format!(
                "`--time` is `{seconds}`, and must be 1 to {SECONDS_MAX} seconds"
            ))),
        }
    }
}

/// Does what is asked for, one target after the other.
pub(crate) fn run(root: &Path, order: &Order) -> Result<()> {
    let fuzzer = Fuzzer::build(root)?;
    for target in &order.targets {
        match order.work {
            Work::Search { seconds } => {
                let line = fuzzer.search(target, Search { seconds, seed: 0 })?;
                println!("{line}");
            }
            Work::Keep => println!("{}", fuzzer.keep(target)?),
        }
    }
    Ok(())
}

/// Runs every target for some seconds, as many at a time as there are cores. The same chance each time, so that a change
/// is not blamed for what another seed finds: those are for long runs.
pub(crate) fn short(root: &Path) -> Result<()> {
    let fuzzer = Fuzzer::build(root)?;
    let next = Mutex::new(TARGETS.iter());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let search = Search {
        seconds: SHORT_SECONDS,
        seed: 1,
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores.min(TARGETS.len()))
            .map(|_| {
                scope.spawn(|| {
                    loop {
                        let target = next.lock().ok().and_then(|mut it| it.next());
                        let Some(target) = target else {
                            return Ok(());
                        };
                        println!("{}", fuzzer.search(target, search)?);
                    }
                })
            })
            .collect();
        let mut outcomes = workers.into_iter().map(std::thread::ScopedJoinHandle::join);
        outcomes.try_for_each(|it| it.unwrap_or_else(|_| Err(finding("fuzz", "a worker panicked"))))
    })
}

/// How a target is searched; 0 is any seed.
#[derive(Clone, Copy)]
struct Search {
    seconds: u32,
    seed: u32,
}

/// The program of all targets.
struct Fuzzer {
    root: PathBuf,
    program: PathBuf,
}

impl Fuzzer {
    fn build(root: &Path) -> Result<Self> {
        let host = host(root)?;
        let arguments = [
            "build",
            "--quiet",
            "--release",
            "--manifest-path",
            "fuzz/Cargo.toml",
            "--target-dir",
            "target/fuzz",
            // With a target named, what runs while building is built without the flags.
            "--target",
            &host,
        ];
        let status = Command::new("cargo")
            .args(arguments)
            .env("RUSTFLAGS", FLAGS)
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .current_dir(root)
            .status()
            .map_err(|source| running("cargo", source))?;
        if !status.success() {
            return Err(Failure::Stage {
                name: "fuzz",
                repeat: format!("RUSTFLAGS=\"{FLAGS}\" cargo {}", arguments.join(" ")),
                why: status.to_string(),
            });
        }
        Ok(Self {
            root: root.to_path_buf(),
            program: root.join(format!("target/fuzz/{host}/release/sagabus-fuzz")),
        })
    }

    /// Runs a target; says how often, and how much of the code it reached.
    fn search(&self, target: &'static str, search: Search) -> Result<String> {
        let own = format!("target/fuzz/corpus/{target}");
        for folder in [own.as_str(), "target/fuzz/findings"] {
            let path = self.root.join(folder);
            fs::create_dir_all(&path).map_err(|source| Failure::reading(&path, source))?;
        }
        let mut arguments = vec![
            format!("--target={target}"),
            own,
            format!("fuzz/corpus/{target}"),
            format!("-artifact_prefix=target/fuzz/findings/{target}-"),
            format!("-max_total_time={}", search.seconds),
            format!("-max_len={INPUT_BYTES_MAX}"),
            format!("-seed={}", search.seed),
            "-timeout=10".to_owned(),
            "-rss_limit_mb=2048".to_owned(),
            "-print_final_stats=1".to_owned(),
        ];
        let words = format!("fuzz/words/{target}");
        if self.root.join(&words).exists() {
            arguments.push(format!("-dict={words}"));
        }
        let output = self.fuzzer(&arguments)?;
        let text = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            return Ok(summary(target, &text));
        }
        let lines: Vec<&str> = text.lines().collect();
        for line in lines.iter().skip(lines.len().saturating_sub(LINES_SHOWN)) {
            eprintln!("{line}");
        }
        let artifact = text
            .lines()
            .find_map(|it| it.split_once("Test unit written to "))
            .map_or("an input as above", |it| it.1);
        Err(finding(target, artifact))
    }

    /// Adds what is new to the inputs that are kept in the repository.
    fn keep(&self, target: &str) -> Result<String> {
        let kept = format!("fuzz/corpus/{target}");
        let own = format!("target/fuzz/corpus/{target}");
        for folder in [&kept, &own] {
            let path = self.root.join(folder);
            fs::create_dir_all(&path).map_err(|source| Failure::reading(&path, source))?;
        }
        let output = self.fuzzer(&[
            format!("--target={target}"),
            "-set_cover_merge=1".to_owned(),
            // What code is reached, not how often.
            "-use_counters=0".to_owned(),
            format!("-max_len={INPUT_BYTES_MAX}"),
            kept.clone(),
            own,
        ])?;
        if !output.status.success() {
            return Err(finding(target, "an input as above"));
        }
        let path = self.root.join(&kept);
        let count = fs::read_dir(&path)
            .map_err(|source| Failure::reading(&path, source))?
            .count();
        Ok(format!("{target}: {count} inputs in {kept}"))
    }

    fn fuzzer(&self, arguments: &[String]) -> Result<Output> {
        Command::new(&self.program)
            .args(arguments)
            // The text of a panic is what is read, and a trace would push it out of sight.
            .env("RUST_BACKTRACE", "0")
            .current_dir(&self.root)
            .output()
            .map_err(|source| running("sagabus-fuzz", source))
    }
}

/// What libFuzzer says at the end, in one line.
fn summary(target: &str, text: &str) -> String {
    let executions = text
        .lines()
        .find_map(|it| it.strip_prefix("stat::number_of_executed_units:"))
        .map_or("?", str::trim);
    let reached = text
        .lines()
        .rev()
        .find_map(|it| it.split_once(" cov: ")?.1.split(' ').next())
        .unwrap_or("?");
    format!("    {target}: {executions} inputs, {reached} branches reached, nothing found")
}

fn finding(target: &str, what: &str) -> Failure {
    Failure::Stage {
        name: "fuzz",
        repeat: format!("cargo xtask fuzz {target}"),
        why: format!("`{target}` does not hold for {what}"),
    }
}

/// The triple that this machine builds for.
fn host(root: &Path) -> Result<String> {
    let output = Command::new("rustc")
        .arg("-vV")
        .current_dir(root)
        .output()
        .map_err(|source| running("rustc", source))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|it| it.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| Failure::Stage {
        name: "fuzz",
        repeat: "rustc -vV".to_owned(),
        why: "the compiler does not say what it builds for".to_owned(),
    })
}

fn running(program: &str, source: std::io::Error) -> Failure {
    Failure::Io {
        what: format!("run `{program}`"),
        source,
    }
}

#[cfg(test)]
mod tests;
