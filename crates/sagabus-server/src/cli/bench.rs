//! `sagabus bench`: figures as ratios within one run, since absolute ones differ by the hour on a shared machine.

mod bare;
mod memory;
mod publish;

use std::path::PathBuf;

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
    /// Publish and handle in memory, with 1 and 10 subscribers
    Memory {
        /// Events per measurement
        #[arg(long, default_value_t = 200_000)]
        events: usize,
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
            What::Memory { events } => memory::run(&runtime, events, self.output),
        }
    }
}

/// The middle one of some figures.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(0.0)
}
