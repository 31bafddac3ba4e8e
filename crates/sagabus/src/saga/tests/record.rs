//! The stored form of records: fixed bytes, versions, damage.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::first::First;
use crate::clock::Timestamp;
use crate::error::ErrorKind;
use crate::ledger::{By, Priority};
use crate::saga::machine::State;
use crate::saga::record::{Cause, Effect, Fact, Outcome, PauseCause, Record, Verb};

fn facts() -> Vec<(Fact, &'static str)> {
    let error = || "e".to_owned();
    let retry_at = Timestamp::from_milliseconds(2_000);
    let first = || First {
        input: b"1",
        idempotency_key: Some("k"),
        ..First::pinned(Bytes::from_static(b"{}"), [7; 32])
    };
    vec![
        (
            first().fact(),
            "83011903e8820085427b7d5820070707070707070707070707070707070707070707070707070707070707070741316163616b",
        ),
        (
            First {
                attributes: Some(BTreeMap::from([("k".to_owned(), "v".to_owned())])),
                priority: Some(Priority::High),
                concurrency_key: Some("x"),
                ..first()
            }
            .fact(),
            "83011903e882008a427b7d5820070707070707070707070707070707070707070707070707070707070707070741316163616bf6f6a1616b61768201806178",
        ),
        (
            First {
                trace: Some("t"),
                ..first()
            }
            .fact(),
            "83011903e882008c427b7d5820070707070707070707070707070707070707070707070707070707070707070741316163616bf6f6f6f6f6f66174",
        ),
        (
            Fact::StepStarted {
                step: 1,
                attempt: 2,
                epoch: None,
            },
            "83011903e88201820102",
        ),
        (
            Fact::StepStarted {
                step: 1,
                attempt: 2,
                epoch: Some(9),
            },
            "83011903e8820183010209",
        ),
        (
            Fact::StepSucceeded {
                step: 1,
                attempt: 2,
                output: Bytes::from_static(b"null"),
            },
            "83011903e88202830102446e756c6c",
        ),
        (
            Fact::AttemptFailed {
                step: 1,
                attempt: 2,
                effect: Effect::Unknown,
                error: error(),
                retry_at,
                is_uncounted: false,
            },
            "83011903e882038501020161651907d0",
        ),
        (
            Fact::AttemptFailed {
                step: 1,
                attempt: 2,
                effect: Effect::None,
                error: error(),
                retry_at,
                is_uncounted: true,
            },
            "83011903e882038601020061651907d0f5",
        ),
        (
            Fact::StepFailed {
                step: 1,
                attempt: 2,
                effect: Effect::None,
                error: error(),
            },
            "83011903e88204840102006165",
        ),
        (
            Fact::TurnedBack {
                cause: Cause::Step(1),
                reason: error(),
            },
            "83011903e8820582820081016165",
        ),
        (
            Fact::TurnedBack {
                cause: Cause::Cancelled,
                reason: error(),
            },
            "83011903e88205828201806165",
        ),
        (
            Fact::CompensationStarted {
                step: 1,
                attempt: 2,
                epoch: None,
            },
            "83011903e88206820102",
        ),
        (
            Fact::CompensationStarted {
                step: 1,
                attempt: 2,
                epoch: Some(9),
            },
            "83011903e8820683010209",
        ),
        (
            Fact::CompensationSucceeded {
                step: 1,
                attempt: 2,
                takes_late_effect: false,
            },
            "83011903e88207820102",
        ),
        (
            Fact::CompensationSucceeded {
                step: 1,
                attempt: 2,
                takes_late_effect: true,
            },
            "83011903e88207830102f5",
        ),
        (
            Fact::CompensationAttemptFailed {
                step: 1,
                attempt: 2,
                error: error(),
                retry_at,
                is_uncounted: false,
            },
            "83011903e8820884010261651907d0",
        ),
        (
            Fact::CompensationAttemptFailed {
                step: 1,
                attempt: 2,
                error: error(),
                retry_at,
                is_uncounted: true,
            },
            "83011903e8820885010261651907d0f5",
        ),
        (
            Fact::CompensationStuck {
                step: 1,
                attempt: 2,
                error: error(),
            },
            "83011903e882098301026165",
        ),
        (Fact::CompensationResumed, "83011903e8820a80"),
        (
            Fact::Ended {
                outcome: Outcome::Compensated,
                error: error(),
            },
            "83011903e8820b82016165",
        ),
        (
            Fact::Operated {
                verb: Verb::Resume,
                step: None,
                by: By::new("ann", "e"),
                output: None,
            },
            "83021903e8820c8308f68263616e6e6165",
        ),
        (
            Fact::Operated {
                verb: Verb::Complete,
                step: Some(1),
                by: By::new("ann", "e"),
                output: Some(Bytes::from_static(b"null")),
            },
            "83021903e8820c8404018263616e6e6165446e756c6c",
        ),
        (
            Fact::Migrated {
                definition: Bytes::from_static(b"{}"),
                hash: [7; 32],
                by: By::new("ann", "e"),
            },
            "83021903e8821383427b7d582007070707070707070707070707070707070707070707070707070707070707078263616e6e6165",
        ),
        (Fact::Spread { step: 1, count: 3 }, "83021903e88211820103"),
        (
            Fact::ForwardStuck {
                step: 1,
                attempt: 2,
                error: error(),
                effect: Effect::Unknown,
            },
            "83021903e8820d840102616501",
        ),
        (
            Fact::LateResult {
                step: 1,
                attempt: 2,
                output: Some(Bytes::from_static(b"null")),
                effect: Effect::Unknown,
                error: None,
            },
            "83021903e8820e840102446e756c6c01",
        ),
        (
            Fact::LateResult {
                step: 1,
                attempt: 2,
                output: None,
                effect: Effect::None,
                error: Some(error()),
            },
            "83021903e8820e850102f6006165",
        ),
        (
            Fact::Paused {
                cause: PauseCause::Poison,
            },
            "83021903e8820f81820080",
        ),
        (
            Fact::Paused {
                cause: PauseCause::InDoubt(1),
            },
            "83021903e8820f8182018101",
        ),
        (
            Fact::Signalled {
                name: "n".to_owned(),
                key: None,
                payload: Bytes::from_static(b"1"),
                by: By::new("ann", "e"),
                approved: None,
            },
            "83021903e8821084616ef641318263616e6e6165",
        ),
        (
            Fact::Signalled {
                name: "n".to_owned(),
                key: Some("k".to_owned()),
                payload: Bytes::from_static(b"1"),
                by: By::new("ann", "e"),
                approved: Some(false),
            },
            "83021903e8821085616e616b41318263616e6e6165f4",
        ),
        (
            Fact::TurnedBack {
                cause: Cause::Deadline,
                reason: error(),
            },
            "83021903e88205828202806165",
        ),
        (
            Fact::TurnedBack {
                cause: Cause::QueueTimeout,
                reason: error(),
            },
            "83021903e88205828205806165",
        ),
        (
            Fact::Ended {
                outcome: Outcome::Terminated,
                error: error(),
            },
            "83021903e8820b82046165",
        ),
        (Fact::Closed, "83021903e8821480"),
        (Fact::Begun, "83021903e8821580"),
        (
            Fact::Attached {
                key: "k".to_owned(),
            },
            "83021903e8821681616b",
        ),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn records_have_fixed_bytes_and_come_back_as_they_were() {
    for (fact, golden) in facts() {
        let record = Record::new(Timestamp::from_milliseconds(1_000), fact);
        let bytes = record.encode().unwrap();
        assert_eq!(hex(&bytes), golden, "{record:?}");
        assert_eq!(Record::decode(&bytes).unwrap(), record);
    }
}

#[test]
fn fields_of_a_later_writer_are_skipped() {
    // [1, 1000, [1, [1, 2, 9, "new field"]], "another"]
    let bytes = b"\x84\x01\x19\x03\xe8\x82\x01\x84\x01\x02\x09\x69new field\x67another";
    let record = Record::decode(bytes).unwrap();
    assert_eq!(
        record.fact,
        Fact::StepStarted {
            step: 1,
            attempt: 2,
            epoch: Some(9),
        }
    );
}

#[test]
fn records_of_both_versions_are_read() {
    for version in [1, 2] {
        let bytes = [0x83, version, 0x01, 0x82, 0x01, 0x82, 0x01, 0x02];
        let record = Record::decode(&bytes).unwrap();
        assert_eq!(record.version, version);
        let fact = Fact::StepStarted {
            step: 1,
            attempt: 2,
            epoch: None,
        };
        assert_eq!(record.fact, fact);
    }
}

#[test]
fn another_version_is_named_and_damage_is_corrupt() {
    let error = Record::decode(b"\x83\x03\x01\x82\x0b\x80").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert_eq!(
        error.to_string(),
        "saga record has version 3, this program reads 1 to 2"
    );
    for (_, golden) in facts() {
        let bytes: Vec<u8> = (0..golden.len() / 2)
            .map(|at| u8::from_str_radix(&golden[at * 2..at * 2 + 2], 16).unwrap())
            .collect();
        for length in 0..bytes.len() {
            let error = Record::decode(&bytes[..length]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
        }
    }
}

#[test]
fn a_log_that_no_saga_can_have_is_corrupt() {
    let at = Timestamp::from_milliseconds(1_000);
    let definition = super::bed::chain(&["a"]);
    let created = |hash| {
        let first = First {
            hash,
            ..First::of(&definition)
        };
        Record::new(at, first.fact())
    };
    let first =
        |record: &Record| State::first("x".parse().unwrap(), record, |_| Ok(definition.clone()));
    let kind = |result: crate::Result<State>| result.unwrap_err().kind();
    assert_eq!(kind(first(&created([0; 32]))), ErrorKind::Corrupt);
    let resumed = Record::new(at, Fact::CompensationResumed);
    assert_eq!(kind(first(&resumed)), ErrorKind::Corrupt);
    let good = first(&created(definition.hash().0)).unwrap();
    let beyond = Fact::StepStarted {
        step: 1,
        attempt: 1,
        epoch: None,
    };
    let ended = Fact::Ended {
        outcome: Outcome::Failed,
        error: String::new(),
    };
    assert!(good.clone().replay(&Record::new(at, beyond)).is_err());
    assert!(good.clone().replay(&created(definition.hash().0)).is_err());
    let mut over = good;
    let closed = Record::new(at, Fact::Closed);
    assert!(over.clone().replay(&closed).is_err());
    over.replay(&Record::new(at, ended.clone())).unwrap();
    assert!(over.replay(&Record::new(at, ended)).is_err());
    // An append whose answer was lost is repeated.
    assert!(!over.is_closed());
    over.replay(&closed).unwrap();
    over.replay(&closed).unwrap();
    assert!(over.is_closed());
}
