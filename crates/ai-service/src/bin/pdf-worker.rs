//! The child process that reads one PDF, as a program of its own for tests and trials.

use std::process::ExitCode;

fn main() -> ExitCode {
    ai_service::pdf::worker_main()
}
