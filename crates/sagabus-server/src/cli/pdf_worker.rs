//! `sagabus pdf-worker`: the locked-in child that reads one PDF.

use std::process::ExitCode;

pub(super) fn run() -> ExitCode {
    ai_service::pdf::worker_main()
}
