//! The program `sagabus`.

mod cli;

mod assemble;
mod client;
mod config;
mod http;
mod intake;
mod logging;
mod memory;
mod steps;
mod wire;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
