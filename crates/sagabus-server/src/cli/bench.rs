//! `sagabus bench`: figures as ratios within one run, since absolute ones differ by the hour on a shared machine.

mod audit;
mod bare;
mod cycle;
mod footprint;
mod lab;
mod latency;
mod load;
mod memory;
mod process;
mod publish;
mod read;
mod restart;
mod retention;
mod saga;
mod timers;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::{Failure, Output};

/// Measure this machine.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    #[command(subcommand)]
    what: What,
    /// How to print
    #[arg(short, long, value_enum, default_value_t, global = true)]
    output: Output,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Durable publish of 400-byte events beside a bare group-commit loop on the same disk
    Publish {
        /// Directory on the disk to measure; a folder is made in it and removed
        #[arg(long, default_value = ".")]
        dir: PathBuf,
        /// Seconds per measurement
        #[arg(long, default_value_t = 1.0)]
        seconds: f64,
        /// Rounds; the median counts
        #[arg(long, default_value_t = 5)]
        rounds: usize,
    },
    /// A whole durable cycle (published, handled, acked) with 8 publishers beside the bare group-commit loop
    Cycle {
        /// Directory on the disk to measure; a folder is made in it and removed
        #[arg(long, default_value = ".")]
        dir: PathBuf,
        /// Seconds per measurement
        #[arg(long, default_value_t = 1.0)]
        seconds: f64,
        /// Rounds; the median counts
        #[arg(long, default_value_t = 5)]
        rounds: usize,
    },
    /// Publish and handle in memory, with 1 and 10 subscribers, one event at a time and 100
    Memory {
        /// Events per measurement
        #[arg(long, default_value_t = 1_000_000)]
        events: usize,
    },
    /// Read stored 400-byte events, in pages and by a subscription that catches up
    Read {
        /// Directory on the disk to measure; a folder is made in it and removed
        #[arg(long, default_value = ".")]
        dir: PathBuf,
        /// Events
        #[arg(long, default_value_t = 1_000_000)]
        events: usize,
    },
    /// Latency of publish and until the handler, of events that are due at a fixed rate whatever happens
    Latency {
        /// Directory on the disk to measure; a folder is made in it and removed
        #[arg(long, default_value = ".")]
        dir: PathBuf,
        /// In memory instead
        #[arg(long)]
        memory: bool,
        /// Events a second
        #[arg(long, default_value_t = 10_000)]
        rate: u32,
        /// Seconds; the first fifth is not counted
        #[arg(long, default_value_t = 10.0)]
        seconds: f64,
    },
    /// Peak memory of this process while many durable events are published and handled
    Footprint {
        /// Directory on the disk to measure; a folder is made in it and removed
        #[arg(long, default_value = ".")]
        dir: PathBuf,
        /// Events
        #[arg(long, default_value_t = 1_000_000)]
        events: usize,
    },
    /// Time and peak memory of dropping old events while dead letters of them are kept
    Retention {
        /// Directory on the disk to measure; a folder is made in it and removed
        #[arg(long, default_value = ".")]
        dir: PathBuf,
        /// Events
        #[arg(long, default_value_t = 1_000_000)]
        events: usize,
        /// How many of them become dead letters
        #[arg(long, default_value_t = 100_000)]
        dead_letters: usize,
    },
    /// Time of a start with a backlog of small events behind a subscription that does not run
    Restart {
        /// Directory on the disk to measure; a folder is made in it and removed
        #[arg(long, default_value = ".")]
        dir: PathBuf,
        /// Events
        #[arg(long, default_value_t = 10_000_000)]
        events: usize,
    },
    /// Sagas that stop in their second step, to be killed with it by `bench saga`
    #[command(hide = true)]
    SagaHold {
        #[arg(long)]
        dir: PathBuf,
    },
    /// Sagas whose handlers do nothing, in memory and durable, beside a sync of the disk and the bare group-commit loop
    Saga {
        /// Directory on the disk to measure; a folder is made in it and removed
        #[arg(long, default_value = ".")]
        dir: PathBuf,
        /// Sagas per measurement
        #[arg(long, default_value_t = 20_000)]
        sagas: usize,
    },
    /// The audit trail: taking entries, making proofs, checking all of it
    Audit {
        /// Directory on the disk to measure; a folder is made in it and removed
        #[arg(long, default_value = ".")]
        dir: PathBuf,
        /// Entries
        #[arg(long, default_value_t = 1_000_000)]
        entries: usize,
    },
    /// Many submissions of many samples at once into a server of its own, while a sample is looked at
    Lab {
        /// Directory on the disk to measure; a folder is made in it and removed
        #[arg(long, default_value = ".")]
        dir: PathBuf,
        /// Submissions, all at once
        #[arg(long, default_value_t = 100)]
        submissions: usize,
        /// Samples on each form
        #[arg(long, default_value_t = 50)]
        samples: usize,
    },
    /// Events that are published later: setting them, memory, and how late they come
    Timers {
        /// Directory on the disk to measure; a folder is made in it and removed
        #[arg(long, default_value = ".")]
        dir: PathBuf,
        /// How many
        #[arg(long, default_value_t = 1_000_000)]
        timers: usize,
        /// They are due evenly over so many seconds
        #[arg(long, default_value_t = 60)]
        over_seconds: u32,
    },
}

impl Bench {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let runtime = super::runtime()?;
        match self.what {
            What::Publish {
                dir,
                seconds,
                rounds,
            } => publish::run(&runtime, &dir, seconds, rounds.max(1), self.output),
            What::Cycle {
                dir,
                seconds,
                rounds,
            } => cycle::run(&runtime, &dir, seconds, rounds.max(1), self.output),
            What::Read { dir, events } => read::run(&runtime, &dir, events, self.output),
            What::Latency {
                dir,
                memory,
                rate,
                seconds,
            } => {
                let order = latency::Order {
                    dir: (!memory).then_some(dir),
                    rate,
                    seconds,
                };
                latency::run(&runtime, &order, self.output)
            }
            What::Footprint { dir, events } => footprint::run(&runtime, &dir, events, self.output),
            What::Retention {
                dir,
                events,
                dead_letters,
            } => retention::run(&runtime, &dir, events, dead_letters, self.output),
            What::Restart { dir, events } => restart::run(&runtime, &dir, events, self.output),
            What::Memory { events } => memory::run(&runtime, events, self.output),
            What::Timers {
                dir,
                timers,
                over_seconds,
            } => timers::run(&runtime, &dir, timers, over_seconds, self.output),
            What::Audit { dir, entries } => audit::run(&runtime, &dir, entries, self.output),
            What::Lab {
                dir,
                submissions,
                samples,
            } => {
                let order = lab::Order {
                    submissions,
                    samples,
                };
                lab::run(&runtime, &dir, order, self.output)
            }
            What::SagaHold { dir } => saga::hold(&runtime, &dir),
            What::Saga { dir, sagas } => saga::run(&runtime, &dir, sagas, self.output),
        }
    }
}

/// The middle one of some figures.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(0.0)
}

/// To three digits after the point.
fn rounded(figure: f64) -> f64 {
    (figure * 1000.0).round() / 1000.0
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::new(format!("cannot measure: {error}"))
}

/// A folder that is removed at the end.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(dir: &Path) -> Result<Self, Failure> {
        let path = dir.join(format!("sagabus-bench-{}", std::process::id()));
        std::fs::create_dir_all(&path).map_err(failed)?;
        Ok(Self(path))
    }
}

impl Folder {
    /// An empty folder in it.
    pub(super) fn fresh(&self, name: &str) -> Result<PathBuf, Failure> {
        let path = self.0.join(name);
        if path.exists() {
            std::fs::remove_dir_all(&path).map_err(failed)?;
        }
        std::fs::create_dir_all(&path).map_err(failed)?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Left behind at worst, under a name that says what it is.
        let _removed = std::fs::remove_dir_all(&self.0);
    }
}
