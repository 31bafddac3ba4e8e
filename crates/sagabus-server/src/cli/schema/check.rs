//! `sagabus schema check`: whether two versions of a JSON Schema are compatible.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use sagabus::event::json_fault;
use sagabus::schema::compatibility::{self, Incompatibility};
use serde_json::{Value, json};

use super::Failure;
use crate::cli::Output;

/// Largest schema file (1 MiB): schemas of events have some KiB.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Say whether two versions of a JSON Schema are compatible.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The old version, a file with a JSON Schema
    old: PathBuf,
    /// The new version, a file with a JSON Schema
    new: PathBuf,
    /// Who must be able to read whom
    #[arg(long, value_enum, default_value_t)]
    mode: Mode,
    /// How to print
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Mode {
    /// The new version reads data of the old one
    #[default]
    Backward,
    /// The old version reads data of the new one
    Forward,
    /// Both
    Full,
}

impl Check {
    pub(super) fn run(self) -> Result<(), Failure> {
        let (mode, name) = match self.mode {
            Mode::Backward => (compatibility::Mode::Backward, "backward"),
            Mode::Forward => (compatibility::Mode::Forward, "forward"),
            Mode::Full => (compatibility::Mode::Full, "full"),
        };
        let found = compatibility::check(&read(&self.old)?, &read(&self.new)?, mode);
        match self.output {
            Output::Json => super::print_json(&json!({
                "mode": name,
                "isCompatible": found.is_empty(),
                "incompatibilities": found.iter().map(told).collect::<Vec<_>>(),
            }))?,
            Output::Text if found.is_empty() => super::print(format_args!("compatible ({name})"))?,
            Output::Text => {
                let lines = found
                    .iter()
                    .map(|it| format!("{} {}: {}", it.direction.as_str(), it.path, it.reason));
                super::print(lines.collect::<Vec<_>>().join("\n"))?;
            }
        }
        match found.len() {
            0 => Ok(()),
            1 => Err(Failure::new(format!("not compatible ({name}): 1 reason"))),
            more => Err(Failure::new(format!(
                "not compatible ({name}): {more} reasons"
            ))),
        }
    }
}

fn told(it: &Incompatibility) -> Value {
    json!({
        "direction": it.direction.as_str(),
        "path": it.path,
        "reason": it.reason.code(),
        "text": it.reason.to_string(),
    })
}

/// Reads a schema: an object or a boolean.
fn read(path: &Path) -> Result<Value, Failure> {
    let file = path.display();
    let cannot = |error: std::io::Error| Failure::new(format!("cannot read `{file}`: {error}"));
    let bytes = std::fs::metadata(path).map_err(cannot)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(Failure::new(format!(
            "`{file}` has {bytes} bytes, more than {FILE_BYTES_MAX}"
        )));
    }
    let bytes = std::fs::read(path).map_err(cannot)?;
    let schema: Value = serde_json::from_slice(&bytes)
        .map_err(|error| Failure::new(format!("`{file}` is not JSON: {}", json_fault(&error))))?;
    if !schema.is_object() && !schema.is_boolean() {
        return Err(Failure::new(format!("`{file}` is not a JSON Schema")));
    }
    Ok(schema)
}
