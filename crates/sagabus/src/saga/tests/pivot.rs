//! The pivot: before it a saga can be taken back, behind it only be brought to its end.

use bytes::Bytes;

use super::bed::{Act, Bed, define, input, settled, step};
use crate::error::ErrorKind;
use crate::ledger::By;
use crate::saga::{Action, Definition, DefinitionError, Status, Step, StepPhase};

fn by() -> By {
    By::new("ann", "by hand")
}

/// `a` and `x`, then the pivot `p`, then `b`, then `c`.
fn definition() -> Definition {
    define(vec![
        step("a"),
        step("d"),
        step("e").after("a").pivot(),
        step("b").after("e"),
        Step::new("c").service("svc").after("b"),
    ])
}

#[test]
fn a_definition_has_one_pivot_at_most_and_the_error_names_both() {
    let steps = vec![step("a").pivot(), step("b"), step("c").pivot()];
    let error = Definition::from_steps("s", steps).unwrap_err();
    assert_eq!(
        error.to_string(),
        "steps `a` and `c` are both the `pivot`; there can be one"
    );
    assert!(matches!(error.fault, DefinitionError::TwoPivots { .. }));
}

#[test]
fn a_pivot_depends_on_all_steps_that_do_not_follow_from_it() {
    let definition = definition();
    assert_eq!(definition.dependencies(2), [0, 1]);
    assert_eq!(definition.dependencies(3), [2]);
    let after: Vec<bool> = (0..5).map(|at| definition.is_after_pivot(at)).collect();
    assert_eq!(after, [false, false, false, true, true]);
    // The written form has what was written, and gives the same again.
    assert_eq!(definition.steps()[2].dependencies, ["a"]);
    let again = Definition::from_pinned(&definition.to_json()).unwrap();
    assert_eq!(again.dependencies(2), [0, 1]);
}

#[test]
fn a_compensation_that_can_never_be_used_is_a_warning() {
    let warnings = definition().warnings();
    let texts: Vec<String> = warnings.iter().map(|it| it.kind.to_string()).collect();
    assert_eq!(
        texts,
        ["`compensationAction` of step `b` is never used: the step follows from the pivot"]
    );
    let plain = define(vec![step("a"), step("b").after("a")]);
    assert_eq!(plain.warnings(), []);
}

#[tokio::test(start_paused = true)]
async fn a_pivot_starts_after_all_steps_that_do_not_follow_from_it() {
    let bed = Bed::new();
    bed.world.script("d", &[Act::DoAfter(500)]);
    let status = bed.run(&definition()).await;
    assert_eq!(status.status, Status::Completed);
    assert_eq!(bed.world.effects(), ["a", "d", "e", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn a_saga_turns_back_as_long_as_its_pivot_has_not_succeeded() {
    for (at, effects) in [
        ("d", &["a", "undo_a"][..]),
        ("e", &["a", "d", "undo_d", "undo_a"]),
    ] {
        let bed = Bed::new();
        bed.world.script(at, &[Act::Reject]);
        let status = bed.run(&definition()).await;
        assert_eq!(status.status, Status::Compensated);
        assert_eq!(bed.world.effects(), effects);
    }
}

#[tokio::test(start_paused = true)]
async fn a_saga_cannot_be_cancelled_behind_its_pivot() {
    let bed = Bed::new();
    bed.world.script("b", &[Act::DoAfter(1_000)]);
    let sagas = bed.open().await;
    let id = sagas.start(&definition(), input()).await.unwrap();
    while !bed.world.calls().contains(&"b#1".to_owned()) {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    let error = sagas.cancel(&id, "too late").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("passed its pivot"), "{error}");
    assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Completed);
    assert_eq!(bed.world.effects(), ["a", "d", "e", "b", "c"]);
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn a_pivot_that_succeeds_after_the_cancel_is_taken_back() {
    let bed = Bed::new();
    bed.world.script("e", &[Act::DoAfterDeaf(500)]);
    let sagas = bed.open().await;
    let id = sagas.start(&definition(), input()).await.unwrap();
    while !bed.world.calls().contains(&"e#1".to_owned()) {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    sagas.cancel(&id, "in time").await.unwrap();
    assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Cancelled);
    let effects = bed.world.effects();
    assert_eq!(effects[2..], ["e", "undo_e", "undo_d", "undo_a"]);
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn a_step_behind_the_pivot_that_fails_for_good_leaves_its_saga_stuck_and_nothing_taken_back()
{
    let output = Bytes::from_static(b"1");
    let b = || "b".to_owned();
    for (action, end, phase) in [
        (
            Action::Retry { step: Some(b()) },
            Status::Completed,
            StepPhase::Completed,
        ),
        (
            Action::Retry { step: None },
            Status::Completed,
            StepPhase::Completed,
        ),
        (
            Action::Complete { step: b(), output },
            Status::Completed,
            StepPhase::Completed,
        ),
        (
            Action::Skip { step: b() },
            Status::Completed,
            StepPhase::Skipped,
        ),
        (Action::Abandon, Status::Failed, StepPhase::Failed),
    ] {
        let bed = Bed::new();
        bed.world.script("b", &[Act::Reject]);
        let sagas = bed.open().await;
        let id = sagas.start(&definition(), input()).await.unwrap();
        let status = settled(&sagas, &id).await;
        assert_eq!(status.status, Status::ForwardStuck);
        assert_eq!(status.steps[3].phase, StepPhase::Stuck);
        assert_eq!(status.current_step.as_deref(), Some("b"));
        assert_eq!((sagas.stats().forward_stuck, sagas.stats().active), (1, 0));
        let issues = sagas.health().issues;
        assert_eq!(issues, ["1 sagas are stuck behind their pivot"]);
        // It stays so over a restart.
        sagas.shutdown(std::time::Duration::ZERO).await;
        let sagas = bed.open().await;
        assert_eq!(sagas.status(&id).unwrap().status, Status::ForwardStuck);
        sagas.operate(&id, action, by()).await.unwrap();
        let status = sagas.wait(&id).await.unwrap();
        assert_eq!(status.status, end);
        assert_eq!(status.steps[3].phase, phase);
        assert_eq!(status.inconsistent, end == Status::Failed);
        let undone = bed.world.effects();
        assert!(!undone.iter().any(|effect| effect.starts_with("undo")));
        super::invariants::check(&bed.disk);
    }
}

#[tokio::test(start_paused = true)]
async fn other_branches_behind_the_pivot_go_on_while_one_is_stuck() {
    let bed = Bed::new();
    bed.world.script("b", &[Act::Reject]);
    bed.world.script("c", &[Act::DoAfter(500)]);
    let steps = vec![
        step("a").pivot(),
        step("b").after("a"),
        step("c").after("a"),
        step("d").after("c"),
    ];
    let status = bed.run(&define(steps)).await;
    assert_eq!(status.status, Status::ForwardStuck);
    assert_eq!(bed.world.effects(), ["a", "c", "d"]);
}
