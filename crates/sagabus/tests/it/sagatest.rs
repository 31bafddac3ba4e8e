//! The kit for users finds what a saga's handlers do wrong, and nothing where they are right.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use sagabus::engines::embedded::simulation::SagaBug;
use sagabus::saga::{
    CompensationContext, Definition, Handlers, Options, Order, SagaStatus, Status, Step,
    StepContext, StepError,
};
use sagabus::sagatest::{Sweep, World};

/// How the handlers of a world do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Right,
    /// A step that is called again has another effect.
    CountsTwice,
    /// A compensation without an output does nothing.
    TrustsOutput,
    /// A compensation that finds nothing fails.
    WantsSomething,
}

/// How much of each thing is there, by the key of the step.
struct Bench {
    way: Way,
    taken: Arc<Mutex<BTreeMap<String, u32>>>,
}

impl Bench {
    fn new(way: Way) -> Self {
        Self {
            way,
            taken: Arc::default(),
        }
    }
}

impl World for Bench {
    fn handlers(&self) -> Handlers {
        let (taken, freed, way) = (Arc::clone(&self.taken), Arc::clone(&self.taken), self.way);
        Handlers::new()
            .handle("bench", "take", move |context: StepContext| {
                let mut taken = taken.lock().unwrap();
                let count = taken.entry(context.key()).or_insert(0);
                *count = if way == Way::CountsTwice {
                    *count + 1
                } else {
                    1
                };
                let output = serde_json::json!({ "took": context.key() });
                async move { Ok::<_, StepError>(output) }
            })
            .compensate("bench", "free", move |context: CompensationContext| {
                let is_blind = way == Way::TrustsOutput && context.step_output().is_none();
                let mut taken = freed.lock().unwrap();
                let found = match is_blind {
                    true => Some(0),
                    false => taken.remove(&context.step_key()),
                };
                let is_refused = way == Way::WantsSomething && found.is_none();
                async move {
                    match is_refused {
                        true => Err(StepError::Reject("nothing is there".to_owned())),
                        false => Ok(()),
                    }
                }
            })
    }

    async fn check(&self, ended: &SagaStatus) -> Result<(), String> {
        let taken = self.taken.lock().unwrap();
        let steps = ended.steps.iter().filter(|step| !step.action.is_empty());
        for step in steps {
            let key = format!("{}/{}", ended.id, step.id);
            let count = taken.get(&key).copied().unwrap_or(0);
            let wanted = match (ended.status, &step.compensation_action) {
                (Status::Completed, _) => 1..=1,
                (_, Some(_)) => 0..=0,
                (_, None) => 0..=1,
            };
            if step.service == "bench" && !wanted.contains(&count) {
                return Err(format!("`{}` is there {count} times", step.id));
            }
        }
        Ok(())
    }
}

fn step(id: &str) -> Step {
    Step::new(id)
        .service("bench")
        .action("take")
        .compensated_by("free")
}

fn define(options: Options, steps: Vec<Step>) -> Definition {
    let mut definition = Definition::builder("kit").options(options);
    for step in steps {
        definition = definition.step(step);
    }
    definition.build().unwrap()
}

/// Sagas of each shape that a definition can have.
fn definitions() -> Vec<(&'static str, Definition)> {
    let parallel = Options {
        compensation: Order::Parallel,
        ..Options::default()
    };
    let diamond = || {
        vec![
            step("a"),
            step("b").after("a").retries(1),
            step("c").after("a"),
            step("d").after("b").after("c"),
        ]
    };
    let neutral = Step::new("note").service("bench").action("take");
    vec![
        (
            "chain",
            define(
                Options::default(),
                vec![step("a"), step("b").after("a"), step("c").after("b")],
            ),
        ),
        ("diamond", define(Options::default(), diamond())),
        (
            "diamond taken back in parallel",
            define(parallel, diamond()),
        ),
        (
            "pivot",
            define(
                Options::default(),
                vec![
                    step("a"),
                    step("b").after("a").pivot(),
                    neutral.clone().after("b"),
                ],
            ),
        ),
        (
            "waits",
            define(
                Options::default(),
                vec![
                    step("a"),
                    Step::new("lab").after("a").signal("results"),
                    Step::new("head").after("lab").approval("head"),
                    Step::new("rest")
                        .after("a")
                        .timer(std::time::Duration::from_secs(5)),
                    step("b").after("head").after("rest"),
                    neutral.after("b"),
                ],
            ),
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn nothing_is_found_in_sagas_of_any_shape_whose_handlers_are_right() {
    for (shape, definition) in definitions() {
        let report = Sweep::new(definition, async || Bench::new(Way::Right))
            .run()
            .await;
        println!("{shape}: {} runs", report.runs);
        report.assert_clean();
        assert!(report.runs > 30, "{shape}: {} runs", report.runs);
    }
}

#[tokio::test(start_paused = true)]
async fn each_fault_of_handlers_is_found_and_told_with_its_step_and_its_run() {
    for (way, told) in [
        (
            Way::CountsTwice,
            "step `a` is done twice: `a` is there 2 times",
        ),
        (
            Way::TrustsOutput,
            "step `b` is in doubt: `b` is there 1 times",
        ),
        (Way::WantsSomething, "compensation of `a` hangs: "),
    ] {
        let (_, definition) = definitions().swap_remove(0);
        let report = Sweep::new(definition, async || Bench::new(way)).run().await;
        let found: Vec<String> = report.failures.iter().map(ToString::to_string).collect();
        println!("{way:?}: {} of {} runs", found.len(), report.runs);
        assert!(
            found.iter().any(|it| it.starts_with(told)),
            "{way:?}: {found:#?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_engine_below_does_wrong_is_found_by_what_a_run_shows() {
    for (bug, told) in [
        (
            SagaBug::StartForgotten,
            "a start that was acknowledged is not in the store",
        ),
        (SagaBug::EpochFalls, "an epoch that is over appends"),
        (
            SagaBug::OutputForgotten,
            "`b` does not see the durable output of `a`",
        ),
        (SagaBug::KeyChanges, "`b` has the keys "),
        (SagaBug::EndsTwice, "a saga ends twice"),
    ] {
        // The diamond: its step `b` is tried twice.
        let (_, definition) = definitions().swap_remove(1);
        SagaBug::plant(Some(bug));
        let sweep = Sweep::new(definition, async || Bench::new(Way::Right));
        let report = sweep.run().await;
        SagaBug::plant(None);
        let found: Vec<&str> = report.failures.iter().map(|it| it.what.as_str()).collect();
        println!("{bug:?}: {} of {} runs", found.len(), report.runs);
        assert!(
            found.iter().any(|it| it.contains(told)),
            "{bug:?}: {found:#?}"
        );
    }
}

/// A bench at which everything that is taken is counted, whichever saga took it and for which item.
struct Counted {
    bench: Bench,
    /// How much there is of a saga that completes.
    whole: usize,
}

impl World for Counted {
    fn handlers(&self) -> Handlers {
        let taken = Arc::clone(&self.bench.taken);
        let recall = move |context: CompensationContext| {
            let output = context.step_output().cloned().unwrap_or_default();
            // Without an output its saga did not complete, and has taken back what it did.
            let steps: BTreeMap<String, serde_json::Value> =
                serde_json::from_slice(&output).unwrap_or_default();
            for step in steps.values() {
                taken.lock().unwrap().remove(step["took"].as_str().unwrap());
            }
            async { Ok(()) }
        };
        let handlers = self.bench.handlers();
        handlers.compensate("bench", "recall", recall)
    }

    fn input(&self) -> bytes::Bytes {
        bytes::Bytes::from_static(br#"{"items": [1, 2, 3]}"#)
    }

    async fn check(&self, ended: &SagaStatus) -> Result<(), String> {
        let taken = self.bench.taken.lock().unwrap();
        if let Some((key, count)) = taken.iter().find(|(_, count)| **count > 1) {
            return Err(format!("`{key}` is there {count} times"));
        }
        let wanted = match ended.status {
            Status::Completed => self.whole,
            _ => 0,
        };
        let found = taken.len();
        (found == wanted)
            .then_some(())
            .ok_or_else(|| format!("{found} are taken, not {wanted}: {taken:?}"))
    }
}

/// `a`, then what is in the middle, then `c`.
fn around(middle: Step) -> Definition {
    let last = step("c").after(middle.id.clone());
    define(Options::default(), vec![step("a"), middle.after("a"), last])
}

fn order() -> Definition {
    let order = Definition::builder("order").step(step("pay"));
    order.step(step("ship").after("pay")).build().unwrap()
}

/// A saga with a list, one with a child, and one with a child for each item; with how much a completed one takes.
fn nested() -> [(&'static str, Definition, usize); 3] {
    let child = |id| {
        let child = Step::new(id).service("bench").child(order());
        child.compensated_by("recall")
    };
    [
        ("list", around(step("b").for_each("/items")), 5),
        ("child", around(child("order")), 4),
        ("children", around(child("order").for_each("/items")), 8),
    ]
}

async fn found((_, definition, whole): (&str, Definition, usize), way: Way) -> Vec<String> {
    let world = async move || Counted {
        bench: Bench::new(way),
        whole,
    };
    let report = Sweep::new(definition, world).run().await;
    report.failures.iter().map(ToString::to_string).collect()
}

#[tokio::test(start_paused = true)]
async fn nothing_is_found_in_items_of_lists_and_in_sagas_inside_sagas_whose_handlers_are_right() {
    for (shape, definition, whole) in nested() {
        let found = found((shape, definition, whole), Way::Right).await;
        assert!(found.is_empty(), "{shape}: {found:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_fault_of_handlers_is_told_with_its_item_and_with_the_step_that_started_its_saga() {
    for (shape, way, told) in [
        (0, Way::CountsTwice, "step `b[1]` is done twice: "),
        (0, Way::TrustsOutput, "step `b[2]` is in doubt: "),
        (1, Way::CountsTwice, "step `order/pay` is done twice: "),
        (1, Way::TrustsOutput, "step `order/ship` hangs: "),
        (2, Way::CountsTwice, "step `order[2]/ship` is done twice: "),
    ] {
        let found = found(nested()[shape].clone(), way).await;
        assert!(
            found.iter().any(|it| it.starts_with(told)),
            "{told}: {found:#?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_lists_and_sagas_inside_sagas_below_is_found() {
    for (shape, bug) in [
        (0, SagaBug::ItemKeysShared),
        (0, SagaBug::ItemForgotten),
        (0, SagaBug::ListDoneTooEarly),
        (1, SagaBug::ChildNotAwaited),
        (1, SagaBug::ChildStartedAgain),
        (1, SagaBug::ChildFailurePasses),
        (1, SagaBug::OutputForgotten),
    ] {
        SagaBug::plant(Some(bug));
        let found = found(nested()[shape].clone(), Way::Right).await;
        SagaBug::plant(None);
        println!("{bug:?}: {:?}", found.first());
        assert!(!found.is_empty(), "{bug:?}");
    }
}
