//! Cases of the contract that no rule shows: shown by a test of its own, not yet, or not as widely as they are meant.

/// Cases that a test shows for the engines of this crate, since they need more than an engine: by id, what, and the test's
/// name, which is checked to exist.
pub const ELSEWHERE: &[(&str, &str, &str)] = &[
    (
        "F01",
        "the test suite of the filter language, on the evaluator that all engines use",
        "the_test_cases_of_the_standard_pass",
    ),
    (
        "S06",
        "a settling that is lost on its way is made good by the inbox",
        "an_event_whose_ack_was_lost_comes_again_and_has_no_second_effect",
    ),
    (
        "R07",
        "an event that ends real processes is given up, and the others are handled",
        "an_event_that_ends_three_real_processes_is_given_up_and_the_others_are_handled",
    ),
    (
        "X05",
        "a handler within a transaction, killed at each of its points, has one effect",
        "a_handler_killed_at_any_point_of_its_transaction_has_one_effect_per_event",
    ),
    (
        "X06",
        "an outbox, killed at each point between commit and relay, loses and doubles nothing",
        "a_process_killed_between_commit_and_relay_publishes_each_event_once",
    ),
    (
        "L01",
        "memory does not grow with what a stopped subscriber has before it",
        "a_stopped_subscriber_takes_no_memory",
    ),
    (
        "Y03",
        "retention keeps what a ledger needs, and drops the rest",
        "dead_letters_are_carried_forward_and_can_be_redriven_from_long_ago",
    ),
    (
        "Y04",
        "a subscription that holds what is due to be dropped raises an alarm, and is removed only by somebody",
        "what_a_subscription_has_not_looked_at_is_kept_and_it_is_told_until_it_is_removed",
    ),
    (
        "Z01",
        "each rule but that of T02, and random histories, have the same trace on the memory disk and on a real directory",
        "each_rule_has_the_same_trace_in_memory_and_on_a_directory",
    ),
];

/// Cases that nothing shows yet, by id.
pub const LATER: &[(&str, &str)] = &[
    ("F05", "a filter on an encrypted payload is refused"),
    ("M03", "nothing secret in what is shown"),
    ("M04", "who may not publish or subscribe is refused"),
    ("M05", "encrypted payloads cannot be read in the store"),
    ("M06", "a wrong signature makes a dead letter"),
];

/// Cases whose rules show less than the case means, and what.
pub const NARROWER: &[(&str, &str)] = &[
    (
        "B02",
        "the largest payload is 256 KiB, and payloads are JSON: a NUL is written as an escape",
    ),
    ("L02", "publishers are refused; waiting for room is theirs"),
    (
        "L07",
        "a store without room; after a write that failed the embedded engine stops for good, and a restart is asked for",
    ),
    (
        "M02",
        "the trace context in events and handlers; spans are those of `tracing`, and no exporter is part of the library",
    ),
    (
        "D12",
        "into a store that has the events: another one would have to publish them, which all subscriptions would see",
    ),
];
