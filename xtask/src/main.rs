//! Checks and chores of the workspace: `cargo xtask help` lists them.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool of the command line speaks to its terminal"
)]

mod ci;
mod failure;
mod fuzz;
mod preflight;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use failure::{Failure, Result};

const HELP: &str = "\
Checks and chores of the workspace.

Usage: cargo xtask <command>

Commands:
  ci     every check, in order: preflight, fmt, clippy, doc, doctests, tidy,
         deny where the machine has cargo-deny, fuzz (some seconds), tests
  tidy   the house rules alone (layers, names, documents); builds the program, which
         writes the generated pages that are compared
  fuzz TARGET [--time SECONDS]
         fuzzes one parser (60 s unless said otherwise), or `all` one after the other;
         what it finds is kept under target/fuzz/findings
  fuzz TARGET --keep
         adds to fuzz/corpus the inputs that reach something new, none that is needless
  help   this text
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            failure.code()
        }
    }
}

fn run(words: &[String]) -> Result<()> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["ci"] => ci::run(&root()),
        ["tidy"] => tidy::run(&root()),
        ["fuzz", rest @ ..] if !rest.is_empty() => fuzz::run(&root(), &fuzz::Order::read(rest)?),
        ["help" | "-h" | "--help"] | ["ci" | "tidy", "-h" | "--help"] => {
            print!("{HELP}");
            Ok(())
        }
        [] => Err(Failure::Usage("a command is missing".to_owned())),
        other => Err(Failure::Usage(format!("unknown: `{}`", other.join(" ")))),
    }
}

/// The workspace's root: the folder that holds this crate.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}
