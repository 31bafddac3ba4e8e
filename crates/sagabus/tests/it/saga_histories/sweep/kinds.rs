//! The kinds of sagas that are swept.

use std::num::NonZeroU32;
use std::time::Duration;

use sagabus::engines::embedded::simulation::SimDisk;
use sagabus::saga::{
    ConcurrencyKey, Definition, OnConflict, OnTimeout, Options, Status, Step, StepError,
};
use tokio_util::sync::CancellationToken;

use super::{FAR, SIGNAL};

/// What a handler does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Takes effect.
    Do,
    /// Takes effect after so many milliseconds, and stops at once when told to.
    After(u64),
    /// Fails without effect for good.
    Reject,
    /// Fails without effect in its first call.
    BusyFirst,
    /// Takes effect and does not know in its first call.
    DoubtfulFirst,
    /// Never ends by itself.
    Hang,
}

impl Act {
    /// What it is in a call, the first being 1.
    pub(super) fn in_call(self, number: usize) -> Self {
        match self {
            Self::BusyFirst | Self::DoubtfulFirst if number > 1 => Self::Do,
            other => other,
        }
    }

    pub(super) async fn play(
        self,
        disk: &SimDisk,
        cancelled: &CancellationToken,
        effect: impl Fn(),
    ) -> Result<(), StepError> {
        let after = match self {
            Self::Do => Some(0),
            Self::After(milliseconds) => Some(milliseconds),
            Self::Reject => return Err(StepError::Reject("never".to_owned())),
            Self::BusyFirst => return Err(StepError::Retry("not yet".to_owned())),
            Self::DoubtfulFirst => {
                effect();
                return Err(StepError::InDoubt("no answer".to_owned()));
            }
            Self::Hang => None,
        };
        let slow = async {
            match after {
                Some(0) => {}
                Some(milliseconds) => tokio::time::sleep(Duration::from_millis(milliseconds)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = slow => {}
            () = cancelled.cancelled() => {
                return Err(StepError::Reject("stopped without an effect".to_owned()));
            }
        }
        if disk.is_down() {
            // The process is gone already.
            return std::future::pending().await;
        }
        effect();
        Ok(())
    }
}

/// What somebody does from outside while a saga is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    Cancel,
    Signal,
    Approve,
}

/// A kind of saga.
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) definition: fn() -> Definition,
    /// What handlers do, by the id of the step, with `undo_` before it for its compensation. All others take effect.
    pub(super) acts: &'static [(&'static str, Act)],
    pub(super) then: Option<Then>,
    /// How one of its sagas stands at the end.
    pub(super) end: Status,
    /// How many sagas of it there are, and how many may be active.
    pub(super) sagas: usize,
    pub(super) active_max: usize,
    /// How many of its steps are under way at one time at most.
    pub(super) width: usize,
}

/// One after the other.
const PLAIN: Kind = Kind {
    name: "a row",
    definition: || row(&["a", "b", "c"]),
    acts: &[],
    then: None,
    end: Status::Completed,
    sagas: 1,
    active_max: 100,
    width: 1,
};

pub(super) const KINDS: [Kind; 26] = [
    PLAIN,
    Kind {
        name: "a diamond",
        definition: || {
            let last = step("d").after("b").after("c");
            let middle = ["b", "c"].map(|id| step(id).after("a"));
            define([step("a")].into_iter().chain(middle).chain([last]))
        },
        acts: &[("b", Act::After(5)), ("c", Act::After(3))],
        width: 2,
        ..PLAIN
    },
    Kind {
        name: "a failure that is tried again",
        definition: || {
            let middle = step("b").after("a").retries(2);
            define([step("a"), middle, step("c").after("b")])
        },
        acts: &[("b", Act::BusyFirst)],
        ..PLAIN
    },
    Kind {
        name: "a step in doubt that is tried again",
        definition: || {
            let middle = step("b").after("a").retries(2);
            define([step("a"), middle, step("c").after("b")])
        },
        acts: &[("b", Act::DoubtfulFirst)],
        ..PLAIN
    },
    Kind {
        name: "a failure",
        acts: &[("c", Act::Reject)],
        end: Status::Compensated,
        ..PLAIN
    },
    Kind {
        name: "a failure of parallel steps",
        definition: || {
            let steps = ["a", "b"].map(step).into_iter();
            let last = step("c").after("a").after("b");
            let options = Options {
                compensation: sagabus::saga::Order::Parallel,
                ..Options::default()
            };
            build(options, steps.chain([last]))
        },
        acts: &[("c", Act::Reject)],
        end: Status::Compensated,
        width: 2,
        ..PLAIN
    },
    Kind {
        name: "a compensation that fails at first",
        acts: &[
            ("c", Act::Reject),
            ("undo_b", Act::BusyFirst),
            ("undo_a", Act::DoubtfulFirst),
        ],
        end: Status::Compensated,
        ..PLAIN
    },
    Kind {
        name: "a compensation that is stuck",
        acts: &[("c", Act::Reject), ("undo_b", Act::Reject)],
        end: Status::CompensationStuck,
        ..PLAIN
    },
    Kind {
        name: "stuck behind the pivot",
        definition: || {
            let pivot = step("b").after("a").pivot();
            define([step("a"), pivot, step("c").after("b")])
        },
        acts: &[("c", Act::Reject)],
        end: Status::ForwardStuck,
        ..PLAIN
    },
    Kind {
        name: "a cancel",
        acts: &[("b", Act::Hang)],
        then: Some(Then::Cancel),
        end: Status::Cancelled,
        ..PLAIN
    },
    Kind {
        name: "a deadline",
        definition: || {
            let options = Options {
                deadline: Some(Duration::from_secs(5)),
                ..Options::default()
            };
            let slow = step("b").after("a");
            build(options, [step("a"), slow, step("c").after("b")])
        },
        acts: &[("b", Act::Hang)],
        end: Status::Compensated,
        ..PLAIN
    },
    Kind {
        name: "a time limit",
        definition: || {
            let slow = step("b").after("a").timeout(Duration::from_secs(1));
            define([step("a"), slow, step("c").after("b")])
        },
        acts: &[("b", Act::Hang)],
        end: Status::Compensated,
        ..PLAIN
    },
    Kind {
        name: "a signal",
        definition: || {
            let wait = Step::new("w").signal(SIGNAL).after("a");
            define([step("a"), wait, step("b").after("w")])
        },
        then: Some(Then::Signal),
        ..PLAIN
    },
    Kind {
        name: "an approval",
        definition: || approved(Duration::from_secs(60)),
        then: Some(Then::Approve),
        ..PLAIN
    },
    Kind {
        name: "an approval that nobody gives",
        definition: || approved(Duration::from_secs(3)),
        end: Status::Compensated,
        ..PLAIN
    },
    Kind {
        name: "a list",
        definition: || list("world"),
        width: 2,
        ..PLAIN
    },
    Kind {
        name: "a list with an item that fails",
        definition: || list("world"),
        acts: &[("b[2]", Act::Reject)],
        end: Status::Compensated,
        width: 2,
        ..PLAIN
    },
    Kind {
        name: "a saga inside",
        definition: around,
        // Taking it back takes back all that it did.
        width: 2,
        ..PLAIN
    },
    Kind {
        name: "a saga inside that is taken back as a whole",
        definition: around,
        acts: &[("d", Act::Reject)],
        end: Status::Compensated,
        width: 2,
        ..PLAIN
    },
    Kind {
        name: "a saga inside that fails",
        definition: around,
        acts: &[("c", Act::Reject)],
        end: Status::Compensated,
        ..PLAIN
    },
    Kind {
        name: "a saga inside beside a step",
        definition: || define([inside(), step("a")]),
        acts: &[("a", Act::After(5)), ("b", Act::After(20))],
        width: 2,
        ..PLAIN
    },
    Kind {
        name: "a timer",
        definition: || {
            let wait = Step::new("w").timer(Duration::from_secs(2)).after("a");
            define([step("a"), wait, step("b").after("w")])
        },
        ..PLAIN
    },
    Kind {
        name: "a step elsewhere",
        definition: far,
        acts: &[("f", Act::After(20))],
        ..PLAIN
    },
    Kind {
        name: "a step elsewhere that is taken back",
        definition: far,
        acts: &[("b", Act::Reject)],
        end: Status::Compensated,
        ..PLAIN
    },
    Kind {
        name: "a list elsewhere",
        definition: || list(FAR),
        width: 2,
        ..PLAIN
    },
    Kind {
        name: "turns and a key",
        definition: || {
            let key = ConcurrencyKey {
                on_conflict: OnConflict::Queue,
                ..ConcurrencyKey::new("{sampleId}")
            };
            let options = Options {
                concurrency_key: Some(key),
                ..Options::default()
            };
            build(options, [step("a"), step("b").after("a")])
        },
        sagas: 3,
        active_max: 2,
        ..PLAIN
    },
];

fn step(id: &str) -> Step {
    Step::new(id)
        .service("world")
        .action("do")
        .compensated_by("undo")
}

fn define(steps: impl IntoIterator<Item = Step>) -> Definition {
    build(Options::default(), steps)
}

fn build(options: Options, steps: impl IntoIterator<Item = Step>) -> Definition {
    let mut definition = Definition::builder("swept").options(options);
    for step in steps {
        definition = definition.step(step);
    }
    definition.build().unwrap()
}

fn row(ids: &[&str]) -> Definition {
    let after = |(at, id): (usize, &&str)| match at.checked_sub(1) {
        Some(before) => step(id).after(ids[before]),
        None => step(id),
    };
    define(ids.iter().enumerate().map(after))
}

/// `a`, then a person, then `b`.
fn approved(limit: Duration) -> Definition {
    let wait = Step::new("w").approval("lead").after("a");
    let wait = wait.waits_at_most(limit, OnTimeout::Fail);
    define([step("a"), wait, step("b").after("w")])
}

/// `a`, then `b` for each of three items, two at a time, then `c`.
fn list(service: &str) -> Definition {
    let items = step("b").service(service).after("a").for_each("/items");
    let items = items.at_a_time(NonZeroU32::new(2).unwrap());
    define([step("a"), items, step("c").after("b")])
}

/// `a`, then a saga of `b` and `c`, then `d`.
fn around() -> Definition {
    define([step("a"), inside().after("a"), step("d").after("g")])
}

/// A saga of `b` and `c` as the step `g`.
fn inside() -> Step {
    let inside = Definition::from_steps("g", vec![step("b"), step("c").after("b")]);
    let inside = Step::new("g").child(inside.unwrap());
    inside.service("world").compensated_by("undo")
}

/// `a`, then `f` in the service elsewhere, then `b`.
fn far() -> Definition {
    let there = step("f").service(FAR).after("a");
    define([step("a"), there, step("b").after("f")])
}
