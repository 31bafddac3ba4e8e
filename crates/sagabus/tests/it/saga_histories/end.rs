//! What is left of a saga that is over.

use sagabus::saga::record::{Fact, Outcome};
use sagabus::saga::{SagaStatus, Status, Wait};

use super::notes::{Change, Notes, at};

/// The effects that are left are those of a saga that ended so.
pub(super) fn check_end(notes: &Notes, saga: &SagaStatus) {
    let log = notes.log(saga.id.as_str());
    let signals = log
        .records
        .iter()
        .filter(|it| matches!(it.fact, Fact::Signalled { .. }));
    assert!(signals.count() <= 1, "{} takes a signal twice", saga.id);
    let is_taken_back = is_taken_back_from_outside(notes, saga.id.as_str());
    for unit in 0..log.units().len() {
        let own = log.own(unit);
        let key = format!("{}/{}", saga.id, log.id(unit));
        if log.is_list(unit) {
            let items = log.units().into_iter();
            let items = items
                .filter(|it| it.item.is_some() && own.id == log.definition.steps()[it.origin].id);
            let wanted = log.input_items().len();
            let has_begun = log.succeeded(unit).is_some() && !log.is_touched(unit);
            assert!(
                !has_begun || items.count() == wanted,
                "{key} is not done for each of {wanted} items"
            );
            continue;
        }
        if matches!(own.wait, Some(Wait::Child(_))) {
            check_children(notes, saga, unit);
            continue;
        }
        let changes = notes.effects.get(&key).map_or(&[][..], Vec::as_slice);
        if own.wait.is_some() || log.is_touched(unit) {
            continue;
        }
        let is_there = changes.last() == Some(&Change::Done);
        match saga.status {
            Status::Completed => assert!(
                is_there != is_taken_back && changes.contains(&Change::TakenBack) == is_taken_back,
                "{key} of a completed saga: {changes:?} {:?}",
                log.facts()
            ),
            Status::Compensated | Status::Cancelled => assert!(
                !is_there || own.compensation_action.is_none(),
                "{key} of a saga that is taken back: {changes:?} {:?}",
                log.facts()
            ),
            other => panic!("{} ended as {other}", saga.id),
        }
    }
}

/// Of the sagas that one step started, one for each attempt, the last completed if the step did.
fn check_children(notes: &Notes, saga: &SagaStatus, unit: usize) {
    let log = notes.log(saga.id.as_str());
    let key = format!("{}/{}", saga.id, log.id(unit));
    let children = notes.children_of(saga.id.as_str(), unit);
    let attempts = log
        .records
        .iter()
        .filter(|record| matches!(record.fact, Fact::StepStarted { step, .. } if step == at(unit)));
    assert!(
        children.len() <= attempts.count(),
        "{key} is {} sagas",
        children.len()
    );
    let completed = children.iter().filter(|child| {
        let ended = |fact: &Fact| {
            matches!(
                fact,
                Fact::Ended {
                    outcome: Outcome::Completed,
                    ..
                }
            )
        };
        notes.durable[**child].iter().any(|it| ended(&it.fact))
    });
    if !log.is_touched(unit) {
        let is_done = usize::from(log.succeeded(unit).is_some());
        assert_eq!(completed.count(), is_done, "{key}: completed children");
    }
}

/// Whether the step that this saga is was taken back, or one around that.
fn is_taken_back_from_outside(notes: &Notes, saga: &str) -> bool {
    let Some((parent, _)) = notes.children.get(saga) else {
        return false;
    };
    let log = notes.log(parent);
    let mut units = 0..log.units().len();
    let unit = units.find(|unit| {
        let is_child = matches!(log.own(*unit).wait, Some(Wait::Child(_))) && !log.is_list(*unit);
        is_child && notes.children_of(parent, *unit).contains(&saga)
    });
    let back = log.records.iter().any(|record| {
        matches!(record.fact, Fact::CompensationSucceeded { step, .. } if unit.map(at) == Some(step))
    });
    back || is_taken_back_from_outside(notes, parent)
}
