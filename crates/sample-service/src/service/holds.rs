//! The arrival of a sample, and the times at which nothing is begun with it.

use nanopore::sample::FieldErrors;
use sagabus::{Event, Result, Timestamp};

use super::{Act, Actor, SampleService, conflict, expect, not_archived};
use crate::model::{Sample, check_said, check_text};
use crate::repository as rows;

impl SampleService {
    /// Says that the tube is there, since now or since `at`; publishes `sample.received`.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` for a time to come; `Conflict` when it came at that time already, is archived or the version is another.
    ///
    /// # Cancel safety
    /// The change is made with its event or not at all.
    pub async fn receive(
        &self,
        id: String,
        at: Option<Timestamp>,
        expected: Option<u64>,
        actor: Actor,
    ) -> Result<Sample> {
        self.change(actor, move |tx, act| {
            let mut sample = not_archived(expect(rows::get_sample(tx, &id)?, expected)?)?;
            let received_at = at.unwrap_or(act.now);
            if received_at > act.now {
                return Err(FieldErrors::one("receivedAt", "is still to come").into());
            }
            if let Some(before) = sample.received_at
                && at.is_none_or(|at| at == before)
            {
                let errors = FieldErrors::one("receivedAt", format!("is {before} already"));
                return Err(conflict("sample is there already", errors));
            }
            sample.received_at = Some(received_at);
            sample.touch(act.now);
            rows::update_sample(tx, &sample)?;
            act.note(tx, &sample, "received", None)?;
            let event = act.publisher.received(&sample, received_at)?;
            Ok((sample, vec![event]))
        })
        .await
    }

    /// Puts a sample on hold: nothing is begun with it, and its clock stands still; publishes `sample.held`.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` without a reason; `Conflict` when it is on hold already, is archived or the version is another.
    ///
    /// # Cancel safety
    /// The change is made with its event or not at all.
    pub async fn hold(
        &self,
        id: String,
        reason: String,
        expected: Option<u64>,
        actor: Actor,
    ) -> Result<Sample> {
        check_said("reason", &reason)?;
        self.change(actor, move |tx, act| {
            let mut sample = not_archived(expect(rows::get_sample(tx, &id)?, expected)?)?;
            if let Some(hold) = &sample.hold {
                let text = format!("is set already, by {}: {}", hold.held_by, hold.reason);
                return Err(conflict(
                    "sample is on hold",
                    FieldErrors::one("hold", text),
                ));
            }
            let event = act.hold(&mut sample, reason.clone())?;
            sample.touch(act.now);
            rows::update_sample(tx, &sample)?;
            act.note(tx, &sample, "held", Some(&reason))?;
            Ok((sample, vec![event]))
        })
        .await
    }

    /// Takes a sample off hold; publishes `sample.released`.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when it is not on hold or the version is another.
    ///
    /// # Cancel safety
    /// The change is made with its event or not at all.
    pub async fn release(
        &self,
        id: String,
        reason: Option<String>,
        expected: Option<u64>,
        actor: Actor,
    ) -> Result<Sample> {
        check_text("reason", reason.as_deref().unwrap_or_default())?;
        self.change(actor, move |tx, act| {
            let mut sample = expect(rows::get_sample(tx, &id)?, expected)?;
            let Some(event) = act.take_hold(&mut sample, reason.clone())? else {
                let errors = FieldErrors::one("hold", "is not set");
                return Err(conflict("sample is not on hold", errors));
            };
            sample.touch(act.now);
            rows::update_sample(tx, &sample)?;
            act.note(tx, &sample, "released", reason.as_deref())?;
            let events = act.with_withdrawal(tx, &sample, event)?;
            Ok((sample, events))
        })
        .await
    }
}

impl Act<'_> {
    /// Ends the hold, if there is one; the sample is still to be kept.
    pub(crate) fn take_hold(
        &self,
        sample: &mut Sample,
        reason: Option<String>,
    ) -> Result<Option<Event>> {
        let stood_still = sample.turnaround().hold_ms(self.now);
        let Some(hold) = sample.hold.take() else {
            return Ok(None);
        };
        sample.held_ms = sample.held_ms.saturating_add(stood_still);
        self.publisher
            .released(sample, &hold, self.now, reason)
            .map(Some)
    }
}
