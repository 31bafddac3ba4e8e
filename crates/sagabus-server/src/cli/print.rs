//! What commands print: to whoever reads, and quietly to nobody when the reader has gone, as with `| head`.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};
use std::sync::OnceLock;

use super::Failure;

/// Why something could not be printed, the first time that it was so.
static FAILED: OnceLock<String> = OnceLock::new();

/// Prints a line.
macro_rules! say {
    () => {
        $crate::cli::print::line(format_args!(""))
    };
    ($($text:tt)+) => {
        $crate::cli::print::line(format_args!($($text)+))
    };
}
pub(crate) use say;

/// Prints a line. A command whose reader has gone goes on: what it does is more than what it prints.
pub(crate) fn line(text: Arguments<'_>) {
    if let Err(error) = try_line(text)
        && error.kind() != ErrorKind::BrokenPipe
    {
        let _first = FAILED.set(error.to_string());
    }
}

/// Prints a line for a command that is nothing without its reader.
pub(super) fn try_line(text: Arguments<'_>) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush())
}

/// Tells on standard error. Where that cannot be written, the exit code has to do.
pub(crate) fn tell(text: Arguments<'_>) {
    let _told = writeln!(std::io::stderr(), "{text}");
}

/// Whether everything was printed that somebody wanted to read.
pub(super) fn outcome() -> Result<(), Failure> {
    FAILED.get().map_or(Ok(()), |why| {
        Err(Failure::new(format!("cannot print: {why}")))
    })
}
