//! The saga steps of one sample that was entered together with its form.

use nanopore::sample::{Form, Status};
use nanopore::steps::{StepCall, UndoCall, read};
use sagabus::sqlite::barrier::{self, Backward, Call, Forward};
use sagabus::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Extraction, READY, SERVICE};
use crate::model::Sample;
use crate::repository as rows;
use crate::service::{Actor, SampleService};

/// What the saga is started with.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct EntryInput {
    sample_id: String,
    user_id: Option<String>,
}

impl EntryInput {
    fn actor(&self, cause: sagabus::event::Cause) -> Actor {
        Actor {
            user_id: self.user_id.clone().unwrap_or_else(|| SERVICE.to_owned()),
            cause,
        }
    }
}

impl SampleService {
    /// Step `validate_entry`: the sample is there, and nobody has begun to work on it.
    ///
    /// # Errors
    /// `NotFound` without such a sample. `Conflict` when it is no longer `submitted`, or the step was compensated.
    ///
    /// # Cancel safety
    /// The step has its whole effect or none.
    pub async fn validate_entry(&self, call: StepCall) -> Result<Value> {
        let input: EntryInput = read("input", &call.input)?;
        let actor = input.actor(call.cause);
        self.change(actor, move |tx, act| {
            let once = Call::new(&call.key, act.now).fenced(call.fence);
            if let Forward::Repeat(output) = barrier::forward(tx, &once)? {
                return Ok((output, vec![]));
            }
            let sample = rows::get_sample(tx, &input.sample_id)?;
            check_submitted(&sample)?;
            let output = json!({"validated": true, "sampleId": sample.id});
            barrier::done(tx, &once, &output)?;
            Ok((output, vec![]))
        })
        .await
    }

    /// Compensation `revert_entry`: the history of the sample says that its form was not taken, and why. The sample stays
    /// as it was entered.
    ///
    /// # Errors
    /// `Invalid` for an input that does not fit.
    ///
    /// # Cancel safety
    /// The compensation has its whole effect or none.
    pub async fn revert_entry(&self, undo: UndoCall) -> Result<Value> {
        let input: EntryInput = read("input", &undo.input)?;
        let actor = input.actor(undo.cause);
        self.change(actor, move |tx, act| {
            let once = Call::new(&undo.forward_key, act.now).fenced(undo.fence);
            if barrier::backward(tx, &once)? != Backward::Repeat
                && let Some(sample) = rows::find_sample(tx, &input.sample_id)?
            {
                act.note(tx, &sample, "form_refused", Some(&undo.reason))?;
            }
            Ok((json!({"reverted": true}), vec![]))
        })
        .await
    }

    /// Step `accept_entry`: the form has a row for the sample, which moves to `prep`; publishes `sample.status_changed`.
    /// `extraction` is the output of `process_pdf`.
    ///
    /// # Errors
    /// `Invalid` when the form has no row of the sample's name. `NotFound`, `Conflict` as for `validate_entry`.
    ///
    /// # Cancel safety
    /// The step has its whole effect or none.
    pub async fn accept_entry(&self, call: StepCall, extraction: Value) -> Result<Value> {
        let input: EntryInput = read("input", &call.input)?;
        let Extraction { form, review } = read("extraction", &extraction)?;
        let form: Form = read("form", &form)?;
        let actor = input.actor(call.cause);
        self.change(actor, move |tx, act| {
            let once = Call::new(&call.key, act.now).fenced(call.fence);
            if let Forward::Repeat(output) = barrier::forward(tx, &once)? {
                return Ok((output, vec![]));
            }
            let mut sample = rows::get_sample(tx, &input.sample_id)?;
            check_submitted(&sample)?;
            if review {
                act.note(tx, &sample, "form_under_review", None)?;
                let output =
                    json!({"sampleId": sample.id, "status": sample.status, "review": true});
                barrier::done(tx, &once, &output)?;
                return Ok((output, vec![]));
            }
            check_named(&form, &sample)?;
            let event = act.move_sample(tx, &mut sample, Status::Prep, Some(READY.to_owned()))?;
            let output = json!({"sampleId": sample.id, "status": sample.status});
            barrier::done(tx, &once, &output)?;
            Ok((output, vec![event]))
        })
        .await
    }

    /// Compensation `revert_acceptance`: moves the sample back to `submitted` unless somebody has moved it on; publishes
    /// `sample.status_changed`.
    ///
    /// # Errors
    /// `Invalid` for an input that does not fit.
    ///
    /// # Cancel safety
    /// The compensation has its whole effect or none.
    pub async fn revert_acceptance(&self, undo: UndoCall) -> Result<Value> {
        let input: EntryInput = read("input", &undo.input)?;
        let actor = input.actor(undo.cause);
        self.change(actor, move |tx, act| {
            let once = Call::new(&undo.forward_key, act.now).fenced(undo.fence);
            let mut events = Vec::new();
            if let Backward::Run(_) = barrier::backward(tx, &once)?
                && let Some(mut sample) = rows::find_sample(tx, &input.sample_id)?
                && sample.status == Status::Prep
            {
                let why = Some(undo.reason);
                events.push(act.move_sample(tx, &mut sample, Status::Submitted, why)?);
            }
            Ok((json!({"reverted": true}), events))
        })
        .await
    }
}

fn check_submitted(sample: &Sample) -> Result<()> {
    if sample.status == Status::Submitted {
        return Ok(());
    }
    let text = format!(
        "sample `{}` is `{}`, not `submitted`",
        sample.id, sample.status
    );
    Err(Error::new(ErrorKind::Conflict, text))
}

/// A form that does not name the sample is that of another one.
fn check_named(form: &Form, sample: &Sample) -> Result<()> {
    let name = sample.fields.sample_name.trim();
    let mut names = form
        .samples
        .iter()
        .filter_map(|row| row.sample_name.as_deref());
    if names.any(|row| row.trim() == name) {
        return Ok(());
    }
    let name = name.escape_debug();
    Err(Error::invalid(format!(
        "form has no row for the sample `{name}`"
    )))
}
