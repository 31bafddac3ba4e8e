//! The process ends at every append, before and after the batch is durable: the saga always ends as it must.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::bed::{Act, Bed, World, chain, define, input, settled, step, told};
use super::store::Fault;
use crate::planted::SagaBug;
use crate::saga::{Definition, OnInDoubt, Status};

const FAULTS: [Fault; 2] = [Fault::Before, Fault::After];

/// A saga with a script, and how it must end.
struct Case {
    definition: fn() -> Definition,
    script: &'static [(&'static str, &'static [Act])],
    cancel_after: Option<u64>,
    ends: &'static [Status],
}

const CASES: [Case; 8] = [
    Case {
        definition: || chain(&["a", "b", "c"]),
        script: &[],
        cancel_after: None,
        ends: &[Status::Completed],
    },
    Case {
        definition: || {
            let last = step("d").after("b").after("c");
            define(vec![
                step("a"),
                step("b").after("a"),
                step("c").after("a"),
                last,
            ])
        },
        script: &[("b", &[Act::DoAfter(5)]), ("c", &[Act::DoAfter(3)])],
        cancel_after: None,
        ends: &[Status::Completed],
    },
    Case {
        definition: || {
            define(vec![
                step("a"),
                step("b").after("a").retries(2),
                step("c").after("b"),
            ])
        },
        script: &[("b", &[Act::Retry, Act::InDoubt])],
        cancel_after: None,
        ends: &[Status::Completed],
    },
    Case {
        definition: || chain(&["a", "b", "c"]),
        script: &[("c", &[Act::Reject, Act::Reject, Act::Reject])],
        cancel_after: None,
        ends: &[Status::Compensated],
    },
    Case {
        definition: || chain(&["a", "b", "c"]),
        script: &[
            ("c", &[Act::Reject, Act::Reject, Act::Reject]),
            ("undo_b", &[Act::Retry]),
            ("undo_a", &[Act::InDoubt]),
        ],
        cancel_after: None,
        ends: &[Status::Compensated],
    },
    Case {
        definition: || chain(&["a", "b", "c"]),
        script: &[("b", &[Act::DoAfter(50), Act::DoAfter(50), Act::DoAfter(50)])],
        cancel_after: Some(10),
        ends: &[Status::Cancelled, Status::Completed],
    },
    Case {
        definition: || list("b", &["c"]),
        script: &[
            ("b[1]", &[Act::Retry, Act::DoAfter(5)]),
            ("b[2]", &[Act::InDoubt]),
        ],
        cancel_after: None,
        ends: &[Status::Completed],
    },
    Case {
        definition: || list("b", &[]),
        script: &[("b[2]", &[Act::Reject, Act::Reject, Act::Reject])],
        cancel_after: None,
        ends: &[Status::Compensated],
    },
];

/// `a`, then the step for each of three items, two at a time, then the others.
fn list(id: &str, then: &[&str]) -> Definition {
    let own = step(id).after("a").retries(1).for_each("/items");
    let own = own.at_a_time(std::num::NonZeroU32::new(2).unwrap());
    let then = then.iter().map(|next| step(next).after(id));
    define([step("a"), own].into_iter().chain(then).collect())
}

impl Case {
    fn bed(&self) -> Bed {
        let bed = Bed::new();
        for (action, acts) in self.script {
            bed.world.script(action, acts);
        }
        bed
    }

    async fn appends(&self) -> usize {
        let bed = self.bed();
        bed.run_through(&(self.definition)(), &[], self.cancel_after)
            .await;
        bed.disk.appends()
    }

    async fn check(&self, faults: &[(usize, Fault)]) {
        let bed = self.bed();
        let status = bed
            .run_through(&(self.definition)(), faults, self.cancel_after)
            .await;
        assert!(
            self.ends.contains(&status.status),
            "{faults:?}: {:?}",
            status.status
        );
        assert_eq!(bed.disk.stored().len(), 1, "{faults:?}");
        let told = told(&bed.disk);
        let count = |name: &str| told.iter().filter(|event| *event == name).count();
        assert_eq!(count("started"), 1, "{faults:?}");
        assert_eq!(count("completed") + count("failed"), 1, "{faults:?}");
        // A crash repeats no more than what was open then: one call for each step in flight.
        for id in ["a", "b", "c", "d", "b[0]", "b[1]", "b[2]"] {
            let script = self.script.iter().find(|(action, _)| *action == id);
            let scripted = script.map_or(0, |(_, acts)| acts.len());
            let most = 1 + scripted + faults.len();
            assert!(bed.world.count(id) <= most, "{faults:?} {id}");
        }
        assert_eq!(calls_fit(&bed.world), Ok(()), "{faults:?}");
    }
}

/// Each step, each item of a list and what takes it back has a key of its own, the same in all its attempts; and no process
/// calls a handler after a later one has.
fn calls_fit(world: &World) -> Result<(), String> {
    let (calls, keys) = (world.calls(), world.keys());
    assert_eq!(calls.len(), keys.len());
    let mut key_of = BTreeMap::new();
    for (call, key) in calls.iter().zip(&keys) {
        let (action, _) = call.split_once('#').unwrap();
        let first = key_of.entry(action).or_insert(key);
        if *first != key {
            return Err(format!("`{action}` has the keys {first} and {key}"));
        }
    }
    let own: BTreeSet<_> = key_of.values().collect();
    if own.len() < key_of.len() {
        return Err(format!("a key is that of two: {key_of:?}"));
    }
    match world.fences().is_sorted() {
        true => Ok(()),
        false => Err(format!("fencing tokens go back: {:?}", world.fences())),
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_changes_between_attempts_or_is_that_of_two_items_is_found() {
    for (bug, case, text) in [
        (SagaBug::KeyChanges, &CASES[2], "`b` has the keys"),
        (SagaBug::ItemKeysShared, &CASES[6], "a key is that of two"),
    ] {
        let bed = case.bed();
        SagaBug::plant(Some(bug));
        bed.run_through(&(case.definition)(), &[], None).await;
        SagaBug::plant(None);
        let found = calls_fit(&bed.world).unwrap_err();
        assert!(found.starts_with(text), "{found}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_append_leaves_a_saga_that_ends_as_it_must() {
    for case in &CASES {
        let appends = case.appends().await;
        assert!(appends >= 4);
        for at in 0..appends {
            for fault in FAULTS {
                case.check(&[(at, fault)]).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_crash_during_recovery_changes_nothing_about_that() {
    for case in &CASES {
        let appends = case.appends().await;
        for first in 0..appends {
            for second in 0..appends {
                for fault in FAULTS {
                    case.check(&[(first, fault), (second, Fault::Before)]).await;
                    case.check(&[(first, fault), (second, Fault::After)]).await;
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn effects_of_a_linear_saga_are_exact_only_the_open_step_is_run_twice() {
    let definition = chain(&["a", "b", "c"]);
    let ids = ["a", "b", "c"];
    for at in 0..=3 {
        for fault in FAULTS {
            let bed = Bed::new();
            let status = bed.run_through(&definition, &[(at, fault)], None).await;
            assert_eq!(status.status, Status::Completed);
            for (index, id) in ids.iter().enumerate() {
                // Append `n` makes the success of step `n - 1` durable.
                let is_open = fault == Fault::Before && at == index + 1;
                let expected = if is_open { 2 } else { 1 };
                assert_eq!(bed.world.count(id), expected, "{id} at {at} {fault:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_after_turning_back_never_goes_forward_again() {
    let definition = || {
        let fail = step("c").after("a");
        define(vec![
            step("a"),
            step("b").after("a"),
            fail,
            step("d").after("b"),
        ])
    };
    for at in 0..8 {
        let bed = Bed::new();
        bed.world.script("b", &[Act::DoAfterDeaf(1_000)]);
        bed.world.script("c", &[Act::Reject, Act::Reject]);
        let status = bed
            .run_through(&definition(), &[(at, Fault::After)], None)
            .await;
        assert_eq!(status.status, Status::Compensated, "{at}");
        assert_eq!(bed.world.count("d"), 0, "{at}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_is_not_run_again_beside_the_one_whose_doubt_turns_its_saga_back() {
    let bed = Bed::new();
    let definition = define(vec![
        step("a"),
        step("b").on_in_doubt(OnInDoubt::Compensate),
    ]);
    bed.world.script("a", &[Act::Hang]);
    bed.world.script("b", &[Act::Hang]);
    let sagas = bed.open().await;
    let id = sagas.start(&definition, input()).await.unwrap();
    while bed.world.calls().len() < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    sagas.shutdown(Duration::ZERO).await;

    let sagas = bed.open().await;
    let status = settled(&sagas, &id).await;
    sagas.shutdown(Duration::ZERO).await;
    assert_eq!(status.status, Status::Compensated);
    assert_eq!(bed.world.calls(), ["a#1", "b#1", "undo_b#1", "undo_a#1"]);
    super::invariants::check(&bed.disk);
}
