//! What must hold of a ledger whatever records it is the fold of: a target of fuzzing.

use std::time::Duration;

use super::{Change, Ledger, Record};
use crate::clock::Timestamp;

/// Most records of one input.
const RECORDS_MAX: usize = 64;
/// Most deliveries that are handed out after each record.
const PICK_MAX: usize = 8;

/// The bytes are records, one behind the other.
pub(crate) fn ledger(bytes: &[u8]) {
    let mut ledger = Ledger::default();
    let mut decoder = minicbor::Decoder::new(bytes);
    for _ in 0..RECORDS_MAX {
        let Ok(Record { at, change, .. }) = decoder.decode::<Record>() else {
            break;
        };
        let Some(change) = change.map(small) else {
            ledger = Ledger::default();
            continue;
        };
        // A state that was said anew is what somebody wrote, sense or not: it may only do no harm.
        if let Change::Restated { .. } = change {
            Ledger::default().apply(at, &change);
            continue;
        }
        ledger.apply(at, &change);
        look(&mut ledger, at);
        check(&ledger);
    }
}

/// The change with numbers of events that a log can have: 64 bits are never reached by counting.
fn small(mut change: Change) -> Change {
    if let Change::Leased {
        filtered,
        filter_errors,
        ..
    } = &mut change
    {
        *filtered %= 1 << 32;
        *filter_errors %= 1 << 32;
    }
    change
}

/// What a member does between records.
fn look(ledger: &mut Ledger, now: Timestamp) {
    ledger.wake(now);
    ledger.advance(now, Duration::from_millis(1));
    let picked = ledger.pick(now, PICK_MAX);
    assert!(picked.leases.len() <= PICK_MAX);
    ledger.rest(now);
}

fn check(ledger: &Ledger) {
    let counts = ledger.counts();
    assert!(counts.is_conserved(), "{counts:?}");
    let mut restated = Ledger::default();
    for change in ledger.restated(super::PART_BYTES) {
        restated.apply(Timestamp::default(), &change);
    }
    assert!(!restated.is_unreadable());
    assert_eq!(restated, *ledger, "restated");
    assert!(restated.counts().is_conserved());
}
