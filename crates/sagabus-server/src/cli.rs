//! The commands, one file each.

mod audit;
mod author;
mod bench;
mod dead_letters;
mod demo;
mod events;
mod extract;
mod pdf_worker;
mod print;
mod reference;
mod saga;
mod schedules;
mod schema;
mod serve;
mod subscriptions;
mod table;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Durable event bus, sagas and nanopore sample tracking in one process, without a server to install
#[derive(Debug, Parser)]
#[command(name = "sagabus", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// What to log on standard error: `error`, `warn`, `info`, `debug`, or a filter such as `info,sagabus=debug`
    /// [default: `warn` for serve, `off` for bench, otherwise `error`]
    #[arg(long, global = true)]
    log: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Carry a submission form through the whole system, show every event and step, then serve
    Demo(demo::Demo),
    /// Serve the bus, the sagas and the services over HTTP
    Serve(serve::Serve),
    /// Read a submission form and print what is in it; stores nothing
    Extract(extract::Extract),
    /// Check the audit trail; needs no server
    Audit(audit::Audit),
    /// Measure this machine: each figure beside what the disk or the code below allows, in one run
    Bench(bench::Bench),
    /// Look after the dead letters of a running server
    DeadLetters(dead_letters::DeadLetters),
    /// Watch the events of a running server
    Events(events::Events),
    /// Look after the subscriptions of a running server
    Subscriptions(subscriptions::Subscriptions),
    /// Check definitions of sagas; look after the sagas of a running server
    Saga(saga::Saga),
    /// Look after the events that a running server is to publish later
    Schedules(schedules::Schedules),
    /// List event types, show their schemas, check two versions of a schema
    Schema(schema::Schema),
    /// Print a page of the reference, generated from the code
    Reference(reference::Reference),
    /// Read one PDF from standard input in a locked-in process (started by the program itself)
    #[command(hide = true)]
    PdfWorker,
}

/// What went wrong, for the user, and the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) text: String,
    pub(crate) code: u8,
}

impl Failure {
    /// A failure with exit code 1.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            code: 1,
        }
    }
}

impl From<sagabus::Error> for Failure {
    fn from(error: sagabus::Error) -> Self {
        Self::new(error.chain())
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
    let cli = Cli::parse();
    if matches!(cli.command, Command::PdfWorker) {
        // Before any thread is started: the worker locks itself in first.
        return pdf_worker::run();
    }
    let usual = match cli.command {
        Command::Serve(_) => "warn",
        // What fails ends it, and events that fail on purpose are not to be told one by one.
        Command::Bench(_) => "off",
        _ => "error",
    };
    let result = crate::logging::start(cli.log.as_deref().unwrap_or(usual))
        .map_err(Failure::new)
        .and_then(|()| match cli.command {
            Command::Demo(demo) => demo.run(),
            Command::Serve(serve) => serve.run(),
            Command::Extract(extract) => extract.run(),
            Command::Audit(audit) => audit.run(),
            Command::Bench(bench) => bench.run(),
            Command::DeadLetters(letters) => letters.run(),
            Command::Events(events) => events.run(),
            Command::Subscriptions(subscriptions) => subscriptions.run(),
            Command::Saga(saga) => saga.run(),
            Command::Schedules(schedules) => schedules.run(),
            Command::Schema(schema) => schema.run(),
            Command::Reference(reference) => reference.run(),
            Command::PdfWorker => Ok(()),
        })
        .and_then(|()| print::outcome());
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            print::tell(format_args!("error: {}", failure.text));
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
        .map_err(|error| Failure::new(format!("cannot start: {error}")))
}
