//! How long entries keep their content, what is held, and the emptying itself. Each step is an entry of the trail.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nanopore::events::audit::{Category, Outcome, RetentionApplied, Severity};
use sagabus::event::Cause;
use sagabus::sqlite::rusqlite::Transaction;
use sagabus::{Error, Result, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::check::RETENTION;
use crate::model::{Act, Declared, Hold, More, Order, Policy};
use crate::publisher;
use crate::repository as rows;
use crate::service::{AuditService, alerts, record};

/// Entries that are emptied in one transaction, so that new ones need not wait long.
const EMPTIED_MAX: u32 = 1_000;
/// What is emptied, as events name it.
const DATASET: &str = "audit_entries";

/// What a policy has emptied.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Applied {
    /// Which policy.
    pub policy_id: String,
    /// Entries from before this time.
    pub cutoff: Timestamp,
    /// How many entries lost their content.
    pub emptied: u64,
}

impl AuditService {
    /// Everything of a kind that is laid down now.
    ///
    /// # Errors
    /// As the database says.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn declared<D: Declared>(&self) -> Result<Vec<D>> {
        self.read(|tx| Ok(rows::declared::<D>(tx)?.into_values().collect()))
            .await
    }

    /// Lays something down, in the place of what had its name.
    ///
    /// # Errors
    /// As the database says.
    ///
    /// # Cancel safety
    /// The entry is made with its event or not at all.
    pub async fn declare<D: Declared>(&self, declared: D, cause: Cause) -> Result<D> {
        let details = serde_json::to_value(&declared)
            .map_err(|error| Error::invalid("cannot be written as JSON").with_source(error))?;
        let [set, _] = D::ACTIONS;
        let about = (D::RESOURCE, declared.id().to_owned());
        let act = self.own_act(set, about, declared.order(), (details, &cause));
        self.note(act, |_| Ok(())).await?;
        Ok(declared)
    }

    /// Ends something that was laid down.
    ///
    /// # Errors
    /// `NotFound`.
    ///
    /// # Cancel safety
    /// The entry is made with its event or not at all.
    pub async fn lift<D: Declared>(&self, id: &str, order: Order, cause: Cause) -> Result<()> {
        let [_, lifted] = D::ACTIONS;
        let details = json!({"author": order.author, "reason": order.reason});
        let act = self.own_act(
            lifted,
            (D::RESOURCE, id.to_owned()),
            order,
            (details, &cause),
        );
        let id = id.to_owned();
        self.note(act, move |tx| {
            match rows::declared::<D>(tx)?.contains_key(&id) {
                true => Ok(()),
                false => Err(Error::not_found(format!(
                    "{} `{id}` does not exist",
                    D::RESOURCE
                ))),
            }
        })
        .await
    }

    /// Empties the entries whose time is over by what is laid down now, and that nothing holds.
    ///
    /// # Errors
    /// As the database says.
    ///
    /// # Cancel safety
    /// Some entries may be emptied, with the entries that say so, and the rest not.
    pub async fn apply_retention(&self, order: &Order, cause: &Cause) -> Result<Vec<Applied>> {
        let mut all = Vec::new();
        for policy in self.declared::<Policy>().await? {
            let span = Duration::from_hours(24).saturating_mul(policy.days);
            let span_ms = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
            let now = self.clock.now().milliseconds();
            let cutoff = Timestamp::from_milliseconds(now.saturating_sub(span_ms));
            let mut applied = Applied {
                policy_id: policy.id.clone(),
                cutoff,
                emptied: 0,
            };
            loop {
                let emptied = self
                    .empty_some(policy.clone(), cutoff, (order, cause))
                    .await?;
                applied.emptied += emptied;
                if emptied < u64::from(EMPTIED_MAX) {
                    break;
                }
            }
            all.push(applied);
        }
        Ok(all)
    }

    async fn empty_some(
        &self,
        policy: Policy,
        cutoff: Timestamp,
        (order, cause): (&Order, &Cause),
    ) -> Result<u64> {
        let about = (Policy::RESOURCE, policy.id.clone());
        let mut act = self.own_act(RETENTION.0, about, order.clone(), (Value::Null, cause));
        let (clock, cause) = (Arc::clone(&self.clock), cause.clone());
        self.outbox
            .write(move |tx| {
                // As they stand now: a hold that was set while this waited counts.
                let still: BTreeMap<String, Policy> = rows::declared(tx)?;
                let holds: BTreeMap<String, Hold> = rows::declared(tx)?;
                if still.get(&policy.id) != Some(&policy) {
                    return Ok((0, vec![]));
                }
                let ranges = rows::over(tx, &policy, &holds, (cutoff, EMPTIED_MAX))?;
                let emptied: u64 = ranges.iter().map(|(from, to)| to - from + 1).sum();
                if emptied == 0 {
                    return Ok((0, vec![]));
                }
                let details = json!({"policy": policy, "cutoff": cutoff, "ranges": ranges});
                act.details = details.to_string().into_bytes();
                let (_, mut events) = record(tx, &act, &alerts(tx), &*clock)?;
                rows::empty(tx, &ranges)?;
                let applied = RetentionApplied {
                    policy_id: policy.id,
                    dataset: DATASET.to_owned(),
                    deleted: emptied,
                    archived: 0,
                    cutoff,
                };
                let told = publisher::event(&applied, &*clock)?.because(&cause);
                told.check()?;
                events.push(told);
                Ok((emptied, events))
            })
            .await
    }

    /// Adds an act of the trail itself if `may` says so.
    async fn note(
        &self,
        act: Act,
        may: impl FnOnce(&Transaction<'_>) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let clock = Arc::clone(&self.clock);
        self.outbox
            .write(move |tx| {
                may(tx)?;
                let (_, events) = record(tx, &act, &alerts(tx), &*clock)?;
                Ok(((), events))
            })
            .await
    }

    /// An act of the trail itself, done now.
    pub(crate) fn own_act(
        &self,
        action: &str,
        (resource, id): (&str, String),
        order: Order,
        (details, cause): (Value, &Cause),
    ) -> Act {
        Act {
            event_id: None,
            time: self.clock.now(),
            service: RETENTION.1.to_owned(),
            action: action.to_owned(),
            actor_id: Some(order.author),
            actor_email: None,
            resource: resource.to_owned(),
            resource_id: Some(id),
            outcome: Outcome::Success,
            severity: Severity::Info,
            category: Category::System,
            correlation_id: Some(cause.correlation_id.clone()),
            causation_id: cause.causation_id.as_ref().map(ToString::to_string),
            more: More {
                reason: Some(order.reason),
                ..More::default()
            },
            details: details.to_string().into_bytes(),
        }
    }
}
