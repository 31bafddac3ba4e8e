//! Makes the events of the audit service; the outbox keeps them in the transaction of the entry.

use nanopore::events::audit::{
    Actor, AlertTriggered, EntryRecorded, IntegrityFailed, IntegrityVerified,
};
use nanopore::events::logged;
use sagabus::{Clock, Event, EventId, Payload, Result};

use crate::merkle::{Hash, hex};
use crate::model::{Act, Alert, Verification};

/// Tells of an entry; caused by the event that the entry is about.
pub(crate) fn entry_recorded(id: &str, act: &Act, leaf: &Hash, clock: &dyn Clock) -> Result<Event> {
    let payload = EntryRecorded {
        audit_id: id.to_owned(),
        category: act.category,
        severity: act.severity,
        actor: Actor {
            id: act.actor_id.clone(),
            email: act.actor_email.clone(),
            service: act.service.clone(),
        },
        action: act.action.clone(),
        resource: act.resource.clone(),
        resource_id: act.resource_id.clone(),
        outcome: act.outcome,
        caused_by: act.event_id.clone(),
        entry_hash: hex(leaf),
    };
    because_of(Event::new(&payload, clock)?, act)
}

/// Tells that an alert is of an entry.
pub(crate) fn alert_triggered(
    alert: &Alert,
    id: &str,
    act: &Act,
    clock: &dyn Clock,
) -> Result<Event> {
    let payload = AlertTriggered {
        alert_id: alert.id.clone(),
        alert_name: alert.name.clone(),
        severity: alert.severity,
        matched_audit_id: id.to_owned(),
        recipients: alert.recipients.clone(),
    };
    because_of(Event::new(&payload, clock)?, act)
}

/// An event about an act is caused by the event that tells of it, or else by what led to the act.
fn because_of(mut event: Event, act: &Act) -> Result<Event> {
    event.correlation_id.clone_from(&act.correlation_id);
    let cause = act.event_id.as_deref().or(act.causation_id.as_deref());
    event.causation_id = cause.map(EventId::new).transpose()?;
    event.check()?;
    logged::log(&event);
    Ok(event)
}

/// Tells of a check of the trail.
pub(crate) fn checked(verification: &Verification, clock: &dyn Clock) -> Result<Event> {
    let from_sequence = 1.min(verification.count);
    let digest = verification.root.clone();
    let first_bad_sequence = verification.first_bad_sequence;
    match verification.ok {
        true => event(
            &IntegrityVerified {
                from_sequence,
                to_sequence: verification.count,
                digest,
            },
            clock,
        ),
        false => event(
            &IntegrityFailed {
                from_sequence,
                to_sequence: first_bad_sequence
                    .unwrap_or(verification.count)
                    .max(from_sequence),
                digest,
                first_bad_sequence,
            },
            clock,
        ),
    }
}

pub(crate) fn event<P: Payload>(payload: &P, clock: &dyn Clock) -> Result<Event> {
    let event = Event::new(payload, clock)?;
    logged::log(&event);
    Ok(event)
}
