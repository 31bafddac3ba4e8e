//! Random definitions.

use std::time::Duration;

use sagabus::engines::embedded::simulation::Chance;
use sagabus::saga::{Definition, OnInDoubt, OnTimeout, Options, Order, Step};

use super::SIGNAL;

pub(super) fn random_definition(chance: &mut Chance) -> Definition {
    let count = 1 + chance.index(6);
    let pivot = chance.one_in(4).then(|| chance.index(count));
    let mut steps: Vec<Step> = Vec::new();
    for number in 0..count {
        let mut step = Step::new(format!("s{number}"));
        let is_wait = pivot != Some(number) && chance.one_in(8);
        if is_wait {
            let limit = Duration::from_secs(1 + chance.below(30));
            step = match chance.below(3) {
                0 => step.timer(limit),
                1 => step.signal(SIGNAL),
                _ => {
                    let then = *chance.pick(&[OnTimeout::Fail, OnTimeout::Complete]);
                    step.signal(SIGNAL).waits_at_most(limit, then)
                }
            };
        } else {
            step = step
                .service("world")
                .action("do")
                .retries(u32::try_from(chance.below(4)).unwrap());
            if !chance.one_in(4) {
                step = step.compensated_by("undo");
            }
            if chance.one_in(5) {
                step = step.on_in_doubt(OnInDoubt::Compensate);
            }
        }
        for earlier in 0..number {
            if chance.one_in(3) {
                step = step.after(format!("s{earlier}"));
            }
        }
        steps.push(if pivot == Some(number) {
            step.pivot()
        } else {
            step
        });
    }
    let options = Options {
        compensation: *chance.pick(&[Order::Serial, Order::Serial, Order::Parallel]),
        deadline: chance
            .one_in(8)
            .then(|| Duration::from_secs(1 + chance.below(20))),
        ..Options::default()
    };
    let mut definition = Definition::builder("random").options(options);
    for step in steps {
        definition = definition.step(step);
    }
    definition.build().unwrap()
}
