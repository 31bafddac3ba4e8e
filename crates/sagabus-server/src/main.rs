//! The program `sagabus`.

mod cli;

mod assemble;
mod client;
mod config;
mod http;
mod intake;
mod logging;
mod machine;
mod ports;
mod services;
mod start_room;
mod steps;
mod wire;

use std::process::ExitCode;

/// Events are made by one thread and dropped by another: that is where the allocator of the system makes threads wait.
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    cli::main()
}
