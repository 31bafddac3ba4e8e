//! The commands, one file each.

mod bench;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Durable event bus, sagas and nanopore sample tracking in one process.
#[derive(Debug, Parser)]
#[command(name = "sagabus", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure this machine: each figure beside what the disk or the code below allows, in one run
    Bench(bench::Bench),
}

/// What went wrong, for the user, and the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) text: String,
    pub(crate) code: u8,
}

impl From<sagabus::Error> for Failure {
    fn from(error: sagabus::Error) -> Self {
        Self {
            text: error.chain(),
            code: 1,
        }
    }
}

/// Output for people or for programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

/// Runs the command line.
pub(crate) fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Bench(bench) => bench.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {}", failure.text);
            ExitCode::from(failure.code)
        }
    }
}

/// A runtime for the whole program.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure {
            text: format!("cannot start: {error}"),
            code: 1,
        })
}
