//! `sagabus schema`: the event types that are known, and whether two versions of a schema fit together.

mod asyncapi;
mod check;
mod list;
mod show;

use std::fmt::Display;
use std::io::{ErrorKind, Write};

use clap::{Args, Subcommand};
use sagabus::schema::Registry;
use serde_json::Value;

use super::Failure;
use crate::assemble;

/// Event types and their schemas; needs no running server.
#[derive(Debug, Args)]
pub(crate) struct Schema {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the event types with their versions
    List(list::List),
    /// Print the JSON Schema of an event type
    Show(show::Show),
    /// Say whether two versions of a JSON Schema are compatible; exit code 1 when they are not
    Check(check::Check),
    /// Print all event types as an AsyncAPI 3.0 document
    Asyncapi(asyncapi::Asyncapi),
}

impl Schema {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::List(list) => list.run(),
            Command::Show(show) => show.run(),
            Command::Check(check) => check.run(),
            Command::Asyncapi(asyncapi) => asyncapi.run(),
        }
    }
}

fn registry() -> Result<Registry, Failure> {
    Ok(assemble::schemas().build().map_err(sagabus::Error::from)?)
}

/// Prints, and ends quietly when nobody reads on, as with `| head`.
fn print(text: impl Display) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("cannot print: {error}")))
        }
        _ => Ok(()),
    }
}

fn print_json(value: &Value) -> Result<(), Failure> {
    print(format_args!("{value:#}"))
}
