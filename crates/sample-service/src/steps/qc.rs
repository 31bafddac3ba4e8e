//! The saga steps of a sample whose quality control failed: ask, tell that nobody answered in time, carry out what was decided.

use std::time::Duration;

use nanopore::sample::{Act as Kind, QcDecision, Stage, Status, StepStatus};
use nanopore::steps::{StepCall, UndoCall, read};
use sagabus::sqlite::barrier::{self, Backward, Call, Forward};
use sagabus::sqlite::rusqlite::Transaction;
use sagabus::{Error, ErrorKind, Event, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::SERVICE;
use crate::model::{Decision, DecisionState, Sample, Work};
use crate::repository as rows;
use crate::service::{Act, Actor, SampleService};

/// Why nothing is asked of a sample that went on meanwhile.
const GONE_ON: &str = "the sample went on before anybody was asked";

/// What the saga is started with.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct QcInput {
    decision_id: String,
    sample_id: String,
    stage: Stage,
    error: String,
    user_id: Option<String>,
}

/// Who asks, and for how long.
#[derive(Clone, Debug)]
pub struct Asking {
    /// The saga.
    pub saga_id: String,
    /// How long an answer may take.
    pub time: Duration,
}

impl QcInput {
    fn actor(&self, cause: sagabus::event::Cause) -> Actor {
        Actor {
            user_id: self.user_id.clone().unwrap_or_else(|| SERVICE.to_owned()),
            cause,
        }
    }
}

impl SampleService {
    /// Step `request_decision`: the submitter is asked what becomes of the sample. Publishes `qc.decision_requested`; or
    /// `qc.decision_withdrawn`, where the sample went on meanwhile.
    ///
    /// # Errors
    /// `Conflict` when the step was compensated.
    ///
    /// # Cancel safety
    /// The step has its whole effect or none.
    pub async fn request_decision(&self, call: StepCall, asking: Asking) -> Result<Value> {
        let input: QcInput = read("input", &call.input)?;
        let actor = input.actor(call.cause);
        self.change(actor, move |tx, act| {
            let once = Call::new(&call.key, act.now).fenced(call.fence);
            if let Forward::Repeat(output) = barrier::forward(tx, &once)? {
                return Ok((output, vec![]));
            }
            let sample = rows::find_sample(tx, &input.sample_id)?;
            let is_open = rows::open_decision(tx, &input.sample_id)?.is_some();
            let name = sample.as_ref().map(|it| it.fields.sample_name.clone());
            let held = match sample {
                Some(sample) if !is_open && is_failed(tx, &sample, input.stage)? => Some(sample),
                _ => None,
            };
            let mut asked = question(input, asking, &act);
            asked.sample_name = name.unwrap_or_default();
            let event = if let Some(sample) = &held {
                rows::insert_decision(tx, &asked)?;
                act.note(tx, sample, "decision_requested", Some(&asked.error))?;
                act.publisher.decision_requested(sample, &asked)?
            } else {
                asked.state = DecisionState::Withdrawn;
                rows::insert_decision(tx, &asked)?;
                act.withdraw(tx, &mut asked, GONE_ON)?
            };
            let output = json!({
                "decisionId": asked.id,
                "asked": held.is_some(),
                "dueAt": asked.due_at,
            });
            barrier::done(tx, &once, &output)?;
            Ok((output, vec![event]))
        })
        .await
    }

    /// Compensation `withdraw_request`: nothing is asked any more; the sample stays on hold.
    ///
    /// # Errors
    /// `Invalid` for an input that does not fit.
    ///
    /// # Cancel safety
    /// The compensation has its whole effect or none.
    pub async fn withdraw_request(&self, undo: UndoCall) -> Result<Value> {
        let input: QcInput = read("input", &undo.input)?;
        let actor = input.actor(undo.cause);
        self.change(actor, move |tx, act| {
            let once = Call::new(&undo.forward_key, act.now).fenced(undo.fence);
            let mut events = Vec::new();
            if let Backward::Run(_) = barrier::backward(tx, &once)?
                && let Some(mut asked) = rows::find_decision(tx, &input.decision_id)?
                && asked.state.is_open()
            {
                events.push(act.withdraw(tx, &mut asked, &undo.reason)?);
            }
            Ok((json!({"withdrawn": true}), events))
        })
        .await
    }

    /// Step `note_deadline`: where nobody has answered in time that is told, with `qc.decision_overdue`. `answer` is the
    /// output of the step that waits for the decision.
    ///
    /// # Errors
    /// `Conflict` when the step was compensated.
    ///
    /// # Cancel safety
    /// The step has its whole effect or none.
    pub async fn note_deadline(&self, call: StepCall, answer: Value) -> Result<Value> {
        let input: QcInput = read("input", &call.input)?;
        let actor = input.actor(call.cause);
        self.change(actor, move |tx, act| {
            let once = Call::new(&call.key, act.now).fenced(call.fence);
            if let Forward::Repeat(output) = barrier::forward(tx, &once)? {
                return Ok((output, vec![]));
            }
            let mut events = Vec::new();
            if answer.is_null()
                && let Some(mut asked) = rows::find_decision(tx, &input.decision_id)?
                && asked.state == DecisionState::Waiting
                && let Some(sample) = rows::find_sample(tx, &asked.sample_id)?
            {
                asked.overdue_at = Some(act.now);
                rows::update_decision(tx, &asked)?;
                act.note(tx, &sample, "decision_overdue", None)?;
                events.push(act.publisher.decision_overdue(&sample, &asked)?);
            }
            let output = json!({"overdue": !events.is_empty()});
            barrier::done(tx, &once, &output)?;
            Ok((output, events))
        })
        .await
    }

    /// Step `confirm_decision`: it was decided, or nothing is to be decided any more; from here on that is carried out. Has no
    /// effect.
    ///
    /// # Errors
    /// `Conflict` when nobody has decided.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn confirm_decision(&self, call: StepCall) -> Result<Value> {
        let input: QcInput = read("input", &call.input)?;
        self.read(move |tx| {
            let asked = asked(tx, &input)?;
            match asked.state {
                DecisionState::Waiting => Err(nobody_decided()),
                state => Ok(json!({"state": state, "decision": asked.decision})),
            }
        })
        .await
    }

    /// Step `carry_out_decision`: the hold ends, and the sample goes where the decision puts it. Nothing is done where the
    /// question was withdrawn.
    ///
    /// # Errors
    /// `Conflict` when nobody has decided.
    ///
    /// # Cancel safety
    /// The step has its whole effect or none.
    pub async fn carry_out_decision(&self, call: StepCall) -> Result<Value> {
        let input: QcInput = read("input", &call.input)?;
        let actor = input.actor(call.cause);
        self.change(actor, move |tx, act| {
            let once = Call::new(&call.key, act.now).fenced(call.fence);
            if let Forward::Repeat(output) = barrier::forward(tx, &once)? {
                return Ok((output, vec![]));
            }
            let mut asked = asked(tx, &input)?;
            let events = match (asked.state, asked.decision) {
                (DecisionState::Decided, Some(decision)) => {
                    let events = act.carry_out(tx, &asked, decision)?;
                    asked.state = DecisionState::CarriedOut;
                    asked.ended_at = Some(act.now);
                    rows::update_decision(tx, &asked)?;
                    events
                }
                (DecisionState::Waiting | DecisionState::Decided, _) => {
                    return Err(nobody_decided());
                }
                (DecisionState::CarriedOut | DecisionState::Withdrawn, _) => Vec::new(),
            };
            let output = json!({"state": asked.state, "decision": asked.decision});
            barrier::done(tx, &once, &output)?;
            Ok((output, events))
        })
        .await
    }
}

impl Act<'_> {
    /// Ends the hold, and puts the sample where the decision wants it.
    fn carry_out(
        &self,
        tx: &Transaction<'_>,
        asked: &Decision,
        decision: QcDecision,
    ) -> Result<Vec<Event>> {
        let mut sample = rows::get_sample(tx, &asked.sample_id)?;
        let said = format!(
            "{}: {}",
            asked.author.as_deref().unwrap_or_default(),
            asked.reason.as_deref().unwrap_or_default()
        );
        let mut events = Vec::new();
        if let Some(released) =
            self.take_hold(&mut sample, Some(format!("{decision}, by {said}")))?
        {
            events.push(released);
        }
        match decision {
            QcDecision::Resubmit => {
                // The clock waits for the new tube.
                sample.received_at = None;
                sample.held_ms = 0;
                let why = Some(format!("another tube is to come, by {said}"));
                events.push(self.move_sample(tx, &mut sample, Status::Submitted, why)?);
            }
            QcDecision::Cancel => {
                let why = Some(format!("cancelled, by {said}"));
                events.push(self.move_sample(tx, &mut sample, Status::Archived, why)?);
            }
            QcDecision::Proceed => {
                let (course, steps) = rows::course(tx, &sample)?;
                let after = course.after(asked.stage, Kind::Skip).map_err(|errors| {
                    Error::new(ErrorKind::Conflict, "sample cannot go on").with_source(errors)
                })?;
                let mut steps = steps.into_iter();
                let mut step = steps
                    .find(|it| it.stage == asked.stage)
                    .ok_or_else(|| Error::not_found("the step does not exist"))?;
                let reason = format!(
                    "deviation: goes on although {} failed ({}), by {said}",
                    asked.stage.title(),
                    asked.error
                );
                let work = Work::Skip { reason };
                events.extend(self.work(tx, &mut sample, &mut step, work, after)?);
            }
        }
        Ok(events)
    }
}

/// The question that the saga asks.
fn asked(tx: &Transaction<'_>, input: &QcInput) -> Result<Decision> {
    rows::find_decision(tx, &input.decision_id)?
        .ok_or_else(|| Error::not_found("the decision does not exist"))
}

fn nobody_decided() -> Error {
    Error::new(ErrorKind::Conflict, "nobody has decided about the sample")
}

/// Whether the sample is on hold because this step of it failed.
fn is_failed(tx: &Transaction<'_>, sample: &Sample, stage: Stage) -> Result<bool> {
    let (course, _) = rows::course(tx, sample)?;
    Ok(course.is_held
        && course.current() == Some(stage)
        && course.step(stage) == StepStatus::Failed)
}

fn question(input: QcInput, asking: Asking, act: &Act<'_>) -> Decision {
    Decision {
        id: input.decision_id,
        saga_id: asking.saga_id,
        sample_id: input.sample_id,
        sample_name: String::new(),
        stage: input.stage,
        error: input.error,
        state: DecisionState::Waiting,
        requested_at: act.now,
        due_at: act.now.after(asking.time),
        overdue_at: None,
        decision: None,
        author: None,
        reason: None,
        entered_by: None,
        decided_at: None,
        ended_at: None,
    }
}
