//! Decisions about samples whose quality control failed.

use nanopore::sample::{FieldErrors, check_person};
use sagabus::sqlite::rusqlite::Transaction;
use sagabus::{Event, Result};

use super::{Act, Actor, SampleService, conflict, expect};
use crate::model::{
    Decision, DecisionFilter, DecisionState, NewDecision, Page, Sample, check_said,
};
use crate::repository as rows;

impl SampleService {
    /// One page of the questions about samples, the one that is asked longest first, and how many there are in all.
    ///
    /// # Errors
    /// As the database says.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn decisions(
        &self,
        filter: DecisionFilter,
        page: Page,
    ) -> Result<(Vec<Decision>, u64)> {
        self.read(move |tx| rows::list_decisions(tx, filter, page))
            .await
    }

    /// The questions about one sample, oldest first; also about one that was deleted.
    ///
    /// # Errors
    /// `NotFound` when there never was such a sample.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn decisions_of(&self, id: String) -> Result<Vec<Decision>> {
        self.read(move |tx| {
            let found = rows::decisions_of(tx, &id)?;
            if found.is_empty() {
                rows::get_sample(tx, &id)?;
            }
            Ok(found)
        })
        .await
    }

    /// Says what becomes of a sample whose quality control failed; publishes `qc.decision_made`, on which the saga that asked
    /// carries it out.
    ///
    /// # Errors
    /// `NotFound`; `Invalid`, naming the field; `Conflict` when no decision is waited for, it was made already, or the version
    /// of the sample is another.
    ///
    /// # Cancel safety
    /// The decision is kept with its event or not at all.
    pub async fn decide(
        &self,
        id: String,
        said: NewDecision,
        expected: Option<u64>,
        actor: Actor,
    ) -> Result<Decision> {
        check_said("author", &said.author)?;
        check_person("author", Some(&said.author))?;
        check_said("reason", &said.reason)?;
        self.change(actor, move |tx, act| {
            let mut sample = expect(rows::get_sample(tx, &id)?, expected)?;
            let mut asked = waiting(tx, &id)?;
            asked.state = DecisionState::Decided;
            asked.decision = Some(said.decision);
            asked.author = Some(said.author.clone());
            asked.reason = Some(said.reason.clone());
            asked.entered_by = Some(act.user_id().to_owned());
            asked.decided_at = Some(act.now);
            rows::update_decision(tx, &asked)?;
            sample.touch(act.now);
            rows::update_sample(tx, &sample)?;
            let notes = format!("{}, by {}: {}", said.decision, said.author, said.reason);
            act.note(tx, &sample, "decision_made", Some(&notes))?;
            let event = act.publisher.decision_made(&asked, said)?;
            Ok((asked, vec![event]))
        })
        .await
    }
}

impl Act<'_> {
    /// What a person did to a sample by hand, and, caused by it, that no decision is waited for any more, if one was.
    pub(crate) fn with_withdrawal(
        &self,
        tx: &Transaction<'_>,
        sample: &Sample,
        event: Event,
    ) -> Result<Vec<Event>> {
        let Some(mut asked) = rows::open_decision(tx, &sample.id)? else {
            return Ok(vec![event]);
        };
        let reason = format!("settled by hand: {}", event.event_type);
        let mut withdrawn = self.withdraw(tx, &mut asked, &reason)?;
        withdrawn.causation_id = Some(event.id.clone());
        Ok(vec![event, withdrawn])
    }

    /// Nothing is asked any more.
    pub(crate) fn withdraw(
        &self,
        tx: &Transaction<'_>,
        asked: &mut Decision,
        reason: &str,
    ) -> Result<Event> {
        asked.state = DecisionState::Withdrawn;
        asked.reason = Some(reason.to_owned());
        asked.entered_by = Some(self.user_id().to_owned());
        asked.ended_at = Some(self.now);
        rows::update_decision(tx, asked)?;
        self.publisher.decision_withdrawn(asked, reason.to_owned())
    }
}

/// The question about a sample that nobody has answered.
fn waiting(tx: &Transaction<'_>, sample_id: &str) -> Result<Decision> {
    let text = match rows::open_decision(tx, sample_id)? {
        Some(asked) if asked.state == DecisionState::Waiting => return Ok(asked),
        Some(made) => format!(
            "was made already, by {}: {}",
            made.author.unwrap_or_default(),
            made.reason.unwrap_or_default()
        ),
        None => "is not waited for".to_owned(),
    };
    Err(conflict(
        "nothing is to be decided about the sample",
        FieldErrors::one("decision", text),
    ))
}
