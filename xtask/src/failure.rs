//! Why a check stopped, in words that say what to type next.

use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitCode;

/// What every command returns.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// Why a command stopped.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line is not one of ours.
    Usage(String),
    /// The machine lacks something that only its owner can install.
    Lacking(Vec<String>),
    /// A stage failed; the command repeats it.
    Stage {
        name: &'static str,
        repeat: String,
        why: String,
    },
    /// A file or a program could not be used.
    Io { what: String, source: io::Error },
}

impl Failure {
    /// A file that could not be read.
    pub(crate) fn reading(path: &Path, source: io::Error) -> Self {
        Self::Io {
            what: format!("read `{}`", path.display()),
            source,
        }
    }

    /// 2 for a wrong command line, 1 for a failed check.
    pub(crate) fn code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(2),
            Self::Lacking(_) | Self::Stage { .. } | Self::Io { .. } => ExitCode::FAILURE,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(why) => write!(f, "{why}; `cargo xtask help` lists the commands"),
            Self::Lacking(lacks) => {
                f.write_str("this machine lacks:")?;
                for lack in lacks {
                    write!(f, "\n  {lack}")?;
                }
                Ok(())
            }
            Self::Stage { name, repeat, why } => {
                write!(f, "{name} failed ({why}); repeat it with\n  {repeat}")
            }
            Self::Io { what, source } => write!(f, "failed to {what}: {source}"),
        }
    }
}
