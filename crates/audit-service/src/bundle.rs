//! The whole trail as lines of JSON, which can be checked without this program and without its database.

use std::io::BufRead;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sagabus::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::check::{Checker, Fault};
use crate::merkle::{self, Hash};
use crate::model::Verification;
use crate::note::{Checkpoint, Verifier};

/// Names the form of a bundle.
const FORMAT: &str = "sagabus-audit-bundle/1";
/// Longest line that is read: an entry is far smaller.
const LINE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    format: String,
    key: String,
    checkpoint: String,
}

/// Each further line: an entry as the bytes of its leaf, or its leaf where it was emptied.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    sequence: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    entry: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    leaf: Option<String>,
}

/// The first line of a bundle.
pub(crate) fn head(verifier: &Verifier, checkpoint: &Checkpoint) -> String {
    line(&Head {
        format: FORMAT.to_owned(),
        key: verifier.to_string(),
        checkpoint: checkpoint.note.clone(),
    })
}

/// The line of an entry.
pub(crate) fn entry(sequence: u64, leaf: &Hash, bytes: Option<&[u8]>) -> String {
    line(&Line {
        sequence,
        entry: bytes.map(|it| BASE64_STANDARD.encode(it)),
        leaf: bytes.is_none().then(|| BASE64_STANDARD.encode(leaf)),
    })
}

fn line(it: &impl Serialize) -> String {
    // Texts and numbers are always JSON.
    let mut line = serde_json::to_string(it).unwrap_or_default();
    line.push('\n');
    line
}

/// Checks a bundle: every entry is in the tree that its checkpoint was signed of, and no other is there. The key is the
/// bundle's own unless one is given.
pub(crate) fn verify(
    mut bundle: impl BufRead,
    verifier: Option<&Verifier>,
    kept: impl FnOnce(&Verifier) -> Result<Vec<Checkpoint>>,
) -> Result<(Verification, Verifier)> {
    let Some(first) = next_line(&mut bundle)? else {
        return Err(no_bundle(1));
    };
    let head: Head = serde_json::from_str(&first).map_err(|_| no_bundle(1))?;
    if head.format != FORMAT {
        let format = head.format.escape_debug();
        return Err(Error::invalid(format!(
            "the bundle is of the form `{format}`, not `{FORMAT}`"
        )));
    }
    let own = Verifier::read(&head.key)?;
    let verifier = verifier.unwrap_or(&own);
    let mut states: Vec<_> = kept(verifier)?.iter().map(|it| it.state).collect();
    let signed = verifier.open(&head.checkpoint);
    states.extend(signed.as_ref().ok().map(|it| it.state));
    let mut checker = Checker::new(states);
    let fault = entries(&mut bundle, &mut checker)?;
    match signed {
        Err(error) => checker.beside(Fault::new(1, error.to_string())),
        Ok(signed) if signed.state.size < checker.count() => {
            let size = signed.state.size;
            checker.beside(Fault::new(
                size + 1,
                format!("only {size} entries were signed"),
            ));
        }
        Ok(_) => {}
    }
    Ok((checker.finish(fault), verifier.clone()))
}

fn entries(bundle: &mut impl BufRead, checker: &mut Checker) -> Result<Option<Fault>> {
    while let Some(line) = next_line(bundle)? {
        let sequence = checker.count() + 1;
        let line: Line = serde_json::from_str(&line).map_err(|_| no_bundle(sequence + 1))?;
        if line.sequence != sequence {
            let text = format!(
                "entry {} stands in the place of entry {sequence}",
                line.sequence
            );
            return Ok(Some(Fault::new(sequence, text)));
        }
        let wrong = || no_bundle(sequence + 1);
        let decoded = |text: &String| BASE64_STANDARD.decode(text).map_err(|_| wrong());
        let bytes = line.entry.as_ref().map(decoded).transpose()?;
        let leaf = match (&bytes, &line.leaf) {
            (Some(bytes), None) => merkle::leaf(bytes),
            (None, Some(leaf)) => decoded(leaf)?.try_into().map_err(|_| wrong())?,
            _ => return Err(wrong()),
        };
        if let Err(fault) = checker.entry(bytes.as_deref(), leaf, |_| {}) {
            return Ok(Some(fault));
        }
    }
    Ok(None)
}

fn next_line(bundle: &mut impl BufRead) -> Result<Option<String>> {
    let mut line = String::new();
    let mut limited = std::io::Read::take(bundle, LINE_BYTES_MAX);
    let read = limited
        .read_line(&mut line)
        .map_err(|error| Error::invalid("the bundle cannot be read").with_source(error))?;
    Ok((read > 0).then_some(line))
}

fn no_bundle(line: u64) -> Error {
    Error::invalid(format!(
        "line {line} is not one of a bundle of the audit trail"
    ))
}
