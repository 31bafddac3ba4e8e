//! Cases of the contract that no rule shows yet, or not as widely as they are meant.

/// Cases without a rule, by id.
pub const LATER: &[(&str, &str)] = &[
    (
        "F01",
        "the test suite of the filter language; the library runs it on the evaluator itself",
    ),
    ("F05", "a filter on an encrypted payload is refused"),
    (
        "S06",
        "a settling that is lost on its way is made good by the inbox",
    ),
    ("D02", "dead letters by type, error, time and key"),
    ("D05", "a trial run of a repair changes nothing"),
    ("D12", "dead letters are written out and read in again"),
    ("T02", "ten thousand delayed events of one moment"),
    ("T05", "a cancellation at the very time has one outcome"),
    ("X03", "the end of the deduplication window"),
    (
        "X05",
        "a handler within a transaction, killed anywhere, has one effect",
    ),
    (
        "X06",
        "an outbox, killed between commit and relay, loses and doubles nothing",
    ),
    (
        "L02",
        "publishers wait or are refused when there is no room",
    ),
    ("L06", "a rate that holds for all members together"),
    ("L07", "a store that is away for a minute"),
    ("Y01", "a replay for one subscription"),
    ("Y02", "a replayed event says so"),
    ("Y03", "retention keeps what a ledger needs"),
    ("Y04", "a detached subscription raises an alarm"),
    ("M02", "traces from publish to handler"),
    ("M03", "nothing secret in what is shown"),
    ("M04", "who may not publish or subscribe is refused"),
    ("M05", "encrypted payloads cannot be read in the store"),
    ("M06", "a wrong signature makes a dead letter"),
    ("Z01", "the same trace on memory and on the real store"),
];

/// Cases whose rules show less than the case means, and what.
pub const NARROWER: &[(&str, &str)] = &[
    (
        "B02",
        "the largest payload is 256 KiB, and payloads are JSON: a NUL is written as an escape",
    ),
    ("L01", "that nothing is looked at; memory is not measured"),
    ("D01", "2,500 dead letters instead of 100,000"),
    ("P05", "3,000 events of one against 10 of the other"),
    (
        "T08",
        "leases; a retry is due by the wall clock, which is the store's here",
    ),
];
