//! `sagabus extract`: reads a form and prints what is in it.

use std::path::PathBuf;

use ai_service::form::Extraction;
use ai_service::pdf::PdfError;
use clap::Args;
use serde_json::{Value, json};

use super::{Failure, Output};
use crate::assemble;
use crate::cli::print::say;

/// Read a submission form and print what is in it.
#[derive(Debug, Args)]
pub(crate) struct Extract {
    /// The form, a PDF
    file: PathBuf,
    /// How to print
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

impl Extract {
    pub(super) fn run(self) -> Result<(), Failure> {
        let bytes = read(&self.file)?;
        let reader = assemble::reader()?;
        let extraction = super::runtime()?
            .block_on(ai_service::extract(&reader, bytes.into(), |_| {}))
            .map_err(failed)?;
        match self.output {
            Output::Json => say!(
                "{}",
                serde_json::to_string_pretty(&extraction)
                    .map_err(|it| Failure::new(it.to_string()))?
            ),
            Output::Text => print(&extraction),
        }
        if let Err(error) = extraction.check() {
            // The form can be read, and that was asked for; a submission of it would not be taken.
            crate::cli::print::tell(format_args!(
                "warning: would be rejected: {}: {error}",
                error.kind.as_str()
            ));
        }
        Ok(())
    }
}

/// Reads a file of at most the size that is taken.
pub(super) fn read(path: &PathBuf) -> Result<Vec<u8>, Failure> {
    let cannot =
        |error: std::io::Error| Failure::new(format!("cannot read `{}`: {error}", path.display()));
    let bytes = std::fs::metadata(path).map_err(cannot)?.len();
    let bytes_max = ai_service::pdf::FILE_BYTES_MAX as u64;
    if bytes > bytes_max {
        return Err(Failure::new(format!(
            "FILE_TOO_LARGE: `{}` has {bytes} bytes, more than {bytes_max}",
            path.display()
        )));
    }
    std::fs::read(path).map_err(cannot)
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "used as a function for `map_err`"
)]
fn failed(error: PdfError) -> Failure {
    Failure::new(format!("{}: {error}", error.kind.as_str()))
}

fn print(extraction: &Extraction) {
    say!("confidence {:.2}", extraction.confidence);
    let form = serde_json::to_value(&extraction.form).unwrap_or(Value::Null);
    for (name, value) in form.as_object().into_iter().flatten() {
        match value {
            Value::Array(rows) if name == "samples" => {
                say!("{name}: {}", rows.len());
                for row in rows {
                    say!("  {row}");
                }
            }
            value if is_blank(value) => say!("{name}: -"),
            Value::String(text) => say!("{name}: {text}"),
            value => say!("{name}: {value}"),
        }
    }
    for issue in &extraction.issues {
        say!("issue: {}: {}", issue.field, issue.message);
    }
}

fn is_blank(value: &Value) -> bool {
    value.is_null() || *value == json!("") || *value == json!([])
}
