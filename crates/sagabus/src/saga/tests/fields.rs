//! What a definition can say is done: each field has a test that it does what it says.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use serde_json::Value;

use crate::saga::definition::{Child, Options, WaitLimit};
use crate::saga::{
    Compensate, ConcurrencyKey, Definition, ForEach, OnConflict, OnInDoubt, OnTimeout, Order,
    PlainErrors, Priority, Step, Wait,
};

/// Each field with a test of what it does.
const SHOWN: [(&str, &str); 52] = [
    (
        "name",
        "rust_json_and_yaml_give_the_same_definition_and_hash",
    ),
    ("steps", "steps_run_in_the_order_of_their_dependencies"),
    (
        "compensation",
        "in_parallel_a_step_waits_for_all_that_follows_from_it_at_any_distance",
    ),
    (
        "plainErrors",
        "a_plain_error_leaves_no_effect_or_a_doubt_as_the_definition_says",
    ),
    ("deadline", "a_saga_beyond_its_deadline_is_taken_back"),
    (
        "queueTimeout",
        "a_saga_that_waits_too_long_for_its_turn_is_cancelled_and_never_runs",
    ),
    (
        "priority",
        "a_start_says_how_urgent_it_is_or_else_its_definition_also_after_a_restart",
    ),
    ("concurrencyKey", "sagas_with_one_key_wait_for_each_other"),
    (
        "concurrencyKey.key",
        "sagas_with_one_key_wait_for_each_other",
    ),
    (
        "concurrencyKey.limit",
        "as_many_sagas_with_one_key_run_as_its_limit_says",
    ),
    (
        "concurrencyKey.onConflict",
        "a_key_that_is_held_refuses_attaches_or_cancels_as_the_definition_says",
    ),
    (
        "eventInput",
        "events_carry_the_parts_of_the_input_that_the_definition_names_and_nothing_else",
    ),
    (
        "steps.id",
        "a_handler_is_found_by_service_and_action_then_by_action_then_by_step_id",
    ),
    (
        "steps.name",
        "rust_json_and_yaml_give_the_same_definition_and_hash",
    ),
    (
        "steps.service",
        "a_handler_is_found_by_service_and_action_then_by_action_then_by_step_id",
    ),
    (
        "steps.action",
        "a_handler_is_found_by_service_and_action_then_by_action_then_by_step_id",
    ),
    (
        "steps.compensationAction",
        "a_step_without_compensation_has_nothing_to_take_back",
    ),
    (
        "steps.version",
        "a_step_with_a_version_has_the_handlers_of_that_version_and_no_others",
    ),
    (
        "steps.timeout",
        "a_step_that_times_out_may_have_happened_and_is_taken_back",
    ),
    (
        "steps.retryAttempts",
        "a_step_that_fails_more_often_than_it_may_turns_its_saga_back",
    ),
    ("steps.retryDelay", "a_step_can_have_its_own_retry_delay"),
    (
        "steps.dependencies",
        "steps_run_in_the_order_of_their_dependencies",
    ),
    (
        "steps.data",
        "a_step_sees_the_outputs_of_its_ancestors_only",
    ),
    (
        "steps.pivot",
        "a_pivot_starts_after_all_steps_that_do_not_follow_from_it",
    ),
    (
        "steps.compensate",
        "a_step_is_taken_back_when_completed_when_in_doubt_or_always_as_it_says",
    ),
    (
        "steps.onInDoubt",
        "a_step_that_was_cut_off_is_run_again_taken_back_or_left_to_an_operator",
    ),
    (
        "steps.compensationTimeout",
        "a_compensation_can_have_its_own_time_limit_and_tries",
    ),
    (
        "steps.compensationRetryAttempts",
        "a_compensation_can_have_its_own_time_limit_and_tries",
    ),
    (
        "steps.stepDeadline",
        "all_attempts_of_a_step_and_their_delays_have_one_limit",
    ),
    (
        "steps.queueTimeout",
        "a_step_that_waits_too_long_for_its_first_attempt_has_failed_without_an_effect",
    ),
    (
        "steps.heartbeat",
        "a_handler_without_a_sign_of_life_has_timed_out",
    ),
    (
        "steps.overlap",
        "attempts_overlap_only_where_the_step_says_so",
    ),
    (
        "steps.lateBinding",
        "a_saga_may_start_without_a_handler_of_a_step_that_is_bound_late",
    ),
    (
        "steps.forEach",
        "a_step_is_done_for_each_item_and_its_output_is_the_list_of_theirs",
    ),
    (
        "steps.forEach.from",
        "items_and_their_compensations_are_given_their_item_and_output",
    ),
    (
        "steps.forEach.step",
        "items_and_their_compensations_are_given_their_item_and_output",
    ),
    (
        "steps.forEach.concurrency",
        "so_many_items_are_under_way_at_one_time_and_no_more",
    ),
    (
        "steps.signal",
        "a_step_waits_for_its_signal_and_hands_on_the_payload",
    ),
    (
        "steps.signal.name",
        "a_step_waits_for_its_signal_and_hands_on_the_payload",
    ),
    (
        "steps.signal.timeout",
        "of_a_signal_and_the_end_of_waiting_the_first_decides",
    ),
    (
        "steps.signal.onTimeout",
        "nobody_answers_in_time_fails_or_completes_the_step_as_it_says",
    ),
    ("steps.approval", "a_person_in_the_role_says_yes_or_no"),
    ("steps.approval.role", "a_person_in_the_role_says_yes_or_no"),
    (
        "steps.approval.timeout",
        "nobody_answers_in_time_fails_or_completes_the_step_as_it_says",
    ),
    (
        "steps.approval.onTimeout",
        "nobody_answers_in_time_fails_or_completes_the_step_as_it_says",
    ),
    (
        "steps.child",
        "a_step_that_is_a_saga_hands_on_the_outputs_of_its_steps_and_needs_no_slot_meanwhile",
    ),
    (
        "steps.child.definition",
        "a_step_that_is_a_saga_hands_on_the_outputs_of_its_steps_and_needs_no_slot_meanwhile",
    ),
    (
        "steps.child.from",
        "a_child_is_given_what_is_at_its_pointer",
    ),
    (
        "steps.child.step",
        "a_child_is_given_what_is_at_its_pointer",
    ),
    (
        "steps.timer",
        "a_timer_waits_so_long_over_restarts_and_calls_nobody",
    ),
    (
        "steps.timer.for",
        "a_timer_waits_so_long_over_restarts_and_calls_nobody",
    ),
    // What `data` says belongs to the handlers.
    (
        "steps.data.x",
        "a_step_sees_the_outputs_of_its_ancestors_only",
    ),
];

/// Where those tests are.
const TESTS: [&str; 14] = [
    include_str!("admission.rs"),
    include_str!("child.rs"),
    include_str!("compensation.rs"),
    include_str!("definition.rs"),
    include_str!("each.rs"),
    include_str!("events.rs"),
    include_str!("handlers.rs"),
    include_str!("limits.rs"),
    include_str!("pivot.rs"),
    include_str!("slots.rs"),
    include_str!("steps.rs"),
    include_str!("time.rs"),
    include_str!("versions.rs"),
    include_str!("wait.rs"),
];

/// A definition that says all that can be said: a field that is new does not compile until it is here.
fn everything() -> Definition {
    let second = Duration::from_secs(1);
    let options = Options {
        compensation: Order::Parallel,
        plain_errors: PlainErrors::InDoubt,
        deadline: Some(second),
        queue_timeout: Some(second),
        priority: Priority::High,
        concurrency_key: Some(ConcurrencyKey {
            key: "{/id}".to_owned(),
            limit: 2,
            on_conflict: OnConflict::Attach,
        }),
        event_input: vec!["/id".to_owned()],
    };
    let run = Step {
        id: "run".to_owned(),
        name: "Run".to_owned(),
        service: "svc".to_owned(),
        action: "act".to_owned(),
        compensation_action: Some("back".to_owned()),
        version: NonZeroU32::new(2),
        timeout: Some(second),
        retry_attempts: 1,
        retry_delay: Some(second),
        dependencies: vec!["sent".to_owned()],
        data: Some(serde_json::json!({"x": 1})),
        pivot: true,
        compensate: Compensate::Always,
        on_in_doubt: OnInDoubt::Park,
        compensation_timeout: Some(second),
        compensation_retry_attempts: Some(1),
        step_deadline: Some(second),
        queue_timeout: Some(second),
        heartbeat: Some(second),
        overlap: true,
        late_binding: true,
        for_each: Some(ForEach {
            from: "/list".to_owned(),
            step: Some("sent".to_owned()),
            concurrency: NonZeroU32::MIN,
        }),
        wait: None,
    };
    let limit = Some(WaitLimit {
        timeout: second,
        on_timeout: OnTimeout::Complete,
    });
    let waits = |id: &str, wait: Wait| Step {
        wait: Some(wait),
        action: String::new(),
        ..Step::new(id)
    };
    let child = Child {
        definition: Definition::from_steps("inner", vec![Step::new("x")]).unwrap(),
        from: "/x".to_owned(),
        step: Some("timed".to_owned()),
    };
    let name = "n".to_owned();
    let role = "r".to_owned();
    let builder = Definition::builder("all").options(options).step(run);
    let builder = builder
        .step(waits("sent", Wait::Signal { name, limit }))
        .step(waits("asked", Wait::Approval { role, limit }))
        .step(waits("timed", Wait::Timer(second)))
        .step(waits("inside", Wait::Child(child)).after("timed"));
    builder.build().unwrap()
}

/// The paths of all fields.
fn fields(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields_of) => {
            for (name, value) in fields_of {
                let path = match path {
                    "" => name.clone(),
                    _ => format!("{path}.{name}"),
                };
                // A definition again.
                if path != "steps.child.definition" {
                    fields(value, &path, found);
                }
                found.insert(path);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| fields(item, path, found)),
        _ => {}
    }
}

#[test]
fn each_field_of_a_definition_has_a_test_that_it_does_what_it_says() {
    let definition = everything();
    let written: Value = serde_json::from_slice(&definition.to_json()).unwrap();
    let mut found = BTreeSet::new();
    fields(&written, "", &mut found);
    for (field, test) in SHOWN {
        let declared = format!("fn {test}(");
        let exists = TESTS.iter().any(|file| file.contains(&declared));
        assert!(exists, "`{field}`: there is no test `{test}`");
    }
    let shown: BTreeSet<String> = SHOWN.iter().map(|(field, _)| (*field).to_owned()).collect();
    assert_eq!(found, shown);
}

#[test]
fn all_that_can_be_said_comes_back_as_it_was_from_json_and_yaml() {
    let definition = everything();
    let json = definition.to_json();
    let from_json = Definition::from_json(&json).unwrap();
    // JSON is YAML.
    let from_yaml = Definition::from_yaml(std::str::from_utf8(&json).unwrap()).unwrap();
    for again in [
        from_json,
        from_yaml,
        Definition::from_pinned(&json).unwrap(),
    ] {
        assert_eq!(again.steps(), definition.steps());
        assert_eq!(again.options(), definition.options());
        assert_eq!(again.hash(), definition.hash());
    }
}

#[test]
fn each_time_limit_of_a_definition_is_refused_at_zero_and_beyond_its_bound() {
    for field in [
        "timeout",
        "compensationTimeout",
        "stepDeadline",
        "queueTimeout",
        "heartbeat",
        "retryDelay",
    ] {
        let read = |span: &str| {
            let json =
                format!(r#"{{"name":"s","steps":[{{"id":"a","action":"a","{field}":{span}}}]}}"#);
            Definition::from_json(json.as_bytes()).map_err(|error| error.fault.to_string())
        };
        let zero = format!("`{field}` of step `a` is zero");
        match field {
            // A retry at once makes sense.
            "retryDelay" => drop(read("0").unwrap()),
            _ => assert_eq!(read("0").unwrap_err(), zero),
        }
        let long = format!("`{field}` of step `a` is longer than 7 days");
        assert_eq!(read("604800001").unwrap_err(), long);
        read("604800000").unwrap();
        let path = format!("steps[0].{field}");
        assert!(read("-1").unwrap_err().contains(&path));
        assert!(read(r#""1 day""#).unwrap_err().contains(&path));
    }
    for field in ["deadline", "queueTimeout"] {
        let read = |span: &str| {
            let json =
                format!(r#"{{"name":"s","steps":[{{"id":"a","action":"a"}}],"{field}":{span}}}"#);
            Definition::from_json(json.as_bytes()).map_err(|error| error.fault.to_string())
        };
        let text = format!("`{field}` of saga `s` must be 1 millisecond to 366 days");
        assert_eq!(read("0").unwrap_err(), text);
        assert_eq!(read("31622400001").unwrap_err(), text);
        read("31622400000").unwrap();
    }
}

#[test]
fn a_concurrency_key_that_names_nothing_or_lets_nobody_in_is_refused() {
    let read = |key: &str| {
        let json =
            format!(r#"{{"name":"s","steps":[{{"id":"a","action":"a"}}],"concurrencyKey":{key}}}"#);
        Definition::from_json(json.as_bytes()).map_err(|error| error.to_string())
    };
    for wrong in [
        r#"{"key":"sample"}"#,
        r#"{"key":""}"#,
        r#"{"key":"{}"}"#,
        r#"{"key":"{a"}"#,
        r#"{"key":"a}"}"#,
        r#"{"key":"{a}}"}"#,
        r#"{"key":"{{a}}"}"#,
        r#"{"key":"{a}","limit":0}"#,
        r#"{"key":"{a}","limit":1001}"#,
    ] {
        let error = read(wrong).unwrap_err();
        assert!(error.contains("concurrencyKey"), "{wrong}: {error}");
    }
    for right in [r#"{"key":"{a}","limit":1000}"#, r#"{"key":"x {/a/0} {b}"}"#] {
        read(right).unwrap();
    }
    assert!(read(r#"{"key":"{a}","onConflict":"wait"}"#).is_err());
    let urgent = r#"{"name":"s","steps":[{"id":"a","action":"a"}],"priority":"now"}"#;
    let error = Definition::from_json(urgent.as_bytes()).unwrap_err();
    assert!(error.to_string().contains("priority"), "{error}");
}
