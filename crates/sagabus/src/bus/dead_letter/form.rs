//! The JSON form of a dead letter, as it is exported and shown.
//!
//! Version 1. A reader of a later version takes this one too; a reader of this one refuses a later one.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::clock::{Clock, Timestamp};
use crate::error::{Error, Result};
use crate::event::envelope;
use crate::ledger::{By, Fault, Revision};
use crate::transport::DeadLetter;

/// The version that is written.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Form<'a> {
    format: u32,
    #[serde(borrow)]
    subscription: Cow<'a, str>,
    position: u64,
    attempts: u32,
    redrives: u32,
    parked: u64,
    first_failed_at: Option<Timestamp>,
    dead_at: Timestamp,
    /// 16 hexadecimal digits: a JSON number would not be exact everywhere. Those written before have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(borrow)]
    faults: Vec<FaultForm<'a>>,
    #[serde(borrow)]
    revisions: Vec<RevisionForm<'a>>,
    /// The envelope; its payload as received.
    #[serde(borrow)]
    event: &'a RawValue,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FaultForm<'a> {
    attempt: u32,
    at: Timestamp,
    duration_ms: u64,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    error: Cow<'a, str>,
    #[serde(borrow)]
    error_type: Cow<'a, str>,
    #[serde(borrow)]
    member: Cow<'a, str>,
    redrives: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RevisionForm<'a> {
    number: u32,
    at: Timestamp,
    #[serde(borrow)]
    author: Cow<'a, str>,
    #[serde(borrow)]
    reason: Cow<'a, str>,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// Writes a dead letter as JSON: the event as it was published, byte for byte, with all faults and revisions.
///
/// # Errors
/// `Invalid` when a payload is not JSON.
pub fn to_json(letter: &DeadLetter) -> Result<Vec<u8>> {
    let event = envelope::to_json(&letter.event)?;
    let revisions: Result<Vec<RevisionForm<'_>>> =
        letter.revisions.iter().map(revision_form).collect();
    let form = Form {
        format: VERSION,
        subscription: letter.subscription.as_str().into(),
        position: letter.position,
        attempts: letter.attempts,
        redrives: letter.redrives,
        parked: letter.parked,
        first_failed_at: letter.faults.first().map(|it| it.at),
        dead_at: letter.dead_at,
        key: letter.key.map(|key| format!("{key:016x}")),
        faults: letter.faults.iter().map(fault_form).collect(),
        revisions: revisions?,
        event: raw(&event)?,
    };
    serde_json::to_vec(&form)
        .map_err(|error| Error::invalid("dead letter cannot be written as JSON").with_source(error))
}

/// The same on one line with its end: ends of lines between the tokens of a payload become spaces.
pub(super) fn line(letter: &DeadLetter) -> Result<Vec<u8>> {
    let mut line = to_json(letter)?;
    // In a JSON text they stand between tokens only.
    for byte in &mut line {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    line.push(b'\n');
    Ok(line)
}

/// Reads what [`to_json`] writes. The clock is that of events without a time or id, of which there are none.
///
/// # Errors
/// `Invalid`, naming what is wrong.
pub fn from_json(bytes: &[u8], clock: &dyn Clock) -> Result<DeadLetter> {
    let form: Form<'_> =
        serde_json::from_slice(bytes).map_err(|error| unreadable(bytes, &error))?;
    if form.format != VERSION {
        return Err(Error::invalid(format!(
            "`format` is {}, and only {VERSION} is known",
            form.format
        )));
    }
    let key = form.key.map(|key| u64::from_str_radix(&key, 16));
    let key = key
        .transpose()
        .map_err(|error| Error::invalid("`key` is no number").with_source(error))?;
    Ok(DeadLetter {
        subscription: form.subscription.into_owned(),
        position: form.position,
        event: Arc::new(envelope::from_json(form.event.get().as_bytes(), clock)?),
        attempts: form.attempts,
        faults: form.faults.into_iter().map(fault).collect(),
        redrives: form.redrives,
        parked: form.parked,
        revisions: form.revisions.iter().map(revision).collect(),
        dead_at: form.dead_at,
        key,
    })
}

/// Names the field, and the place unless it is somewhere on the only line.
fn unreadable(bytes: &[u8], error: &serde_json::Error) -> Error {
    // Read again only for the name of the field.
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let field = serde_path_to_error::deserialize::<_, Form<'_>>(&mut reader)
        .err()
        .map(|error| error.path().to_string())
        .filter(|path| path != ".")
        .map_or_else(String::new, |path| format!(" at `{path}`"));
    let reason = error.to_string();
    let place = format!(" at line 1 column {}", error.column());
    let reason = match reason.strip_suffix(&place) {
        Some(reason) => format!("{reason}, at column {}", error.column()),
        None => reason,
    };
    Error::invalid(format!("this is no dead letter{field}: {reason}"))
}

fn fault_form(fault: &Fault) -> FaultForm<'_> {
    FaultForm {
        attempt: fault.attempt,
        at: fault.at,
        duration_ms: fault.duration_ms,
        kind: fault.kind.as_str().into(),
        error: fault.error.as_str().into(),
        error_type: fault.error_type.as_str().into(),
        member: fault.member.as_str().into(),
        redrives: fault.redrives,
    }
}

fn fault(form: FaultForm<'_>) -> Fault {
    let mut fault = Fault::new(
        form.attempt,
        form.at,
        form.duration_ms,
        &form.kind,
        &form.error,
    );
    fault.error_type = form.error_type.into_owned();
    fault.member = form.member.into_owned();
    fault.redrives = form.redrives;
    fault
}

fn revision_form(revision: &Revision) -> Result<RevisionForm<'_>> {
    Ok(RevisionForm {
        number: revision.number,
        at: revision.at,
        author: revision.by.author.as_str().into(),
        reason: revision.by.reason.as_str().into(),
        data: raw(&revision.data)?,
    })
}

fn revision(form: &RevisionForm<'_>) -> Revision {
    Revision {
        number: form.number,
        at: form.at,
        by: By::new(&form.author, &form.reason),
        data: Bytes::copy_from_slice(form.data.get().as_bytes()),
    }
}

fn raw(json: &[u8]) -> Result<&RawValue> {
    serde_json::from_slice(json)
        .map_err(|error| Error::invalid("payload is not JSON").with_source(error))
}
