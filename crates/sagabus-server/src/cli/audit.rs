//! `sagabus audit`: checks the audit trail without a server.

use std::path::{Path, PathBuf};

use audit_service::model::Verification;
use audit_service::note::Verifier;
use audit_service::offline::{self, Places};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::{Failure, Output};
use crate::cli::print::say;
use crate::services::Service;

/// Check the audit trail.
#[derive(Debug, Args)]
pub(crate) struct Audit {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Check a trail from its first entry to its last; ends with 1 if it was tampered with
    Verify(Verify),
    /// Print the public key of a trail, for whoever is to check it elsewhere
    Key {
        /// Where everything is kept
        #[arg(long, default_value = "sagabus-data")]
        data_dir: PathBuf,
        /// The private key, where it is not in the data directory
        #[arg(long)]
        key_file: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
struct Verify {
    /// The data directory whose trail to check; a server may run on it
    #[arg(long, default_value = "sagabus-data")]
    data_dir: PathBuf,
    /// The private key of that trail, where it is not in the data directory
    #[arg(long)]
    key_file: Option<PathBuf>,
    /// A bundle to check instead
    #[arg(long, conflicts_with_all = ["data_dir", "key_file"])]
    bundle: Option<PathBuf>,
    /// The public key that must have signed the trail [default: that of the data directory, or of the bundle itself]
    #[arg(long)]
    key: Option<String>,
    /// A checkpoint that was kept: the trail must still be what it was signed of; may be given more than once
    #[arg(long)]
    checkpoint: Vec<PathBuf>,
    /// How to print
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// What is printed for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    #[serde(flatten)]
    verification: Verification,
    public_key: String,
}

impl Audit {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self.what {
            What::Verify(verify) => verify.run(),
            What::Key { data_dir, key_file } => {
                say!("{}", places(&data_dir, key_file).verifier()?);
                Ok(())
            }
        }
    }
}

impl Verify {
    fn run(self) -> Result<(), Failure> {
        let key = self.key.as_deref().map(Verifier::read).transpose()?;
        let kept: Vec<String> = self
            .checkpoint
            .iter()
            .map(|path| read(path))
            .collect::<Result<_, _>>()?;
        let (verification, verifier) = match &self.bundle {
            Some(bundle) => offline::verify_bundle(bundle, key.as_ref(), &kept)?,
            None => {
                let places = places(&self.data_dir, self.key_file);
                let verifier = key.map_or_else(|| places.verifier(), Ok)?;
                let found = offline::verify_database(&places, &verifier, &kept)?;
                (found, verifier)
            }
        };
        let found = Found {
            verification,
            public_key: verifier.to_string(),
        };
        match self.output {
            Output::Json => {
                let text = serde_json::to_string_pretty(&found);
                say!("{}", text.map_err(|error| Failure::new(error.to_string()))?);
            }
            Output::Text => {
                say!("audit trail: {}", found.verification);
                say!("key: {}", found.public_key);
            }
        }
        match found.verification.ok {
            true => Ok(()),
            false => Err(Failure::new("the audit trail is not what was signed")),
        }
    }
}

fn places(data_dir: &Path, key_file: Option<PathBuf>) -> Places {
    let mut places = Places::beside(&Service::Audit.path(data_dir));
    if let Some(key) = key_file {
        places.key = key;
    }
    places
}

/// A checkpoint as it was kept: the note, or what the server says of it, which holds the note.
fn read(path: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::new(format!("cannot read `{}`: {error}", path.display())))?;
    let json: Option<serde_json::Value> = serde_json::from_str(&text).ok();
    let note = json.and_then(|it| it.get("note")?.as_str().map(str::to_owned));
    Ok(note.unwrap_or(text))
}
