//! Status and steps stay true to each other, whatever is done in whatever order.

use std::collections::HashSet;

use super::*;

fn new() -> Course {
    Course {
        status: Status::Submitted,
        is_held: false,
        steps: [StepStatus::Pending; Stage::COUNT],
    }
}

/// The course of a sample that was worked on up to this step, which is not begun.
fn at(stage: Stage) -> Course {
    let mut course = new();
    for before in Stage::ALL.into_iter().filter(|it| *it < stage) {
        course = course.after(before, Act::Start).unwrap();
        course = course.after(before, Act::Complete).unwrap();
    }
    course
}

/// What the documentation of [`Course`] promises.
#[track_caller]
fn check(course: Course) {
    let expected = match (course.status, course.current()) {
        (Status::Submitted, current) => current == Some(Stage::SampleQc),
        (Status::Completed | Status::Distributed, current) => current.is_none(),
        (Status::Archived, _) => true,
        (_, None) => false,
        (status, Some(current)) => {
            let is_next = Stage::ALL
                .into_iter()
                .filter(|it| it.status() > status)
                .min()
                .is_some_and(|next| next == current)
                && course.step(current) == StepStatus::Pending;
            current.status() == status || is_next
        }
    };
    assert!(expected, "{course:?}");
    let begun = course
        .steps
        .iter()
        .filter(|it| **it == StepStatus::InProgress);
    assert!(begun.count() <= 1, "{course:?}");
}

#[test]
fn the_eight_steps_have_the_names_and_estimates_of_the_facility() {
    let steps = Stage::ALL.map(|it| (it.title(), it.as_str(), it.estimate_hours()));
    assert_eq!(
        steps,
        [
            ("Sample QC", "sample_qc", 1),
            ("Library Preparation", "library_prep", 4),
            ("Library QC", "library_qc", 1),
            ("Sequencing Setup", "sequencing_setup", 1),
            ("Sequencing Run", "sequencing_run", 48),
            ("Basecalling", "basecalling", 2),
            ("Quality Assessment", "quality_assessment", 1),
            ("Data Delivery", "data_delivery", 1),
        ]
    );
    assert_eq!(steps.map(|it| it.2).iter().sum::<u32>(), 59);
    for stage in Stage::ALL {
        assert_eq!(Stage::from_word(stage.as_str()), Some(stage));
    }
    for step in StepStatus::ALL {
        assert_eq!(StepStatus::from_word(step.as_str()), Some(step));
    }
}

#[test]
fn the_status_follows_the_steps_from_the_first_to_the_last() {
    let mut course = new();
    let mut statuses = Vec::new();
    for stage in Stage::ALL {
        course = course.after(stage, Act::Start).unwrap();
        statuses.push(course.status.as_str());
        check(course);
        course = course.after(stage, Act::Complete).unwrap();
        check(course);
    }
    assert_eq!(
        statuses,
        [
            "prep",
            "prep",
            "prep",
            "sequencing",
            "sequencing",
            "analysis",
            "analysis",
            "analysis"
        ]
    );
    assert_eq!((course.status, course.current()), (Status::Completed, None));
}

#[test]
fn only_the_current_step_is_worked_on_and_only_as_its_state_allows() {
    for stage in Stage::ALL {
        for other in Stage::ALL.into_iter().filter(|it| *it != stage) {
            let errors = at(stage).after(other, Act::Start).unwrap_err();
            assert_eq!(errors.0[0].field, "stage");
        }
        let begun = at(stage).after(stage, Act::Start).unwrap();
        let failed = begun.after(stage, Act::Fail).unwrap();
        for (course, allowed) in [
            (at(stage), [Act::Start, Act::Skip]),
            (begun, [Act::Complete, Act::Fail]),
            (failed, [Act::Start, Act::Skip]),
        ] {
            for act in Act::ALL {
                match course.after(stage, act) {
                    Ok(after) => {
                        assert!(allowed.contains(&act), "{act:?} of {course:?}");
                        check(after);
                    }
                    Err(errors) => {
                        assert!(!allowed.contains(&act), "{act:?} of {course:?}");
                        let words = allowed.map(Act::as_str).join(", ");
                        assert!(errors.0[0].message.ends_with(&words), "{errors}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_stage_stays_or_goes_on_by_exactly_one() {
    for from in Stage::ALL {
        for to in Stage::ALL {
            let course = at(from);
            let outcome = course.moved_to(to);
            if to == from {
                assert_eq!(outcome, Ok(course));
            } else if from.next() == Some(to) {
                let after = outcome.unwrap();
                assert_eq!(after.current(), Some(to));
                assert_eq!(after.step(from), StepStatus::Completed);
                check(after);
            } else {
                let errors = outcome.unwrap_err();
                assert!(errors.0[0].message.contains("allowed: "), "{errors}");
                assert_eq!(errors.0[0].field, "stage");
            }
        }
    }
    let begun = at(Stage::LibraryQc)
        .after(Stage::LibraryQc, Act::Start)
        .unwrap();
    let failed = begun.after(Stage::LibraryQc, Act::Fail).unwrap();
    assert!(failed.moved_to(Stage::SequencingSetup).is_err());
}

#[test]
fn a_sample_on_hold_ends_what_runs_and_begins_nothing() {
    for stage in Stage::ALL {
        let held = Course {
            is_held: true,
            ..at(stage)
        };
        assert!(held.after(stage, Act::Start).is_err());
        assert!(held.after(stage, Act::Skip).is_err());
        assert!(stage.next().is_none_or(|next| held.moved_to(next).is_err()));
        let begun = Course {
            is_held: true,
            ..at(stage).after(stage, Act::Start).unwrap()
        };
        begun.after(stage, Act::Complete).unwrap();
        begun.after(stage, Act::Fail).unwrap();
        for status in Status::ALL {
            let goes_on = status > held.status && status != Status::Archived;
            if held.status.can_become(status) {
                assert_eq!(
                    held.with_status(status).is_err(),
                    goes_on,
                    "{stage} {status}"
                );
            }
        }
    }
}

#[test]
fn a_status_that_is_set_takes_the_steps_along() {
    let course = at(Stage::SequencingRun);
    let back = course.with_status(Status::Prep).unwrap();
    assert_eq!(back.current(), Some(Stage::LibraryPrep));
    assert_eq!(back.step(Stage::SampleQc), StepStatus::Completed);
    check(back);
    let on = new().with_status(Status::Prep).unwrap();
    let on = on.with_status(Status::Sequencing).unwrap();
    assert_eq!(on.current(), Some(Stage::SequencingSetup));
    assert_eq!(on.step(Stage::LibraryPrep), StepStatus::Skipped);
    check(on);
    let begun = at(Stage::LibraryPrep)
        .after(Stage::LibraryPrep, Act::Start)
        .unwrap();
    let errors = begun.with_status(Status::Sequencing).unwrap_err();
    assert_eq!(errors.0[0].field, "step");
    let errors = new().with_status(Status::Completed).unwrap_err();
    assert!(errors.0[0].message.ends_with("allowed: prep, archived"));
}

/// Every course that can be reached, by every act, stage and status, forced or not.
#[test]
fn no_order_of_moves_makes_status_and_steps_contradict_each_other() {
    let mut met = HashSet::from([new()]);
    let mut next = vec![new()];
    while let Some(course) = next.pop() {
        check(course);
        let mut after = Vec::new();
        for stage in Stage::ALL {
            for act in Act::ALL {
                after.extend(course.after(stage, act));
            }
            after.extend(course.moved_to(stage));
        }
        for status in Status::ALL {
            after.extend(course.with_status(status));
            if status != course.status {
                after.push(course.forced_to(status));
            }
        }
        for course in after {
            if met.insert(course) {
                next.push(course);
            }
        }
    }
    assert!(met.len() > 500, "{}", met.len());
}
