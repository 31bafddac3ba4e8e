//! The stored form of ledger records: golden files, and what the first version wrote.

use std::fmt::Write;

use super::*;
use crate::engines::embedded::encode;

fn records() -> Vec<(&'static str, Change)> {
    let by = || By::new("ann", "typo");
    let taken_all = Taken {
        expires_at: Some(at(9)),
        priority: Priority::Urgent,
        group: 7,
        ..keyed(3, "a")
    };
    let wants = || Wants {
        patterns: vec!["a.*".to_owned()],
        filter: r#"{"sql":"TRUE"}"#.to_owned(),
        order: Order::PerKey,
        exhausted: Exhausted::ParkKey,
    };
    let full = Fault {
        redrives: 1,
        error_type: "Busy".to_owned(),
        member: "1".to_owned(),
        ..fault(2)
    };
    vec![
        (
            "began",
            Change::Began {
                wants: wants(),
                start: 4,
            },
        ),
        ("wanted", Change::Wanted { wants: wants() }),
        ("joined", joined(5)),
        ("left", Change::Left { epoch: 5 }),
        (
            "leased",
            Change::Leased {
                cursor: 9,
                leases: vec![(3, 1)],
                filtered: 2,
                taken: vec![taken_all],
                filter_errors: 1,
                epoch: 5,
            },
        ),
        (
            "settled",
            Change::Settled {
                settles: vec![
                    Settled::Acked { position: 1 },
                    Settled::RetryAt {
                        position: 2,
                        due: at(8),
                        fault: Box::new(full.clone()),
                    },
                    Settled::Dead {
                        position: 3,
                        fault: Box::new(full.clone()),
                    },
                    Settled::Released { position: 4 },
                    Settled::Skipped { position: 5 },
                    Settled::Expired { position: 6 },
                    Settled::Refused {
                        position: 7,
                        fault: Box::new(full),
                    },
                ],
            },
        ),
        ("redriven", redriven(&[3])),
        (
            "discarded",
            Change::Discarded {
                positions: vec![3],
                reason: "typo".to_owned(),
                author: "ann".to_owned(),
            },
        ),
        (
            "skipped_by",
            Change::SkippedBy {
                positions: vec![3],
                by: by(),
            },
        ),
        (
            "paused",
            Change::Paused {
                pause: Pause {
                    at: at(1),
                    by: by(),
                    until: Some(at(2)),
                },
            },
        ),
        ("resumed", Change::Resumed { by: by() }),
        (
            "revised",
            Change::Revised {
                position: 3,
                by: by(),
                data: "{}".into(),
            },
        ),
        (
            "restated",
            Change::Restated {
                part: 0,
                parts: 1,
                state: "x".into(),
            },
        ),
        (
            "restored",
            Change::Restored {
                position: 3,
                delivery: Delivery {
                    state: DeliveryState::Dead(at(9)),
                    key: Some(Key(7)),
                    attempts: 2,
                    faults: vec![fault(2)].into(),
                    revisions: vec![Revision {
                        number: 1,
                        at: at(8),
                        by: by(),
                        data: "{}".into(),
                    }]
                    .into(),
                    since: at(9),
                    ..Delivery::new()
                },
                by: by(),
            },
        ),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

#[test]
fn ledger_records_keep_their_stored_form() {
    let mut written = String::new();
    for (name, change) in records() {
        let bytes = encode(&Record {
            subscription: "s".to_owned(),
            at: at(1),
            change: Some(change.clone()),
            by: None,
        });
        let read: Record = minicbor::decode(&bytes).unwrap();
        assert_eq!(read.change, Some(change), "{name}");
        writeln!(written, "{name} {}", hex(&bytes)).unwrap();
    }
    let removed = Record {
        subscription: "s".to_owned(),
        at: at(1),
        change: None,
        by: Some(By::new("ann", "gone")),
    };
    let bytes = encode(&removed);
    assert_eq!(minicbor::decode::<Record>(&bytes).unwrap(), removed);
    writeln!(written, "removed {}", hex(&bytes)).unwrap();
    let golden = include_str!("golden/records-2.txt");
    assert_eq!(written, golden, "a stored form has changed:\n{written}");
}

#[test]
fn records_of_the_first_version_are_read() {
    let leased = leased(3, &[(2, 1)]);
    for (bytes, expected) in [
        // Created { patterns: ["*"], start: 1 }, Joined { epoch: 1 }, Leased { 3, [(2, 1)], 0 }, Redriven { [2] }.
        (
            "82008281612a01",
            Change::Created {
                patterns: vec!["*".to_owned()],
                start: 1,
            },
        ),
        (
            "82028101",
            Change::Joined {
                epoch: 1,
                floor: None,
            },
        ),
        ("820383038182020100", leased),
        ("8205818102", redriven(&[2])),
    ] {
        let read: Change = minicbor::decode(&unhex(bytes)).unwrap();
        assert_eq!(read, expected);
    }
}
