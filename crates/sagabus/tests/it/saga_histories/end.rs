//! What is left of a saga that is over.

use sagabus::saga::record::Fact;
use sagabus::saga::{SagaStatus, Status};

use super::log::Log;
use super::notes::{Change, Notes};

/// The effects that are left are those of a saga that ended so.
pub(super) fn check_end(notes: &Notes, saga: &SagaStatus) {
    let log = Log {
        definition: &notes.definitions[saga.id.as_str()],
        records: &notes.durable[saga.id.as_str()],
    };
    let signals = log
        .records
        .iter()
        .filter(|it| matches!(it.fact, Fact::Signalled { .. }));
    assert!(signals.count() <= 1, "{} takes a signal twice", saga.id);
    for (number, step) in log.definition.steps().iter().enumerate() {
        let key = format!("{}/{}", saga.id, step.id);
        let changes = notes.effects.get(&key).map_or(&[][..], Vec::as_slice);
        if step.wait.is_some() || log.is_touched(number) {
            continue;
        }
        let is_there = changes.last() == Some(&Change::Done);
        match saga.status {
            Status::Completed => assert!(
                is_there && !changes.contains(&Change::TakenBack),
                "{key} of a completed saga: {changes:?}"
            ),
            Status::Compensated | Status::Cancelled => assert!(
                !is_there || step.compensation_action.is_none(),
                "{key} of a saga that is taken back: {changes:?}"
            ),
            other => panic!("{} ended as {other}", saga.id),
        }
    }
}
