//! Random definitions.

use std::num::NonZeroU32;
use std::time::Duration;

use sagabus::engines::embedded::simulation::Chance;
use sagabus::saga::{Definition, OnInDoubt, OnTimeout, Options, Order, Step, Wait};

use serde_json::{Value, json};

use super::{FAR, OUTERMOST, SIGNAL};

/// A saga of up to six steps, with lists, steps elsewhere, and sagas in it of up to three, so many deep.
pub(super) fn random_definition(
    name: &str,
    (depth, has_far): (u32, bool),
    chance: &mut Chance,
) -> Definition {
    let count = 1 + chance.index(if depth == 0 { 3 } else { 6 });
    let pivot = chance.one_in(4).then(|| chance.index(count));
    let mut steps: Vec<Step> = Vec::new();
    for number in 0..count {
        let mut step = Step::new(format!("s{number}"));
        let is_plain = pivot == Some(number);
        let is_list = chance.one_in(5);
        if !is_plain && depth > 0 && chance.one_in(7) {
            let inside = random_definition(&format!("s{number}"), (depth - 1, has_far), chance);
            step = step.child(inside);
            if !chance.one_in(4) {
                step = step.service("world").compensated_by("undo");
            }
        } else if !is_plain && chance.one_in(8) {
            let limit = Duration::from_secs(1 + chance.below(30));
            step = match chance.below(3) {
                0 => step.timer(limit),
                1 => step.signal(SIGNAL),
                _ => {
                    let then = *chance.pick(&[OnTimeout::Fail, OnTimeout::Complete]);
                    let then = if name == OUTERMOST {
                        then
                    } else {
                        OnTimeout::Complete
                    };
                    step.signal(SIGNAL).waits_at_most(limit, then)
                }
            };
        } else {
            let service = if has_far && chance.one_in(5) {
                FAR
            } else {
                "world"
            };
            step = step
                .service(service)
                .action("do")
                .retries(u32::try_from(chance.below(4)).unwrap());
            if !chance.one_in(4) {
                step = step.compensated_by("undo");
            }
            if chance.one_in(5) {
                step = step.on_in_doubt(OnInDoubt::Compensate);
            }
        }
        let is_signal_or_timer = step.wait.is_some() && !matches!(step.wait, Some(Wait::Child(_)));
        if is_list && !is_signal_or_timer {
            let places = u32::try_from(1 + chance.below(3)).unwrap();
            step = step
                .for_each("/items")
                .at_a_time(NonZeroU32::new(places).unwrap());
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
        // One inside would be behind a pivot, where it must be able to complete at last.
        deadline: (name == OUTERMOST && chance.one_in(8))
            .then(|| Duration::from_secs(1 + chance.below(20))),
        ..Options::default()
    };
    let mut definition = Definition::builder(name).options(options);
    for step in steps {
        definition = definition.step(step);
    }
    definition.build().unwrap()
}

/// What each saga is given: a list of objects that each are what a saga inside is given, as deep as those go.
pub(super) fn random_input(chance: &mut Chance) -> String {
    items(3, chance).to_string()
}

fn items(depth: u32, chance: &mut Chance) -> Value {
    let count = if depth == 0 { 0 } else { chance.below(4) };
    let mut items = Vec::new();
    for number in 0..count {
        let mut item = self::items(depth - 1, chance);
        item["number"] = number.into();
        items.push(item);
    }
    json!({ "items": items })
}
